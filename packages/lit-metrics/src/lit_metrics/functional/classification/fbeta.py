"""F-scores, the weighted harmonic means of precision and recall."""

from __future__ import annotations

from typing import Any

from torch import Tensor

from lit_metrics.functional.classification._task import (
    Average,
    MultidimAverage,
    Task,
    binary_config,
    classless_config,
    multiclass_config,
    multilabel_config,
    require_average,
)
from lit_metrics.functional.classification.stat_scores import Counts, average_ratio, count


def fbeta_value(counts: Counts, average: Average, zero_division: float = 0, beta: float = 1.0) -> Tensor:
    """Returns the F-score from counts."""
    if beta == 1:
        num, den = counts.tp_float + counts.tp_float, counts.support + counts.predicted
        return average_ratio(counts, num, den, average, zero_division, hits=True)
    square = beta * beta
    den = square * counts.support.double() + counts.predicted
    return average_ratio(counts, (1 + square) * counts.tp_float, den, average, zero_division, hits=True)


def require_beta(beta: Any) -> None:
    """Raises a `ValueError` unless `beta` is a number above 0."""
    if not isinstance(beta, (int, float)) or isinstance(beta, bool) or not beta > 0:
        raise ValueError(f"beta must be a number above 0, got {beta!r}")


def binary_fbeta_score(
    preds: Any,
    target: Any,
    beta: float,
    threshold: float = 0.5,
    multidim_average: MultidimAverage = "global",
    ignore_index: int | None = None,
    validate_args: bool = True,
    zero_division: float = 0,
    *,
    logits: bool = False,
    sample_weight: Any = None,
) -> Tensor:
    """F-score, `(1 + beta^2) tp / ((1 + beta^2) tp + beta^2 fn + fp)`; recall counts `beta` times as much as precision.

    Arguments and errors: see `binary_stat_scores`. The value is float64 in [0, 1]; nan if nothing was counted.

    Example:
        >>> from lit_metrics.functional import binary_fbeta_score
        >>> binary_fbeta_score([0.9, 0.4, 0.6, 0.1], [1, 0, 0, 0], beta=2.0)
        tensor(0.8333, dtype=torch.float64)
    """
    require_beta(beta)
    config = binary_config(threshold, multidim_average, ignore_index, validate_args, logits)
    return fbeta_value(count(config, preds, target, sample_weight), "micro", zero_division, beta)


def multiclass_fbeta_score(
    preds: Any,
    target: Any,
    beta: float,
    num_classes: int,
    average: Average = "macro",
    top_k: int = 1,
    multidim_average: MultidimAverage = "global",
    ignore_index: int | None = None,
    validate_args: bool = True,
    zero_division: float = 0,
    *,
    sample_weight: Any = None,
) -> Tensor:
    """F-score of each class, `(1 + beta^2) tp / ((1 + beta^2) tp + beta^2 fn + fp)`, averaged over classes.

    Arguments and errors: see `multiclass_stat_scores`. The value is float64 in [0, 1]; nan if nothing was counted.

    Example:
        >>> from lit_metrics.functional import multiclass_fbeta_score
        >>> multiclass_fbeta_score([0, 1, 1, 2], [0, 1, 2, 2], beta=2.0, num_classes=3)
        tensor(0.7963, dtype=torch.float64)
        >>> multiclass_fbeta_score([0, 1, 1, 2], [0, 1, 2, 2], beta=2.0, num_classes=3, average="none")
        tensor([1.0000, 0.8333, 0.5556], dtype=torch.float64)
    """
    require_beta(beta)
    require_average(average)
    config = multiclass_config(
        num_classes, average, top_k, multidim_average, ignore_index, validate_args, classless=True
    )
    return fbeta_value(count(config, preds, target, sample_weight), average, zero_division, beta)


def multilabel_fbeta_score(
    preds: Any,
    target: Any,
    beta: float,
    num_labels: int,
    threshold: float = 0.5,
    average: Average = "macro",
    multidim_average: MultidimAverage = "global",
    ignore_index: int | None = None,
    validate_args: bool = True,
    zero_division: float = 0,
    *,
    logits: bool = False,
    sample_weight: Any = None,
) -> Tensor:
    """F-score of each label, `(1 + beta^2) tp / ((1 + beta^2) tp + beta^2 fn + fp)`, averaged.

    Arguments and errors: see `multilabel_stat_scores`. The value is float64 in [0, 1]; nan if nothing was counted.

    Example:
        >>> from lit_metrics.functional import multilabel_fbeta_score
        >>> multilabel_fbeta_score([[0.9, 0.2], [0.3, 0.8]], [[1, 0], [1, 1]], beta=2.0, num_labels=2, average="none")
        tensor([0.5556, 1.0000], dtype=torch.float64)
    """
    require_beta(beta)
    require_average(average)
    config = multilabel_config(num_labels, threshold, multidim_average, ignore_index, validate_args, logits)
    return fbeta_value(count(config, preds, target, sample_weight), average, zero_division, beta)


def fbeta_score(
    preds: Any,
    target: Any,
    task: Task,
    beta: float = 1.0,
    threshold: float = 0.5,
    num_classes: int | None = None,
    num_labels: int | None = None,
    average: Average = "micro",
    multidim_average: MultidimAverage = "global",
    top_k: int = 1,
    ignore_index: int | None = None,
    validate_args: bool = True,
    zero_division: float = 0,
    *,
    logits: bool = False,
    sample_weight: Any = None,
) -> Tensor:
    """F-score for any task, averaged `"micro"` by default; see `binary_fbeta_score` and its like.

    Example:
        >>> from lit_metrics.functional import fbeta_score
        >>> fbeta_score([0, 1, 1, 2], [0, 1, 2, 2], task="multiclass", beta=2.0, num_classes=3)
        tensor(0.7500, dtype=torch.float64)
    """
    require_beta(beta)
    require_average(average)
    config = classless_config(
        task, threshold, num_classes, num_labels, average, multidim_average, top_k, ignore_index, validate_args, logits
    )
    return fbeta_value(count(config, preds, target, sample_weight), average, zero_division, beta)


def binary_f1_score(
    preds: Any,
    target: Any,
    threshold: float = 0.5,
    multidim_average: MultidimAverage = "global",
    ignore_index: int | None = None,
    validate_args: bool = True,
    zero_division: float = 0,
    *,
    logits: bool = False,
    sample_weight: Any = None,
) -> Tensor:
    """Harmonic mean of precision and recall, `2 tp / (2 tp + fn + fp)`.

    Arguments and errors: see `binary_stat_scores`. The value is float64 in [0, 1]; nan if nothing was counted.

    Example:
        >>> from lit_metrics.functional import binary_f1_score
        >>> binary_f1_score([0.9, 0.4, 0.6, 0.1], [1, 0, 0, 0])
        tensor(0.6667, dtype=torch.float64)
    """
    config = binary_config(threshold, multidim_average, ignore_index, validate_args, logits)
    return fbeta_value(count(config, preds, target, sample_weight), "micro", zero_division)


def multiclass_f1_score(
    preds: Any,
    target: Any,
    num_classes: int | None = None,
    average: Average = "macro",
    top_k: int = 1,
    multidim_average: MultidimAverage = "global",
    ignore_index: int | None = None,
    validate_args: bool = True,
    zero_division: float = 0,
    *,
    sample_weight: Any = None,
) -> Tensor:
    """Harmonic mean of precision and recall of each class, `2 tp / (2 tp + fn + fp)`, averaged over classes.

    Arguments and errors: see `multiclass_stat_scores`. The value is float64 in [0, 1]; nan if nothing was counted.

    Example:
        >>> from lit_metrics.functional import multiclass_f1_score
        >>> multiclass_f1_score([0, 1, 1, 2], [0, 1, 2, 2], num_classes=3)
        tensor(0.7778, dtype=torch.float64)
        >>> multiclass_f1_score([0, 1, 1, 2], [0, 1, 2, 2], num_classes=3, average="none")
        tensor([1.0000, 0.6667, 0.6667], dtype=torch.float64)
    """
    require_average(average)
    config = multiclass_config(
        num_classes, average, top_k, multidim_average, ignore_index, validate_args, classless=True
    )
    return fbeta_value(count(config, preds, target, sample_weight), average, zero_division)


def multilabel_f1_score(
    preds: Any,
    target: Any,
    num_labels: int,
    threshold: float = 0.5,
    average: Average = "macro",
    multidim_average: MultidimAverage = "global",
    ignore_index: int | None = None,
    validate_args: bool = True,
    zero_division: float = 0,
    *,
    logits: bool = False,
    sample_weight: Any = None,
) -> Tensor:
    """Harmonic mean of precision and recall of each label, `2 tp / (2 tp + fn + fp)`, averaged.

    Arguments and errors: see `multilabel_stat_scores`. The value is float64 in [0, 1]; nan if nothing was counted.

    Example:
        >>> from lit_metrics.functional import multilabel_f1_score
        >>> multilabel_f1_score([[0.9, 0.2], [0.3, 0.8]], [[1, 0], [1, 1]], num_labels=2, average="none")
        tensor([0.6667, 1.0000], dtype=torch.float64)
    """
    require_average(average)
    config = multilabel_config(num_labels, threshold, multidim_average, ignore_index, validate_args, logits)
    return fbeta_value(count(config, preds, target, sample_weight), average, zero_division)


def f1_score(
    preds: Any,
    target: Any,
    task: Task,
    threshold: float = 0.5,
    num_classes: int | None = None,
    num_labels: int | None = None,
    average: Average = "micro",
    multidim_average: MultidimAverage = "global",
    top_k: int = 1,
    ignore_index: int | None = None,
    validate_args: bool = True,
    zero_division: float = 0,
    *,
    logits: bool = False,
    sample_weight: Any = None,
) -> Tensor:
    """F1 score for any task, averaged `"micro"` by default; see `binary_f1_score` and its like.

    Example:
        >>> from lit_metrics.functional import f1_score
        >>> f1_score([0, 1, 1, 2], [0, 1, 2, 2], task="multiclass", num_classes=3)
        tensor(0.7500, dtype=torch.float64)
    """
    require_average(average)
    config = classless_config(
        task, threshold, num_classes, num_labels, average, multidim_average, top_k, ignore_index, validate_args, logits
    )
    return fbeta_value(count(config, preds, target, sample_weight), average, zero_division)
