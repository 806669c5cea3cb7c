import pytest

from lit_accelerators import XLAEnvironment, make_strategy

VARIABLES = {
    "PJRT_DEVICE": "TPU",
    "PJRT_LOCAL_PROCESS_RANK": "1",
    "PJRT_LOCAL_PROCESS_COUNT": "4",
    "TPU_WORKER_HOSTNAMES": "t0, t1",
    "TPU_WORKER_ID": "1",
}


@pytest.fixture(autouse=True)
def tpu(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("TORCHELASTIC_RUN_ID", "LIT_RUN_DIR", "CLOUD_TPU_TASK_ID", "MASTER_ADDR", "MASTER_PORT"):
        monkeypatch.delenv(name, raising=False)
    for name, value in VARIABLES.items():
        monkeypatch.setenv(name, value)


def test_ranks_follow_from_the_processes_of_a_host_and_the_hosts() -> None:
    environment = XLAEnvironment()

    assert XLAEnvironment.detect()
    assert (environment.world_size, environment.global_rank) == (8, 5)
    assert (environment.local_world_size, environment.local_rank, environment.node_rank) == (4, 1, 1)
    assert environment.main_address == "t0"
    environment.validate(devices=4, num_nodes=2)


def test_without_names_of_hosts_there_is_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("TPU_WORKER_HOSTNAMES")
    monkeypatch.delenv("TPU_WORKER_ID")
    environment = XLAEnvironment()

    assert (environment.world_size, environment.global_rank, environment.node_rank) == (4, 1, 0)
    assert environment.main_address == "127.0.0.1"


def test_the_variable_of_torch_xla_for_the_host_wins(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CLOUD_TPU_TASK_ID", "0")

    assert XLAEnvironment().node_rank == 0


@pytest.mark.parametrize("name", ["PJRT_LOCAL_PROCESS_RANK", "PJRT_LOCAL_PROCESS_COUNT", "TPU_WORKER_ID"])
def test_a_variable_that_is_missing_or_wrong_is_named(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.setenv(name, "x")
    with pytest.raises(RuntimeError, match=f"{name} must hold a whole number, got 'x'"):
        XLAEnvironment()
    monkeypatch.delenv(name)
    with pytest.raises(RuntimeError, match=f"{name} is not set"):
        XLAEnvironment()


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("PJRT_LOCAL_PROCESS_RANK", "4", "PJRT_LOCAL_PROCESS_RANK=4 is no rank of PJRT_LOCAL_PROCESS_COUNT=4"),
        ("TPU_WORKER_ID", "2", "TPU_WORKER_ID=2 is no rank of hosts in TPU_WORKER_HOSTNAMES=2"),
    ],
)
def test_a_variable_that_makes_no_sense_is_named_with_its_value(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str, message: str
) -> None:
    monkeypatch.setenv(name, value)

    with pytest.raises(RuntimeError, match=message):
        XLAEnvironment()


def test_flags_that_contradict_it_are_refused() -> None:
    with pytest.raises(ValueError, match=r"torch_xla started 4 process\(es\)"):
        make_strategy("cpu", devices=2, num_nodes=2)
    assert make_strategy("cpu", num_nodes=2).world_size == 8


def test_one_process_alone_is_not_detected(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PJRT_LOCAL_PROCESS_COUNT", "1")
    monkeypatch.delenv("TPU_WORKER_HOSTNAMES")

    assert not XLAEnvironment.detect()
