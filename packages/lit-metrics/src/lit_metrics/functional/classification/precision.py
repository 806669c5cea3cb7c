"""What predictions are worth: precision of the positive ones, negative predictive value of the others."""

from __future__ import annotations

from typing import Any

from torch import Tensor

from lit_metrics.functional.classification._task import (
    Average,
    MultidimAverage,
    Task,
    binary_config,
    classless_config,
    make_config,
    multiclass_config,
    multilabel_config,
    require_average,
)
from lit_metrics.functional.classification.stat_scores import Counts, average_ratio, count


def precision_value(counts: Counts, average: Average, zero_division: float = 0) -> Tensor:
    """Returns precision from counts."""
    return average_ratio(counts, counts.tp_float, counts.predicted, average, zero_division, hits=True)


def negative_predictive_value_value(counts: Counts, average: Average, zero_division: float = 0) -> Tensor:
    """Returns negative predictive value from counts."""
    return average_ratio(counts, counts.tn, counts.tn + counts.fn, average, zero_division)


def binary_precision(
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
    """Share of positive predictions that are right, `tp / (tp + fp)`.

    Arguments and errors: see `binary_stat_scores`. The value is float64 in [0, 1]; nan if nothing was counted.

    Example:
        >>> from lit_metrics.functional import binary_precision
        >>> binary_precision([0.9, 0.4, 0.6, 0.1], [1, 0, 0, 0])
        tensor(0.5000, dtype=torch.float64)
    """
    config = binary_config(threshold, multidim_average, ignore_index, validate_args, logits)
    return precision_value(count(config, preds, target, sample_weight), "micro", zero_division)


def multiclass_precision(
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
    """Share of the predictions of a class that are right, `tp / (tp + fp)`, averaged over classes.

    Arguments and errors: see `multiclass_stat_scores`. The value is float64 in [0, 1]; nan if nothing was counted.

    Example:
        >>> from lit_metrics.functional import multiclass_precision
        >>> multiclass_precision([0, 1, 1, 2], [0, 1, 2, 2], num_classes=3)
        tensor(0.8333, dtype=torch.float64)
        >>> multiclass_precision([0, 1, 1, 2], [0, 1, 2, 2], num_classes=3, average="none")
        tensor([1.0000, 0.5000, 1.0000], dtype=torch.float64)
    """
    require_average(average)
    config = multiclass_config(
        num_classes, average, top_k, multidim_average, ignore_index, validate_args, classless=True
    )
    return precision_value(count(config, preds, target, sample_weight), average, zero_division)


def multilabel_precision(
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
    """Precision of each label, `tp / (tp + fp)`, averaged.

    Arguments and errors: see `multilabel_stat_scores`. The value is float64 in [0, 1]; nan if nothing was counted.

    Example:
        >>> from lit_metrics.functional import multilabel_precision
        >>> multilabel_precision([[0.9, 0.2], [0.3, 0.8]], [[1, 0], [1, 1]], num_labels=2, average="none")
        tensor([1., 1.], dtype=torch.float64)
    """
    require_average(average)
    config = multilabel_config(num_labels, threshold, multidim_average, ignore_index, validate_args, logits)
    return precision_value(count(config, preds, target, sample_weight), average, zero_division)


def precision(
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
    """Precision for any task, averaged `"micro"` by default; see `binary_precision` and its like.

    Example:
        >>> from lit_metrics.functional import precision
        >>> precision([0, 1, 1, 2], [0, 1, 2, 2], task="multiclass", num_classes=3)
        tensor(0.7500, dtype=torch.float64)
    """
    require_average(average)
    config = classless_config(
        task, threshold, num_classes, num_labels, average, multidim_average, top_k, ignore_index, validate_args, logits
    )
    return precision_value(count(config, preds, target, sample_weight), average, zero_division)


def binary_negative_predictive_value(
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
    """Share of negative predictions that are right, `tn / (tn + fn)`.

    Arguments and errors: see `binary_stat_scores`. The value is float64 in [0, 1]; nan if nothing was counted.

    Example:
        >>> from lit_metrics.functional import binary_negative_predictive_value
        >>> binary_negative_predictive_value([0.9, 0.4, 0.6, 0.1], [1, 0, 0, 0])
        tensor(1., dtype=torch.float64)
    """
    config = binary_config(threshold, multidim_average, ignore_index, validate_args, logits)
    return negative_predictive_value_value(count(config, preds, target, sample_weight), "micro", zero_division)


def multiclass_negative_predictive_value(
    preds: Any,
    target: Any,
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
    """Share of the predictions of other classes that are right to be other, `tn / (tn + fn)`, averaged.

    Arguments and errors: see `multiclass_stat_scores`. The value is float64 in [0, 1]; nan if nothing was counted.

    Example:
        >>> from lit_metrics.functional import multiclass_negative_predictive_value
        >>> multiclass_negative_predictive_value([0, 1, 1, 2], [0, 1, 2, 2], num_classes=3)
        tensor(0.8889, dtype=torch.float64)
        >>> multiclass_negative_predictive_value([0, 1, 1, 2], [0, 1, 2, 2], num_classes=3, average="none")
        tensor([1.0000, 1.0000, 0.6667], dtype=torch.float64)
    """
    require_average(average)
    config = multiclass_config(num_classes, average, top_k, multidim_average, ignore_index, validate_args)
    return negative_predictive_value_value(count(config, preds, target, sample_weight), average, zero_division)


def multilabel_negative_predictive_value(
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
    """Negative predictive value of each label, `tn / (tn + fn)`, averaged.

    Arguments and errors: see `multilabel_stat_scores`. The value is float64 in [0, 1]; nan if nothing was counted.

    Example:
        >>> from lit_metrics.functional import multilabel_negative_predictive_value
        >>> multilabel_negative_predictive_value([[0.9, 0.2], [0.3, 0.8]], [[1, 0], [1, 1]], 2, average="none")
        tensor([0., 1.], dtype=torch.float64)
    """
    require_average(average)
    config = multilabel_config(num_labels, threshold, multidim_average, ignore_index, validate_args, logits)
    return negative_predictive_value_value(count(config, preds, target, sample_weight), average, zero_division)


def negative_predictive_value(
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
    """Negative predictive value for any task, averaged `"micro"` by default; see the functions of one task.

    Example:
        >>> from lit_metrics.functional import negative_predictive_value
        >>> negative_predictive_value([0, 1, 1, 2], [0, 1, 2, 2], task="multiclass", num_classes=3)
        tensor(0.8750, dtype=torch.float64)
    """
    require_average(average)
    config = make_config(
        task, threshold, num_classes, num_labels, average, multidim_average, top_k, ignore_index, validate_args, logits
    )
    return negative_predictive_value_value(count(config, preds, target, sample_weight), average, zero_division)
