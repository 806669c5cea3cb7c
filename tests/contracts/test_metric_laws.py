"""Laws that every metric of lit-metrics obeys; a new metric adds one row to its family in `metric_rows`."""

from __future__ import annotations

import multiprocessing
import warnings
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.distributed as dist

import lit_metrics as lm
from lit_metrics.testing import LAWS, check_metric
from tests.contracts.metric_rows.row import Row, batches

FAMILIES = sorted(p.stem for p in (Path(__file__).parent / "metric_rows").glob("*.py") if p.stem != "row")
ROWS: dict[str, Row] = {}
for family in FAMILIES:
    ROWS |= import_module(f"tests.contracts.metric_rows.{family}").ROWS


NO_GRAPH = {
    "BootStrapper": "draws come from a generator of its own, which is made on the host",
    "BootStrapper(no sample_weight)": "draws come from a generator of its own, which is made on the host",
    "HausdorffDistance": "how many pixels an edge has is known only on the device",
    "HausdorffDistance(sample_weight)": "how many pixels an edge has is known only on the device",
    "Running": "the place in the window is a number of Python",
    "RunningMean": "the place in the window is a number of Python",
    "RunningSum": "the place in the window is a number of Python",
}
"""Metrics of tensors whose update is not one compiled graph, and why."""


def _one_row_of_each_update() -> set[str]:
    """Names of the rows with different updates: metrics of one group read the same state, compiled once."""
    first: dict[Any, str] = {}
    for name, row in ROWS.items():
        metric = row.make()
        key = getattr(metric, "group_key", None)
        first.setdefault(name if key is None else (type(metric).update, key), name)
    return set(first.values()) - set(NO_GRAPH)


COMPILED = _one_row_of_each_update()


@pytest.mark.parametrize("name", ROWS)
def test_metric_obeys_every_law(name: str) -> None:
    row = ROWS[name]
    skip = {*row.options.get("skip", ()), *(() if name in COMPILED else ("compiled_update",))}
    data = batches(row.data)
    bad = [] if row.bad is None else row.bad(*data[0])
    run = check_metric(row.make, data, row.reference, **row.options | {"skip": tuple(skip)}, bad_inputs=bad)
    assert set(run) == set(LAWS) - skip


@pytest.mark.parametrize("name", NO_GRAPH)
def test_metrics_listed_as_no_graph_are_none(name: str) -> None:
    others = [law for law in LAWS if law != "compiled_update"]
    with pytest.raises(AssertionError, match="law 'compiled_update'"):
        check_metric(ROWS[name].make, batches(ROWS[name].data), skip=others)


def test_every_exported_metric_has_a_row() -> None:
    exported = {name for name in lm.__all__ if _is_metric(getattr(lm, name))}
    exported -= {"Metric", "CompositionalMetric"}
    assert exported <= {name.split("(")[0] for name in ROWS}


def _is_metric(thing: Any) -> bool:
    return isinstance(thing, type) and issubclass(thing, lm.Metric)


def test_every_row_is_about_the_metric_it_is_named_for() -> None:
    assert {name for name in ROWS if not _is_metric(getattr(lm, name.split("(")[0], None))} == set()


def _share(data: list[tuple[Any, ...]], rank: int, split: str) -> list[tuple[Any, ...]]:
    if split == "uneven":
        return data[:3] if rank == 0 else data[3:]
    return data if rank == 1 else []


def _worker(rank: int, folder: Path) -> None:
    torch.set_num_threads(1)
    warnings.simplefilter("ignore")
    dist.init_process_group("gloo", init_method=f"file://{folder}/store", rank=rank, world_size=2)
    results = {}
    for name, row in ROWS.items():
        for split in ("uneven", "empty rank"):
            metric = row.make()
            for batch in _share(batches(row.data), rank, split):
                metric.update(*batch)
            before = metric.update_count
            results[name, split] = metric.compute()
            assert metric.update_count == before, f"{name} is left synchronised"
            assert not metric.is_synced
    torch.save(results, folder / f"{rank}.pt")
    dist.destroy_process_group()


def test_two_processes_with_uneven_or_no_data_give_the_value_of_one(tmp_path: Path) -> None:
    context = multiprocessing.get_context("fork")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # 3.12: fork beside threads; the children only use gloo
        processes = [context.Process(target=_worker, args=(rank, tmp_path)) for rank in range(2)]
        for process in processes:
            process.start()
    for process in processes:
        process.join(60)
    assert [process.exitcode for process in processes] == [0, 0]
    ranks = [torch.load(tmp_path / f"{rank}.pt") for rank in range(2)]
    for (name, split), value in ranks[0].items():
        row = ROWS[name]
        alone = row.make()
        for batch in batches(row.data):
            alone.update(*batch)
        assert_same(value, alone.compute(), f"{name}, {split}: two processes and one", tolerance=1e-12)
        assert_same(value, ranks[1][name, split], f"{name}, {split}: the two processes", tolerance=0.0)


def assert_same(got: Any, expected: Any, what: str, tolerance: float) -> None:
    if isinstance(expected, dict):
        assert list(got) == list(expected), what
        for key, value in expected.items():
            assert_same(got[key], value, f"{what}[{key!r}]", tolerance)
    elif isinstance(expected, (list, tuple)):
        assert (type(got), len(got)) == (type(expected), len(expected)), what
        for i, value in enumerate(expected):
            assert_same(got[i], value, f"{what}[{i}]", tolerance)
    elif isinstance(expected, torch.Tensor):
        assert (got.shape, got.dtype) == (expected.shape, expected.dtype), what
        close = torch.allclose(got, expected, rtol=tolerance, atol=tolerance, equal_nan=True)
        assert close, f"{what}: {got} and {expected}"
    else:
        assert got == expected, f"{what}: {got} and {expected}"


@pytest.mark.parametrize(
    ("got", "expected"),
    [
        (torch.tensor([1.0]), torch.tensor([1.0 + 1e-6])),
        (torch.tensor(1.0), torch.tensor([1.0])),
        ((torch.tensor(1.0), torch.tensor(2.0)), (torch.tensor(1.0), torch.tensor(3.0))),
        ([torch.tensor(1.0)], [torch.tensor(1.0), torch.tensor(1.0)]),
        ({"a": torch.tensor(1.0)}, {"b": torch.tensor(1.0)}),
        ({"a": [torch.tensor(1)]}, {"a": [torch.tensor(2)]}),
        (torch.tensor(float("nan")), torch.tensor(0.0)),
    ],
)
def test_a_difference_is_found_in_every_kind_of_value(got: Any, expected: Any) -> None:
    assert_same(expected, expected, "x", tolerance=0.0)
    with pytest.raises(AssertionError):
        assert_same(got, expected, "x", tolerance=1e-12)
