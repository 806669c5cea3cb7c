"""What is found: recall of the positive targets, specificity of the negative ones."""

from __future__ import annotations

from typing import Any

from torch import Tensor

from lit_metrics.functional.classification._task import (
    RECALL_AVERAGES,
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


def recall_value(counts: Counts, average: Average, zero_division: float = 0) -> Tensor:
    """Returns recall from counts."""
    return average_ratio(counts, counts.tp_float, counts.support, average, zero_division, hits=True)


def specificity_value(counts: Counts, average: Average, zero_division: float = 0) -> Tensor:
    """Returns specificity from counts."""
    return average_ratio(counts, counts.tn, counts.tn + counts.fp, average, zero_division)


def binary_recall(
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
    """Share of positive targets that were found, `tp / (tp + fn)`; also called sensitivity.

    Arguments and errors: see `binary_stat_scores`. The value is float64 in [0, 1]; nan if nothing was counted.

    Example:
        >>> from lit_metrics.functional import binary_recall
        >>> binary_recall([0.9, 0.4, 0.6, 0.1], [1, 0, 0, 0])
        tensor(1., dtype=torch.float64)
    """
    config = binary_config(threshold, multidim_average, ignore_index, validate_args, logits)
    return recall_value(count(config, preds, target, sample_weight), "micro", zero_division)


def multiclass_recall(
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
    """Share of the targets of a class that were found, `tp / (tp + fn)`, averaged over classes.

    Arguments and errors: see `multiclass_stat_scores`. The value is float64 in [0, 1]; nan if nothing was counted.

    Example:
        >>> from lit_metrics.functional import multiclass_recall
        >>> multiclass_recall([0, 1, 1, 2], [0, 1, 2, 2], num_classes=3)
        tensor(0.8333, dtype=torch.float64)
        >>> multiclass_recall([0, 1, 1, 2], [0, 1, 2, 2], num_classes=3, average="none")
        tensor([1.0000, 1.0000, 0.5000], dtype=torch.float64)
    """
    require_average(average, RECALL_AVERAGES)
    config = multiclass_config(
        num_classes, average, top_k, multidim_average, ignore_index, validate_args, classless=True
    )
    return recall_value(count(config, preds, target, sample_weight), average, zero_division)


def multilabel_recall(
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
    """Recall of each label, `tp / (tp + fn)`, averaged.

    Arguments and errors: see `multilabel_stat_scores`. The value is float64 in [0, 1]; nan if nothing was counted.

    Example:
        >>> from lit_metrics.functional import multilabel_recall
        >>> multilabel_recall([[0.9, 0.2], [0.3, 0.8]], [[1, 0], [1, 1]], num_labels=2, average="none")
        tensor([0.5000, 1.0000], dtype=torch.float64)
    """
    require_average(average, RECALL_AVERAGES)
    config = multilabel_config(num_labels, threshold, multidim_average, ignore_index, validate_args, logits)
    return recall_value(count(config, preds, target, sample_weight), average, zero_division)


def recall(
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
    """Recall for any task, averaged `"micro"` by default; see `binary_recall` and its like.

    Example:
        >>> from lit_metrics.functional import recall
        >>> recall([0, 1, 1, 2], [0, 1, 2, 2], task="multiclass", num_classes=3)
        tensor(0.7500, dtype=torch.float64)
    """
    require_average(average, RECALL_AVERAGES)
    config = classless_config(
        task, threshold, num_classes, num_labels, average, multidim_average, top_k, ignore_index, validate_args, logits
    )
    return recall_value(count(config, preds, target, sample_weight), average, zero_division)


def binary_specificity(
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
    """Share of negative targets that were found, `tn / (tn + fp)`.

    Arguments and errors: see `binary_stat_scores`. The value is float64 in [0, 1]; nan if nothing was counted.

    Example:
        >>> from lit_metrics.functional import binary_specificity
        >>> binary_specificity([0.9, 0.4, 0.6, 0.1], [1, 0, 0, 0])
        tensor(0.6667, dtype=torch.float64)
    """
    config = binary_config(threshold, multidim_average, ignore_index, validate_args, logits)
    return specificity_value(count(config, preds, target, sample_weight), "micro", zero_division)


def multiclass_specificity(
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
    """Share of the targets of other classes that were not taken for this one, `tn / (tn + fp)`, averaged over classes.

    Arguments and errors: see `multiclass_stat_scores`. The value is float64 in [0, 1]; nan if nothing was counted.

    Example:
        >>> from lit_metrics.functional import multiclass_specificity
        >>> multiclass_specificity([0, 1, 1, 2], [0, 1, 2, 2], num_classes=3)
        tensor(0.8889, dtype=torch.float64)
        >>> multiclass_specificity([0, 1, 1, 2], [0, 1, 2, 2], num_classes=3, average="none")
        tensor([1.0000, 0.6667, 1.0000], dtype=torch.float64)
    """
    require_average(average)
    config = multiclass_config(num_classes, average, top_k, multidim_average, ignore_index, validate_args)
    return specificity_value(count(config, preds, target, sample_weight), average, zero_division)


def multilabel_specificity(
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
    """Specificity of each label, `tn / (tn + fp)`, averaged.

    Arguments and errors: see `multilabel_stat_scores`. The value is float64 in [0, 1]; nan if nothing was counted.

    Example:
        >>> from lit_metrics.functional import multilabel_specificity
        >>> multilabel_specificity([[0.9, 0.2], [0.3, 0.8]], [[1, 0], [1, 1]], num_labels=2, average="none")
        tensor([0., 1.], dtype=torch.float64)
    """
    require_average(average)
    config = multilabel_config(num_labels, threshold, multidim_average, ignore_index, validate_args, logits)
    return specificity_value(count(config, preds, target, sample_weight), average, zero_division)


def specificity(
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
    """Specificity for any task, averaged `"micro"` by default; see `binary_specificity` and its like.

    Example:
        >>> from lit_metrics.functional import specificity
        >>> specificity([0, 1, 1, 2], [0, 1, 2, 2], task="multiclass", num_classes=3)
        tensor(0.8750, dtype=torch.float64)
    """
    require_average(average)
    config = make_config(
        task, threshold, num_classes, num_labels, average, multidim_average, top_k, ignore_index, validate_args, logits
    )
    return specificity_value(count(config, preds, target, sample_weight), average, zero_division)
