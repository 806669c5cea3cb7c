import pytest

from lit_accelerators import KubeflowEnvironment, make_strategy

VARIABLES = {
    "KUBERNETES_PORT": "tcp://10.0.0.1:443",
    "MASTER_ADDR": "job-master-0",
    "MASTER_PORT": "23456",
    "WORLD_SIZE": "3",
    "RANK": "2",
}


@pytest.fixture(autouse=True)
def pod(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("TORCHELASTIC_RUN_ID", "LIT_RUN_DIR"):
        monkeypatch.delenv(name, raising=False)
    for name, value in VARIABLES.items():
        monkeypatch.setenv(name, value)


def test_a_pod_is_a_node_of_one_process() -> None:
    environment = KubeflowEnvironment()

    assert KubeflowEnvironment.detect()
    assert (environment.world_size, environment.global_rank, environment.node_rank) == (3, 2, 2)
    assert (environment.local_world_size, environment.local_rank) == (1, 0)
    assert (environment.main_address, environment.main_port) == ("job-master-0", 23456)
    environment.validate(devices=1, num_nodes=3)


@pytest.mark.parametrize("name", ["WORLD_SIZE", "RANK", "MASTER_PORT"])
def test_a_variable_that_is_missing_or_wrong_is_named(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.setenv(name, "x")
    with pytest.raises(RuntimeError, match=f"{name} must hold a whole number, got 'x'; the PyTorchJob"):
        KubeflowEnvironment()
    monkeypatch.delenv(name)
    with pytest.raises(RuntimeError, match=f"{name} is not set; the PyTorchJob"):
        KubeflowEnvironment()


def test_a_rank_that_does_not_exist_and_an_address_that_is_missing_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RANK", "3")
    with pytest.raises(RuntimeError, match="RANK=3 is no rank of WORLD_SIZE=3"):
        KubeflowEnvironment()
    monkeypatch.setenv("RANK", "2")
    monkeypatch.delenv("MASTER_ADDR")
    with pytest.raises(RuntimeError, match="MASTER_ADDR is not set; the PyTorchJob"):
        KubeflowEnvironment()


def test_several_devices_in_a_pod_are_refused_with_torchrun_as_the_way() -> None:
    with pytest.raises(ValueError, match="3 pods, with torchrun --nproc-per-node 2"):
        make_strategy("cpu", devices=2, num_nodes=3)
    assert make_strategy("cpu", num_nodes=3).global_rank == 2


@pytest.mark.parametrize("without", ["KUBERNETES_PORT", "MASTER_ADDR", "RANK", "WORLD_SIZE"])
def test_without_one_of_its_variables_it_is_no_job_of_kubeflow(monkeypatch: pytest.MonkeyPatch, without: str) -> None:
    monkeypatch.delenv(without)

    assert not KubeflowEnvironment.detect()


def test_a_job_of_one_pod_starts_its_processes_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WORLD_SIZE", "1")

    assert not KubeflowEnvironment.detect()
