"""Real actors, where Ray is installed: ``hatch run ray:test``."""

import os
import signal
import sys
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.distributed as dist

from lit_accelerators import DDPStrategy, RayEnvironment, RayLauncher, make_strategy

ray = pytest.importorskip("ray")
pytestmark = [
    pytest.mark.timeout(240),
    pytest.mark.filterwarnings("ignore::ResourceWarning"),  # Ray's own files and sockets
    pytest.mark.filterwarnings("ignore::FutureWarning:ray"),
]


@pytest.fixture(scope="module", autouse=True)
def _cluster() -> Iterator[None]:
    """Ray on this machine, which is told that it has more than it has."""
    ray.init(num_cpus=4, num_gpus=2, include_dashboard=False)
    yield
    ray.shutdown()


def launcher(processes: int = 2, **options: Any) -> RayLauncher:
    return RayLauncher(RayEnvironment(processes), processes, **options)


def joined(function: Any, **options: Any) -> Any:
    """``function`` in two actors with a process group."""
    strategy = make_strategy("cpu", devices=2, strategy=partial(DDPStrategy, start="ray", **options))

    def main() -> Any:
        strategy.setup_environment()
        try:
            return function()
        finally:
            strategy.teardown()

    return strategy.launcher.launch(main)


def wait_until_gone(folder: Path, seconds: float = 20.0) -> bool:
    """Whether the two processes whose ids lie in the folder end."""
    pids = [int(path.name) for path in folder.iterdir()]
    assert len(pids) == 2
    deadline = time.monotonic() + seconds
    while any(Path(f"/proc/{pid}").exists() for pid in pids) and time.monotonic() < deadline:
        time.sleep(0.05)
    return not any(Path(f"/proc/{pid}").exists() for pid in pids)


def rank() -> int:
    return int(os.environ["RANK"])


def test_every_actor_knows_its_rank_and_rank_zero_returns() -> None:
    names = ("RANK", "LOCAL_RANK", "NODE_RANK", "WORLD_SIZE", "LOCAL_WORLD_SIZE")

    assert launcher(3).launch(lambda: [os.environ[name] for name in names]) == ["0", "0", "0", "3", "3"]
    assert launcher().launch(lambda: None) is None


def test_actors_share_no_memory_with_each_other_or_the_caller(tmp_path: Path) -> None:
    values, array = torch.zeros(1_000_000), np.zeros(1_000_000)

    def add() -> Any:
        array[:] += rank() + 1
        values.add_(rank() + 1)
        (tmp_path / f"{os.environ['RANK']}").write_text(f"{values.unique().tolist()} {np.unique(array).tolist()}")
        return values, array

    result, other = launcher().launch(add)

    assert torch.equal(result, torch.ones(1_000_000))
    assert np.array_equal(other, np.ones(1_000_000))
    assert [(tmp_path / str(r)).read_text() for r in (0, 1)] == ["[1.0] [1.0]", "[2.0] [2.0]"]
    assert not values.any()


@pytest.mark.parametrize("name", ["ray", "ddp_ray", "fsdp_ray"])
def test_strategies_average_gradients_over_actors(name: str) -> None:
    strategy = make_strategy("cpu", devices=2, strategy=name)

    def main() -> Any:
        strategy.setup_environment()
        try:
            module = strategy.setup_module(torch.nn.Linear(2, 1, bias=False))
            step = strategy.setup_step(module, lambda x: module(x).mean())
            strategy.backward(step(torch.full((1, 2), 1.0 + strategy.global_rank)))
            state = strategy.gradient_state(module)["weight"]
            return strategy.name, strategy.global_rank, getattr(state, "full_tensor", lambda: state)().tolist()
        finally:
            strategy.teardown()

    expected = "ddp_ray" if name == "ray" else name
    assert strategy.launcher.launch(main) == (expected, 0, [[1.5, 1.5]])


def test_an_error_is_raised_once_with_its_rank_and_ends_all(tmp_path: Path) -> None:
    def fail_or_wait() -> None:
        (tmp_path / str(os.getpid())).touch()
        dist.barrier()
        if rank() == 1:
            raise KeyError("the culprit")
        dist.all_reduce(torch.zeros(1))

    began = time.monotonic()
    with pytest.raises(KeyError, match="the culprit") as caught:
        joined(fail_or_wait)

    assert time.monotonic() - began < 30
    assert "Rank 1 of 2 failed first" in str(caught.value.__cause__)
    assert str(caught.value.__cause__).count('raise KeyError("the culprit")') == 1
    assert wait_until_gone(tmp_path)


@pytest.mark.parametrize("how", ["kill", "leave"])
@pytest.mark.parametrize("guilty", [0, 1])
def test_an_actor_that_dies_is_named_and_ends_all(how: str, guilty: int, tmp_path: Path) -> None:
    def die() -> None:
        (tmp_path / str(os.getpid())).touch()
        dist.barrier()
        if rank() == guilty:
            if how == "leave":
                os._exit(0)
            os.kill(os.getpid(), signal.SIGKILL)
        dist.all_reduce(torch.zeros(1))

    began = time.monotonic()
    with pytest.raises(RuntimeError, match=f"Rank {guilty}: The actor died before its work was done"):
        joined(die)

    assert time.monotonic() - began < 30
    assert wait_until_gone(tmp_path)


def test_sys_exit_in_an_actor_is_an_error_and_not_an_exit() -> None:
    with pytest.raises(RuntimeError, match="SystemExit: 3"):
        launcher().launch(lambda: sys.exit(3) if rank() else time.sleep(60))


class TwoWordsError(Exception):
    def __init__(self, first: str, second: str) -> None:
        super().__init__(f"{first}-{second}")


def test_an_exception_that_cannot_be_pickled_is_told_in_words() -> None:
    def fail() -> None:
        raise TwoWordsError("un", "picklable")

    with pytest.raises(RuntimeError, match=r"Rank \d: .*TwoWordsError: un-picklable"):
        launcher().launch(fail)


def test_actors_of_a_node_see_each_others_gpus() -> None:
    def visible() -> Any:
        return os.environ["CUDA_VISIBLE_DEVICES"]

    assert sorted(launcher(num_gpus=1).launch(visible).split(",")) == ["0", "1"]


def test_threads_are_the_cores_that_ray_sets_aside() -> None:
    assert launcher(num_cpus=2).launch(torch.get_num_threads) == 2


def test_what_ray_has_no_room_for_is_said_with_what_there_is() -> None:
    with pytest.raises(RuntimeError, match=r"no room for 5 actor\(s\) on each of 1 node.*'CPU': 5.*has \{'CPU': 4.0"):
        launcher(5, wait_s=1).launch(print)


def test_a_signal_is_passed_on_to_the_actors(tmp_path: Path) -> None:
    def wait() -> str:
        heard: list[int] = []
        signal.signal(signal.SIGUSR1, lambda number, frame: heard.append(number))
        (tmp_path / str(rank())).touch()
        deadline = time.monotonic() + 60
        while not heard and time.monotonic() < deadline:
            time.sleep(0.05)
        return f"heard {heard}"

    def knock() -> None:
        while len(list(tmp_path.iterdir())) < 2:
            time.sleep(0.05)
        os.kill(os.getpid(), signal.SIGTERM)

    import threading

    threading.Thread(target=knock, daemon=True).start()
    assert launcher().launch(wait) == f"heard [{int(signal.SIGUSR1)}]"


@pytest.fixture
def _two_nodes() -> Iterator[None]:
    """Two nodes of Ray on this machine, with two cores each as they believe."""
    from ray.cluster_utils import Cluster

    ray.shutdown()
    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 2, "include_dashboard": False})
    cluster.add_node(num_cpus=2)
    ray.init(address=cluster.address)
    yield
    ray.shutdown()
    cluster.shutdown()


@pytest.mark.usefixtures("_two_nodes")
def test_the_actors_of_a_node_have_ranks_in_a_row() -> None:
    strategy = make_strategy("cpu", devices=2, num_nodes=2, strategy="ray")

    def main() -> Any:
        strategy.setup_environment()
        try:
            ours = ray.get_runtime_context().get_node_id(), strategy.global_rank, strategy.local_rank
            return strategy.collectives.all_gather_object((*ours, strategy.environment.node_rank))
        finally:
            strategy.teardown()

    nodes, global_ranks, local_ranks, node_ranks = zip(*strategy.launcher.launch(main), strict=True)

    assert global_ranks == (0, 1, 2, 3)
    assert local_ranks == (0, 1, 0, 1)
    assert node_ranks == (0, 0, 1, 1)
    assert nodes[0] == nodes[1] != nodes[2] == nodes[3]
