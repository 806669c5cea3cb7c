"""One rank fails in some way while the others wait for it: all end soon, and the guilty one is shown once."""

import os
import runpy
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.lit_accelerators.agents import run_under_agents
from tests.lit_accelerators.forked import start_forked, wait_for

SCRIPT = """
import os, signal, sys, time
from datetime import timedelta
import torch
from lit_accelerators import DDPStrategy

def guilty_of_raising():
    raise ValueError("the culprit")

def guilty_of_stalling():
    time.sleep(300)

def main(strategy, how, guilty):
    strategy.setup_environment()
    try:
        strategy.collectives.barrier()
        os.write(1, f"pid {os.getpid()} {time.time()}\\n".encode())
        if strategy.global_rank == guilty:
            if how == "raise":
                guilty_of_raising()
            if how == "exit":
                sys.exit(3)
            if how == "leave":
                os._exit(0)
            if how == "kill":
                os.kill(os.getpid(), signal.SIGKILL)
            guilty_of_stalling()
        strategy.collectives.all_reduce(torch.zeros(1))
        strategy.collectives.all_reduce(torch.zeros(1))
    finally:
        strategy.teardown()

if __name__ == "__main__":
    start, how, guilty = sys.argv[1:]
    # Forked processes are there at once, others import torch first.
    timeout = timedelta(seconds=3 if start in ("fork", "torchrun") else 8)
    if start == "torchrun":
        from lit_accelerators import TorchElasticEnvironment
        strategy = DDPStrategy(indices=[0, 1], environment=TorchElasticEnvironment(), timeout=timeout)
    else:
        strategy = DDPStrategy(indices=[0, 1], start=start, timeout=timeout)
    strategy.launcher.launch(main, strategy, how, int(guilty))
    print("never here")
"""
SHOWN = {
    "raise": 'raise ValueError("the culprit")',
    "exit": "SystemExit: 3",
    "leave": "exited with code 0 before its work was done",
    "kill": "SIGKILL",
    "stall": "in guilty_of_stalling",
}


@dataclass(frozen=True)
class Ended:
    """What came of a script."""

    returncode: int | None
    stdout: str
    stderr: str
    seconds: float
    """From when all processes had met to the end of the last one."""


def run(tmp_path: Path, start: str, how: str, guilty: int) -> Ended:
    (tmp_path / "train.py").write_text(SCRIPT)
    if start == "fork":
        returncode = wait_for(start_forked(tmp_path, run_here, tmp_path, [start, how, str(guilty)]), 100)
    elif start == "torchrun":
        (returncode,) = run_under_agents(tmp_path, run_here, tmp_path, [start, how, str(guilty)]).exit_codes
    else:
        returncode = run_anew(tmp_path, [start, how, str(guilty)])
    ended = time.time()
    stdout = (tmp_path / "stdout").read_text()
    met = max(float(line.split()[2]) for line in stdout.splitlines() if line.startswith("pid"))
    return Ended(returncode, stdout, (tmp_path / "stderr").read_text(), ended - met)


def run_here(tmp_path: Path, arguments: list[str]) -> None:
    sys.argv = ["train.py", *arguments]
    runpy.run_path(str(tmp_path / "train.py"), run_name="__main__")


def run_anew(tmp_path: Path, arguments: list[str]) -> int:
    environment = {k: v for k, v in os.environ.items() if not k.startswith(("LIT_", "TORCHELASTIC"))}
    with (tmp_path / "stdout").open("w") as stdout, (tmp_path / "stderr").open("w") as stderr:
        return subprocess.run(
            [sys.executable, "train.py", *arguments],
            cwd=tmp_path,
            env={**environment, "OMP_NUM_THREADS": "1"},
            stdout=stdout,
            stderr=stderr,
            timeout=200,
            check=False,
        ).returncode


def gone(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] in "ZX"
    except (FileNotFoundError, ProcessLookupError):
        return True


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc").exists(), reason="looks for processes in /proc")
@pytest.mark.parametrize(
    ("start", "how", "guilty"),
    [
        ("fork", "raise", 1),
        ("fork", "exit", 0),
        ("fork", "leave", 1),
        ("fork", "kill", 0),
        ("fork", "stall", 0),
        ("fork", "stall", 1),
        ("script", "exit", 1),
        ("script", "leave", 1),
        ("script", "kill", 0),
        ("script", "stall", 0),
        ("script", "stall", 1),
    ],
)
def test_all_end_within_thirty_seconds_and_the_guilty_rank_is_shown_once(
    tmp_path: Path, start: str, how: str, guilty: int
) -> None:
    done = run(tmp_path, start, how, guilty)

    assert done.seconds < 30
    assert done.returncode != 0
    assert "never here" not in done.stdout
    pids = [int(line.split()[1]) for line in done.stdout.splitlines() if line.startswith("pid")]
    assert len(pids) == 2
    deadline = time.monotonic() + 30 - done.seconds  # a killed starter is gone before the others are
    while not all(gone(pid) for pid in pids) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert all(gone(pid) for pid in pids)
    if (start, how, guilty) == ("script", "kill", 0):
        return  # it is the process that the user started, and sees killed
    assert SHOWN[how] in done.stderr
    once = SHOWN[how] if how in ("raise", "stall") else f"Rank {guilty} of 2 failed first"
    assert done.stderr.count(once) == 1, done.stderr


@pytest.mark.slow
@pytest.mark.parametrize(
    ("start", "how"),
    [("spawn", "stall"), ("torchrun", "kill"), ("torchrun", "stall")],
)
def test_processes_from_elsewhere_end_too(tmp_path: Path, start: str, how: str) -> None:
    # Of several that have ended torchrun shows the first: not who merely lost the one that was killed.
    done = run(tmp_path, start, how, 0 if how == "kill" else 1)

    assert done.seconds < 30
    assert done.returncode != 0
    assert "never here" not in done.stdout
    if start == "spawn":
        assert done.stderr.count(SHOWN[how]) == 1, done.stderr
    elif how != "stall":  # torchrun ends it, and shows who waited for it
        assert SHOWN[how] in done.stderr
    else:
        assert "imed out" in done.stderr
