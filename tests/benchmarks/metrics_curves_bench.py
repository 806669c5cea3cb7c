"""What metrics of scores cost, beside the same written by hand."""

from __future__ import annotations

from typing import Any

import torch

import lit_metrics as lm
from tests.benchmarks.metrics_table import Call, Case


def binned_cases(n: int, steps: int, tm: Any) -> list[Case]:
    """Update of a histogram of n scores, alone and in a collection of three."""
    preds, target, grid = torch.rand(n), torch.randint(2, (n,)), torch.linspace(0, 1, steps)
    counts = torch.zeros(2 * steps + 2, dtype=torch.long)

    def plain() -> None:
        index = torch.bucketize(preds, grid, right=True)
        counts.add_(torch.bincount(index * 2 + target, minlength=2 * steps + 2))

    ours = lm.BinaryAUROC(thresholds=steps)
    kinds = (lm.BinaryAUROC, lm.BinaryAveragePrecision, lm.BinaryROC)
    three = lm.MetricCollection({kind.__name__: kind(thresholds=steps) for kind in kinds})
    others: dict[str, Call] = {}
    if tm:
        theirs = tm.classification.BinaryAUROC(thresholds=steps)
        others["torchmetrics"] = lambda: theirs.update(preds, target)
    return [
        Case(f"binned AUROC update {n}, {steps} thresholds", lambda: ours.update(preds, target), plain, 2.0, others),
        Case(f"collection of 3 binned curves update {n}", lambda: three.update(preds, target), plain, 2.0),
    ]


def exact_cases(n: int, tm: Any, te: Any) -> list[Case]:
    """Value of n kept scores, to one sort and two cumulated sums."""
    preds, target = torch.randn(n), torch.randint(2, (n,))

    def plain() -> torch.Tensor:
        order = preds.argsort(descending=True)
        hit = target[order].double()
        tp, fp = hit.cumsum(0), (1 - hit).cumsum(0)
        return torch.trapezoid(tp, fp) / (tp[-1] * fp[-1])

    def ours() -> Any:
        return lm.functional.binary_auroc(preds, target)

    others: dict[str, Call] = {}
    if tm:
        probabilities = preds.sigmoid()  # so that no batch-dependent sigmoid is taken
        others["torchmetrics"] = lambda: tm.functional.classification.binary_auroc(probabilities, target)
    if te:
        others["torcheval"] = lambda: te.functional.binary_auroc(preds, target)
    return [Case(f"exact AUROC of {n} scores", ours, plain, 1.0, others)]


def multiclass_cases(n: int, k: int, tm: Any) -> list[Case]:
    """Value of k one-against-rest curves, to a sort of every column."""
    preds, target = torch.randn(n, k).softmax(1), torch.randint(k, (n,))
    others: dict[str, Call] = {}
    if tm:
        fn = tm.functional.classification.multiclass_auroc
        others["torchmetrics"] = lambda: fn(preds, target, num_classes=k, validate_args=False)
    what = f"exact AUROC of {k} classes, {n} samples, to their sort"
    return [Case(what, lambda: lm.functional.multiclass_auroc(preds, target, k), lambda: preds.sort(0), 2.0, others)]


def cases(tm: Any, te: Any) -> list[Case]:
    """Histograms of scores, and all scores kept."""
    return binned_cases(4096, 200, tm) + exact_cases(100_000, tm, te) + multiclass_cases(2000, 100, tm)
