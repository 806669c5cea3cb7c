"""Where the other processes of this node are: asked when one waited for them in vain."""

import faulthandler
import os
import signal
import time
from collections.abc import Mapping
from pathlib import Path

_ANSWER_S = 1.0
_SIGNAL: int | None = getattr(signal, "SIGRTMIN", None)  # nobody else uses it; Linux only


def answer_with_stack(run_dir: Path, rank: int) -> None:
    """From now on, write where this process is when :func:`ask_for_stacks` asks."""
    if _SIGNAL is not None:
        # Open as long as the process lives: the answer is written by C code, whatever Python is doing.
        faulthandler.register(_SIGNAL, file=_path(run_dir, rank).open("w"), all_threads=False)


def is_timeout(text: str) -> bool:
    """Whether a traceback says that a process waited in vain for another one."""
    lowered = text.lower()
    return "timed out" in lowered or "timeout" in lowered


def ask_for_stacks(run_dir: Path, pids: Mapping[int, int]) -> str:
    """Where the living processes of this node are, by rank, as text; empty where nobody can tell."""
    asked = [rank for rank, pid in pids.items() if _path(run_dir, rank).exists() and _ask(pid)]
    deadline = time.monotonic() + _ANSWER_S
    while time.monotonic() < deadline and not all(_path(run_dir, rank).stat().st_size for rank in asked):
        time.sleep(0.02)
    stacks = {rank: _path(run_dir, rank).read_text().strip() for rank in asked}
    told = {rank: stack for rank, stack in stacks.items() if stack}
    return "".join(f"\n\nRank {rank} had not come so far. It was here:\n{stack}" for rank, stack in told.items())


def _ask(pid: int) -> bool:
    assert _SIGNAL is not None
    try:
        os.kill(pid, _SIGNAL)
    except ProcessLookupError:
        return False
    return True


def _path(run_dir: Path, rank: int) -> Path:
    return run_dir / f"stack_{rank}"
