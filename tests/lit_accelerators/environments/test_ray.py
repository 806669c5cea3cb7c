import os
from datetime import timedelta

import pytest

from lit_accelerators import RayEnvironment, detect_environment, make_strategy
from lit_accelerators.environments._stores import serve_store
from lit_accelerators.environments.ray import actor_variables


@pytest.fixture
def actor(monkeypatch: pytest.MonkeyPatch) -> None:
    told = actor_variables(store="10.0.0.7:4711", node_rank=1, local_rank=1, devices=4, num_nodes=2)
    for name, value in told.items():
        monkeypatch.setenv(name, value)


def test_the_process_that_starts_the_actors_is_none_of_them() -> None:
    environment = RayEnvironment(devices=4, num_nodes=2)

    assert not RayEnvironment.detect()
    assert not environment.creates_processes_externally
    assert (environment.global_rank, environment.world_size, environment.local_world_size) == (0, 8, 4)
    with pytest.raises(RuntimeError, match="8 actors are to meet, but they were not started"):
        environment.create_store(timedelta(seconds=1))


@pytest.mark.usefixtures("actor")
def test_an_actor_has_the_ranks_it_was_told() -> None:
    environment = RayEnvironment()

    assert detect_environment() is RayEnvironment
    assert environment.creates_processes_externally
    assert (environment.global_rank, environment.local_rank, environment.node_rank) == (5, 1, 1)
    assert (environment.world_size, environment.local_world_size) == (8, 4)
    assert (environment.main_address, environment.main_port) == ("10.0.0.7", 4711)
    environment.validate(devices=4, num_nodes=2)
    with pytest.raises(ValueError, match="Write devices=4"):
        environment.validate(devices=8, num_nodes=1)


@pytest.mark.usefixtures("actor")
@pytest.mark.parametrize("name", ["RANK", "LOCAL_RANK", "NODE_RANK", "WORLD_SIZE", "LOCAL_WORLD_SIZE", "MASTER_PORT"])
def test_a_variable_that_is_missing_or_wrong_is_named(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.setenv(name, "x")
    with pytest.raises(RuntimeError, match=f"{name} must hold a whole number, got 'x'; the Ray launcher"):
        RayEnvironment()
    monkeypatch.delenv(name)
    with pytest.raises(RuntimeError, match=f"{name} is not set; the Ray launcher"):
        RayEnvironment()


def test_each_group_begins_with_an_empty_store(monkeypatch: pytest.MonkeyPatch) -> None:
    served, port = serve_store()
    told = actor_variables(store=f"127.0.0.1:{port}", node_rank=0, local_rank=0, devices=1, num_nodes=1)
    for name, value in told.items():
        monkeypatch.setenv(name, value)
    environment = RayEnvironment()
    first, second = (environment.create_store(timedelta(seconds=10)) for _ in range(2))
    first.set("key", "value")

    assert not second.check(["key"])
    assert served.num_keys() >= 1


@pytest.mark.parametrize("devices", ["auto", -1, [0, 1], "0,1"])
def test_ray_chooses_the_devices(devices: object) -> None:
    with pytest.raises(ValueError, match="Ray chooses the devices"):
        make_strategy("cpu", devices=devices, strategy="ray")  # type: ignore[arg-type]


def test_devices_of_this_machine_say_nothing_about_those_of_ray() -> None:
    strategy = make_strategy("cuda", devices=8, num_nodes=4, strategy="ray")

    assert (strategy.name, strategy.world_size, strategy.environment.name) == ("ddp_ray", 32, "ray")


def test_processes_that_somebody_else_started_start_no_actors(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "environ", os.environ.copy())
    started = {"SLURM_STEP_NUM_TASKS": "2", "SLURM_PROCID": "0", "SLURM_LOCALID": "0", "SLURM_NODEID": "0"}
    os.environ |= started | {"SLURM_JOB_ID": "1", "SLURM_STEP_ID": "0", "SLURM_STEP_TASKS_PER_NODE": "2"}
    os.environ |= {"SLURM_STEP_NODELIST": "a"}

    with pytest.raises(ValueError, match="environment 'slurm' has started them"):
        make_strategy("cpu", devices=2, strategy="ray")
