"""Processes that run one function each: spawned, forked, or from a fork server."""

import io
import os
import pickle
import signal
import sys
import tempfile
import threading
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from multiprocessing import connection, get_context, parent_process
from multiprocessing.process import BaseProcess
from pathlib import Path
from types import FrameType
from typing import Any, Literal

import torch

from lit_accelerators.environments.base import ClusterEnvironment
from lit_accelerators.environments.local import rank_variables
from lit_accelerators.launchers._failures import Failure, first_failure, write_failure
from lit_accelerators.launchers._processes import end_all, exit_with
from lit_accelerators.launchers._random import continue_random
from lit_accelerators.launchers._stacks import answer_with_stack, ask_for_stacks, is_timeout
from lit_accelerators.launchers._threads import VARIABLE, threads_per_process
from lit_accelerators.launchers.base import Launcher
from lit_accelerators.seeding import rng_state

_CULPRIT_GRACE_S = 1.0

StartMethod = Literal["spawn", "fork", "forkserver"]


class MultiprocessLauncher(Launcher):
    """Starts all processes of this node from here and waits for them; this process itself runs nothing.

    Nothing is shared: with ``"spawn"`` and ``"forkserver"`` the function and its arguments are pickled by value (so
    the function must be importable and a script needs ``if __name__ == "__main__":``), with ``"fork"`` every process
    works on its copy. Random numbers go on from the states of this process in each of them. What rank 0 returns comes
    back pickled, its tensors on the CPU.

    Args:
        environment: of this process, not yet launched.
        processes: how many to start on this node.
        start_method: ``"spawn"``, ``"fork"`` or ``"forkserver"``.
        num_nodes: nodes in the run.
        check_threads: refuse to fork while other non-daemon threads run; a lock that one of them holds stays locked
            in the copy for ever.

    Example:
        >>> from lit_accelerators.environments import LocalEnvironment
        >>> launcher = MultiprocessLauncher(LocalEnvironment(devices=2), 2, "fork")
        >>> launcher.launch(lambda: int(os.environ["WORLD_SIZE"]))
        2
    """

    returns_to_caller = False

    def __init__(
        self,
        environment: ClusterEnvironment,
        processes: int,
        start_method: StartMethod = "spawn",
        *,
        num_nodes: int = 1,
        check_threads: bool = False,
    ) -> None:
        if start_method == "fork" and not hasattr(os, "fork"):
            raise ValueError("This system cannot fork. Write strategy='ddp_spawn'.")
        self._environment = environment
        self._processes = processes
        self._start_method = start_method
        self._num_nodes = num_nodes
        self._check_threads = check_threads

    def launch(self, function: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        """Run ``function`` in every process; return what rank 0 returned (None on other nodes)."""
        if self._start_method == "fork":
            _check_fork(self._check_threads)
        context = get_context(self._start_method)
        if self._start_method == "forkserver":
            context.set_forkserver_preload(["torch", "torch.distributed"])
        with tempfile.TemporaryDirectory(prefix="lit_") as folder:
            run_dir = Path(folder)
            call = (function, args, kwargs), rng_state()
            if self._start_method != "fork":
                _write_call(run_dir / "call", call)
            processes: dict[int, BaseProcess] = {}
            try:
                for local_rank in range(self._processes):
                    start = _Start(
                        run_dir,
                        local_rank,
                        self._processes,
                        self._environment.node_rank,
                        self._num_nodes,
                        sys.path if self._start_method != "fork" else None,
                        self._start_method == "fork",
                    )
                    process = context.Process(  # type: ignore[attr-defined]
                        target=_run_rank, args=(start, call if self._start_method == "fork" else None)
                    )
                    with warnings.catch_warnings():
                        # Python >= 3.12 warns of forking beside threads, which torch always has.
                        warnings.filterwarnings("ignore", ".*use of fork.*", DeprecationWarning)
                        process.start()
                    processes[start.rank] = process
                with _forward_sigterm(processes):
                    self._wait(run_dir, processes)
            finally:
                end_all(list(processes.values()), BaseProcess.is_alive)  # type: ignore[arg-type]
                for process in processes.values():
                    process.join()
            result = run_dir / "result"
            return torch.load(result, map_location="cpu", weights_only=False) if result.exists() else None

    def _wait(self, run_dir: Path, processes: dict[int, BaseProcess]) -> None:
        pending = dict(processes)
        interrupted = False
        while pending:
            try:
                connection.wait([process.sentinel for process in pending.values()])
            except KeyboardInterrupt:
                # Ctrl-C reaches every process of the terminal; they decide what it means, a second one ends them.
                if interrupted:
                    raise
                interrupted = True
            ended = {rank: process for rank, process in pending.items() if not process.is_alive()}
            if _unfinished(run_dir, ended):
                raise _first_failure(run_dir, processes).to_exception(self._environment.world_size)
            pending = {rank: process for rank, process in pending.items() if rank not in ended}


def _unfinished(run_dir: Path, processes: dict[int, BaseProcess]) -> dict[int, int | None]:
    """Exit codes of the processes that ended before their work was done."""
    return {
        rank: process.exitcode
        for rank, process in processes.items()
        if not process.is_alive() and not (run_dir / f"done_{rank}").exists()
    }


def _first_failure(run_dir: Path, processes: dict[int, BaseProcess]) -> Failure:
    failure = first_failure(run_dir, _unfinished(run_dir, processes))
    if failure is not None and failure.exception is not None:
        # It may follow from the failure of a process that has not come to its end yet.
        deadline = time.monotonic() + _CULPRIT_GRACE_S
        while time.monotonic() < deadline and any(process.is_alive() for process in processes.values()):
            time.sleep(0.02)
        failure = first_failure(run_dir, _unfinished(run_dir, processes))
    assert failure is not None
    if is_timeout(failure.text):
        alive = {rank: process.pid or 0 for rank, process in processes.items() if process.is_alive()}
        failure = replace(failure, text=failure.text + ask_for_stacks(run_dir, alive))
    return failure


@dataclass(frozen=True)
class _Start:
    """What a process is told at its start."""

    run_dir: Path
    local_rank: int
    devices: int
    node_rank: int
    num_nodes: int
    import_path: list[str] | None
    forked: bool

    @property
    def rank(self) -> int:
        return self.node_rank * self.devices + self.local_rank


def _run_rank(start: _Start, call: Any) -> None:
    parent = parent_process()
    if parent is not None:
        exit_with(parent.join)
    os.environ.update(
        rank_variables(
            run_dir=start.run_dir,
            local_rank=start.local_rank,
            devices=start.devices,
            node_rank=start.node_rank,
            num_nodes=start.num_nodes,
        )
    )
    if start.import_path is not None:
        sys.path[:] = start.import_path  # a fork server keeps the path of its own start
    _share_cores(start)
    answer_with_stack(start.run_dir, start.rank)
    try:
        if call is None:
            call = pickle.loads((start.run_dir / "call").read_bytes())
        (function, args, kwargs), states = call
        continue_random(states)
        result = function(*args, **kwargs)
        if start.rank == 0 and result is not None:
            torch.save(result, start.run_dir / "result")
        (start.run_dir / f"done_{start.rank}").touch()
    except BaseException as error:
        write_failure(start.run_dir, start.rank, error)
        sys.stdout.flush()
        sys.stderr.flush()
        # Not an ordinary exit: that waits for threads and for the process group, whose peers may wait for this one.
        os._exit(1)


def _share_cores(start: _Start) -> None:
    """Give each process of this node its part of the cores, unless the user has said how many threads there are."""
    if start.forked:
        torch.set_num_threads(1)  # the threads of the parent are not in the copy: work given to them would never end
    elif VARIABLE not in os.environ:
        torch.set_num_threads(threads_per_process(start.devices))


def _write_call(path: Path, call: Any) -> None:
    # By value, not with the pickler of multiprocessing: that would put parameters into memory shared by all ranks.
    buffer = io.BytesIO()
    try:
        pickle.dump(call, buffer)
    except Exception as error:
        raise TypeError(
            f"What a spawned process needs must be pickled, and that failed: {error} Define it at the top level of a "
            "module, or use strategy='ddp' (a script) or strategy='ddp_fork' (a notebook)."
        ) from error
    path.write_bytes(buffer.getbuffer())


def _check_fork(check_threads: bool) -> None:
    if torch.cuda.is_initialized():
        raise RuntimeError(
            "CUDA is already in use in this process, and a forked copy cannot use it. Restart the notebook and do not "
            "touch the GPU before the run, or write strategy='ddp' in a script."
        )
    others = [t.name for t in threading.enumerate() if t is not threading.current_thread() and not t.daemon]
    if check_threads and others:
        raise RuntimeError(
            f"Other threads are running ({', '.join(others)}), and a forked copy would keep the locks they hold. "
            "End them before the run, or write strategy='ddp_spawn'."
        )


@contextmanager
def _forward_sigterm(processes: dict[int, BaseProcess]) -> Iterator[None]:
    """Pass SIGTERM on to the processes, so that they can save; follow them when they have ended."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    received: list[int] = []

    def forward(number: int, frame: FrameType | None) -> None:
        received.append(number)
        for process in processes.values():
            if process.is_alive():
                process.terminate()

    previous = signal.signal(signal.SIGTERM, forward)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, previous)
        if received:
            end_all(list(processes.values()), BaseProcess.is_alive)  # type: ignore[arg-type]
            signal.raise_signal(signal.SIGTERM)
