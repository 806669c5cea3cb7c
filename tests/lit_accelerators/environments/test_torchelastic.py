import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch.distributed

from lit_accelerators import TorchElasticEnvironment, make_strategy
from tests.lit_accelerators.agents import run_under_agents

NEEDS_FORK = pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")

VARIABLES = {
    "TORCHELASTIC_RUN_ID": "run",
    "RANK": "5",
    "LOCAL_RANK": "1",
    "GROUP_RANK": "1",
    "WORLD_SIZE": "8",
    "LOCAL_WORLD_SIZE": "4",
    "MASTER_ADDR": "first",
    "MASTER_PORT": "29500",
}


@pytest.fixture
def torchrun(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in VARIABLES.items():
        monkeypatch.setenv(name, value)


SCRIPT = """
import os, signal, torch
from lit_accelerators import make_strategy
strategy = make_strategy("cpu")
rank, attempt = strategy.global_rank, os.environ["TORCHELASTIC_RESTART_COUNT"]
def main():
    strategy.setup_environment()
    try:
        total = strategy.collectives.all_reduce(torch.tensor([1.0 + rank]))
        if attempt == "0" and rank == 1:
            os.kill(os.getpid(), signal.SIGKILL)
        total = strategy.collectives.all_reduce(total)
        os.write(1, f"attempt {attempt} rank {rank} total {total.item()}\\n".encode())
    finally:
        strategy.teardown()
strategy.launcher.launch(main)
"""


@pytest.mark.slow
def test_of_a_script_a_killed_process_is_restarted_and_the_restarted_processes_meet(tmp_path: Path) -> None:
    (tmp_path / "train.py").write_text(SCRIPT)
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    environment = {k: v for k, v in os.environ.items() if not k.startswith(("LIT_", "TORCHELASTIC"))}
    done = subprocess.run(
        [*torchrun, "--max-restarts", "2", "train.py"],
        cwd=tmp_path,
        env={**environment, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )

    assert done.returncode == 0, done.stderr
    assert sorted(done.stdout.splitlines()) == [f"attempt 1 rank {rank} total 6.0" for rank in (0, 1)]


@NEEDS_FORK
def test_processes_of_torchrun_train_together_without_being_told_how_many(tmp_path: Path) -> None:
    def main() -> None:
        strategy = make_strategy("cpu")
        strategy.setup_environment()
        try:
            net = strategy.setup_module(torch.nn.Linear(2, 1))
            step = strategy.setup_step(net, lambda x: net(x).mean())
            strategy.backward(step(torch.full((1, 2), 1.0 + strategy.global_rank)))
            told = f"{strategy.name} {strategy.global_rank} {strategy.world_size} {net.weight.grad.tolist()}\n"
            os.write(1, told.encode())
        finally:
            strategy.teardown()

    done = run_under_agents(tmp_path, main)

    assert done.exit_codes == [0], done.stderr
    assert sorted(done.stdout.splitlines()) == [f"ddp {rank} 2 [[1.5, 1.5]]" for rank in (0, 1)]


@NEEDS_FORK
def test_a_failure_in_one_process_ends_all_and_its_traceback_is_there(tmp_path: Path) -> None:
    def main() -> None:
        strategy = make_strategy("cpu")
        strategy.setup_environment()
        try:
            if strategy.global_rank == 1:
                raise ValueError("the culprit")
            strategy.collectives.barrier()
            time.sleep(100)
        finally:
            strategy.teardown()

    began = time.monotonic()
    done = run_under_agents(tmp_path, main)

    assert time.monotonic() - began < 60
    assert done.exit_codes == [1]
    assert "ValueError: the culprit" in done.stderr


@pytest.mark.usefixtures("torchrun")
def test_ranks_are_those_of_the_variables() -> None:
    environment = TorchElasticEnvironment()

    assert TorchElasticEnvironment.detect()
    assert environment.creates_processes_externally
    assert (environment.global_rank, environment.local_rank, environment.node_rank) == (5, 1, 1)
    assert (environment.world_size, environment.main_address, environment.main_port) == (8, "first", 29500)
    environment.validate(devices=4, num_nodes=2)


@pytest.mark.usefixtures("torchrun")
def test_flags_that_contradict_torchrun_are_refused_with_what_to_write() -> None:
    with pytest.raises(ValueError, match=r"Write devices=4 \(or 'auto'\), num_nodes=2"):
        make_strategy("cpu", devices=2, num_nodes=2)
    with pytest.raises(ValueError, match="num_nodes=2"):
        make_strategy("cpu")
    assert make_strategy("cpu", num_nodes=2).world_size == 8


@pytest.mark.usefixtures("torchrun")
@pytest.mark.parametrize("name", ["RANK", "LOCAL_RANK", "GROUP_RANK", "WORLD_SIZE", "LOCAL_WORLD_SIZE", "MASTER_PORT"])
def test_a_variable_that_is_missing_or_wrong_is_named(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.setenv(name, "x")
    with pytest.raises(RuntimeError, match=f"{name} must hold a whole number, got 'x'; torchrun"):
        TorchElasticEnvironment()
    monkeypatch.delenv(name)
    with pytest.raises(RuntimeError, match=f"{name} is not set; torchrun"):
        TorchElasticEnvironment()


@pytest.mark.usefixtures("torchrun")
def test_the_store_of_the_agent_outlives_the_processes_and_one_of_rank_0_does_not(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    server = torch.distributed.TCPStore("127.0.0.1", 0, None, True, wait_for_workers=False)
    monkeypatch.setenv("MASTER_ADDR", "127.0.0.1")
    monkeypatch.setenv("MASTER_PORT", str(server.port))
    assert TorchElasticEnvironment().lasting_store is None

    monkeypatch.setenv("TORCHELASTIC_USE_AGENT_STORE", "True")
    for attempt in ("0", "1"):
        monkeypatch.setenv("TORCHELASTIC_RESTART_COUNT", attempt)
        environment = TorchElasticEnvironment()
        assert environment.lasting_store is not None
        store = environment.lasting_store()
        assert store.check(["told"]) == (attempt == "1")
        store.set("told", "something")
    assert store.get("told") == b"something"
