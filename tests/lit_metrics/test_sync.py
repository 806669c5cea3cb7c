"""Synchronisation in real processes: uneven and empty ranks, packing, and what happens when a rank fails."""

from __future__ import annotations

import multiprocessing
import warnings
from typing import TYPE_CHECKING, Any

import pytest
import torch
import torch.distributed as dist
from torch import Tensor

import lit_metrics as lm

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


def _run(rank: int, world_size: int, folder: Path, body: Callable[[int], Any]) -> None:
    torch.set_num_threads(1)
    warnings.simplefilter("ignore")
    dist.init_process_group("gloo", init_method=f"file://{folder}/store", rank=rank, world_size=world_size)
    torch.save(body(rank), folder / f"{rank}.pt")
    dist.barrier()
    dist.destroy_process_group()


def on_ranks(folder: Path, world_size: int, body: Callable[[int], Any]) -> list[Any]:
    """Returns what `body(rank)` returned in every process."""
    context = multiprocessing.get_context("fork")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # 3.12: fork beside threads; the children only use gloo
        processes = [context.Process(target=_run, args=(r, world_size, folder, body)) for r in range(world_size)]
        for process in processes:
            process.start()
    for process in processes:
        process.join(60)
    assert [process.exitcode for process in processes] == [0] * world_size
    return [torch.load(folder / f"{rank}.pt") for rank in range(world_size)]


class States(lm.Metric):
    """One state of every reduction; ranks may hold different numbers of entries."""

    def __init__(self) -> None:
        super().__init__()
        for reduce in ("sum", "mean", "max", "min", "cat"):
            self.add_state(f"{reduce}_state", torch.zeros(2 if reduce != "cat" else 0), reduce)
        self.add_state("callable_state", torch.zeros(2), lambda stacked: stacked.prod(0))
        self.add_state("none_state", torch.zeros(2), None)
        self.add_state("cat_list", [], "cat")
        self.add_state("none_list", [], None)
        self.add_state("low", torch.zeros(1, dtype=torch.bfloat16), "sum")
        self.add_state("flag", torch.zeros(1, dtype=torch.bool), "max")

    def update(self, rank: int) -> None:
        value = torch.tensor([1.0, rank])
        for name in ("sum_state", "mean_state", "max_state", "min_state", "callable_state", "none_state"):
            setattr(self, name, value)
        self.cat_state = value
        for i in range(rank):
            self.cat_list.append(torch.full((i + 1, 2), float(rank)))
            self.none_list.append(torch.full((i + 1,), rank))
        self.low += 1
        self.flag |= rank == 1

    def compute(self) -> dict[str, Any]:
        return {name: getattr(self, name) for name in self.specs}


def test_every_reduction_over_three_ranks_of_different_sizes(tmp_path: Path) -> None:
    def body(rank: int) -> Any:
        metric = States()
        metric.update(rank)
        return metric.compute()

    for got in on_ranks(tmp_path, 3, body):
        assert got["sum_state"].tolist() == [3, 3]
        assert got["mean_state"].tolist() == [1, 1]
        assert got["max_state"].tolist() == [1, 2]
        assert got["min_state"].tolist() == [1, 0]
        assert got["callable_state"].tolist() == [1, 0]
        assert got["none_state"].tolist() == [[1, 0], [1, 1], [1, 2]]
        assert got["cat_state"].tolist() == [1, 0, 1, 1, 1, 2]
        assert [entry.tolist() for entry in got["cat_list"]] == [[[1, 1]] + [[2, 2]] * 3]
        assert [entry.tolist() for entry in got["none_list"]] == [[1], [2], [2, 2]]
        assert got["low"].tolist() == [3]
        assert got["flag"].tolist() == [True]


def test_mean_state_of_a_rank_without_data_weighs_nothing(tmp_path: Path) -> None:
    class Mean(lm.Metric):
        def __init__(self) -> None:
            super().__init__()
            self.add_state("mean", torch.tensor(0.0), "mean")

        def update(self, x: float) -> None:
            self.mean = torch.tensor(x)

        def compute(self) -> Tensor:
            return self.mean

    def body(rank: int) -> Any:
        metric = Mean()
        if rank:
            metric.update(4.0)
        return metric.compute()

    assert on_ranks(tmp_path, 2, body) == [4.0, 4.0]


def _count_collectives(calls: list[str]) -> None:
    for name in ("all_gather", "all_reduce", "barrier", "all_gather_object", "broadcast", "all_gather_into_tensor"):
        original = getattr(dist, name)

        def counted(*args: Any, _name: str = name, _original: Any = original, **kwargs: Any) -> Any:
            calls.append(_name)
            return _original(*args, **kwargs)

        setattr(dist, name, counted)


def test_a_whole_collection_takes_at_most_three_collectives(tmp_path: Path) -> None:
    preds, target = torch.randn(40, 100), torch.randint(100, (40,))

    def body(rank: int) -> Any:
        calls: list[str] = []
        _count_collectives(calls)
        collection = lm.MetricCollection(
            {
                "micro": lm.MulticlassAccuracy(100, average="micro"),
                "macro": lm.MulticlassAccuracy(100),
                "top": lm.MulticlassAccuracy(100, top_k=3),
                "each": lm.MulticlassAccuracy(100, average="micro", multidim_average="samplewise"),
            }
        )
        half = slice(rank * 25, 40 if rank else 25)
        collection.update(preds[half], target[half])
        values = collection.compute()
        count = len(calls)
        collection.compute()
        return {k: v for k, v in values.items() if k != "each"}, count, len(calls), calls

    alone = lm.MulticlassAccuracy(100)
    alone.update(preds, target)
    for values, count, after_second, calls in on_ranks(tmp_path, 2, body):
        assert count <= 3, calls
        assert "all_reduce" in calls, "counts of 100 classes are large enough to be reduced, not gathered"
        assert after_second == count, "a cached value needs no communication"
        assert values["macro"] == alone.compute()


def test_rank_whose_state_has_no_shape_yet_takes_part_with_large_counts(tmp_path: Path) -> None:
    preds, target = torch.randn(40, 100), torch.randint(100, (40,))

    def body(rank: int) -> Any:
        metric = lm.Accuracy()
        if rank == 1:
            metric.update(preds, target)
        return metric.compute(), repr(metric)

    expected = (preds.argmax(1) == target).double().mean()
    for value, _ in on_ranks(tmp_path, 2, body):
        assert value == expected


def test_failed_compute_leaves_no_metric_synchronised_on_any_rank(tmp_path: Path) -> None:
    class Broken(lm.SumMetric):
        def compute(self) -> Tensor:
            if dist.get_rank() == 1:
                raise ArithmeticError
            return self.sum_value

    def body(rank: int) -> Any:
        collection = lm.MetricCollection({"a": lm.SumMetric(), "b": Broken(), "c": lm.SumMetric()})
        collection.update(float(rank + 1))
        try:
            collection.compute()
            failed = False
        except ArithmeticError:
            failed = True
        states = [(m.is_synced, float(m.sum_value)) for m in collection.values()]
        collection.update(1.0)
        return failed, states, [float(m.sum_value) for m in collection.values()]

    first, second = on_ranks(tmp_path, 2, body)
    assert first == (False, [(False, 1.0)] * 3, [2.0] * 3)
    assert second == (True, [(False, 2.0)] * 3, [3.0] * 3)


def test_different_metrics_on_the_ranks_are_an_error_and_not_a_hang(tmp_path: Path) -> None:
    def body(rank: int) -> Any:
        metric = lm.SumMetric() if rank else lm.MeanMetric()
        metric.update(1.0)
        try:
            metric.compute()
        except RuntimeError as error:
            return str(error), metric.is_synced
        return None

    for result in on_ranks(tmp_path, 2, body):
        assert result is not None
        assert "different metrics" in result[0]
        assert not result[1]


def test_forward_with_dist_sync_on_step_gives_the_value_of_all_batches(tmp_path: Path) -> None:
    def body(rank: int) -> Any:
        metric = lm.MeanMetric(dist_sync_on_step=True)
        steps = [float(metric(float(10 * step + rank))) for step in range(3)]
        return steps, float(metric.mean_value), float(metric.compute())

    for rank, (steps, local, total) in enumerate(on_ranks(tmp_path, 2, body)):
        assert steps == [0.5, 10.5, 20.5]
        assert local == 30 + 3 * rank
        assert total == 10.5


def test_sum_is_the_same_bits_on_every_rank_and_in_any_world_size(tmp_path: Path) -> None:
    target = torch.randint(3, (99,))
    preds = torch.randint(3, (99,))
    results = []
    for world_size in (1, 2, 3):
        folder = tmp_path / str(world_size)
        folder.mkdir()

        def body(rank: int, world_size: int = world_size) -> Any:
            metric = lm.MulticlassAccuracy(3)
            metric.update(preds[rank::world_size], target[rank::world_size])
            return metric.compute()

        results += on_ranks(folder, world_size, body)
    assert len({float(value) for value in results}) == 1


@pytest.mark.parametrize("initialised", [False, True])
def test_one_process_communicates_nothing(tmp_path: Path, initialised: bool) -> None:
    def body(rank: int) -> Any:
        calls: list[str] = []
        _count_collectives(calls)
        metric = lm.SumMetric()
        metric.update(1.0)
        return float(metric.compute()), calls

    if initialised:
        assert on_ranks(tmp_path, 1, body) == [(1.0, [])]
    else:
        assert not dist.is_initialized()
        metric = lm.SumMetric()
        metric.update(1.0)
        assert metric.compute() == 1
