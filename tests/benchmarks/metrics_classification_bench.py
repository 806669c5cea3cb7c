"""What metrics of labels cost, beside the same written by hand."""

from __future__ import annotations

from functools import partial
from typing import Any

import torch

import lit_metrics as lm
from tests.benchmarks.metrics_table import Call, Case


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

    def row(what: str, ours: Call, plain: Call, bound: float, place: int) -> Case:
        return Case(f"{what} {n}x{k}", ours, plain, bound, others[place])

    return [
        row("accuracy micro update", lambda: micro.update(preds, target), plain, update, 0),
        row("accuracy micro forward", lambda: micro(preds, target), plain_forward, forward, 1),
        row("accuracy macro update", lambda: macro.update(preds, target), plain_confusion, update, 2),
        row("F1 macro update", lambda: f1.update(preds, target), plain_confusion, update, 3),
        row("F1 macro forward", lambda: f1(preds, target), plain_f1_forward, forward, 4),
        row("confusion matrix update", lambda: matrix.update(preds, target), plain_confusion, update, 5),
        row("confusion matrix forward", lambda: matrix(preds, target), plain_confusion_forward, forward, 6),
        row("collection of 5 update", lambda: five.update(preds, target), plain_confusion, 2.0, 7),
        row("collection of 5 forward", lambda: five(preds, target), plain_five, 3.0, 8),
    ]


def cases(tm: Any, te: Any) -> list[Case]:
    """Small batches, where the cost around the arithmetic shows, and large ones."""
    return classification_cases(32, 10, (2.0, 3.0), tm, te) + classification_cases(4096, 1000, (1.0, 1.0), tm, te)[:2]
