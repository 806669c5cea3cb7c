"""Readings of the ROC: the equal error rate, and the area over the logarithm of the false positive rate."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from lit_metrics.functional.classification._curves import CurveAverage, Curves, Thresholds, read_curves
from lit_metrics.functional.classification._task import Task, require_average
from lit_metrics.functional.classification.precision_recall_curve import LINE_AVERAGES
from lit_metrics.functional.classification.roc import interpolate, roc_lines

LOGAUC_AVERAGES = ("macro", "none", None)


def require_fpr_range(fpr_range: Any) -> None:
    """Raises a `ValueError` unless `fpr_range` is two numbers with 0 < first < second <= 1."""
    if not (isinstance(fpr_range, (tuple, list)) and len(fpr_range) == 2 and 0 < fpr_range[0] < fpr_range[1] <= 1):
        raise ValueError(f"fpr_range must be two numbers with 0 < first < second <= 1, got {fpr_range!r}")


def eer_value(curves: Curves, average: CurveAverage = None) -> Tensor:
    """Returns the mean of both error rates at the point of each ROC where they differ least."""
    values = torch.stack([_equal_error(fpr, 1 - tpr) for fpr, tpr, _ in roc_lines(curves, average)])
    single = curves.config.task == "binary" or average in ("micro", "macro")
    return values[0] if single else values


def _equal_error(fpr: Tensor, fnr: Tensor) -> Tensor:
    gap = (fpr - fnr).abs()
    at = (gap <= gap.min() + 1e-12).long().argmax()  # equal gaps may differ in the last bit
    return (fpr[at] + fnr[at]) / 2


def logauc_value(
    curves: Curves, fpr_range: tuple[float, float] = (0.001, 0.1), average: CurveAverage = "macro"
) -> Tensor:
    """Returns the area under each ROC over the logarithm of the false positive rate, averaged."""
    lines = roc_lines(curves)
    values = torch.stack([_log_area(fpr, tpr, *fpr_range) for fpr, tpr, _ in lines])
    if curves.config.task == "binary":
        return values[0]
    return values.nanmean() if average == "macro" else values


def _log_area(fpr: Tensor, tpr: Tensor, low: float, high: float) -> Tensor:
    if fpr.isnan().any() or tpr.isnan().any():
        return fpr.new_tensor(torch.nan)
    ends = fpr.new_tensor([low, high])
    inside = (fpr > low) & (fpr < high)
    first, last = interpolate(ends, fpr, tpr)
    x = torch.cat([ends[:1], fpr[inside], ends[1:]]).log10()
    return torch.trapezoid(torch.cat([first[None], tpr[inside], last[None]]), x) / (x[-1] - x[0])


def eer(
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
) -> Tensor:
    """Equal error rate for any task; see `binary_eer`. Without `task` the shapes decide.

    Example:
        >>> from lit_metrics.functional import eer
        >>> eer([0.1, 0.4, 0.35, 0.8], [0, 0, 1, 1])
        tensor(0.5000, dtype=torch.float64)
    """
    require_average(average, LINE_AVERAGES)
    options: dict[str, Any] = {"thresholds": thresholds, "ignore_index": ignore_index, "validate_args": validate_args}
    curves = read_curves(
        preds, target, task, sample_weight, num_classes=num_classes, num_labels=num_labels, logits=logits, **options
    )
    return eer_value(curves, average)


def binary_eer(
    preds: Any,
    target: Any,
    thresholds: Thresholds = None,
    ignore_index: int | None = None,
    validate_args: bool = True,
    *,
    logits: bool = False,
    sample_weight: Any = None,
) -> Tensor:
    """Equal error rate: the error where false positive and false negative rate meet.

    It is the mean of both rates at the first point of the ROC where they differ least. Arguments and errors are those
    of `binary_precision_recall_curve`. Value in [0, 1], float64; nan without positives or negatives.

    Example:
        >>> from lit_metrics.functional import binary_eer
        >>> binary_eer([0.1, 0.4, 0.35, 0.8, 0.6], [0, 0, 1, 1, 0])
        tensor(0.4167, dtype=torch.float64)
    """
    options: dict[str, Any] = {"thresholds": thresholds, "ignore_index": ignore_index, "validate_args": validate_args}
    curves = read_curves(preds, target, "binary", sample_weight, logits=logits, **options)
    return eer_value(curves)


def multiclass_eer(
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
) -> Tensor:
    """Equal error rate of each class against the rest, `(C,)`, or of the curve of `multiclass_roc` with `average`.

    Example:
        >>> from lit_metrics.functional import multiclass_eer
        >>> preds = [[0.8, 0.1, 0.1], [0.2, 0.7, 0.1], [0.6, 0.3, 0.1], [0.3, 0.3, 0.4]]
        >>> target = [0, 1, 1, 2]
        >>> multiclass_eer(preds, target, num_classes=3)
        tensor([0.0000, 0.2500, 0.0000], dtype=torch.float64)
    """
    require_average(average, LINE_AVERAGES)
    options: dict[str, Any] = {"thresholds": thresholds, "ignore_index": ignore_index, "validate_args": validate_args}
    curves = read_curves(preds, target, "multiclass", sample_weight, num_classes=num_classes, logits=logits, **options)
    return eer_value(curves, average)


def multilabel_eer(
    preds: Any,
    target: Any,
    num_labels: int,
    thresholds: Thresholds = None,
    ignore_index: int | None = None,
    validate_args: bool = True,
    *,
    logits: bool = False,
    sample_weight: Any = None,
) -> Tensor:
    """Equal error rate of each label, `(L,)`; see `binary_eer`.

    Example:
        >>> from lit_metrics.functional import multilabel_eer
        >>> preds, target = [[0.9, 0.2], [0.3, 0.8], [0.4, 0.6]], [[1, 0], [0, 1], [1, 1]]
        >>> multilabel_eer(preds, target, num_labels=2)
        tensor([0., 0.], dtype=torch.float64)
    """
    options: dict[str, Any] = {"thresholds": thresholds, "ignore_index": ignore_index, "validate_args": validate_args}
    curves = read_curves(preds, target, "multilabel", sample_weight, num_labels=num_labels, logits=logits, **options)
    return eer_value(curves)


def logauc(
    preds: Any,
    target: Any,
    task: Task | None = None,
    thresholds: Thresholds = None,
    num_classes: int | None = None,
    num_labels: int | None = None,
    fpr_range: tuple[float, float] = (0.001, 0.1),
    average: CurveAverage = None,
    ignore_index: int | None = None,
    validate_args: bool = True,
    *,
    logits: bool = False,
    sample_weight: Any = None,
) -> Tensor:
    """LogAUC for any task; see `binary_logauc`. Without `task` the shapes decide.

    Example:
        >>> from lit_metrics.functional import logauc
        >>> logauc([0.1, 0.4, 0.35, 0.8], [0, 0, 1, 1])
        tensor(0.5000, dtype=torch.float64)
    """
    require_average(average, LOGAUC_AVERAGES)
    require_fpr_range(fpr_range)
    options: dict[str, Any] = {"thresholds": thresholds, "ignore_index": ignore_index, "validate_args": validate_args}
    curves = read_curves(
        preds, target, task, sample_weight, num_classes=num_classes, num_labels=num_labels, logits=logits, **options
    )
    return logauc_value(curves, fpr_range, average)


def binary_logauc(
    preds: Any,
    target: Any,
    fpr_range: tuple[float, float] = (0.001, 0.1),
    thresholds: Thresholds = None,
    ignore_index: int | None = None,
    validate_args: bool = True,
    *,
    logits: bool = False,
    sample_weight: Any = None,
) -> Tensor:
    """Area under the ROC over the logarithm of the false positive rate: how good the very first finds are.

    The trapezoidal rule over log10 of the rate, between the ends of `fpr_range`, divided by its width there (Mysinger
    and Shoichet 2010). `fpr_range` is the lowest and the highest false positive rate, above 0; other arguments and
    errors are those of `binary_precision_recall_curve`.

    Returns:
        Value in [0, 1], float64; nan without positives or negatives.

    Example:
        >>> from lit_metrics.functional import binary_logauc
        >>> binary_logauc([0.1, 0.4, 0.35, 0.8], [0, 0, 1, 1], fpr_range=(0.1, 1.0))
        tensor(0.6505, dtype=torch.float64)
    """
    require_fpr_range(fpr_range)
    options: dict[str, Any] = {"thresholds": thresholds, "ignore_index": ignore_index, "validate_args": validate_args}
    curves = read_curves(preds, target, "binary", sample_weight, logits=logits, **options)
    return logauc_value(curves, fpr_range)


def multiclass_logauc(
    preds: Any,
    target: Any,
    num_classes: int | None = None,
    fpr_range: tuple[float, float] = (0.001, 0.1),
    average: CurveAverage = "macro",
    thresholds: Thresholds = None,
    ignore_index: int | None = None,
    validate_args: bool = True,
    *,
    logits: bool = False,
    sample_weight: Any = None,
) -> Tensor:
    """LogAUC of each class against the rest: their mean, or `(C,)` with `average="none"`; see `binary_logauc`.

    Example:
        >>> from lit_metrics.functional import multiclass_logauc
        >>> preds = [[0.8, 0.1, 0.1], [0.2, 0.7, 0.1], [0.6, 0.3, 0.1], [0.3, 0.3, 0.4]]
        >>> target = [0, 1, 1, 2]
        >>> multiclass_logauc(preds, target, num_classes=3)
        tensor(0.8502, dtype=torch.float64)
    """
    require_average(average, LOGAUC_AVERAGES)
    require_fpr_range(fpr_range)
    options: dict[str, Any] = {"thresholds": thresholds, "ignore_index": ignore_index, "validate_args": validate_args}
    curves = read_curves(preds, target, "multiclass", sample_weight, num_classes=num_classes, logits=logits, **options)
    return logauc_value(curves, fpr_range, average)


def multilabel_logauc(
    preds: Any,
    target: Any,
    num_labels: int,
    fpr_range: tuple[float, float] = (0.001, 0.1),
    average: CurveAverage = "macro",
    thresholds: Thresholds = None,
    ignore_index: int | None = None,
    validate_args: bool = True,
    *,
    logits: bool = False,
    sample_weight: Any = None,
) -> Tensor:
    """LogAUC of each label: their mean, or `(L,)` with `average="none"`; see `binary_logauc`.

    Example:
        >>> from lit_metrics.functional import multilabel_logauc
        >>> preds, target = [[0.9, 0.2], [0.3, 0.8], [0.4, 0.6]], [[1, 0], [0, 1], [1, 1]]
        >>> multilabel_logauc(preds, target, num_labels=2)
        tensor(1., dtype=torch.float64)
    """
    require_average(average, LOGAUC_AVERAGES)
    require_fpr_range(fpr_range)
    options: dict[str, Any] = {"thresholds": thresholds, "ignore_index": ignore_index, "validate_args": validate_args}
    curves = read_curves(preds, target, "multilabel", sample_weight, num_labels=num_labels, logits=logits, **options)
    return logauc_value(curves, fpr_range, average)
