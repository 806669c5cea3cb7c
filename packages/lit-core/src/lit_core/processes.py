"""Work that one process does for all."""

from collections.abc import Callable
from typing import Any

from lit_accelerators import Strategy


def in_process_zero(strategy: Strategy, function: Callable[[], Any]) -> Any:
    """Call ``function`` in process 0 and return its result in every process; call this in every process.

    Raises:
        Exception: what ``function`` raised, in process 0; in the others a ``RuntimeError`` that names it.
    """
    if strategy.world_size == 1:
        return function()
    result: Any = None
    error: Exception | None = None
    if strategy.is_global_zero:
        try:
            result = function()
        except Exception as exception:
            error = exception
    reason = None if error is None else f"{type(error).__name__}: {error}"
    result, reason = strategy.collectives.broadcast((result, reason))
    if error is not None:
        raise error
    if reason is not None:
        raise RuntimeError(f"Process 0 failed: {reason}")
    return result
