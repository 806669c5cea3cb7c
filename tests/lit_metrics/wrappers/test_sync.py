"""Wrappers in two processes: all that is inside travels at once, and a failure leaves nothing synchronised."""

from __future__ import annotations

import multiprocessing
import warnings
from typing import TYPE_CHECKING, Any

import torch
import torch.distributed as dist

import lit_metrics as lm

if TYPE_CHECKING:
    from pathlib import Path


def make() -> dict[str, Any]:
    expression = lm.MeanSquaredError() + lm.MeanSquaredError(squared=False)
    collection = lm.MetricCollection({"x": lm.MeanSquaredError(), "y": lm.MeanSquaredError(squared=False)})
    tracker = lm.MetricTracker(collection.clone())
    tracker.increment()
    return {
        "min max": lm.MinMaxMetric(expression),
        "transformed": lm.LambdaInputTransformer(collection),
        "tracker": tracker,
        "running": lm.Running(lm.MeanSquaredError(), 2),
        "outputs": lm.LambdaInputTransformer(lm.MultioutputWrapper(lm.MeanSquaredError(), 3), columns, columns),
        "bootstrap": lm.BootStrapper(lm.MeanSquaredError(), 5, seed=0),
    }


def columns(value: torch.Tensor) -> torch.Tensor:
    return value.reshape(-1, 3)


def data(rank: int) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(rank)
    return torch.randn(6, generator=generator), torch.randn(6, generator=generator)


def _counted(calls: list[str], name: str, original: Any) -> Any:
    def call(*args: Any, **kwargs: Any) -> Any:
        calls.append(name)
        return original(*args, **kwargs)

    return call


def _worker(rank: int, folder: Path) -> None:
    torch.set_num_threads(1)
    warnings.simplefilter("ignore")
    dist.init_process_group("gloo", init_method=f"file://{folder}/store", rank=rank, world_size=2)
    calls: list[str] = []
    for name in ("all_gather", "all_reduce", "barrier", "all_gather_object", "broadcast"):
        setattr(dist, name, _counted(calls, name, getattr(dist, name)))
    result: dict[str, Any] = {}
    for name, metric in make().items():
        metric.update(*data(rank))
        calls.clear()
        value = metric.compute()
        count = len(calls)
        metric.update(*data(rank + 2))  # a metric left synchronised would refuse this
        result[name] = (value, count, metric.compute())
    together = lm.MetricCollection(make())
    together.update(*data(rank))
    calls.clear()
    together.compute()
    torch.save((result, len(calls)), folder / f"{rank}.pt")
    dist.destroy_process_group()


def test_wrappers_take_three_collectives_at_most_and_give_the_value_of_one_process(tmp_path: Path) -> None:
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
    for name, metric in make().items():
        values = []
        for first in (0, 2):
            for rank in range(2):
                metric.update(*data(first + rank))
            values.append(metric.compute())
        for results, together in ranks:
            value, count, later = results[name]
            assert count <= 3, f"{name}: {count} collectives"
            assert together <= 3, f"all wrappers in one collection take {together} collectives"
            if name not in ("bootstrap", "running"):
                torch.testing.assert_close((value, later), tuple(values), rtol=1e-12, atol=1e-12)
    for name in ("bootstrap", "running"):
        torch.testing.assert_close(ranks[0][0][name], ranks[1][0][name], rtol=0, atol=0)
    error = torch.cat([data(i)[0] - data(i)[1] for i in range(4)]).double().square().mean()
    torch.testing.assert_close(ranks[0][0]["running"][2], error, rtol=1e-6, atol=0)
