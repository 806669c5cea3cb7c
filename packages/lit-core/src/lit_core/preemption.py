"""When the machine is taken away: stop at a safe point, save, and end so that a scheduler starts the job again."""

import multiprocessing
import os
import signal
import subprocess
import sys
import threading
import time
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from types import FrameType
from typing import TYPE_CHECKING, Any

from lit_core.callbacks.model_checkpoint import ModelCheckpoint
from lit_core.run import Stage, StopSignal, is_preemption, preempted_by

if TYPE_CHECKING:
    from lit_core.trainer import Trainer

EXIT_CODE = 143
"""Of a process that was preempted and saved: 128 + SIGTERM, as shells report a process that SIGTERM ended."""

_SAME_REQUEST_S = 1.0
"""Signals closer together are one request: schedulers signal a group of processes, and launchers pass it on."""

_REQUEUE_TIMEOUT_S = 60.0

SIGNALS = tuple(getattr(signal, name) for name in ("SIGTERM", "SIGUSR1") if hasattr(signal, name))


class _Handler:
    """Sets a flag, nothing else; a second request ends the process at once."""

    def __init__(self, stop: StopSignal) -> None:
        self._stop = stop
        self._interrupted = False
        self._preempted_at: float | None = None

    def __call__(self, number: int, frame: FrameType | None) -> None:
        now = time.monotonic()
        if number == signal.SIGINT:
            if self._interrupted or self._preempted_at is not None:
                raise KeyboardInterrupt
            self._interrupted = True
            self._stop.interrupt()
            _say("Stopping after this batch; press Ctrl-C again to stop at once.")
        elif self._preempted_at is None:
            self._preempted_at = now
            name = signal.Signals(number).name
            self._stop.interrupt(preempted_by(name))
            _say(f"{name}: stopping after this batch to save; a second signal ends at once.")
        elif now - self._preempted_at >= _SAME_REQUEST_S:
            signal.signal(number, signal.SIG_DFL)
            os.kill(os.getpid(), number)


class _PassOn:
    """Tells the processes that this one has started."""

    def __call__(self, number: int, frame: FrameType | None) -> None:
        for process in multiprocessing.active_children():
            if process.pid is not None:
                os.kill(process.pid, number)


def _say(text: str) -> None:
    try:
        sys.stderr.write(f"\n{text}\n")
    except RuntimeError:  # the signal came while something was being written there
        os.write(2, f"\n{text}\n".encode())


@contextmanager
def interruptible(stop: StopSignal, stage: Stage) -> Iterator[None]:
    """Inside ``fit``, Ctrl-C, SIGTERM and SIGUSR1 ask to stop after this batch and save; a second one ends at once.

    Handlers of the user's own for SIGTERM and SIGUSR1 are left alone. Only the main thread can have handlers.
    """
    handler = _Handler(stop)
    with _handling(handler, (signal.SIGINT, *_free()) if stage == "fit" else ()):
        yield


@contextmanager
def passing_on(stage: Stage) -> Iterator[None]:
    """Inside ``fit``, a process that only waits for those it started passes SIGTERM and SIGUSR1 on to them."""
    with _handling(_PassOn(), _free() if stage == "fit" else ()):
        yield


def _free() -> tuple[signal.Signals, ...]:
    """Signals that nobody but this file handles; a forked process has the handlers of the one it comes from."""
    handlers = [(number, signal.getsignal(number)) for number in SIGNALS]
    return tuple(number for number, own in handlers if own is signal.SIG_DFL or isinstance(own, (_Handler, _PassOn)))


@contextmanager
def _handling(handler: Any, numbers: tuple[signal.Signals, ...]) -> Iterator[None]:
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.signal(number, handler) for number in numbers}
    try:
        yield
    finally:
        for number, own in before.items():
            signal.signal(number, own)


def secure(trainer: "Trainer", began: int) -> None:
    """Have one checkpoint from which this point can be resumed; call it in every process.

    Args:
        trainer: the Trainer, at a safe point.
        began: batches that were done when the run began: if there are no more, there is nothing to save.
    """
    if trainer.progress.batches == began:
        return
    keepers = [callback for callback in trainer.callbacks if isinstance(callback, ModelCheckpoint)]
    keeper = next((keeper for keeper in keepers if keeper.can_resume(trainer)), keepers[0] if keepers else None)
    if keeper is None:
        keeper = ModelCheckpoint(f"{trainer.default_root_dir.rstrip('/')}/checkpoints")
    keeper.secure(trainer)


def leave(stop: StopSignal, *, first: bool) -> None:
    """After a run that was preempted, end the process: 0 if SLURM will start the job again, else :data:`EXIT_CODE`.

    Args:
        stop: why the run stopped.
        first: whether this process speaks for the job.

    Raises:
        SystemExit: if the run was preempted.
    """
    if not (is_preemption(stop.urgent) or is_preemption(stop.reason)):
        return
    job = slurm_job(os.environ)
    raise SystemExit(0 if job is not None and (not first or _requeue(job)) else EXIT_CODE)


def slurm_job(environment: Mapping[str, str]) -> str | None:
    """The batch job of SLURM that this process belongs to, as ``scontrol`` names it; None in an interactive one.

    Example:
        >>> slurm_job({"SLURM_JOB_ID": "17"}), slurm_job({"SLURM_JOB_ID": "17", "SLURM_JOB_NAME": "interactive"})
        ('17', None)
        >>> slurm_job({"SLURM_JOB_ID": "17", "SLURM_ARRAY_JOB_ID": "15", "SLURM_ARRAY_TASK_ID": "2"})
        '15_2'
    """
    job = environment.get("SLURM_JOB_ID")
    if not job or environment.get("SLURM_JOB_NAME") in ("bash", "sh", "zsh", "interactive"):
        return None
    array, task = environment.get("SLURM_ARRAY_JOB_ID"), environment.get("SLURM_ARRAY_TASK_ID")
    return f"{array}_{task}" if array and task else job


def _requeue(job: str) -> bool:
    try:
        done = subprocess.run(
            ["scontrol", "requeue", job], capture_output=True, text=True, timeout=_REQUEUE_TIMEOUT_S, check=False
        )
        problem = "" if done.returncode == 0 else done.stderr.strip() or f"exit status {done.returncode}"
    except (OSError, subprocess.TimeoutExpired) as error:
        problem = str(error)
    if problem:
        warnings.warn(f"SLURM was asked to start job {job} again and did not agree: {problem}", stacklevel=3)
    return not problem
