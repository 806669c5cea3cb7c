"""The best point of a curve that meets a demand: recall at a precision, sensitivity at a specificity, and back."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from lit_metrics.functional.classification._curves import Curves, Points, Thresholds, read_curves
from lit_metrics.functional.classification._task import Task


def require_rate(value: Any, name: str) -> None:
    """Raises a `ValueError` unless `value` is a number in [0, 1]."""
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 <= value <= 1:
        raise ValueError(f"{name} must be in [0, 1], got {value!r}")


def recall_at_fixed_precision_value(curves: Curves, min_precision: float) -> tuple[Tensor, Tensor]:
    """Returns the highest recall of each curve with at least this precision, and its threshold."""
    points = curves.each
    return _best(curves, points.tpr, points.precision, min_precision, points.positives > 0)


def precision_at_fixed_recall_value(curves: Curves, min_recall: float) -> tuple[Tensor, Tensor]:
    """Returns the highest precision of each curve with at least this recall, and its threshold."""
    points = curves.each
    return _best(curves, points.precision, points.tpr, min_recall, points.positives > 0)


def sensitivity_at_specificity_value(curves: Curves, min_specificity: float) -> tuple[Tensor, Tensor]:
    """Returns the highest sensitivity of each curve with at least this specificity, and its threshold."""
    points = curves.each
    return _best(curves, points.tpr, 1 - points.fpr, min_specificity, _has_both(points))


def specificity_at_sensitivity_value(curves: Curves, min_sensitivity: float) -> tuple[Tensor, Tensor]:
    """Returns the highest specificity of each curve with at least this sensitivity, and its threshold."""
    points = curves.each
    return _best(curves, 1 - points.fpr, points.tpr, min_sensitivity, _has_both(points))


def _has_both(points: Points) -> Tensor:
    return (points.positives > 0) & (points.negatives > 0)


def _best(curves: Curves, goal: Tensor, rate: Tensor, least: float, defined: Tensor) -> tuple[Tensor, Tensor]:
    """Returns the best `goal` with `rate >= least` per column; among equals the best rate, then the first row."""
    points = curves.each
    allowed = (rate >= least) & ~goal.isnan()
    if points.binned:
        allowed = allowed & (points.thresholds > -torch.inf)
    for value in (goal, rate):
        left = value.masked_fill(~allowed, -1)
        allowed = allowed & (left == left.amax(0))
    row = allowed.long().argmax(0, keepdim=True)
    found = allowed.any(0)
    value = torch.where(found, goal.gather(0, row)[0], 0)
    value = torch.where(defined, value, torch.nan)
    thresholds = curves.shown(points.thresholds).gather(0, row)[0]
    thresholds = torch.where(found & defined, thresholds, torch.nan)
    return (value[0], thresholds[0]) if curves.config.task == "binary" else (value, thresholds)


def recall_at_fixed_precision(
    preds: Any,
    target: Any,
    task: Task | None,
    min_precision: float,
    thresholds: Thresholds = None,
    num_classes: int | None = None,
    num_labels: int | None = None,
    ignore_index: int | None = None,
    validate_args: bool = True,
    *,
    logits: bool = False,
    sample_weight: Any = None,
) -> tuple[Tensor, Tensor]:
    """Highest recall with at least `min_precision`, for any task; see `binary_recall_at_fixed_precision`.

    With `task=None` the shapes decide.

    Example:
        >>> from lit_metrics.functional import recall_at_fixed_precision
        >>> recall_at_fixed_precision([0.1, 0.4, 0.35, 0.8], [0, 0, 1, 1], task="binary", min_precision=0.6)
        (tensor(1., dtype=torch.float64), tensor(0.3500, dtype=torch.float64))
    """
    require_rate(min_precision, "min_precision")
    options: dict[str, Any] = {"thresholds": thresholds, "ignore_index": ignore_index, "validate_args": validate_args}
    curves = read_curves(
        preds, target, task, sample_weight, num_classes=num_classes, num_labels=num_labels, logits=logits, **options
    )
    return recall_at_fixed_precision_value(curves, min_precision)


def binary_recall_at_fixed_precision(
    preds: Any,
    target: Any,
    min_precision: float,
    thresholds: Thresholds = None,
    ignore_index: int | None = None,
    validate_args: bool = True,
    *,
    logits: bool = False,
    sample_weight: Any = None,
) -> tuple[Tensor, Tensor]:
    """Highest recall among the thresholds whose precision is at least `min_precision`.

    Among equals the point with the highest precision counts. `min_precision` is in [0, 1]; other
    arguments and errors are those of `binary_precision_recall_curve`.

    Returns:
        The recall, float64, and its threshold. If no threshold meets the demand, 0 and nan; without positives, nan
        and nan.

    Example:
        >>> from lit_metrics.functional import binary_recall_at_fixed_precision
        >>> binary_recall_at_fixed_precision([0.1, 0.4, 0.35, 0.8], [0, 0, 1, 1], min_precision=0.6)
        (tensor(1., dtype=torch.float64), tensor(0.3500, dtype=torch.float64))
    """
    require_rate(min_precision, "min_precision")
    options: dict[str, Any] = {"thresholds": thresholds, "ignore_index": ignore_index, "validate_args": validate_args}
    curves = read_curves(preds, target, "binary", sample_weight, logits=logits, **options)
    return recall_at_fixed_precision_value(curves, min_precision)


def multiclass_recall_at_fixed_precision(
    preds: Any,
    target: Any,
    num_classes: int | None,
    min_precision: float,
    thresholds: Thresholds = None,
    ignore_index: int | None = None,
    validate_args: bool = True,
    *,
    logits: bool = False,
    sample_weight: Any = None,
) -> tuple[Tensor, Tensor]:
    """`binary_recall_at_fixed_precision` of each class against the rest: values and thresholds `(C,)`.

    Example:
        >>> from lit_metrics.functional import multiclass_recall_at_fixed_precision
        >>> preds = [[0.8, 0.1, 0.1], [0.2, 0.7, 0.1], [0.6, 0.3, 0.1], [0.3, 0.3, 0.4]]
        >>> target = [0, 1, 1, 2]
        >>> multiclass_recall_at_fixed_precision(preds, target, num_classes=3, min_precision=0.5)[0]
        tensor([1., 1., 1.], dtype=torch.float64)
    """
    require_rate(min_precision, "min_precision")
    options: dict[str, Any] = {"thresholds": thresholds, "ignore_index": ignore_index, "validate_args": validate_args}
    curves = read_curves(preds, target, "multiclass", sample_weight, num_classes=num_classes, logits=logits, **options)
    return recall_at_fixed_precision_value(curves, min_precision)


def multilabel_recall_at_fixed_precision(
    preds: Any,
    target: Any,
    num_labels: int,
    min_precision: float,
    thresholds: Thresholds = None,
    ignore_index: int | None = None,
    validate_args: bool = True,
    *,
    logits: bool = False,
    sample_weight: Any = None,
) -> tuple[Tensor, Tensor]:
    """`binary_recall_at_fixed_precision` of each label: values and thresholds `(L,)`.

    Example:
        >>> from lit_metrics.functional import multilabel_recall_at_fixed_precision
        >>> preds, target = [[0.9, 0.2], [0.3, 0.8], [0.4, 0.6]], [[1, 0], [0, 1], [1, 1]]
        >>> multilabel_recall_at_fixed_precision(preds, target, num_labels=2, min_precision=0.5)[0]
        tensor([1., 1.], dtype=torch.float64)
    """
    require_rate(min_precision, "min_precision")
    options: dict[str, Any] = {"thresholds": thresholds, "ignore_index": ignore_index, "validate_args": validate_args}
    curves = read_curves(preds, target, "multilabel", sample_weight, num_labels=num_labels, logits=logits, **options)
    return recall_at_fixed_precision_value(curves, min_precision)


def precision_at_fixed_recall(
    preds: Any,
    target: Any,
    task: Task | None,
    min_recall: float,
    thresholds: Thresholds = None,
    num_classes: int | None = None,
    num_labels: int | None = None,
    ignore_index: int | None = None,
    validate_args: bool = True,
    *,
    logits: bool = False,
    sample_weight: Any = None,
) -> tuple[Tensor, Tensor]:
    """Highest precision with at least `min_recall`, for any task; see `binary_precision_at_fixed_recall`.

    With `task=None` the shapes decide.

    Example:
        >>> from lit_metrics.functional import precision_at_fixed_recall
        >>> precision_at_fixed_recall([0.1, 0.4, 0.35, 0.8], [0, 0, 1, 1], task="binary", min_recall=0.6)
        (tensor(0.6667, dtype=torch.float64), tensor(0.3500, dtype=torch.float64))
    """
    require_rate(min_recall, "min_recall")
    options: dict[str, Any] = {"thresholds": thresholds, "ignore_index": ignore_index, "validate_args": validate_args}
    curves = read_curves(
        preds, target, task, sample_weight, num_classes=num_classes, num_labels=num_labels, logits=logits, **options
    )
    return precision_at_fixed_recall_value(curves, min_recall)


def binary_precision_at_fixed_recall(
    preds: Any,
    target: Any,
    min_recall: float,
    thresholds: Thresholds = None,
    ignore_index: int | None = None,
    validate_args: bool = True,
    *,
    logits: bool = False,
    sample_weight: Any = None,
) -> tuple[Tensor, Tensor]:
    """Highest precision among the thresholds whose recall is at least `min_recall`.

    Among equals the point with the highest recall counts. `min_recall` is in [0, 1]; other
    arguments and errors are those of `binary_precision_recall_curve`.

    Returns:
        The precision, float64, and its threshold. If no threshold meets the demand, 0 and nan; without positives, nan
        and nan.

    Example:
        >>> from lit_metrics.functional import binary_precision_at_fixed_recall
        >>> binary_precision_at_fixed_recall([0.1, 0.4, 0.35, 0.8], [0, 0, 1, 1], min_recall=0.6)
        (tensor(0.6667, dtype=torch.float64), tensor(0.3500, dtype=torch.float64))
    """
    require_rate(min_recall, "min_recall")
    options: dict[str, Any] = {"thresholds": thresholds, "ignore_index": ignore_index, "validate_args": validate_args}
    curves = read_curves(preds, target, "binary", sample_weight, logits=logits, **options)
    return precision_at_fixed_recall_value(curves, min_recall)


def multiclass_precision_at_fixed_recall(
    preds: Any,
    target: Any,
    num_classes: int | None,
    min_recall: float,
    thresholds: Thresholds = None,
    ignore_index: int | None = None,
    validate_args: bool = True,
    *,
    logits: bool = False,
    sample_weight: Any = None,
) -> tuple[Tensor, Tensor]:
    """`binary_precision_at_fixed_recall` of each class against the rest: values and thresholds `(C,)`.

    Example:
        >>> from lit_metrics.functional import multiclass_precision_at_fixed_recall
        >>> preds = [[0.8, 0.1, 0.1], [0.2, 0.7, 0.1], [0.6, 0.3, 0.1], [0.3, 0.3, 0.4]]
        >>> target = [0, 1, 1, 2]
        >>> multiclass_precision_at_fixed_recall(preds, target, num_classes=3, min_recall=0.5)[0]
        tensor([1., 1., 1.], dtype=torch.float64)
    """
    require_rate(min_recall, "min_recall")
    options: dict[str, Any] = {"thresholds": thresholds, "ignore_index": ignore_index, "validate_args": validate_args}
    curves = read_curves(preds, target, "multiclass", sample_weight, num_classes=num_classes, logits=logits, **options)
    return precision_at_fixed_recall_value(curves, min_recall)


def multilabel_precision_at_fixed_recall(
    preds: Any,
    target: Any,
    num_labels: int,
    min_recall: float,
    thresholds: Thresholds = None,
    ignore_index: int | None = None,
    validate_args: bool = True,
    *,
    logits: bool = False,
    sample_weight: Any = None,
) -> tuple[Tensor, Tensor]:
    """`binary_precision_at_fixed_recall` of each label: values and thresholds `(L,)`.

    Example:
        >>> from lit_metrics.functional import multilabel_precision_at_fixed_recall
        >>> preds, target = [[0.9, 0.2], [0.3, 0.8], [0.4, 0.6]], [[1, 0], [0, 1], [1, 1]]
        >>> multilabel_precision_at_fixed_recall(preds, target, num_labels=2, min_recall=0.5)[0]
        tensor([1., 1.], dtype=torch.float64)
    """
    require_rate(min_recall, "min_recall")
    options: dict[str, Any] = {"thresholds": thresholds, "ignore_index": ignore_index, "validate_args": validate_args}
    curves = read_curves(preds, target, "multilabel", sample_weight, num_labels=num_labels, logits=logits, **options)
    return precision_at_fixed_recall_value(curves, min_recall)


def sensitivity_at_specificity(
    preds: Any,
    target: Any,
    task: Task | None,
    min_specificity: float,
    thresholds: Thresholds = None,
    num_classes: int | None = None,
    num_labels: int | None = None,
    ignore_index: int | None = None,
    validate_args: bool = True,
    *,
    logits: bool = False,
    sample_weight: Any = None,
) -> tuple[Tensor, Tensor]:
    """Highest sensitivity with at least `min_specificity`, for any task; see `binary_sensitivity_at_specificity`.

    With `task=None` the shapes decide.

    Example:
        >>> from lit_metrics.functional import sensitivity_at_specificity
        >>> sensitivity_at_specificity([0.1, 0.4, 0.35, 0.8], [0, 0, 1, 1], task="binary", min_specificity=0.6)
        (tensor(0.5000, dtype=torch.float64), tensor(0.8000, dtype=torch.float64))
    """
    require_rate(min_specificity, "min_specificity")
    options: dict[str, Any] = {"thresholds": thresholds, "ignore_index": ignore_index, "validate_args": validate_args}
    curves = read_curves(
        preds, target, task, sample_weight, num_classes=num_classes, num_labels=num_labels, logits=logits, **options
    )
    return sensitivity_at_specificity_value(curves, min_specificity)


def binary_sensitivity_at_specificity(
    preds: Any,
    target: Any,
    min_specificity: float,
    thresholds: Thresholds = None,
    ignore_index: int | None = None,
    validate_args: bool = True,
    *,
    logits: bool = False,
    sample_weight: Any = None,
) -> tuple[Tensor, Tensor]:
    """Highest sensitivity among the thresholds whose specificity is at least `min_specificity`.

    Among equals the point with the highest specificity counts. An infinite threshold is the point above all
    scores. `min_specificity` is in [0, 1]; other arguments and errors are those of `binary_precision_recall_curve`.

    Returns:
        The sensitivity, float64, and its threshold. If no threshold meets the demand, 0 and
        nan; without positives or negatives, nan and nan.

    Example:
        >>> from lit_metrics.functional import binary_sensitivity_at_specificity
        >>> binary_sensitivity_at_specificity([0.1, 0.4, 0.35, 0.8], [0, 0, 1, 1], min_specificity=0.6)
        (tensor(0.5000, dtype=torch.float64), tensor(0.8000, dtype=torch.float64))
    """
    require_rate(min_specificity, "min_specificity")
    options: dict[str, Any] = {"thresholds": thresholds, "ignore_index": ignore_index, "validate_args": validate_args}
    curves = read_curves(preds, target, "binary", sample_weight, logits=logits, **options)
    return sensitivity_at_specificity_value(curves, min_specificity)


def multiclass_sensitivity_at_specificity(
    preds: Any,
    target: Any,
    num_classes: int | None,
    min_specificity: float,
    thresholds: Thresholds = None,
    ignore_index: int | None = None,
    validate_args: bool = True,
    *,
    logits: bool = False,
    sample_weight: Any = None,
) -> tuple[Tensor, Tensor]:
    """`binary_sensitivity_at_specificity` of each class against the rest: values and thresholds `(C,)`.

    Example:
        >>> from lit_metrics.functional import multiclass_sensitivity_at_specificity
        >>> preds = [[0.8, 0.1, 0.1], [0.2, 0.7, 0.1], [0.6, 0.3, 0.1], [0.3, 0.3, 0.4]]
        >>> target = [0, 1, 1, 2]
        >>> multiclass_sensitivity_at_specificity(preds, target, num_classes=3, min_specificity=0.5)[0]
        tensor([1., 1., 1.], dtype=torch.float64)
    """
    require_rate(min_specificity, "min_specificity")
    options: dict[str, Any] = {"thresholds": thresholds, "ignore_index": ignore_index, "validate_args": validate_args}
    curves = read_curves(preds, target, "multiclass", sample_weight, num_classes=num_classes, logits=logits, **options)
    return sensitivity_at_specificity_value(curves, min_specificity)


def multilabel_sensitivity_at_specificity(
    preds: Any,
    target: Any,
    num_labels: int,
    min_specificity: float,
    thresholds: Thresholds = None,
    ignore_index: int | None = None,
    validate_args: bool = True,
    *,
    logits: bool = False,
    sample_weight: Any = None,
) -> tuple[Tensor, Tensor]:
    """`binary_sensitivity_at_specificity` of each label: values and thresholds `(L,)`.

    Example:
        >>> from lit_metrics.functional import multilabel_sensitivity_at_specificity
        >>> preds, target = [[0.9, 0.2], [0.3, 0.8], [0.4, 0.6]], [[1, 0], [0, 1], [1, 1]]
        >>> multilabel_sensitivity_at_specificity(preds, target, num_labels=2, min_specificity=0.5)[0]
        tensor([1., 1.], dtype=torch.float64)
    """
    require_rate(min_specificity, "min_specificity")
    options: dict[str, Any] = {"thresholds": thresholds, "ignore_index": ignore_index, "validate_args": validate_args}
    curves = read_curves(preds, target, "multilabel", sample_weight, num_labels=num_labels, logits=logits, **options)
    return sensitivity_at_specificity_value(curves, min_specificity)


def specificity_at_sensitivity(
    preds: Any,
    target: Any,
    task: Task | None,
    min_sensitivity: float,
    thresholds: Thresholds = None,
    num_classes: int | None = None,
    num_labels: int | None = None,
    ignore_index: int | None = None,
    validate_args: bool = True,
    *,
    logits: bool = False,
    sample_weight: Any = None,
) -> tuple[Tensor, Tensor]:
    """Highest specificity with at least `min_sensitivity`, for any task; see `binary_specificity_at_sensitivity`.

    With `task=None` the shapes decide.

    Example:
        >>> from lit_metrics.functional import specificity_at_sensitivity
        >>> specificity_at_sensitivity([0.1, 0.4, 0.35, 0.8], [0, 0, 1, 1], task="binary", min_sensitivity=0.6)
        (tensor(0.5000, dtype=torch.float64), tensor(0.3500, dtype=torch.float64))
    """
    require_rate(min_sensitivity, "min_sensitivity")
    options: dict[str, Any] = {"thresholds": thresholds, "ignore_index": ignore_index, "validate_args": validate_args}
    curves = read_curves(
        preds, target, task, sample_weight, num_classes=num_classes, num_labels=num_labels, logits=logits, **options
    )
    return specificity_at_sensitivity_value(curves, min_sensitivity)


def binary_specificity_at_sensitivity(
    preds: Any,
    target: Any,
    min_sensitivity: float,
    thresholds: Thresholds = None,
    ignore_index: int | None = None,
    validate_args: bool = True,
    *,
    logits: bool = False,
    sample_weight: Any = None,
) -> tuple[Tensor, Tensor]:
    """Highest specificity among the thresholds whose sensitivity is at least `min_sensitivity`.

    Among equals the point with the highest sensitivity counts. An infinite threshold is the point above all
    scores. `min_sensitivity` is in [0, 1]; other arguments and errors are those of `binary_precision_recall_curve`.

    Returns:
        The specificity, float64, and its threshold. If no threshold meets the demand, 0 and
        nan; without positives or negatives, nan and nan.

    Example:
        >>> from lit_metrics.functional import binary_specificity_at_sensitivity
        >>> binary_specificity_at_sensitivity([0.1, 0.4, 0.35, 0.8], [0, 0, 1, 1], min_sensitivity=0.6)
        (tensor(0.5000, dtype=torch.float64), tensor(0.3500, dtype=torch.float64))
    """
    require_rate(min_sensitivity, "min_sensitivity")
    options: dict[str, Any] = {"thresholds": thresholds, "ignore_index": ignore_index, "validate_args": validate_args}
    curves = read_curves(preds, target, "binary", sample_weight, logits=logits, **options)
    return specificity_at_sensitivity_value(curves, min_sensitivity)


def multiclass_specificity_at_sensitivity(
    preds: Any,
    target: Any,
    num_classes: int | None,
    min_sensitivity: float,
    thresholds: Thresholds = None,
    ignore_index: int | None = None,
    validate_args: bool = True,
    *,
    logits: bool = False,
    sample_weight: Any = None,
) -> tuple[Tensor, Tensor]:
    """`binary_specificity_at_sensitivity` of each class against the rest: values and thresholds `(C,)`.

    Example:
        >>> from lit_metrics.functional import multiclass_specificity_at_sensitivity
        >>> preds = [[0.8, 0.1, 0.1], [0.2, 0.7, 0.1], [0.6, 0.3, 0.1], [0.3, 0.3, 0.4]]
        >>> target = [0, 1, 1, 2]
        >>> multiclass_specificity_at_sensitivity(preds, target, num_classes=3, min_sensitivity=0.5)[0]
        tensor([1., 1., 1.], dtype=torch.float64)
    """
    require_rate(min_sensitivity, "min_sensitivity")
    options: dict[str, Any] = {"thresholds": thresholds, "ignore_index": ignore_index, "validate_args": validate_args}
    curves = read_curves(preds, target, "multiclass", sample_weight, num_classes=num_classes, logits=logits, **options)
    return specificity_at_sensitivity_value(curves, min_sensitivity)


def multilabel_specificity_at_sensitivity(
    preds: Any,
    target: Any,
    num_labels: int,
    min_sensitivity: float,
    thresholds: Thresholds = None,
    ignore_index: int | None = None,
    validate_args: bool = True,
    *,
    logits: bool = False,
    sample_weight: Any = None,
) -> tuple[Tensor, Tensor]:
    """`binary_specificity_at_sensitivity` of each label: values and thresholds `(L,)`.

    Example:
        >>> from lit_metrics.functional import multilabel_specificity_at_sensitivity
        >>> preds, target = [[0.9, 0.2], [0.3, 0.8], [0.4, 0.6]], [[1, 0], [0, 1], [1, 1]]
        >>> multilabel_specificity_at_sensitivity(preds, target, num_labels=2, min_sensitivity=0.5)[0]
        tensor([1., 1.], dtype=torch.float64)
    """
    require_rate(min_sensitivity, "min_sensitivity")
    options: dict[str, Any] = {"thresholds": thresholds, "ignore_index": ignore_index, "validate_args": validate_args}
    curves = read_curves(preds, target, "multilabel", sample_weight, num_labels=num_labels, logits=logits, **options)
    return specificity_at_sensitivity_value(curves, min_sensitivity)
