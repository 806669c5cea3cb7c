from datetime import timedelta
from pathlib import Path

import pytest

from lit_accelerators import LocalEnvironment

VARIABLES = ("LIT_RUN_DIR", "RANK", "LOCAL_RANK", "NODE_RANK", "WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT")


@pytest.fixture(autouse=True)
def clean(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)


def started(monkeypatch: pytest.MonkeyPatch, folder: Path, **variables: str) -> None:
    monkeypatch.setenv("LIT_RUN_DIR", str(folder))
    for name, value in {"RANK": "1", "LOCAL_RANK": "1", "NODE_RANK": "0", "WORLD_SIZE": "2", **variables}.items():
        monkeypatch.setenv(name, value)


def test_a_process_that_nobody_started_is_the_first_and_starts_the_others() -> None:
    environment = LocalEnvironment(devices=3)

    assert not LocalEnvironment.detect()
    assert not environment.creates_processes_externally
    assert (environment.world_size, environment.global_rank, environment.local_rank) == (3, 0, 0)
    environment.validate(devices=3, num_nodes=1)
    with pytest.raises(RuntimeError, match=r"launch\(\)"):
        environment.create_store(timedelta(seconds=1))


def test_a_started_process_reads_its_rank_also_later(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    environment = LocalEnvironment(devices=2)
    started(monkeypatch, tmp_path)
    environment.refresh()

    assert environment.creates_processes_externally
    assert (environment.world_size, environment.global_rank, environment.local_rank) == (2, 1, 1)


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("RANK", "two", "RANK must hold a whole number, got 'two'"),
        ("RANK", "2", "RANK=2 is no rank of WORLD_SIZE=2"),
        ("WORLD_SIZE", "0", "WORLD_SIZE must be at least 1, got 0"),
        ("LOCAL_RANK", "-1", "LOCAL_RANK must be at least 0, got -1"),
    ],
)
def test_a_variable_that_makes_no_sense_is_named_with_its_value(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, name: str, value: str, message: str
) -> None:
    started(monkeypatch, tmp_path, **{name: value})

    with pytest.raises(RuntimeError, match=message):
        LocalEnvironment(devices=2)


def test_a_missing_variable_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    started(monkeypatch, tmp_path)
    monkeypatch.delenv("NODE_RANK")

    with pytest.raises(RuntimeError, match="NODE_RANK is not set; the launcher of lit-accelerators must set it"):
        LocalEnvironment(devices=2)


def test_other_numbers_than_those_started_are_refused(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    started(monkeypatch, tmp_path)

    with pytest.raises(ValueError, match="3 processes, but this process is rank 1 of 2"):
        LocalEnvironment(devices=2).validate(devices=3, num_nodes=1)
    with pytest.raises(ValueError, match="write over"):
        LocalEnvironment().validate(devices=1, num_nodes=1)


def test_rank_zero_of_an_earlier_run_may_go_on_alone(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    started(monkeypatch, tmp_path, RANK="0", LOCAL_RANK="0")
    environment = LocalEnvironment()
    environment.validate(devices=1, num_nodes=1)

    assert (environment.world_size, environment.creates_processes_externally) == (1, False)
    environment.create_store(timedelta(seconds=1)).set("key", "value")


def test_several_nodes_need_the_number_of_this_one_and_the_address_of_the_first(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with pytest.raises(RuntimeError, match="NODE_RANK is not set; you, on each of the 2 nodes"):
        LocalEnvironment(devices=4, num_nodes=2)
    monkeypatch.setenv("NODE_RANK", "1")
    with pytest.raises(RuntimeError, match="MASTER_ADDR is not set"):
        LocalEnvironment(devices=4, num_nodes=2)
    monkeypatch.setenv("MASTER_ADDR", "first-node")
    monkeypatch.setenv("MASTER_PORT", "29500")
    environment = LocalEnvironment(devices=4, num_nodes=2)

    assert (environment.global_rank, environment.world_size, environment.node_rank) == (4, 8, 1)
    assert (environment.main_address, environment.main_port) == ("first-node", 29500)
