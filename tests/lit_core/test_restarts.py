"""Which checkpoint an attempt takes for its own: processes are imitated by several objects on one store."""

from pathlib import Path
from typing import Any

import pytest
from torch.distributed import HashStore

from lit_accelerators import SingleDeviceStrategy
from lit_checkpoint import save
from lit_core import ModelCheckpoint
from lit_core.restarts import Attempts
from lit_loggers import CSVLogger


def keeper(folder: Path, **options: Any) -> ModelCheckpoint:
    return ModelCheckpoint(folder, **options)


def put(folder: Path, name: str, batches: int) -> str:
    path = f"{folder}/{name}.ckpt"
    save({"loops": {"progress": {"batches": batches}}}, path)
    return path


@pytest.fixture
def attempt(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Makes an attempt at the first ``fit`` of a script, each time as a new process does."""
    store = HashStore()

    def make(*, alone: bool = False) -> Attempts:
        monkeypatch.setattr("lit_core.restarts._fits", iter([0]))
        strategy = SingleDeviceStrategy()
        if not alone:
            strategy.environment.lasting_store = lambda: store
        return Attempts(strategy)

    return make


def test_the_first_attempt_goes_on_from_nothing(attempt: Any, tmp_path: Path) -> None:
    put(tmp_path, "older", 5)

    assert attempt().newest(None) is None


def test_the_next_attempt_goes_on_from_what_the_one_before_saved(attempt: Any, tmp_path: Path) -> None:
    put(tmp_path, "older", 5)
    attempt().note([keeper(tmp_path)])
    assert attempt().newest(None) is None
    path = put(tmp_path, "step=2", 2)

    assert attempt().newest(None) == path


def test_a_file_of_the_same_name_that_was_written_over_is_new(attempt: Any, tmp_path: Path) -> None:
    path = put(tmp_path, "last", 5)
    attempt().note([keeper(tmp_path)])
    put(tmp_path, "last", 2_000_000)

    assert attempt().newest(None) == path


def test_an_attempt_that_saved_nothing_leaves_the_choice_to_the_one_before(attempt: Any, tmp_path: Path) -> None:
    attempt().note([keeper(tmp_path / "version_0")])
    path = put(tmp_path / "version_0", "step=2", 2)
    attempt().note([keeper(tmp_path / "version_1")])

    assert attempt().newest(None) == path
    later = put(tmp_path / "version_1", "step=4", 4)
    assert attempt().newest(None) == later


def test_of_several_folders_the_one_that_came_furthest_counts(attempt: Any, tmp_path: Path) -> None:
    attempt().note(
        [keeper(tmp_path / "a"), keeper(tmp_path / "b", monitor="x"), keeper(tmp_path / "c", save_weights_only=True)]
    )
    furthest = put(tmp_path / "a", "step=9", 9)
    put(tmp_path / "b", "step=6", 6)
    put(tmp_path / "c", "step=12", 12)

    assert attempt().newest(None) == furthest


@pytest.mark.filterwarnings("ignore:Skipped a checkpoint:RuntimeWarning")
def test_damaged_files_are_passed_over(attempt: Any, tmp_path: Path) -> None:
    attempt().note([keeper(tmp_path)])
    path = Path(put(tmp_path, "step=2", 2))
    path.write_bytes(path.read_bytes()[:-9])

    assert attempt().newest(None) is None


def test_where_nobody_starts_processes_again_nothing_happens(attempt: Any, tmp_path: Path) -> None:
    attempt(alone=True).note([keeper(tmp_path)])
    put(tmp_path, "step=2", 2)

    assert attempt(alone=True).newest(None) is None
    assert attempt().newest(None) is None


def test_rows_are_those_of_the_attempts_before_only_where_nothing_was_before_the_first(
    attempt: Any, tmp_path: Path
) -> None:
    fresh, used = (CSVLogger(tmp_path, name=name, version=0) for name in ("fresh", "used"))
    used.log_metrics({"loss": 1.0})
    used.flush()
    (tmp_path / "fresh" / "version_0" / "checkpoints").mkdir(parents=True)
    loggers = [fresh, used]

    first = attempt()
    first.note([], loggers)
    assert first.left_rows(loggers) == []
    fresh.log_metrics({"loss": 1.0})
    fresh.flush()
    for _ in range(2):
        later = attempt()
        later.note([], loggers)
        assert later.left_rows(loggers) == [fresh]
    numbered_anew = CSVLogger(tmp_path, name="fresh")
    assert later.left_rows([numbered_anew]) == []


def test_where_nobody_starts_processes_again_no_folder_is_looked_at(attempt: Any, tmp_path: Path) -> None:
    logger = CSVLogger(tmp_path)
    alone = attempt(alone=True)
    alone.note([], [logger])

    assert alone.left_rows([logger]) == []
    assert list(tmp_path.iterdir()) == []
