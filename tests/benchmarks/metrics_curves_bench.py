"""What curve metrics cost beside hand-written torch; run `python -m tests.benchmarks.metrics_curves_bench`.

Columns of torchmetrics and torcheval appear where they are importable. `--check` makes a broken bound an error.
"""

from __future__ import annotations

import sys
import time
import warnings
from typing import TYPE_CHECKING, Any

import torch

import lit_metrics as lm
from lit_metrics.functional import multiclass_auroc
from tests.benchmarks.metrics_bench import micros, peer

if TYPE_CHECKING:
    from tests.benchmarks.metrics_bench import Call, Case


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
        (f"binned AUROC update {n}, {steps} thresholds", plain, lambda: ours.update(preds, target), 2.0, others),
        (f"collection of 3 binned curves update {n}", plain, lambda: three.update(preds, target), 2.0, {}),
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
    return [(f"exact AUROC of {n} scores", plain, ours, 1.0, others)]


def multiclass_cases(n: int, k: int, tm: Any) -> list[Case]:
    """Value of k one-against-rest curves, to a sort of every column."""
    preds, target = torch.randn(n, k).softmax(1), torch.randint(k, (n,))
    others: dict[str, Call] = {}
    if tm:
        fn = tm.functional.classification.multiclass_auroc
        others["torchmetrics"] = lambda: fn(preds, target, num_classes=k, validate_args=False)
    ours = lambda: multiclass_auroc(preds, target, k)  # noqa: E731
    return [(f"exact AUROC of {k} classes, {n} samples", lambda: preds.sort(0), ours, 2.0, others)]


def forward_with_history(steps: int) -> float:
    """Returns microseconds per forward of an exact metric that holds `steps` batches."""
    preds, target = torch.rand(32), torch.randint(2, (32,))
    metric = lm.BinaryAUROC()
    for _ in range(steps):
        metric.update(preds, target)
    times = []
    for _ in range(5):
        start = time.thread_time()
        for _ in range(100):
            metric(preds, target)
        times.append((time.thread_time() - start) / 100 * 1e6)
    return min(times)


def main(check: bool) -> int:
    """Prints the table; returns how many bounds are broken if they are to be checked."""
    torch.set_num_threads(1)
    torch.manual_seed(0)
    warnings.simplefilter("ignore")
    tm, te = peer("torchmetrics"), peer("torcheval.metrics")
    cases = binned_cases(4096, 200, tm) + exact_cases(100_000, tm, te) + multiclass_cases(2000, 100, tm)
    broken = 0
    print(f"{'what':52s} {'plain us':>9s} {'lit us':>9s} {'ratio':>6s} {'bound':>6s}  peers")
    for name, plain, ours, bound, others in cases:
        base, cost, *rest = micros([plain, ours, *others.values()], rounds=15)
        beside = "  ".join(f"{other} {spent / base:.1f}x" for other, spent in zip(others, rest, strict=True))
        broken += cost / base > bound
        print(f"{name:52s} {base:9.1f} {cost:9.1f} {cost / base:6.2f} {bound:6.1f}  {beside}")
    forward_with_history(10)
    short, long = forward_with_history(10), forward_with_history(2000)
    broken += long / short > 1.5
    print(
        f"{'forward of exact AUROC, step 2000 to step 10':52s} {short:9.1f} {long:9.1f} {long / short:6.2f} {1.5:6.1f}"
    )
    return broken if check else 0


if __name__ == "__main__":
    sys.exit(main("--check" in sys.argv))
