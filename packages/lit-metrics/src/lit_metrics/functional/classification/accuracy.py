"""Accuracy: the share of predictions that equal their target."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from lit_metrics.functional.classification._task import make_config
from lit_metrics.functional.classification.stat_scores import (
    AVERAGES,
    Average,
    MultidimAverage,
    StatScores,
    StatScoresConfig,
    Task,
    average_ratio,
    count_batch,
    require_average,
)

if TYPE_CHECKING:
    from torch import Tensor

ACCURACY_AVERAGES = (*AVERAGES, "balanced")


def accuracy_value(scores: StatScores, average: Average) -> Tensor:
    """Returns accuracy from counts: float64, nan where nothing was counted."""
    if scores.config.task == "multiclass":
        if average == "micro" and scores.config.is_plain:  # the same sums in fewer steps
            return scores.hits.double() / scores.matrix.sum()
        return average_ratio(scores, scores.tp, scores.support, average)
    correct = scores.tp + scores.tn
    return average_ratio(scores, correct, scores.total, "micro" if scores.config.task == "binary" else average)


def _accuracy(config: StatScoresConfig, preds: Any, target: Any, sample_weight: Any, average: Average) -> Tensor:
    require_average(average, ACCURACY_AVERAGES)
    return accuracy_value(StatScores(config, count_batch(config, preds, target, sample_weight)), average)


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
    *,
    logits: bool = False,
    sample_weight: Any = None,
) -> Tensor:
    """Accuracy of any task; see `binary_accuracy`, `multiclass_accuracy` and `multilabel_accuracy`.

    The default average is `"micro"`, whereas the functions of one task default to `"macro"`.

    Example:
        >>> from lit_metrics.functional import accuracy
        >>> accuracy([0, 1, 1, 2], [0, 1, 2, 2], task="multiclass", num_classes=3)
        tensor(0.7500, dtype=torch.float64)
    """
    config = make_config(
        task,
        threshold=threshold,
        num_classes=num_classes,
        num_labels=num_labels,
        average=average,
        multidim_average=multidim_average,
        top_k=top_k,
        ignore_index=ignore_index,
        logits=logits,
        validate_args=validate_args,
    )
    return _accuracy(config, preds, target, sample_weight, average)


def binary_accuracy(
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
    """Share of binary predictions that equal their target, `(tp + tn) / (tp + tn + fp + fn)`.

    Args:
        preds: `(N, ...)` probabilities in [0, 1], logits (with `logits`), or labels 0 and 1.
        target: `(N, ...)` labels 0 and 1.
        threshold: Scores above it count as 1.
        multidim_average: `"global"` for one value, `"samplewise"` for one per sample, `(N,)`.
        ignore_index: Targets of this value are left out.
        validate_args: Whether values are checked.
        logits: Whether `preds` are logits. Never guessed from the values: a batch of small logits looks like
            probabilities.
        sample_weight: `(N,)` or `(N, ...)` weights.

    Returns:
        Value in [0, 1], float64; nan if nothing is left to count.

    Raises:
        ValueError: If shapes differ, labels are not 0 and 1, or probabilities are outside [0, 1].
        TypeError: If targets are not integers.

    Example:
        >>> from lit_metrics.functional import binary_accuracy
        >>> binary_accuracy([0.9, 0.4, 0.6, 0.1], [1, 0, 0, 0])
        tensor(0.7500, dtype=torch.float64)
        >>> binary_accuracy([3.0, -2.0, 0.3, 0.4], [1, 0, 1, 1], logits=True)
        tensor(1., dtype=torch.float64)
    """
    config = make_config(
        "binary",
        threshold=threshold,
        multidim_average=multidim_average,
        ignore_index=ignore_index,
        logits=logits,
        validate_args=validate_args,
    )
    return _accuracy(config, preds, target, sample_weight, "micro")


def multiclass_accuracy(
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
    """Share of multiclass predictions that equal their target; per class, the share of its targets that were found.

    Args:
        preds: `(N, C, ...)` scores in any scale, or `(N, ...)` labels.
        target: `(N, ...)` labels.
        num_classes: Number of classes C; not needed for `average="micro"`.
        average: `"micro"` counts all alike; `"macro"` is the mean over classes that were predicted or true;
            `"balanced"` the mean over classes that were true; `"weighted"` weights by support; `"none"` gives one
            value per class.
        top_k: A prediction is right if the target is among the `top_k` best scores; ties go to the lower index.
        multidim_average: `"global"` for one value, `"samplewise"` for one per sample, `(N,)`.
        ignore_index: Targets of this value are left out; if it is a class, averages leave the class out too.
        validate_args: Whether values are checked.
        sample_weight: `(N,)` or `(N, ...)` weights.

    Returns:
        Value in [0, 1], float64; nan where nothing is left to count.

    Raises:
        ValueError: If shapes do not fit, labels are out of range, or scores hold NaN.
        TypeError: If targets are not integers.

    Example:
        >>> from lit_metrics.functional import multiclass_accuracy
        >>> multiclass_accuracy([0, 1, 1, 2], [0, 1, 2, 2], num_classes=3)
        tensor(0.8333, dtype=torch.float64)
        >>> multiclass_accuracy([0, 1, 1, 2], [0, 1, 2, 2], num_classes=3, average="none")
        tensor([1.0000, 1.0000, 0.5000], dtype=torch.float64)
    """
    config = make_config(
        "multiclass",
        num_classes=num_classes,
        average=average,
        multidim_average=multidim_average,
        top_k=top_k,
        ignore_index=ignore_index,
        validate_args=validate_args,
    )
    return _accuracy(config, preds, target, sample_weight, average)


def multilabel_accuracy(
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
    """Binary accuracy of each label, averaged.

    Args:
        preds: `(N, L, ...)` probabilities in [0, 1], logits (with `logits`), or labels 0 and 1.
        target: `(N, L, ...)` labels 0 and 1.
        num_labels: Number of labels L.
        threshold: Scores above it count as 1.
        average: `"micro"`, `"macro"`, `"weighted"` (by positive targets), `"balanced"` (labels with positive targets),
            or `"none"` for one value per label.
        multidim_average: `"global"` for one value, `"samplewise"` for one per sample, `(N,)`.
        ignore_index: Targets of this value are left out.
        validate_args: Whether values are checked.
        logits: Whether `preds` are logits; never guessed from the values.
        sample_weight: `(N,)` or `(N, L, ...)` weights.

    Returns:
        Value in [0, 1], float64; nan where nothing is left to count.

    Raises:
        ValueError: If shapes do not fit, labels are not 0 and 1, or probabilities are outside [0, 1].
        TypeError: If targets are not integers.

    Example:
        >>> from lit_metrics.functional import multilabel_accuracy
        >>> multilabel_accuracy([[0.9, 0.2], [0.3, 0.8]], [[1, 0], [1, 1]], num_labels=2, average="none")
        tensor([0.5000, 1.0000], dtype=torch.float64)
    """
    config = make_config(
        "multilabel",
        threshold=threshold,
        num_labels=num_labels,
        multidim_average=multidim_average,
        ignore_index=ignore_index,
        logits=logits,
        validate_args=validate_args,
    )
    return _accuracy(config, preds, target, sample_weight, average)
