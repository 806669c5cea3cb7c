"""Jaccard index, the intersection of predicted and true over their union."""

from __future__ import annotations

from typing import Any

from torch import Tensor

from lit_metrics.functional.classification._task import (
    Average,
    Task,
    binary_config,
    make_config,
    multiclass_config,
    multilabel_config,
    require_average,
)
from lit_metrics.functional.classification.stat_scores import Counts, average_ratio, count


def jaccard_index_value(counts: Counts, average: Average, zero_division: float = 0) -> Tensor:
    """Returns the Jaccard index from counts."""
    return average_ratio(counts, counts.tp_float, counts.support + counts.fp, average, zero_division, hits=True)


def binary_jaccard_index(
    preds: Any,
    target: Any,
    threshold: float = 0.5,
    ignore_index: int | None = None,
    validate_args: bool = True,
    zero_division: float = 0.0,
    *,
    logits: bool = False,
    sample_weight: Any = None,
) -> Tensor:
    """Jaccard index of the positive class, `tp / (tp + fp + fn)`.

    Arguments and errors: see `binary_stat_scores`. The value is float64 in [0, 1]; nan if nothing was counted.

    Example:
        >>> from lit_metrics.functional import binary_jaccard_index
        >>> binary_jaccard_index([0.9, 0.4, 0.6, 0.1], [1, 0, 0, 0])
        tensor(0.5000, dtype=torch.float64)
    """
    config = binary_config(threshold, "global", ignore_index, validate_args, logits)
    return jaccard_index_value(count(config, preds, target, sample_weight), "micro", zero_division)


def multiclass_jaccard_index(
    preds: Any,
    target: Any,
    num_classes: int,
    average: Average = "macro",
    ignore_index: int | None = None,
    validate_args: bool = True,
    zero_division: float = 0.0,
    *,
    sample_weight: Any = None,
) -> Tensor:
    """Jaccard index of each class, `tp / (tp + fp + fn)`, averaged over classes.

    Arguments and errors: see `multiclass_stat_scores`. The value is float64 in [0, 1]; nan if nothing was counted.

    Example:
        >>> from lit_metrics.functional import multiclass_jaccard_index
        >>> multiclass_jaccard_index([0, 1, 1, 2], [0, 1, 2, 2], num_classes=3)
        tensor(0.6667, dtype=torch.float64)
        >>> multiclass_jaccard_index([0, 1, 1, 2], [0, 1, 2, 2], num_classes=3, average="none")
        tensor([1.0000, 0.5000, 0.5000], dtype=torch.float64)
    """
    require_average(average)
    config = multiclass_config(num_classes, "none", 1, "global", ignore_index, validate_args)
    return jaccard_index_value(count(config, preds, target, sample_weight), average, zero_division)


def multilabel_jaccard_index(
    preds: Any,
    target: Any,
    num_labels: int,
    threshold: float = 0.5,
    average: Average = "macro",
    ignore_index: int | None = None,
    validate_args: bool = True,
    zero_division: float = 0.0,
    *,
    logits: bool = False,
    sample_weight: Any = None,
) -> Tensor:
    """Jaccard index of each label, `tp / (tp + fp + fn)`, averaged.

    Arguments and errors: see `multilabel_stat_scores`. The value is float64 in [0, 1]; nan if nothing was counted.

    Example:
        >>> from lit_metrics.functional import multilabel_jaccard_index
        >>> multilabel_jaccard_index([[0.9, 0.2], [0.3, 0.8]], [[1, 0], [1, 1]], num_labels=2, average="none")
        tensor([0.5000, 1.0000], dtype=torch.float64)
    """
    require_average(average)
    config = multilabel_config(num_labels, threshold, "global", ignore_index, validate_args, logits)
    return jaccard_index_value(count(config, preds, target, sample_weight), average, zero_division)


def jaccard_index(
    preds: Any,
    target: Any,
    task: Task,
    threshold: float = 0.5,
    num_classes: int | None = None,
    num_labels: int | None = None,
    average: Average = "macro",
    ignore_index: int | None = None,
    validate_args: bool = True,
    zero_division: float = 0.0,
    *,
    logits: bool = False,
    sample_weight: Any = None,
) -> Tensor:
    """Jaccard index for any task, averaged `"macro"` by default; see `binary_jaccard_index` and its like.

    Example:
        >>> from lit_metrics.functional import jaccard_index
        >>> jaccard_index([0, 1, 1, 2], [0, 1, 2, 2], task="multiclass", num_classes=3)
        tensor(0.6667, dtype=torch.float64)
    """
    require_average(average)
    options: dict[str, Any] = {"ignore_index": ignore_index, "validate_args": validate_args, "logits": logits}
    config = make_config(task, threshold, num_classes, num_labels, **options)
    return jaccard_index_value(count(config, preds, target, sample_weight), average, zero_division)
