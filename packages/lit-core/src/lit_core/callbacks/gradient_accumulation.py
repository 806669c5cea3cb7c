"""Accumulation of gradients that changes with the epoch, as a callback."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from lit_core.callbacks.base import Callback
from lit_core.module import LightningModule

if TYPE_CHECKING:
    from lit_core.trainer import Trainer


class GradientAccumulationScheduler(Callback):
    """``Trainer(accumulate_grad_batches={...})`` in the form of a callback; give it to the Trainer.

    Args:
        scheduling: batches that make one update, by the epoch from which on it holds; one before the first.

    Example:
        >>> from lit_core import Trainer
        >>> from lit_core.callbacks import GradientAccumulationScheduler
        >>> callbacks = [GradientAccumulationScheduler({0: 8, 4: 4})]
        >>> Trainer(accelerator="cpu", logger=False, callbacks=callbacks).settings.accumulate_grad_batches
        {0: 8, 4: 4}

    Raises:
        ValueError: for numbers that are none, or if the Trainer is told something else.
    """

    def __init__(self, scheduling: Mapping[int, int]) -> None:
        self.scheduling = dict(scheduling)

    def setup(self, trainer: "Trainer", module: LightningModule, stage: str) -> None:
        """Refuse a place where the Trainer could not see it.

        Raises:
            ValueError: if the Trainer accumulates otherwise.
        """
        if trainer.settings.accumulate_grad_batches != self.scheduling:
            raise ValueError(
                "GradientAccumulationScheduler comes too late from configure_callbacks: give it to the Trainer, or "
                f"write Trainer(accumulate_grad_batches={self.scheduling})."
            )


def take_scheduling(given: dict[str, Any]) -> dict[str, Any]:
    """Settings in which a :class:`GradientAccumulationScheduler` among the callbacks has become one of them.

    Raises:
        ValueError: if there are several, or another accumulation is asked for.
    """
    callbacks = given["callbacks"]
    several = callbacks if isinstance(callbacks, (list, tuple)) else [callbacks]
    found = [callback.scheduling for callback in several if isinstance(callback, GradientAccumulationScheduler)]
    if not found:
        return given
    before = given["accumulate_grad_batches"]
    if len(found) > 1 or before not in (1, found[0]):
        told = " and ".join(map(str, [*found, *([before] if before != 1 else [])]))
        raise ValueError(f"The accumulation of gradients is asked for more than once ({told}): give one of them.")
    return {**given, "accumulate_grad_batches": found[0]}
