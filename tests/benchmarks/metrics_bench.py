"""What metrics cost, as ratios to hand-written torch in one process; run `python tests/benchmarks/metrics_bench.py`.

Columns of torchmetrics and torcheval appear where they are importable. `--check` makes a broken bound an error.
"""

from __future__ import annotations

import importlib
import importlib.util
import subprocess
import sys
import time
import warnings
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import torch

import lit_metrics as lm

Call = Callable[[], Any]
Case = tuple[str, Call, Call, float, dict[str, Call]]


def micros(calls: Sequence[Call], rounds: int = 25) -> list[float]:
    """Least microseconds of thread time of each call, measured in turns so that a busy machine hits all alike."""
    numbers = []
    for call in calls:
        call()
        number, spent = 1, 0.0
        while spent < 1e-3:
            number *= 2
            spent = _spent(call, number)
        numbers.append(number)
    turns = [[_spent(call, n) / n for call, n in zip(calls, numbers, strict=True)] for _ in range(rounds)]
    return [min(times) * 1e6 for times in zip(*turns, strict=True)]


def _spent(call: Call, number: int) -> float:
    start = time.thread_time()
    for _ in range(number):
        call()
    return time.thread_time() - start


def peer(name: str) -> Any:
    """Returns the module, or None if it is not installed."""
    return importlib.import_module(name) if importlib.util.find_spec(name.split(".")[0]) else None


def classification_cases(n: int, k: int, bounds: tuple[float, float], tm: Any, te: Any) -> list[Case]:
    """Accuracy, F1, the confusion matrix and a collection of five on scores (n, k)."""
    preds, target = torch.randn(n, k), torch.randint(k, (n,))
    correct, total = torch.tensor(0), torch.tensor(0)
    confusion = torch.zeros(k * k, dtype=torch.long)

    def plain() -> None:
        correct.add_((preds.argmax(1) == target).sum())
        total.add_(target.numel())

    def plain_forward() -> torch.Tensor:
        hits = (preds.argmax(1) == target).sum()
        correct.add_(hits)
        total.add_(target.numel())
        return hits / target.numel()

    def plain_confusion() -> None:
        confusion.add_(torch.bincount(target * k + preds.argmax(1), minlength=k * k))

    def plain_confusion_forward() -> torch.Tensor:
        batch = torch.bincount(target * k + preds.argmax(1), minlength=k * k)
        confusion.add_(batch)
        return batch.view(k, k)

    def plain_f1_forward() -> torch.Tensor:
        matrix = plain_confusion_forward()
        tp, size = matrix.diagonal(), matrix.sum(0) + matrix.sum(1)
        return (2 * tp / size.clamp(min=1)).sum() / (size > 0).sum()

    def plain_five() -> list[torch.Tensor]:
        matrix = plain_confusion_forward()
        tp, support, predicted = matrix.diagonal(), matrix.sum(1), matrix.sum(0)
        size = support + predicted
        number = (size > 0).sum()
        return [
            tp.sum() / support.sum(),
            (tp / predicted.clamp(min=1)).sum() / number,
            (tp / support.clamp(min=1)).sum() / number,
            (2 * tp / size.clamp(min=1)).sum() / number,
            (tp / (size - tp).clamp(min=1)).sum() / number,
        ]

    micro, macro = lm.MulticlassAccuracy(k, average="micro"), lm.MulticlassAccuracy(k, average="macro")
    f1, matrix = lm.MulticlassF1Score(k), lm.MulticlassConfusionMatrix(k)
    five = lm.MetricCollection(
        [
            lm.MulticlassAccuracy(k, average="micro"),
            lm.MulticlassPrecision(k),
            lm.MulticlassRecall(k),
            lm.MulticlassF1Score(k),
            lm.MulticlassJaccardIndex(k),
        ]
    )
    others: list[dict[str, Call]] = [{} for _ in range(9)]
    if tm:
        c = tm.classification
        tm_micro, tm_macro = (c.MulticlassAccuracy(k, average=a) for a in ("micro", "macro"))
        tm_f1, tm_matrix = c.MulticlassF1Score(k), c.MulticlassConfusionMatrix(k)
        kinds = (c.MulticlassAccuracy, c.MulticlassPrecision, c.MulticlassRecall, c.MulticlassF1Score)
        tm_five = tm.MetricCollection([kind(k) for kind in (*kinds, c.MulticlassJaccardIndex)])
        calls = (tm_micro, tm_macro, tm_f1, tm_matrix, tm_five)
        for metric, update_row, forward_row in zip(calls, (0, 2, 3, 5, 7), (1, None, 4, 6, 8), strict=True):
            others[update_row]["torchmetrics"] = partial(metric.update, preds, target)
            if forward_row is not None:
                others[forward_row]["torchmetrics"] = partial(metric, preds, target)
    if te:
        te_micro, te_macro = (te.MulticlassAccuracy(num_classes=k, average=a) for a in ("micro", "macro"))
        te_f1, te_matrix = te.MulticlassF1Score(num_classes=k, average="macro"), te.MulticlassConfusionMatrix(k)
        for metric, row in zip((te_micro, te_macro, te_f1, te_matrix), (0, 2, 3, 5), strict=True):
            others[row]["torcheval"] = partial(metric.update, preds, target)
    update, forward = bounds
    return [
        (f"accuracy micro update {n}x{k}", plain, lambda: micro.update(preds, target), update, others[0]),
        (f"accuracy micro forward {n}x{k}", plain_forward, lambda: micro(preds, target), forward, others[1]),
        (f"accuracy macro update {n}x{k}", plain_confusion, lambda: macro.update(preds, target), update, others[2]),
        (f"F1 macro update {n}x{k}", plain_confusion, lambda: f1.update(preds, target), update, others[3]),
        (f"F1 macro forward {n}x{k}", plain_f1_forward, lambda: f1(preds, target), forward, others[4]),
        (f"confusion matrix update {n}x{k}", plain_confusion, lambda: matrix.update(preds, target), update, others[5]),
        (
            f"confusion matrix forward {n}x{k}",
            plain_confusion_forward,
            lambda: matrix(preds, target),
            forward,
            others[6],
        ),
        (f"collection of 5 update {n}x{k}", plain_confusion, lambda: five.update(preds, target), 2.0, others[7]),
        (f"collection of 5 forward {n}x{k}", plain_five, lambda: five(preds, target), 3.0, others[8]),
    ]


def regression_cases(n: int, tm: Any, te: Any) -> list[Case]:
    """Mean squared error on n values."""
    preds, target = torch.randn(n), torch.randn(n)
    error, total = torch.tensor(0.0), torch.tensor(0)

    def plain() -> None:
        error.add_(((preds - target) ** 2).sum())
        total.add_(target.numel())

    def plain_forward() -> torch.Tensor:
        batch = ((preds - target) ** 2).sum()
        error.add_(batch)
        total.add_(target.numel())
        return batch / target.numel()

    ours = lm.MeanSquaredError()
    others: list[dict[str, Call]] = [{}, {}]
    if tm:
        theirs = tm.MeanSquaredError()
        others[0]["torchmetrics"] = lambda: theirs.update(preds, target)
        others[1]["torchmetrics"] = lambda: theirs(preds, target)
    if te:
        te_mse = te.MeanSquaredError()
        others[0]["torcheval"] = lambda: te_mse.update(preds, target)
    return [
        (f"MSE update {n}", plain, lambda: ours.update(preds, target), 2.0, others[0]),
        (f"MSE forward {n}", plain_forward, lambda: ours(preds, target), 3.0, others[1]),
    ]


def forward_with_history(steps: int) -> float:
    """Returns microseconds per forward of a list state that holds `steps` batches."""
    values = torch.randn(32)
    metric = lm.CatMetric()
    for _ in range(steps):
        metric.update(values)
    times = []
    for _ in range(5):
        start = time.thread_time()
        for _ in range(100):
            metric(values)
        times.append((time.thread_time() - start) / 100 * 1e6)
    return min(times)


def import_cost() -> tuple[float, float]:
    """Returns CPU milliseconds of `import lit_metrics` after `import torch`, and up to its first metric."""
    code = (
        "import torch, time; a = time.process_time(); import lit_metrics; b = time.process_time();"
        "lit_metrics.Accuracy; print(b - a, time.process_time() - a)"
    )
    command = [sys.executable, "-c", code]
    outputs = [subprocess.run(command, capture_output=True, text=True, check=True).stdout for _ in range(3)]
    runs = [[float(part) * 1e3 for part in output.split()] for output in outputs]
    return min(run[0] for run in runs), min(run[1] for run in runs)


def main(check: bool) -> int:
    """Prints the table; returns how many bounds are broken if they are to be checked."""
    torch.set_num_threads(1)
    torch.manual_seed(0)
    warnings.simplefilter("ignore")
    tm, te = peer("torchmetrics"), peer("torcheval.metrics")
    cases = classification_cases(32, 10, (2.0, 3.0), tm, te) + regression_cases(32, tm, te)
    cases += classification_cases(4096, 1000, (1.0, 1.0), tm, te)[:2] + regression_cases(4096, tm, te)
    broken = 0
    print(f"{'what':52s} {'plain us':>9s} {'lit us':>9s} {'ratio':>6s} {'bound':>6s}  peers")
    for name, plain, ours, bound, others in cases:
        base, cost, *rest = micros([plain, ours, *others.values()])
        beside = "  ".join(f"{other} {spent / base:.1f}x" for other, spent in zip(others, rest, strict=True))
        broken += cost / base > bound
        print(f"{name:52s} {base:9.1f} {cost:9.1f} {cost / base:6.2f} {bound:6.1f}  {beside}")
    forward_with_history(10)
    short, long = forward_with_history(10), forward_with_history(5000)
    broken += long / short > 1.5
    print(
        f"{'forward of a list state, step 5000 to step 10':52s} {short:9.1f} {long:9.1f} {long / short:6.2f} {1.5:6.1f}"
    )
    package, first = import_cost()
    broken += package > 50
    print(f"import lit_metrics after torch: {package:.1f} ms CPU (bound 50), up to the first metric {first:.1f} ms")
    return broken if check else 0


if __name__ == "__main__":
    sys.exit(main("--check" in sys.argv))
