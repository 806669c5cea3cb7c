"""Receiver operating characteristics, for all tasks."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from lit_metrics.functional.classification._curves import (
    CurveAverage,
    Curves,
    OneCurve,
    Points,
    SomeCurves,
    Thresholds,
    read_curves,
)
from lit_metrics.functional.classification._task import Task, require_average
from lit_metrics.functional.classification.precision_recall_curve import LINE_AVERAGES, pack_lines


def roc_value(curves: Curves, average: CurveAverage = None) -> SomeCurves:
    """Returns false and true positive rates and thresholds, thresholds decreasing."""
    binary = curves.config.task == "binary"
    points = curves.flat if average == "micro" and not binary else curves.each
    lines = [_line(curves, points, g) for g in range(points.tp.shape[1])]
    if average == "macro" and not binary:
        return _mean_line(lines)
    return pack_lines(lines, curves, single=binary or average == "micro")


def roc_lines(curves: Curves, average: CurveAverage = None) -> list[OneCurve]:
    """Returns the curves that `average` asks for as a list."""
    fpr, tpr, thresholds = roc_value(curves, average)
    if isinstance(fpr, torch.Tensor) and isinstance(tpr, torch.Tensor) and isinstance(thresholds, torch.Tensor):
        if fpr.ndim == 1:
            return [(fpr, tpr, thresholds)]
        return [(x, y, thresholds) for x, y in zip(fpr, tpr, strict=True)]
    return list(zip(fpr, tpr, thresholds, strict=True))


def _line(curves: Curves, points: Points, g: int) -> OneCurve:
    keep = points.is_point[:, g]
    if not points.binned:
        keep = keep.clone()
        keep[0] = True
    thresholds = curves.shown(points.thresholds[keep, g])
    return points.fpr[keep, g], points.tpr[keep, g], thresholds


def _mean_line(lines: list[OneCurve]) -> OneCurve:
    """Returns the mean true positive rate at every false positive rate that occurs, linear between points."""
    thresholds = torch.cat([line[2] for line in lines]).sort(descending=True).values
    defined = [(x, y) for x, y, _ in lines if not (x.isnan().any() or y.isnan().any())]
    if not defined:
        nothing = torch.full((1,), torch.nan, dtype=torch.float64)
        return nothing, nothing.clone(), thresholds
    grid = torch.cat([x for x, _ in defined]).sort().values
    mean = torch.stack([interpolate(grid, x, y) for x, y in defined]).mean(0)
    return grid, mean, thresholds


def interpolate(at: Tensor, x: Tensor, y: Tensor) -> Tensor:
    """Returns the values at `at` of the line through the points; of several points at one x the last counts.

    Args:
        at: Where to read.
        x: Increasing positions, with repetitions.
        y: Values.
    """
    right = torch.searchsorted(x.contiguous(), at.contiguous(), right=True)
    left = (right - 1).clamp(min=0)
    right = right.clamp(max=len(x) - 1)
    width = x[right] - x[left]
    share = torch.where(width > 0, (at - x[left]) / width, 0)
    return y[left] + share * (y[right] - y[left])


def roc(
    preds: Any,
    target: Any,
    task: Task | None = None,
    thresholds: Thresholds = None,
    num_classes: int | None = None,
    num_labels: int | None = None,
    average: CurveAverage = None,
    ignore_index: int | None = None,
    validate_args: bool = True,
    *,
    logits: bool = False,
    sample_weight: Any = None,
) -> SomeCurves:
    """ROC of any task; see `binary_roc`, `multiclass_roc` and `multilabel_roc`. Without `task` the shapes decide.

    Example:
        >>> from lit_metrics.functional import roc
        >>> fpr, tpr, thresholds = roc([0.1, 0.4, 0.35, 0.8], [0, 0, 1, 1])
        >>> tpr
        tensor([0.0000, 0.5000, 0.5000, 1.0000, 1.0000], dtype=torch.float64)
    """
    require_average(average, LINE_AVERAGES)
    curves = read_curves(
        preds,
        target,
        task,
        sample_weight,
        thresholds=thresholds,
        num_classes=num_classes,
        num_labels=num_labels,
        ignore_index=ignore_index,
        validate_args=validate_args,
        logits=logits,
    )
    return roc_value(curves, average)


def binary_roc(
    preds: Any,
    target: Any,
    thresholds: Thresholds = None,
    ignore_index: int | None = None,
    validate_args: bool = True,
    *,
    logits: bool = False,
    sample_weight: Any = None,
) -> OneCurve:
    """False positive rate `fp / (fp + tn)` and true positive rate `tp / (tp + fn)` of "score >= threshold".

    Arguments and errors are those of `binary_precision_recall_curve`.

    Returns:
        Rates, float64, and thresholds, decreasing. The exact curve starts at (0, 0) with an infinite threshold. A rate
        is nan where it has no denominator: no negatives, no positives.

    Example:
        >>> from lit_metrics.functional import binary_roc
        >>> fpr, tpr, thresholds = binary_roc([0.1, 0.4, 0.35, 0.8], [0, 0, 1, 1])
        >>> fpr
        tensor([0.0000, 0.0000, 0.5000, 0.5000, 1.0000], dtype=torch.float64)
        >>> thresholds
        tensor([   inf, 0.8000, 0.4000, 0.3500, 0.1000], dtype=torch.float64)
    """
    options: dict[str, Any] = {"thresholds": thresholds, "ignore_index": ignore_index, "validate_args": validate_args}
    return roc_value(read_curves(preds, target, "binary", sample_weight, logits=logits, **options))  # type: ignore[return-value]


def multiclass_roc(
    preds: Any,
    target: Any,
    num_classes: int | None = None,
    thresholds: Thresholds = None,
    average: CurveAverage = None,
    ignore_index: int | None = None,
    validate_args: bool = True,
    *,
    logits: bool = False,
    sample_weight: Any = None,
) -> SomeCurves:
    """ROC of each class against the rest; arguments as in `multiclass_precision_recall_curve`.

    With `average="macro"`: the mean true positive rate at every false positive rate, over classes with positives and
    negatives; its thresholds are those of all classes, sorted, and belong to no point.

    Returns:
        Rates and thresholds as in `binary_roc`: lists of one tensor per class; `(C, T)`, `(C, T)` and `(T,)` if
        thresholds are given; one tensor each with an average.

    Example:
        >>> from lit_metrics.functional import multiclass_roc
        >>> preds = [[0.8, 0.1, 0.1], [0.2, 0.7, 0.1], [0.3, 0.3, 0.4]]
        >>> fpr, tpr, thresholds = multiclass_roc(preds, [0, 1, 2], num_classes=3)
        >>> fpr[1]
        tensor([0.0000, 0.0000, 0.5000, 1.0000], dtype=torch.float64)
    """
    require_average(average, LINE_AVERAGES)
    options: dict[str, Any] = {"thresholds": thresholds, "ignore_index": ignore_index, "validate_args": validate_args}
    curves = read_curves(preds, target, "multiclass", sample_weight, num_classes=num_classes, logits=logits, **options)
    return roc_value(curves, average)


def multilabel_roc(
    preds: Any,
    target: Any,
    num_labels: int,
    thresholds: Thresholds = None,
    ignore_index: int | None = None,
    validate_args: bool = True,
    *,
    logits: bool = False,
    sample_weight: Any = None,
) -> SomeCurves:
    """ROC of each label, `(N, L, ...)` scores and targets; otherwise as `binary_roc`.

    Returns lists of one tensor per label, or `(L, T)`, `(L, T)` and `(T,)` if thresholds are given.

    Example:
        >>> from lit_metrics.functional import multilabel_roc
        >>> fpr, tpr, thresholds = multilabel_roc([[0.9, 0.2], [0.3, 0.8]], [[1, 0], [0, 1]], num_labels=2)
        >>> tpr[1]
        tensor([0., 1., 1.], dtype=torch.float64)
    """
    options: dict[str, Any] = {"thresholds": thresholds, "ignore_index": ignore_index, "validate_args": validate_args}
    return roc_value(
        read_curves(preds, target, "multilabel", sample_weight, num_labels=num_labels, logits=logits, **options)
    )
