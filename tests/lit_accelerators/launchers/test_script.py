import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

HEAD = """
import os, signal, sys, time
import torch
from lit_accelerators import DDPStrategy
torch.set_num_threads(1)
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


def run_script(tmp_path: Path, body: str, *args: str) -> "subprocess.CompletedProcess[str]":
    (tmp_path / "train.py").write_text(HEAD + body)
    return subprocess.run(
        [sys.executable, "train.py", *args],
        cwd=tmp_path,
        env=environment(),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_the_script_runs_in_every_process_with_its_arguments_and_later_runs_use_the_same_processes(
    tmp_path: Path,
) -> None:
    done = run_script(
        tmp_path,
        """
os.chdir("/")  # the other process must be started where this one was
def ranks(strategy, number):
    return strategy.collectives.all_gather_object((number, strategy.global_rank, sys.argv[1:], os.getpid()))
first = run(ranks, 1)
second = run(ranks, 2)
assert [v[:3] for v in first] == [(1, 0, ["--lr", "0.1"]), (1, 1, ["--lr", "0.1"])], first
assert [v[3] for v in first] == [v[3] for v in second]
say("fine in rank", os.environ["RANK"])
""",
        "--lr",
        "0.1",
    )

    assert done.returncode == 0, done.stderr
    assert sorted(done.stdout.splitlines()) == ["fine in rank 0", "fine in rank 1"]


def test_the_first_failing_rank_is_shown_once_with_its_traceback_and_no_process_is_left(tmp_path: Path) -> None:
    began = time.monotonic()
    done = run_script(
        tmp_path,
        """
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
        """
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
        """
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


def test_another_number_of_processes_in_the_same_script_is_refused(tmp_path: Path) -> None:
    done = run_script(
        tmp_path,
        """
run(lambda strategy: None)
from lit_accelerators import make_strategy
try:
    make_strategy("cpu", 3, strategy="ddp")
except ValueError as error:
    say(os.environ["RANK"], "refused", error)
try:
    make_strategy("cpu", 1)
    say(os.environ["RANK"], "alone")
except ValueError as error:
    say(os.environ["RANK"], "would write over", error)
""",
    )

    assert done.returncode == 0, done.stderr
    starts = sorted(line[:9] for line in done.stdout.splitlines())
    assert starts == ["0 alone", "0 refused", "1 refused", "1 would w"]


def test_the_cores_are_divided_between_the_processes_unless_the_user_says_otherwise(tmp_path: Path) -> None:
    body = """
run(lambda strategy: say("rank", strategy.global_rank, threads()))
"""
    # HEAD sets one thread, which may only be lowered; ask for the default of a fresh process instead.
    script = HEAD.replace("torch.set_num_threads(1)\n", "threads = torch.get_num_threads\n") + body
    (tmp_path / "train.py").write_text(script)
    told = {name: value for name, value in environment().items() if name != "OMP_NUM_THREADS"}
    cores = os.cpu_count() or 1
    for variables, expected in ((told, max(1, cores // 2)), ({**told, "OMP_NUM_THREADS": "1"}, 1)):
        command = [sys.executable, "train.py"]
        done = subprocess.run(
            command, cwd=tmp_path, env=variables, capture_output=True, text=True, timeout=60, check=False
        )

        assert done.returncode == 0, done.stderr
        assert sorted(done.stdout.splitlines()) == [f"rank {rank} {expected}" for rank in (0, 1)]
