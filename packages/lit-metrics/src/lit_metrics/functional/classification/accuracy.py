"""Accuracy, the share of predictions that equal their target, and Hamming distance, the share of others."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor

from lit_metrics._inputs import checks_are_free
from lit_metrics.functional.classification._task import (
    RECALL_AVERAGES,
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


def accuracy_value(counts: Counts, average: Average, zero_division: float = 0) -> Tensor:
    """Returns accuracy from counts."""
    if counts.config.task == "multiclass":
        if average == "micro" and counts.config.is_plain and checks_are_free(counts.matrix):
            matrix = counts.matrix.numpy()  # the same sums in half the time, which small batches notice
            total = float(matrix.sum())
            return torch.scalar_tensor(float(matrix.trace()) / total if total else math.nan, dtype=torch.float64)
        return average_ratio(counts, counts.tp_float, counts.support, average, zero_division, hits=True)
    return average_ratio(counts, counts.tp + counts.tn, counts.total, average, zero_division)


def hamming_distance_value(counts: Counts, average: Average) -> Tensor:
    """Returns Hamming distance from counts."""
    return 1 - accuracy_value(counts, average)


def binary_accuracy(
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
    """Share of binary predictions that equal their target, `(tp + tn) / (tp + tn + fp + fn)`.

    Arguments and errors: see `binary_stat_scores`. The value is float64 in [0, 1]; nan if nothing was counted.

    Example:
        >>> from lit_metrics.functional import binary_accuracy
        >>> binary_accuracy([0.9, 0.4, 0.6, 0.1], [1, 0, 0, 0])
        tensor(0.7500, dtype=torch.float64)
        >>> binary_accuracy([3.0, -2.0, 0.3, 0.4], [1, 0, 1, 1], logits=True)
        tensor(1., dtype=torch.float64)
    """
    config = binary_config(threshold, multidim_average, ignore_index, validate_args, logits)
    return accuracy_value(count(config, preds, target, sample_weight), "micro", zero_division)


def multiclass_accuracy(
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
    """Share of multiclass predictions that equal their target; per class, the share of its targets that were found.

    `"macro"` counts a class that was predicted but never true as `zero_division`; `"balanced"`, the mean over classes
    that were true, does not: it is scikit-learn's balanced accuracy.

    Arguments and errors: see `multiclass_stat_scores`. The value is float64 in [0, 1]; nan if nothing was counted.

    Example:
        >>> from lit_metrics.functional import multiclass_accuracy
        >>> multiclass_accuracy([0, 1, 1, 2], [0, 1, 2, 2], num_classes=3)
        tensor(0.8333, dtype=torch.float64)
        >>> multiclass_accuracy([0, 1, 1, 2], [0, 1, 2, 2], num_classes=3, average="none")
        tensor([1.0000, 1.0000, 0.5000], dtype=torch.float64)
    """
    require_average(average, RECALL_AVERAGES)
    config = multiclass_config(
        num_classes, average, top_k, multidim_average, ignore_index, validate_args, classless=True
    )
    return accuracy_value(count(config, preds, target, sample_weight), average, zero_division)


def multilabel_accuracy(
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
    """Binary accuracy of each label, averaged; `"weighted"` and `"balanced"` by positive targets.

    Arguments and errors: see `multilabel_stat_scores`. The value is float64 in [0, 1]; nan if nothing was counted.

    Example:
        >>> from lit_metrics.functional import multilabel_accuracy
        >>> multilabel_accuracy([[0.9, 0.2], [0.3, 0.8]], [[1, 0], [1, 1]], num_labels=2, average="none")
        tensor([0.5000, 1.0000], dtype=torch.float64)
    """
    require_average(average, RECALL_AVERAGES)
    config = multilabel_config(num_labels, threshold, multidim_average, ignore_index, validate_args, logits)
    return accuracy_value(count(config, preds, target, sample_weight), average, zero_division)


def accuracy(
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
    """Accuracy for any task, averaged `"micro"` by default; see `binary_accuracy` and its like.

    Example:
        >>> from lit_metrics.functional import accuracy
        >>> accuracy([0, 1, 1, 2], [0, 1, 2, 2], task="multiclass", num_classes=3)
        tensor(0.7500, dtype=torch.float64)
    """
    require_average(average, RECALL_AVERAGES)
    config = classless_config(
        task, threshold, num_classes, num_labels, average, multidim_average, top_k, ignore_index, validate_args, logits
    )
    return accuracy_value(count(config, preds, target, sample_weight), average, zero_division)


def binary_hamming_distance(
    preds: Any,
    target: Any,
    threshold: float = 0.5,
    multidim_average: MultidimAverage = "global",
    ignore_index: int | None = None,
    validate_args: bool = True,
    *,
    logits: bool = False,
    sample_weight: Any = None,
) -> Tensor:
    """Share of binary predictions that differ from their target, `1 - binary_accuracy`.

    Arguments and errors: see `binary_stat_scores`. The value is float64 in [0, 1]; nan if nothing was counted.

    Example:
        >>> from lit_metrics.functional import binary_hamming_distance
        >>> binary_hamming_distance([0.9, 0.4, 0.6, 0.1], [1, 0, 0, 0])
        tensor(0.2500, dtype=torch.float64)
    """
    config = binary_config(threshold, multidim_average, ignore_index, validate_args, logits)
    return hamming_distance_value(count(config, preds, target, sample_weight), "micro")


def multiclass_hamming_distance(
    preds: Any,
    target: Any,
    num_classes: int | None = None,
    average: Average = "macro",
    top_k: int = 1,
    multidim_average: MultidimAverage = "global",
    ignore_index: int | None = None,
    validate_args: bool = True,
    *,
    sample_weight: Any = None,
) -> Tensor:
    """Share of multiclass predictions that differ from their target, `1 - multiclass_accuracy`.

    Arguments and errors: see `multiclass_stat_scores`. The value is float64 in [0, 1]; nan if nothing was counted.

    Example:
        >>> from lit_metrics.functional import multiclass_hamming_distance
        >>> multiclass_hamming_distance([0, 1, 1, 2], [0, 1, 2, 2], num_classes=3)
        tensor(0.1667, dtype=torch.float64)
        >>> multiclass_hamming_distance([0, 1, 1, 2], [0, 1, 2, 2], num_classes=3, average="none")
        tensor([0.0000, 0.0000, 0.5000], dtype=torch.float64)
    """
    require_average(average, RECALL_AVERAGES)
    config = multiclass_config(
        num_classes, average, top_k, multidim_average, ignore_index, validate_args, classless=True
    )
    return hamming_distance_value(count(config, preds, target, sample_weight), average)


def multilabel_hamming_distance(
    preds: Any,
    target: Any,
    num_labels: int,
    threshold: float = 0.5,
    average: Average = "macro",
    multidim_average: MultidimAverage = "global",
    ignore_index: int | None = None,
    validate_args: bool = True,
    *,
    logits: bool = False,
    sample_weight: Any = None,
) -> Tensor:
    """Share of wrong labels, `1 - multilabel_accuracy`.

    Arguments and errors: see `multilabel_stat_scores`. The value is float64 in [0, 1]; nan if nothing was counted.

    Example:
        >>> from lit_metrics.functional import multilabel_hamming_distance
        >>> multilabel_hamming_distance([[0.9, 0.2], [0.3, 0.8]], [[1, 0], [1, 1]], num_labels=2, average="none")
        tensor([0.5000, 0.0000], dtype=torch.float64)
    """
    require_average(average, RECALL_AVERAGES)
    config = multilabel_config(num_labels, threshold, multidim_average, ignore_index, validate_args, logits)
    return hamming_distance_value(count(config, preds, target, sample_weight), average)


def hamming_distance(
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
    *,
    logits: bool = False,
    sample_weight: Any = None,
) -> Tensor:
    """Hamming distance for any task, averaged `"micro"` by default; see `binary_hamming_distance` and its like.

    Example:
        >>> from lit_metrics.functional import hamming_distance
        >>> hamming_distance([0, 1, 1, 2], [0, 1, 2, 2], task="multiclass", num_classes=3)
        tensor(0.2500, dtype=torch.float64)
    """
    require_average(average, RECALL_AVERAGES)
    config = classless_config(
        task, threshold, num_classes, num_labels, average, multidim_average, top_k, ignore_index, validate_args, logits
    )
    return hamming_distance_value(count(config, preds, target, sample_weight), average)
