"""Laws that every metric of lit-metrics obeys; a new metric adds one row to `ROWS`."""

from __future__ import annotations

import multiprocessing
import warnings
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch
import torch.distributed as dist

import lit_metrics as lm
from lit_metrics.testing import LAWS, check_metric

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

SIZES = (5, 3, 6, 1)


def batches(make: Callable[[torch.Generator, int], tuple[Any, ...]]) -> list[tuple[Any, ...]]:
    generator = torch.Generator().manual_seed(1)
    return [make(generator, n) for n in SIZES]


def scores(k: int) -> Callable[[torch.Generator, int], tuple[Any, ...]]:
    return lambda g, n: (torch.randn(n, k, generator=g), torch.randint(k, (n,), generator=g))


def binary(g: torch.Generator, n: int) -> tuple[Any, ...]:
    return torch.rand(n, generator=g), torch.randint(2, (n,), generator=g)


def logits(g: torch.Generator, n: int) -> tuple[Any, ...]:
    return 5 * torch.randn(n, generator=g), torch.randint(2, (n,), generator=g)


def labels(g: torch.Generator, n: int) -> tuple[Any, ...]:
    return torch.rand(n, 4, generator=g), torch.randint(2, (n, 4), generator=g)


def values(g: torch.Generator, n: int) -> tuple[Any, ...]:
    return torch.randn(n, generator=g), torch.randn(n, generator=g)


def outputs(g: torch.Generator, n: int) -> tuple[Any, ...]:
    return torch.randn(n, 3, generator=g), torch.randn(n, 3, generator=g)


def one_value(g: torch.Generator, n: int) -> tuple[Any, ...]:
    return (torch.randn(n, generator=g),)


def weighted(g: torch.Generator, n: int) -> tuple[Any, ...]:
    return torch.randn(n, generator=g), torch.rand(n, generator=g)


def hit_rate(p: torch.Tensor, t: torch.Tensor) -> float:
    return float(np.mean(p.numpy().argmax(1) == t.numpy()))


def recalls(k: int) -> Callable[[torch.Tensor, torch.Tensor], np.ndarray]:
    def reference(p: torch.Tensor, t: torch.Tensor) -> np.ndarray:
        found, true = p.numpy().argmax(1), t.numpy()
        return np.array([np.mean(found[true == c] == c) if (true == c).any() else 0.0 for c in range(k)])

    return reference


def top_k_rate(k: int) -> Callable[[torch.Tensor, torch.Tensor], float]:
    return lambda p, t: float(np.mean([c in np.argsort(-row)[:k] for row, c in zip(p.numpy(), t.numpy(), strict=True)]))


def threshold_hits(p: torch.Tensor, t: torch.Tensor) -> torch.Tensor:
    return ((p > 0.5) == t).double()


@dataclass
class Row:
    """One metric: how to make it, what to feed it, what to expect of all batches together."""

    make: Callable[[], lm.Metric]
    data: Callable[[torch.Generator, int], tuple[Any, ...]]
    reference: Callable[..., Any] | None = None
    options: dict[str, Any] = field(default_factory=dict)


ORDERED = {"order_matters": True}

ROWS: dict[str, Row] = {
    "Accuracy": Row(lm.Accuracy, scores(3), hit_rate),
    "Accuracy(binary)": Row(lambda: lm.Accuracy(task="binary"), binary, lambda p, t: threshold_hits(p, t).mean()),
    "BinaryAccuracy": Row(lm.BinaryAccuracy, binary, lambda p, t: threshold_hits(p, t).mean()),
    "BinaryAccuracy(logits)": Row(
        lambda: lm.BinaryAccuracy(threshold=0.7, logits=True),
        logits,
        lambda p, t: ((p.sigmoid() > 0.7) == t).double().mean(),
    ),
    "CatMetric": Row(lm.CatMetric, one_value, lambda v: v, ORDERED),
    "MaxMetric": Row(lm.MaxMetric, one_value, lambda v: v.max()),
    "MeanMetric": Row(lm.MeanMetric, one_value, np.average),
    "MeanMetric(weights)": Row(lm.MeanMetric, weighted, lambda v, w: np.average(v, weights=w)),
    "MeanSquaredError": Row(lm.MeanSquaredError, values, lambda p, t: np.mean((p.numpy() - t.numpy()) ** 2)),
    "MeanSquaredError(outputs)": Row(
        lambda: lm.MeanSquaredError(squared=False, num_outputs=3),
        outputs,
        lambda p, t: np.sqrt(np.mean((p.numpy() - t.numpy()) ** 2, axis=0)),
    ),
    "MeanSquaredError(sample_weight)": Row(
        lm.MeanSquaredError,
        lambda g, n: (*values(g, n), torch.rand(n, generator=g)),
        lambda p, t, w: np.average((p.numpy() - t.numpy()) ** 2, weights=w.numpy()),
    ),
    "MinMetric": Row(lm.MinMetric, one_value, lambda v: v.min()),
    "MulticlassAccuracy": Row(lambda: lm.MulticlassAccuracy(4), scores(4), lambda p, t: recalls(4)(p, t).mean()),
    "MulticlassAccuracy(many classes)": Row(
        lambda: lm.MulticlassAccuracy(200, average="micro"), scores(200), hit_rate, {"dtypes": (torch.float64,)}
    ),
    "MulticlassAccuracy(none)": Row(lambda: lm.MulticlassAccuracy(4, average="none"), scores(4), recalls(4)),
    "MulticlassAccuracy(sample_weight)": Row(
        lambda: lm.MulticlassAccuracy(3, average="micro"),
        lambda g, n: (*scores(3)(g, n), torch.rand(n, generator=g)),
        lambda p, t, w: np.average(p.numpy().argmax(1) == t.numpy(), weights=w.numpy()),
    ),
    "MulticlassAccuracy(samplewise)": Row(
        lambda: lm.MulticlassAccuracy(3, average="micro", multidim_average="samplewise"),
        lambda g, n: (torch.randn(n, 3, 6, generator=g), torch.randint(3, (n, 6), generator=g)),
        lambda p, t: np.mean(p.numpy().argmax(1) == t.numpy(), axis=1),
        ORDERED,
    ),
    "MulticlassAccuracy(top_k)": Row(
        lambda: lm.MulticlassAccuracy(5, average="micro", top_k=2), scores(5), top_k_rate(2)
    ),
    "MultilabelAccuracy": Row(lambda: lm.MultilabelAccuracy(4), labels, lambda p, t: threshold_hits(p, t).mean()),
    "MultilabelAccuracy(none)": Row(
        lambda: lm.MultilabelAccuracy(4, average=None), labels, lambda p, t: threshold_hits(p, t).mean(0)
    ),
    "SumMetric": Row(lm.SumMetric, one_value, lambda v: v.double().sum()),
}


@pytest.mark.parametrize("name", ROWS)
def test_metric_obeys_every_law(name: str) -> None:
    row = ROWS[name]
    run = check_metric(row.make, batches(row.data), row.reference, **row.options)
    assert set(run) == set(LAWS)


def test_every_exported_metric_has_a_row() -> None:
    exported = {name for name in lm.__all__ if isinstance(getattr(lm, name), type)}
    exported -= {"Metric", "CompositionalMetric", "MetricCollection"}
    assert exported <= {name.split("(")[0] for name in ROWS}


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
        close = torch.allclose(value, alone.compute(), rtol=1e-12, atol=1e-12)
        assert close, f"{name}, {split}: {value}, one process {alone.compute()}"
        assert torch.equal(value, ranks[1][name, split]), f"{name}, {split}: the ranks differ"
