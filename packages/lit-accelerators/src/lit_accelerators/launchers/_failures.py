"""How a process tells the others why it failed: a small file in the private folder of the run."""

import pickle
import signal
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any


class RankFailedError(RuntimeError):
    """Where and how the first failing process failed: the cause of what a launcher raises."""


@dataclass(frozen=True)
class Failure:
    """Why a process failed."""

    rank: int
    time_ns: int
    """``time.monotonic_ns`` at the failure: one clock for all processes of a node."""
    text: str
    """The traceback, or how the process ended."""
    exception: bytes | None
    """Pickled, where that is possible."""

    def explain(self, world_size: int) -> str:
        """One text with the rank and the traceback."""
        return f"Rank {self.rank} of {world_size} failed first:\n\n{self.text}"

    def to_exception(self, world_size: int) -> BaseException:
        """What to raise: the exception of the rank, caused by a :class:`RankFailedError` with its traceback."""
        error: BaseException
        try:
            error = pickle.loads(self.exception) if self.exception is not None else RuntimeError("")
        except Exception:
            error = RuntimeError("")
        if isinstance(error, SystemExit) or not str(error):
            last_line = self.text.rstrip().splitlines()[-1]
            error = error if isinstance(error, KeyboardInterrupt) else RuntimeError(f"Rank {self.rank}: {last_line}")
        error.__cause__ = RankFailedError(self.explain(world_size))
        return error


# By id, and only the last one: the exception itself would keep alive all that its frames hold.
_noted: dict[int, int] = {}


def note_failure(error: BaseException) -> None:
    """Remember when ``error`` was seen: call this before the others can notice that this process leaves them.

    Their failure follows from this one, but a launcher hears of theirs earlier where this process still tidies up.
    """
    if id(error) not in _noted:
        _noted.clear()
        _noted[id(error)] = time.monotonic_ns()


def moment_of(error: BaseException) -> int:
    """When ``error``, or one it follows from, was noted; now if it was not."""
    now = time.monotonic_ns()
    moments = []
    link: BaseException | None = error
    while link is not None:
        moments.append(_noted.get(id(link), now))
        link = link.__cause__ or link.__context__
    return min(moments)


def failure_of(
    rank: int, error: BaseException, *, dumps: Callable[[Any], bytes] = pickle.dumps, shift_ns: int = 0
) -> Failure:
    """What to tell of ``error``.

    Args:
        rank: of this process.
        error: that is being handled.
        dumps: pickles it, if it can be pickled.
        shift_ns: from the clock of this node to one that all processes have.
    """
    moment = moment_of(error) + shift_ns
    text = "".join(traceback.format_exception(error))
    try:
        pickled: bytes | None = dumps(error)
        pickle.loads(pickled or b"")
    except Exception:
        pickled = None
    return Failure(rank, moment, text, pickled)


def write_failure(run_dir: Path, rank: int, error: BaseException) -> None:
    """Leave word of ``error`` for the process that watches this one."""
    failure = failure_of(rank, error)
    target = run_dir / f"failure_{rank}"
    partial = target.with_suffix(".partial")
    partial.write_bytes(pickle.dumps(failure))
    partial.replace(target)


def read_failures(run_dir: Path) -> dict[int, Failure]:
    """What the processes of a node have left, by rank."""
    found = [pickle.loads(path.read_bytes()) for path in run_dir.glob("failure_*") if path.suffix != ".partial"]
    return {failure.rank: failure for failure in found}


def first_failure(run_dir: Path, exit_codes: dict[int, int | None]) -> Failure | None:
    """The failure that the others follow from, or None while there is none.

    Args:
        run_dir: the private folder of the run.
        exit_codes: of the processes that ended without having finished their work, by rank.
    """
    told = read_failures(run_dir)
    silent = {rank: code for rank, code in exit_codes.items() if rank not in told and code is not None}
    # A process that lost its peer may be aborted by the communication library, so an abort is no first cause.
    killed = {rank: code for rank, code in silent.items() if code != -signal.SIGABRT}
    if told and not killed:
        return min(told.values(), key=lambda failure: failure.time_ns)
    if not silent:
        return None
    rank, code = min((killed or silent).items())
    return Failure(rank, time.monotonic_ns(), _describe_exit(code), None)


def _describe_exit(code: int) -> str:
    if code >= 0:
        return f"The process exited with code {code} before its work was done (see its own output above)."
    try:
        name = signal.Signals(-code).name
    except ValueError:
        name = f"signal {-code}"
    hint = " Running out of memory is the usual reason." if name == "SIGKILL" else ""
    return f"The process was killed by {name}.{hint}"
