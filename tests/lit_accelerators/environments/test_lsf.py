import socket
from pathlib import Path

import pytest

from lit_accelerators import LSFEnvironment, make_strategy

VARIABLES = {
    "LSB_JOBID": "77",
    "JSM_NAMESPACE_SIZE": "4",
    "JSM_NAMESPACE_RANK": "3",
    "JSM_NAMESPACE_LOCAL_RANK": "1",
}


@pytest.fixture(autouse=True)
def jsrun(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in ("MASTER_ADDR", "MASTER_PORT", "TORCHELASTIC_RUN_ID", "LIT_RUN_DIR", "LSB_HOSTS"):
        monkeypatch.delenv(name, raising=False)
    for name, value in VARIABLES.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(socket, "gethostname", lambda: "b02.cluster")
    ranks = tmp_path / "ranks"
    ranks.write_text("launch\na01\na01\nb02\nb02\n")
    monkeypatch.setenv("LSB_DJOB_RANKFILE", str(ranks))


def test_ranks_are_those_of_the_variables_and_hosts_those_of_the_file() -> None:
    environment = LSFEnvironment()

    assert LSFEnvironment.detect()
    assert (environment.world_size, environment.global_rank) == (4, 3)
    assert (environment.local_world_size, environment.local_rank, environment.node_rank) == (2, 1, 1)
    assert environment.main_address == "a01"
    assert 1024 < environment.main_port < 32768
    environment.validate(devices=2, num_nodes=2)


def test_hosts_may_come_from_a_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("LSB_DJOB_RANKFILE")
    monkeypatch.setenv("LSB_HOSTS", "launch b02 b02 a01 a01")

    assert (LSFEnvironment().node_rank, LSFEnvironment().main_address) == (0, "b02")


@pytest.mark.parametrize("name", ["JSM_NAMESPACE_SIZE", "JSM_NAMESPACE_RANK", "JSM_NAMESPACE_LOCAL_RANK", "LSB_JOBID"])
def test_a_variable_that_is_missing_or_wrong_is_named(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.setenv(name, "x")
    with pytest.raises(RuntimeError, match=f"{name} must hold a whole number, got 'x'"):
        LSFEnvironment()
    monkeypatch.delenv(name)
    with pytest.raises(RuntimeError, match=f"{name} is not set"):
        LSFEnvironment()


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("JSM_NAMESPACE_RANK", "4", "JSM_NAMESPACE_RANK=4 is no rank of JSM_NAMESPACE_SIZE=4"),
        ("JSM_NAMESPACE_LOCAL_RANK", "2", "JSM_NAMESPACE_LOCAL_RANK=2 is no rank"),
        ("JSM_NAMESPACE_SIZE", "5", "JSM_NAMESPACE_SIZE=5 processes are no multiple of the LSB_DJOB_RANKFILE=2"),
        ("LSB_DJOB_RANKFILE", "/nowhere/ranks", "path of a file of hosts, got '/nowhere/ranks'"),
    ],
)
def test_a_variable_that_makes_no_sense_is_named_with_its_value(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str, message: str
) -> None:
    monkeypatch.setenv(name, value)

    with pytest.raises(RuntimeError, match=message):
        LSFEnvironment()


def test_hosts_that_are_missing_or_do_not_name_this_one_are_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("LSB_DJOB_RANKFILE")
    with pytest.raises(RuntimeError, match=r"LSB_HOSTS must name the launch node and then the hosts.*got None"):
        LSFEnvironment()
    monkeypatch.setenv("LSB_HOSTS", "launch a01 c03")
    with pytest.raises(RuntimeError, match="LSB_HOSTS names the hosts a01, c03, but this is b02"):
        LSFEnvironment()


def test_flags_that_contradict_jsrun_are_refused_with_what_to_write() -> None:
    with pytest.raises(ValueError, match=r"jsrun started 2 process\(es\).*--nrs 6 --rs_per_host 3"):
        make_strategy("cpu", devices=3, num_nodes=2)
    assert make_strategy("cpu", num_nodes=2).world_size == 4


def test_a_job_of_one_process_or_without_jsrun_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("JSM_NAMESPACE_SIZE", "1")
    assert not LSFEnvironment.detect()
    monkeypatch.delenv("JSM_NAMESPACE_RANK")
    assert not LSFEnvironment.detect()
