"""The script is started again, once for each further process."""

import atexit
import contextlib
import os
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from lit_accelerators.environments.base import ClusterEnvironment
from lit_accelerators.environments.local import RUN_DIR_VARIABLE, rank_variables
from lit_accelerators.launchers._failures import Failure, RankFailedError, first_failure, moment_of, write_failure
from lit_accelerators.launchers._processes import end_all, exit_with
from lit_accelerators.launchers._stacks import answer_with_stack, ask_for_stacks, is_timeout
from lit_accelerators.launchers._threads import share_threads
from lit_accelerators.launchers.base import Launcher

_PARENT_VARIABLE = "LIT_LAUNCHER_PID"
_FORCED_END_S = 10.0  # how long rank 0 may go on after another rank failed
_LINGER_S = 10.0  # how long the others may go on after the script has ended in rank 0

_start_dir: Path | None = None
with contextlib.suppress(OSError):  # a folder that was deleted
    _start_dir = Path.cwd()


class ScriptLauncher(Launcher):
    """This process is the first of its node; it starts the script again, with the same arguments, for the others.

    Every process runs the whole script, so models and data need not be pickled. Later runs of the same script use the
    same processes. When one fails, all end: within seconds where rank 0 waits for it, after 10 s at most.

    Args:
        environment: of this process.
        processes: how many on this node, this one included.
        num_nodes: nodes in the run.
    """

    returns_to_caller = True

    def __init__(self, environment: ClusterEnvironment, processes: int, *, num_nodes: int = 1) -> None:
        self._environment = environment
        self._processes = processes
        self._num_nodes = num_nodes

    def launch(self, function: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        """Start the other processes at the first call; run ``function`` here, and return what it returned here."""
        if RUN_DIR_VARIABLE not in os.environ:
            _Others.start(self._processes, self._environment.node_rank, self._num_nodes)
            self._environment.refresh()
        if _others is not None:
            return _others.run_with(self._environment, lambda: function(*args, **kwargs))
        if _PARENT_VARIABLE in os.environ:
            return _run_as_other(self._environment, lambda: function(*args, **kwargs))
        return function(*args, **kwargs)


class _Others:
    """The processes that this one, the first of its node, has started."""

    def __init__(self, run_dir: Path, processes: dict[int, "subprocess.Popen[bytes]"]) -> None:
        self._run_dir = run_dir
        self._processes = processes
        self._launches = 0
        self._ended = False

    @staticmethod
    def start(processes: int, node_rank: int, num_nodes: int) -> None:
        global _others  # noqa: PLW0603 - the processes of a script, like its rank variables, are there once
        command = _own_command()
        threads = share_threads(processes)
        run_dir = Path(tempfile.mkdtemp(prefix="lit_"))
        started: dict[int, subprocess.Popen[bytes]] = {}
        others = _Others(run_dir, started)
        atexit.register(others.finish)
        for local_rank in range(processes):
            variables = rank_variables(
                run_dir=run_dir, local_rank=local_rank, devices=processes, node_rank=node_rank, num_nodes=num_nodes
            )
            if local_rank == 0:
                own = variables
                continue
            started[int(variables["RANK"])] = subprocess.Popen(
                command,
                env={**threads, **os.environ, **variables, _PARENT_VARIABLE: str(os.getpid())},
                cwd=_start_dir,
                stdin=subprocess.DEVNULL,
            )
        os.environ.update(own)
        answer_with_stack(run_dir, int(own["RANK"]))
        _others = others

    def run_with(self, environment: ClusterEnvironment, call: Callable[[], Any]) -> Any:
        if self._ended:
            raise RuntimeError(
                "The other processes of this script ended when an earlier run failed, so no further run is possible."
            )
        self._launches += 1
        over = threading.Event()
        watch = threading.Thread(target=self._watch, args=(environment, over), name="lit-watch-ranks", daemon=True)
        watch.start()
        try:
            return call()
        except BaseException as error:
            failure = self._failure_before(moment_of(error), may_be_consequence=isinstance(error, RuntimeError))
            over.set()
            stacks = self._stacks() if failure is None and is_timeout(str(error)) else ""
            self.end()
            if stacks:
                raise error from RankFailedError(f"Rank 0 waited in vain.{stacks}")
            if failure is None:
                raise
            raise failure.to_exception(environment.world_size)  # noqa: B904 - has a cause: the first failure
        finally:
            over.set()

    def _stacks(self) -> str:
        alive = {rank: process.pid for rank, process in self._processes.items() if process.poll() is None}
        return ask_for_stacks(self._run_dir, alive)

    def end(self) -> None:
        self._ended = True
        end_all(list(self._processes.values()), lambda process: process.poll() is None)  # type: ignore[attr-defined]

    def finish(self) -> None:
        deadline = time.monotonic() + _LINGER_S
        while not self._ended and time.monotonic() < deadline and self._alive():
            time.sleep(0.05)
        self.end()
        shutil.rmtree(self._run_dir, ignore_errors=True)

    def _alive(self) -> bool:
        return any(process.poll() is None for process in self._processes.values())

    def _failure(self) -> Failure | None:
        codes = {rank: process.poll() for rank, process in self._processes.items()}
        done = f"done_{self._launches}_"
        unfinished = {rank: code for rank, code in codes.items() if not (self._run_dir / f"{done}{rank}").exists()}
        return first_failure(self._run_dir, unfinished)

    def _failure_before(self, moment: int, *, may_be_consequence: bool) -> Failure | None:
        """The failure of another process that the one at ``moment`` follows from."""
        # A lost connection is noticed here a little before the end of its process is.
        deadline = time.monotonic() + (2.0 if may_be_consequence else 0.0)
        while True:
            failure = self._failure()
            if failure is not None and (failure.exception is None or failure.time_ns < moment):
                return failure
            if failure is not None or time.monotonic() > deadline:
                return None
            time.sleep(0.02)

    def _watch(self, environment: ClusterEnvironment, over: threading.Event) -> None:
        while not over.wait(0.1):
            failure = self._failure()
            if failure is None:
                continue
            if over.wait(_FORCED_END_S):
                return
            sys.stdout.flush()
            own = {environment.global_rank: os.getpid()}
            here = ask_for_stacks(self._run_dir, own) if is_timeout(failure.text) else ""
            sys.stderr.write(
                f"{failure.explain(environment.world_size)}\nThe first process of the node ends too.{here}\n"
            )
            sys.stderr.flush()
            self.end()
            os._exit(1)


_others: _Others | None = None


def _run_as_other(environment: ClusterEnvironment, call: Callable[[], Any]) -> Any:
    global _launches  # noqa: PLW0603 - counts with the process that started this one
    _end_with_launcher(int(os.environ[_PARENT_VARIABLE]))
    run_dir = Path(os.environ[RUN_DIR_VARIABLE])
    if _launches == 0:
        answer_with_stack(run_dir, environment.global_rank)
    _launches += 1
    try:
        result = call()
    except BaseException as error:
        write_failure(run_dir, environment.global_rank, error)
        # Rank 0 shows the traceback, once.
        raise SystemExit(1) from None
    (run_dir / f"done_{_launches}_{environment.global_rank}").touch()
    return result


_launches = 0


def _end_with_launcher(pid: int) -> None:
    def wait() -> None:
        while os.getppid() == pid:
            time.sleep(0.5)

    if os.name == "posix" and _launches == 0:
        exit_with(wait)


def _own_command() -> list[str]:
    if hasattr(sys, "ps1") or sys.flags.interactive or not any(sys.argv):
        raise RuntimeError(
            "strategy='ddp' starts this script again for each process, but an interactive session is no script. "
            "Write strategy='ddp_notebook'."
        )
    # Not sys.argv: a script may have changed it, and `python -m package` does not appear there.
    return [sys.executable, *sys.orig_argv[1:]]
