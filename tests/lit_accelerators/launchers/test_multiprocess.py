import os
import random
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import numpy
import pytest
import torch
import torch.distributed as dist

from lit_accelerators import DDPStrategy, LocalEnvironment, MultiprocessLauncher, isolate_rng, seed_everything


def launcher(start_method: str = "fork", processes: int = 2) -> MultiprocessLauncher:
    return MultiprocessLauncher(LocalEnvironment(processes), processes, start_method)  # type: ignore[arg-type]


def rank() -> int:
    return int(os.environ["RANK"])


def joined(function: Any) -> Any:
    """``function`` in two forked processes with a process group."""
    strategy = DDPStrategy(indices=[0, 1], start="fork")

    def main() -> Any:
        strategy.setup_environment()
        return function()

    return strategy.launcher.launch(main)


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] not in "ZX"
    except (FileNotFoundError, ProcessLookupError):
        return False


def wait_until_gone(pids: list[int], seconds: float = 10.0) -> bool:
    deadline = time.monotonic() + seconds
    while any(alive(pid) for pid in pids) and time.monotonic() < deadline:
        time.sleep(0.05)
    return not any(alive(pid) for pid in pids)


def test_every_process_knows_its_rank_and_rank_zero_returns() -> None:
    names = ("RANK", "LOCAL_RANK", "WORLD_SIZE")

    assert launcher(processes=3).launch(lambda: [os.environ[name] for name in names]) == ["0", "0", "3"]


def test_a_large_result_comes_back_whole() -> None:
    result = launcher().launch(lambda: {"weights": torch.arange(4_000_000), "rank": rank()})

    assert torch.equal(result["weights"], torch.arange(4_000_000))
    assert result["rank"] == 0


def add_rank(values: torch.Tensor, out: Path) -> torch.Tensor:
    values += rank() + 1
    (out / f"added_{rank()}").touch()
    while not (out / f"added_{1 - rank()}").exists():  # so that each has written before either reads
        time.sleep(0.01)
    (out / str(rank())).write_text(str(values.tolist()))
    return values


@pytest.mark.parametrize("start_method", ["fork", "forkserver", "spawn"])
def test_processes_share_no_memory_with_each_other_or_the_caller(start_method: str, tmp_path: Path) -> None:
    values = torch.zeros(2)

    result = launcher(start_method).launch(add_rank, values, tmp_path)

    assert result.tolist() == [1.0, 1.0]
    assert [(tmp_path / str(r)).read_text() for r in (0, 1)] == ["[1.0, 1.0]", "[2.0, 2.0]"]
    assert values.tolist() == [0.0, 0.0]


def draw() -> list[float]:
    return [torch.rand(()).item(), random.random(), float(numpy.random.rand())]


@pytest.mark.parametrize("start_method", ["fork", "forkserver", "spawn"])
def test_random_numbers_go_on_from_those_of_the_caller(start_method: str) -> None:
    with isolate_rng():
        seed_everything(5)
        drawn = launcher(start_method).launch(draw)

        assert drawn == draw()
        assert drawn == seed_and_draw(5)


def seed_and_draw(seed: int) -> list[float]:
    seed_everything(seed)
    return draw()


def test_what_cannot_be_pickled_is_refused_with_another_way() -> None:
    with pytest.raises(TypeError, match="ddp_fork"):
        launcher("spawn").launch(lambda: None)


def test_the_exception_of_the_first_failing_rank_is_raised_with_its_traceback_and_rank() -> None:
    def fail_or_wait() -> None:
        if rank() == 1:
            raise KeyError("the culprit")
        dist.all_reduce(torch.zeros(1))

    began = time.monotonic()
    with pytest.raises(KeyError, match="the culprit") as caught:
        joined(fail_or_wait)

    assert time.monotonic() - began < 15
    assert "Rank 1 of 2 failed first" in str(caught.value.__cause__)
    assert "in fail_or_wait" in str(caught.value.__cause__)


def test_a_killed_rank_ends_all_and_is_named() -> None:
    def die() -> None:
        if rank() == 1:
            os.kill(os.getpid(), signal.SIGKILL)
        dist.all_reduce(torch.zeros(1))

    with pytest.raises(RuntimeError, match=r"Rank 1.*SIGKILL"):
        joined(die)


def test_a_rank_that_leaves_before_its_work_is_done_ends_all() -> None:
    def leave() -> None:
        if rank() == 1:
            os._exit(0)
        time.sleep(60)

    began = time.monotonic()
    with pytest.raises(RuntimeError, match=r"Rank 1.*code 0 before"):
        launcher().launch(leave)

    assert time.monotonic() - began < 10


def test_sys_exit_in_a_rank_is_an_error_and_not_an_exit() -> None:
    with pytest.raises(RuntimeError, match="SystemExit: 3"):
        launcher().launch(lambda: sys.exit(3) if rank() else time.sleep(60))


def test_a_rank_that_ignores_sigterm_is_killed() -> None:
    def stubborn() -> None:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        if rank() == 1:
            time.sleep(0.5)
            raise ValueError("after the other one hid")
        time.sleep(60)

    began = time.monotonic()
    with pytest.raises(ValueError, match="after the other"):
        launcher().launch(stubborn)

    assert time.monotonic() - began < 15


class TwoWordsError(Exception):
    def __init__(self, first: str, second: str) -> None:
        super().__init__(f"{first}-{second}")


def test_an_exception_that_cannot_be_pickled_is_told_in_words() -> None:
    def fail() -> None:
        raise TwoWordsError("un", "picklable")

    with pytest.raises(RuntimeError, match=r"Rank \d: .*TwoWordsError: un-picklable"):
        launcher().launch(fail)


def test_forking_beside_threads_is_refused_where_it_is_checked() -> None:
    stop = threading.Event()
    thread = threading.Thread(target=stop.wait, name="holds-a-lock")
    thread.start()
    try:
        with pytest.raises(RuntimeError, match="holds-a-lock"):
            MultiprocessLauncher(LocalEnvironment(2), 2, "fork", check_threads=True).launch(print)
    finally:
        stop.set()
        thread.join()


SCRIPT = """
import os, time
from lit_accelerators import LocalEnvironment, MultiprocessLauncher
def main():
    os.write(1, f"{os.getpid()}\\n".encode())
    time.sleep(60)
MultiprocessLauncher(LocalEnvironment(2), 2, "fork").launch(main)
"""


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM])
def test_processes_end_when_the_process_that_started_them_is_killed(how: signal.Signals) -> None:
    with subprocess.Popen([sys.executable, "-c", SCRIPT], stdout=subprocess.PIPE, text=True) as script:
        assert script.stdout is not None
        pids = [int(script.stdout.readline()) for _ in range(2)]
        script.send_signal(how)

        assert script.wait(20) == -how
        assert wait_until_gone(pids)
