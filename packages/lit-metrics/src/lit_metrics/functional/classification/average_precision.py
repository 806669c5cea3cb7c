"""Average precision, for all tasks."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from lit_metrics.functional.classification._curves import CurveAverage, Curves, Points, Thresholds, read_curves
from lit_metrics.functional.classification._task import Task, require_average
from lit_metrics.functional.classification.auroc import SCORE_AVERAGES


def average_precision_value(curves: Curves, average: CurveAverage = "macro") -> Tensor:
    """Returns the sum over thresholds of precision times the recall gained, averaged; nan without positives."""
    return curves.average(points_average_precision, average)


def points_average_precision(points: Points) -> Tensor:
    """Returns the average precision of each curve, `(G,)`."""
    gained = points.tp.diff(dim=0)
    return torch.where(gained > 0, gained * points.precision[1:], 0).sum(0) / points.positives


def average_precision(
    preds: Any,
    target: Any,
    task: Task | None = None,
    thresholds: Thresholds = None,
    num_classes: int | None = None,
    num_labels: int | None = None,
    average: CurveAverage = "macro",
    ignore_index: int | None = None,
    validate_args: bool = True,
    *,
    logits: bool = False,
    sample_weight: Any = None,
) -> Tensor:
    """Average precision for any task; see `binary_average_precision`. Without `task` the shapes decide.

    Example:
        >>> from lit_metrics.functional import average_precision
        >>> average_precision([0.1, 0.4, 0.35, 0.8], [0, 0, 1, 1])
        tensor(0.8333, dtype=torch.float64)
    """
    require_average(average, SCORE_AVERAGES)
    options: dict[str, Any] = {"thresholds": thresholds, "ignore_index": ignore_index, "validate_args": validate_args}
    curves = read_curves(
        preds, target, task, sample_weight, num_classes=num_classes, num_labels=num_labels, logits=logits, **options
    )
    return average_precision_value(curves, average)


def binary_average_precision(
    preds: Any,
    target: Any,
    thresholds: Thresholds = None,
    ignore_index: int | None = None,
    validate_args: bool = True,
    *,
    logits: bool = False,
    sample_weight: Any = None,
) -> Tensor:
    """Area under the precision-recall curve as a step function, `sum((R_n - R_(n-1)) * P_n)` over falling thresholds.

    Nothing is interpolated: between two thresholds there is no classifier with the precision in between. Arguments and
    errors are those of `binary_precision_recall_curve`; as in `binary_auroc`, only the order of the scores counts.

    Returns:
        Value in [0, 1], float64; nan without positives.

    Example:
        >>> from lit_metrics.functional import binary_average_precision
        >>> binary_average_precision([2.5, -1.0, 3.1, 0.2], [1, 0, 0, 1])
        tensor(0.5833, dtype=torch.float64)
    """
    options: dict[str, Any] = {"thresholds": thresholds, "ignore_index": ignore_index, "validate_args": validate_args}
    curves = read_curves(preds, target, "binary", sample_weight, logits=logits, **options)
    return average_precision_value(curves, "none")


def multiclass_average_precision(
    preds: Any,
    target: Any,
    num_classes: int | None = None,
    average: CurveAverage = "macro",
    thresholds: Thresholds = None,
    ignore_index: int | None = None,
    validate_args: bool = True,
    *,
    logits: bool = False,
    sample_weight: Any = None,
) -> Tensor:
    """Average precision of each class against the rest; averages and scores as in `multiclass_auroc`.

    Example:
        >>> from lit_metrics.functional import multiclass_average_precision
        >>> preds = [[0.8, 0.1, 0.1], [0.2, 0.7, 0.1], [0.6, 0.3, 0.1], [0.3, 0.3, 0.4]]
        >>> target = [0, 1, 1, 2]
        >>> multiclass_average_precision(preds, target, num_classes=3, average="none")
        tensor([1.0000, 0.8333, 1.0000], dtype=torch.float64)
    """
    require_average(average, SCORE_AVERAGES)
    options: dict[str, Any] = {"thresholds": thresholds, "ignore_index": ignore_index, "validate_args": validate_args}
    curves = read_curves(preds, target, "multiclass", sample_weight, num_classes=num_classes, logits=logits, **options)
    return average_precision_value(curves, average)


def multilabel_average_precision(
    preds: Any,
    target: Any,
    num_labels: int,
    average: CurveAverage = "macro",
    thresholds: Thresholds = None,
    ignore_index: int | None = None,
    validate_args: bool = True,
    *,
    logits: bool = False,
    sample_weight: Any = None,
) -> Tensor:
    """Average precision of each label, `(N, L, ...)`, averaged as in `multiclass_auroc`.

    Example:
        >>> from lit_metrics.functional import multilabel_average_precision
        >>> preds, target = [[0.9, 0.2], [0.3, 0.8], [0.4, 0.6]], [[1, 0], [0, 1], [1, 1]]
        >>> multilabel_average_precision(preds, target, num_labels=2)
        tensor(1., dtype=torch.float64)
    """
    require_average(average, SCORE_AVERAGES)
    options: dict[str, Any] = {"thresholds": thresholds, "ignore_index": ignore_index, "validate_args": validate_args}
    curves = read_curves(preds, target, "multilabel", sample_weight, num_labels=num_labels, logits=logits, **options)
    return average_precision_value(curves, average)
