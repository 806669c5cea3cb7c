"""One manager in each of several processes that save together: the first decides, the others do as it says."""

from collections.abc import Callable
from contextlib import suppress
from typing import Any, TypeVar

T = TypeVar("T")

_STATE, _SAVE, _DONE, _FAILED = "state", "save", "done", "failed"


def decide(io: Any, work: Callable[[], T], state: Any = None) -> T:
    """Call ``work`` in the first process, and return what it gave in every process; called by all.

    Args:
        io: of a format whose processes save together.
        work: may call :func:`build` and :func:`save`.
        state: what this process gives to the saves of ``work``, or a function that returns it.

    Raises:
        Exception: what ``work`` raised, in the first process; in the others what its last save raised there, or else a
            RuntimeError that names it.
    """
    if not io.is_first:
        told: T = _follow(io, state)
        return told
    try:
        found = work()
    except Exception as error:
        with suppress(Exception):  # the others may be gone, which is why it failed
            io.broadcast((_FAILED, f"{type(error).__name__}: {error}"))
        raise
    io.broadcast((_DONE, found))
    return found


def build(io: Any, state: Callable[[], Any]) -> Any:
    """In ``work``: what ``state`` returns, which is called in every process, since it may wait for the others."""
    io.broadcast((_STATE, None))
    return state()


def save(io: Any, state: Any, path: str) -> None:
    """In ``work``: save ``state`` to ``path`` with all the others."""
    io.broadcast((_SAVE, path))
    io.save(state, path)


def _follow(io: Any, state: Any) -> Any:
    failure: Exception | None = None
    while True:
        word, told = io.broadcast(None)
        if word == _DONE:
            return told
        if word == _FAILED:
            raise failure or RuntimeError(f"The first process failed: {told}")
        if word == _STATE:
            state = state() if callable(state) else state
            continue
        failure = None
        try:
            io.save(state, told)
        except Exception as error:
            failure = error
