"""Laws that every logger keeps. A new one adds a row to ``TABLE`` with functions that read its files back."""

import csv
import itertools
import json
import math
import pickle
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import fsspec
import numpy as np
import pytest
import torch

from lit_loggers import CSVLogger, Logger, TensorBoardLogger

_numbers = itertools.count()
Rows = list[tuple[int, dict[str, float]]]


def read_csv(text: str) -> Rows:
    coordinates = {"step", "stage", "epoch", "batch", "samples", "wall_time_s", "evaluated"}
    return [
        (int(row["step"]), {k: float(v) for k, v in row.items() if k not in coordinates and v != ""})
        for row in csv.DictReader(text.splitlines())
    ]


def csv_rows(folder: str) -> Rows:
    fs, path = fsspec.url_to_fs(f"{folder}/metrics.csv")
    return read_csv(fs.cat_file(path).decode()) if fs.exists(path) else []


def csv_hparams(folder: str) -> dict[str, Any]:
    fs, path = fsspec.url_to_fs(f"{folder}/hparams.json")
    return json.loads(fs.cat_file(path))


def tensorboard_rows(folder: str) -> Rows:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    accumulator = EventAccumulator(folder, size_guidance={"scalars": 0}).Reload()
    rows: dict[int, dict[str, float]] = {}
    for tag in accumulator.Tags()["scalars"]:
        for event in accumulator.Scalars(tag):
            assert tag not in rows.setdefault(event.step, {}), "one value per name and step"
            rows[event.step][tag] = event.value
    return sorted(rows.items())


def tensorboard_hparams(folder: str) -> dict[str, Any]:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
    from tensorboard.plugins.hparams import metadata

    accumulator = EventAccumulator(folder).Reload()
    content = accumulator.SummaryMetadata(metadata.SESSION_START_INFO_TAG).plugin_data.content
    nested: dict[str, Any] = {}
    for name, value in metadata.parse_session_start_info_plugin_data(content).hparams.items():
        *parents, leaf = name.split("/")
        place = nested
        for parent in parents:
            place = place.setdefault(parent, {})
        place[leaf] = getattr(value, value.WhichOneof("kind"))
    return nested


@dataclass(frozen=True)
class Place:
    url: str
    names: Callable[[], list[str]]
    """Everything below, files and folders."""


def local(tmp_path: Path) -> Place:
    return Place(str(tmp_path), lambda: [str(path) for path in tmp_path.rglob("*")])


def memory(tmp_path: Path) -> Place:
    folder = f"/logger_laws{next(_numbers)}"
    return Place(f"memory:/{folder}", lambda: fsspec.filesystem("memory").find(folder, withdirs=True))


@dataclass(frozen=True)
class Case:
    make: Callable[..., Logger]
    rows: Callable[[str], Rows]
    hparams: Callable[[str], dict[str, Any]]
    place: Callable[[Path], Place] = local


TABLE = {
    "csv": Case(CSVLogger, csv_rows, csv_hparams),
    "csv, one row at a time": Case(lambda *args: CSVLogger(*args, flush_every_n_rows=1), csv_rows, csv_hparams),
    "csv, fsspec memory": Case(CSVLogger, csv_rows, csv_hparams, memory),
    "tensorboard": Case(TensorBoardLogger, tensorboard_rows, tensorboard_hparams),
}


@pytest.fixture(params=TABLE.values(), ids=TABLE.keys())
def case(request: pytest.FixtureRequest) -> Case:
    return request.param


@pytest.fixture
def place(case: Case, tmp_path: Path) -> Place:
    return case.place(tmp_path)


def rows_of(case: Case, logger: Logger) -> Rows:
    logger.flush()
    return case.rows(logger.log_dir)


def approx(rows: Rows) -> list[Any]:
    # TensorBoard keeps single precision.
    return [(step, pytest.approx(values, rel=1e-6, nan_ok=True)) for step, values in rows]


def test_rows_come_back_in_order_with_their_values(case, place):
    logger = case.make(place.url)
    rows = [(step, {"loss": 1 / (step + 1), "acc/train": step * 0.1}) for step in range(250)]
    for step, metrics in rows:
        logger.log_metrics(metrics, step=step)
    logger.finalize()
    assert case.rows(logger.log_dir) == approx(rows)


def test_names_that_come_later_are_kept_beside_the_earlier_ones(case, place):
    logger = case.make(place.url)
    rows = [(0, {"a": 1.0}), (1, {"b": 2.0}), (2, {"a": 3.0, "c": 4.0}), (3, {"val, with comma": 5.0})]
    for step, metrics in rows:
        logger.log_metrics(metrics, step=step)
        logger.flush()
    assert case.rows(logger.log_dir) == approx(rows)


def test_nan_and_infinities_come_back(case, place):
    logger = case.make(place.url)
    logger.log_metrics({"a": math.nan, "b": math.inf, "c": -math.inf}, step=0)
    assert rows_of(case, logger) == approx([(0, {"a": math.nan, "b": math.inf, "c": -math.inf})])


@pytest.mark.parametrize(
    "value", [2, True, np.float32(2), np.int64(2), torch.tensor(2.0), torch.tensor([2.0])], ids=repr
)
def test_every_kind_of_single_number_is_taken(case, place, value):
    logger = case.make(place.url)
    logger.log_metrics({"a": value}, step=0)
    assert rows_of(case, logger) == approx([(0, {"a": float(value)})])


@pytest.mark.parametrize("value", ["1.5", None, [1.0], {"a": 1.0}, 1j, torch.zeros(2), b"1"], ids=repr)
def test_what_is_no_single_number_is_refused_by_name_and_writes_nothing(case, place, value):
    logger = case.make(place.url)
    with pytest.raises(TypeError, match="Metric 'a' must be one number, got "):
        logger.log_metrics({"a": value}, step=0)
    logger.finalize()
    assert place.names() == []


def test_hyperparameters_come_back_nested(case, place):
    logger = case.make(place.url)
    params = {"lr": 0.25, "model": {"name": "mlp", "head": {"bias": True}}}
    logger.log_hyperparams(params)
    logger.log_hyperparams({"seed": 3})
    logger.log_metrics({"a": 1.0}, step=0)
    logger.finalize()
    assert case.hparams(logger.log_dir) == {**params, "seed": 3}


def test_hyperparameters_of_any_type_are_recorded_as_text(case, place):
    logger = case.make(place.url)
    logger.log_hyperparams({"path": Path("x/y"), "dtype": torch.float32})
    logger.finalize()
    assert case.hparams(logger.log_dir) == {"path": "x/y", "dtype": "torch.float32"}


def test_nothing_is_created_before_the_first_write(case, place):
    logger = case.make(place.url, "name", 3)
    assert (logger.name, logger.version) == ("name", 3)
    assert logger.log_dir == f"{place.url}/name/version_3"
    logger.flush()
    logger.finalize()
    assert place.names() == []


def test_truncate_forgets_rows_of_evaluated_batches_by_their_number(case, place):
    """Ten updates, three evaluated batches after each second one; the run stood after the fourth of these batches."""
    logger = case.make(place.url)

    def evaluate(step: int, first: int, value: float) -> None:
        for number in range(first, first + 3):
            logger.log_metrics({"val": value}, step=step, stage="validate", evaluated=number)

    for step in range(10):
        logger.log_metrics({"a": float(step)}, step=step)
        if step % 2:
            evaluate(step, 3 * (step // 2), 1.0)
    logger.truncate(3, evaluated=4)
    evaluate(9, 4, 2.0)
    logger.log_metrics({"a": 0.5}, step=4)
    logger.finalize()
    found = case.rows(logger.log_dir)
    assert [metrics["a"] for _, metrics in found if "a" in metrics] == [0.0, 1.0, 2.0, 3.0, 0.5]
    assert [metrics["val"] for _, metrics in found if "val" in metrics] == [1.0] * 4 + [2.0] * 3


def test_truncate_forgets_what_lies_past_the_step(case, place):
    logger = case.make(place.url)
    for step in range(10):
        logger.log_metrics({"a": float(step), **({"val": 1.0} if step % 3 == 0 else {})}, step=step)
    logger.truncate(4)
    for step in range(5, 8):
        logger.log_metrics({"a": step + 0.5}, step=step)
    logger.finalize()
    expected = [(step, {"a": float(step), **({"val": 1.0} if step % 3 == 0 else {})}) for step in range(5)]
    assert case.rows(logger.log_dir) == approx([*expected, *((step, {"a": step + 0.5}) for step in range(5, 8))])


def test_a_new_logger_continues_an_existing_version_and_truncates_it(case, place):
    first = case.make(place.url, "run", 0)
    for step in range(10):
        first.log_metrics({"a": float(step)}, step=step)
    first.finalize("interrupted")
    for last in (6, 3):
        again = case.make(place.url, "run", 0)
        again.truncate(last)
        assert rows_of(case, again) == approx([(step, {"a": float(step)}) for step in range(last + 1)])
        again.log_metrics({"b": 1.0}, step=last + 1)
        again.finalize()
        expected = [*((step, {"a": float(step)}) for step in range(last + 1)), (last + 1, {"b": 1.0})]
        assert case.rows(again.log_dir) == approx(expected)


def test_truncating_an_empty_run_creates_nothing(case, place):
    case.make(place.url, "run", 0).truncate(5)
    assert place.names() == []


def test_rows_without_a_step_are_counted_also_after_truncate(case, place):
    logger = case.make(place.url)
    for value in range(4):
        logger.log_metrics({"a": value})
    logger.truncate(1)
    logger.log_metrics({"a": 7})
    assert rows_of(case, logger) == approx([(0, {"a": 0}), (1, {"a": 1}), (2, {"a": 7})])


def test_flush_puts_rows_where_another_reader_finds_them(case, place):
    logger = case.make(place.url)
    logger.log_metrics({"a": 1.0}, step=0)
    logger.flush()
    assert case.rows(logger.log_dir) == approx([(0, {"a": 1.0})])


def test_finalize_may_be_called_again_and_logging_may_go_on(case, place):
    logger = case.make(place.url)
    logger.log_metrics({"a": 1.0}, step=0)
    logger.finalize()
    logger.finalize("failed")
    logger.log_metrics({"a": 2.0}, step=1)
    logger.finalize("success")
    assert case.rows(logger.log_dir) == approx([(0, {"a": 1.0}), (1, {"a": 2.0})])


def test_two_loggers_get_two_versions(case, place):
    loggers = [case.make(place.url), case.make(place.url)]
    for i, logger in enumerate(loggers):
        logger.log_metrics({"a": float(i)}, step=0)
    assert [logger.version for logger in loggers] == [0, 1]
    assert [rows_of(case, logger) for logger in loggers] == [approx([(0, {"a": 0.0})]), approx([(0, {"a": 1.0})])]


def test_versions_are_claimed_once_by_many_at_the_same_time(case, place):
    loggers = [case.make(place.url) for _ in range(12)]
    barrier = threading.Barrier(len(loggers))

    def log(logger: Logger) -> None:
        barrier.wait()
        logger.log_metrics({"a": 1.0}, step=0)
        logger.finalize()

    threads = [threading.Thread(target=log, args=(logger,)) for logger in loggers]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len({logger.version for logger in loggers}) == len(loggers)
    assert all(case.rows(logger.log_dir) == approx([(0, {"a": 1.0})]) for logger in loggers)


def test_the_next_version_is_above_the_highest(case, place):
    for version in (7, 2):
        logger = case.make(place.url, "run", version)
        logger.log_metrics({"a": 1.0}, step=0)
        logger.finalize()
    assert case.make(place.url, "run").version == 8


def test_a_version_may_be_a_name_and_the_name_empty(case, place):
    logger = case.make(place.url, "", "baseline")
    logger.log_metrics({"a": 1.0}, step=0)
    assert logger.log_dir == f"{place.url}/baseline"
    assert rows_of(case, logger) == approx([(0, {"a": 1.0})])


def test_a_logger_can_be_pickled_before_its_first_write(case, place):
    logger = pickle.loads(pickle.dumps(case.make(place.url)))
    logger.log_metrics({"a": 1.0}, step=0)
    assert rows_of(case, logger) == approx([(0, {"a": 1.0})])
