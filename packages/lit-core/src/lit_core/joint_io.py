"""Where checkpoints are written: by process 0, or by all processes together, each the parts that it holds."""

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING, Any

from lit_checkpoint import CheckpointIO

if TYPE_CHECKING:
    from lit_core.trainer import Trainer


def saves_together(trainer: "Trainer") -> bool:
    """Whether each of several processes writes its parts."""
    return trainer.checkpoint_io.together and trainer.world_size > 1


def among_writers(trainer: "Trainer", function: Callable[[], Any]) -> Any:
    """Call ``function`` in every process that writes, and return what it gave in process 0; called by all processes.

    Raises:
        Exception: what ``function`` raised, in the process where it did; in the others a ``RuntimeError`` that names
            it. So all raise if one does.
    """
    if not saves_together(trainer):
        return trainer.write_in_process_zero(function)
    error: Exception | None = None
    if not trainer.is_global_zero:
        try:
            function()
        except Exception as exception:
            error = exception
    try:
        result = trainer.write_in_process_zero(function)
    except RuntimeError:
        if error is None:
            raise
        raise error from None
    failures = trainer.strategy.collectives.all_gather_object(error and f"{type(error).__name__}: {error}")
    if error is not None:
        raise error
    for rank, failure in enumerate(failures):
        if failure is not None:
            raise RuntimeError(f"Process {rank} failed: {failure}")
    return result


def io_beside_training(trainer: "Trainer") -> AbstractContextManager[CheckpointIO]:
    """The format for threads that write while training goes on; entered by all processes.

    Raises:
        ValueError: if all processes write together, and the format has none.
    """
    io = trainer.checkpoint_io
    apart: Callable[[], AbstractContextManager[CheckpointIO]] | None = getattr(io, "apart", None)
    if apart is not None:
        return apart()
    if saves_together(trainer):
        raise ValueError(
            "ModelCheckpoint(background=True) writes in threads, which must not meet where training does, and "
            f"{type(io).__name__} has no apart() for that, as ShardedCheckpointIO has: leave background out."
        )
    return nullcontext(io)
