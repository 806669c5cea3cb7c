import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

CORES = os.cpu_count() or 1
HEAD = """
import os, signal, sys, time
import torch
from lit_accelerators import DDPStrategy
def run(function, *args):
    strategy = DDPStrategy(indices=[0, 1])
    def main():
        strategy.setup_environment()
        try:
            return function(strategy, *args)
        finally:
            strategy.teardown()
    return strategy.launcher.launch(main)
def say(*words):
    os.write(1, (" ".join(map(str, words)) + "\\n").encode())
"""


def environment() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if not name.startswith(("LIT_", "TORCHELASTIC"))}


def run_script(folder: Path, script: str, *args: str, **variables: str) -> "subprocess.CompletedProcess[str]":
    (folder / "train.py").write_text(script)
    return subprocess.run(
        [sys.executable, "train.py", *args],
        cwd=folder,
        env={**environment(), **variables},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """The lines of a script that goes well, told to use as many threads as there are cores."""
    body = """
os.chdir("/")  # the other process must be started where this one was
def ranks(strategy, number):
    say("threads", strategy.global_rank, torch.get_num_threads())
    return strategy.collectives.all_gather_object((number, strategy.global_rank, sys.argv[1:], os.getpid()))
first = run(ranks, 1)
second = run(ranks, 2)
say("first", [v[:3] for v in first])
say("same", [v[3] for v in first] == [v[3] for v in second])
from lit_accelerators import make_strategy
rank = os.environ["RANK"]
try:
    make_strategy("cpu", 3, strategy="ddp")
except ValueError as error:
    say("refused", rank, error)
try:
    make_strategy("cpu", 1)
    say("alone", rank)
except ValueError as error:
    say("over", rank, error)
"""
    done = run_script(tmp_path_factory.mktemp("script"), HEAD + body, "--lr", "0.1", OMP_NUM_THREADS=str(CORES))
    assert done.returncode == 0, done.stderr
    return sorted(done.stdout.splitlines())


def test_the_script_runs_in_every_process_with_its_arguments_and_later_runs_use_the_same_processes(
    told: list[str],
) -> None:
    expected = [(1, 0, ["--lr", "0.1"]), (1, 1, ["--lr", "0.1"])]
    assert [line for line in told if line.startswith(("first", "same"))] == [f"first {expected}"] * 2 + [
        "same True"
    ] * 2


def test_another_number_of_processes_in_the_same_script_is_refused(told: list[str]) -> None:
    starts = [" ".join(line.split()[:2]) for line in told if line.startswith(("alone", "over", "refused"))]
    assert starts == ["alone 0", "over 1", "refused 0", "refused 1"]


def test_threads_are_as_many_as_the_user_says(told: list[str]) -> None:
    # Each run says so in each process.
    assert [line for line in told if line.startswith("threads")] == [f"threads {rank} {CORES}" for rank in (0, 0, 1, 1)]


def test_the_cores_are_divided_between_the_processes_where_the_user_does_not_say(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    done = run_script(tmp_path, HEAD + "run(lambda strategy: say(strategy.global_rank, torch.get_num_threads()))")

    assert done.returncode == 0, done.stderr
    assert sorted(done.stdout.splitlines()) == [f"{rank} {max(1, CORES // 2)}" for rank in (0, 1)]


def test_the_first_failing_rank_is_shown_once_with_its_traceback_and_no_process_is_left(tmp_path: Path) -> None:
    began = time.monotonic()
    done = run_script(
        tmp_path,
        HEAD
        + """
def culprit(strategy):
    say("pid", strategy.global_rank, os.getpid())
    if strategy.global_rank == 1:
        raise ValueError("the culprit")
    strategy.collectives.all_reduce(torch.zeros(1))
run(culprit)
say("never here")
""",
    )

    assert time.monotonic() - began < 30
    assert done.returncode == 1
    assert done.stderr.count('raise ValueError("the culprit")') == 1
    assert "Rank 1 of 2 failed first" in done.stderr
    assert done.stderr.rstrip().endswith("ValueError: the culprit")
    assert "never here" not in done.stdout
    pids = [line.split()[2] for line in done.stdout.splitlines()]
    assert len(pids) == 2
    assert not any(Path(f"/proc/{pid}").exists() for pid in pids)


def test_rank_zero_that_is_not_waiting_is_ended_too_when_another_is_killed(tmp_path: Path) -> None:
    began = time.monotonic()
    done = run_script(
        tmp_path,
        HEAD
        + """
def lonely(strategy):
    if strategy.global_rank == 1:
        os.kill(os.getpid(), signal.SIGKILL)
    time.sleep(100)
run(lonely)
""",
    )

    assert time.monotonic() - began < 30
    assert done.returncode == 1
    assert "Rank 1 of 2 failed first" in done.stderr
    assert "SIGKILL" in done.stderr


def test_a_failure_of_rank_zero_is_raised_as_it_is_ends_the_others_and_no_later_run_is_tried(tmp_path: Path) -> None:
    done = run_script(
        tmp_path,
        HEAD
        + """
def fail(strategy):
    say("pid", strategy.global_rank, os.getpid())
    strategy.collectives.barrier()
    if strategy.global_rank == 0:
        raise ValueError("in rank zero")
    strategy.collectives.barrier()
try:
    run(fail)
except ValueError as error:
    assert error.__cause__ is None
    try:
        run(fail)
    except RuntimeError as again:
        say(again)
""",
    )

    assert done.returncode == 0, done.stderr
    assert "no further run is possible" in done.stdout
    pids = [line.split()[2] for line in done.stdout.splitlines() if line.startswith("pid 1")]
    assert len(pids) == 1
    assert not Path(f"/proc/{pids[0]}").exists()


@pytest.mark.skipif(not Path("/proc").exists(), reason="looks for processes in /proc")
def test_the_other_processes_end_when_the_first_is_killed(tmp_path: Path) -> None:
    script = tmp_path / "train.py"
    script.write_text(
        HEAD
        + """
def wait(strategy):
    say(os.getpid())
    time.sleep(100)
run(wait)
"""
    )
    with subprocess.Popen([sys.executable, str(script)], stdout=subprocess.PIPE, text=True, env=environment()) as first:
        assert first.stdout is not None
        pids = {int(first.stdout.readline()) for _ in range(2)}
        first.send_signal(signal.SIGKILL)
        first.wait(10)
        (other,) = pids - {first.pid}
        deadline = time.monotonic() + 10
        while Path(f"/proc/{other}").exists() and time.monotonic() < deadline:
            time.sleep(0.1)

        assert not Path(f"/proc/{other}").exists()
