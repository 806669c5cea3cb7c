"""Counts of true and false positives and negatives, how they are averaged, and the counts themselves as a metric.

The three functions of one task, `binary_stat_scores`, `multiclass_stat_scores` and `multilabel_stat_scores`, document
the arguments that all metrics on these counts share.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from lit_metrics._inputs import checks_are_free
from lit_metrics.functional.classification._counting import count_batch
from lit_metrics.functional.classification._task import (
    Average,
    MultidimAverage,
    StatScoresConfig,
    Task,
    binary_config,
    lazy,
    make_config,
    multiclass_config,
    multilabel_config,
    require_average,
)


class Counts:
    """A reading of the counts: true and false positives and negatives per class (last dimension).

    Args:
        config: How the counts were made.
        counts: State made by `count_batch`, or a sum of such states.
    """

    def __init__(self, config: StatScoresConfig, counts: Tensor) -> None:
        self.config = config
        self._counts = counts
        self._k = config.classes

    @lazy
    def matrix(self) -> Tensor:
        """Confusion matrix `(..., K, K)`, rows are targets; only in the matrix layout, and not for multilabel."""
        return self._counts.narrow(-2, 0, self._k)

    @lazy
    def tp(self) -> Tensor:
        """True positives."""
        if self.config.task == "multiclass":
            return self.matrix.diagonal(dim1=-2, dim2=-1) if self.config.is_matrix else self._counts[..., 0, : self._k]
        return self._cell(1, 1)

    @lazy
    def support(self) -> Tensor:
        """Targets of the class: true positives and false negatives."""
        if self.config.task == "multiclass":
            return self.matrix.sum(-1) if self.config.is_matrix else self._counts[..., 2, : self._k]
        return self.tp + self._cell(1, 0)

    @lazy
    def predicted(self) -> Tensor:
        """Predictions of the class: true and false positives."""
        if self.config.task == "multiclass":
            return self.matrix.sum(-2) if self.config.is_matrix else self._counts[..., 1, : self._k]
        return self.tp + self._cell(0, 1)

    @lazy
    def total(self) -> Tensor:
        """Elements counted, in a last dimension of 1 (multiclass) or per label."""
        if self.config.task == "multiclass":
            return self.support.sum(-1, keepdim=True)
        return self.support + self._cell(0, 0) + self._cell(0, 1)

    @lazy
    def hits(self) -> Tensor:
        """True positives of all classes together."""
        return self.tp.sum(-1)

    @lazy
    def present(self) -> Tensor:
        """Which classes were predicted or true at all; which labels had any element counted."""
        return self.total > 0 if self.config.task == "multilabel" else torch.logical_or(self.support, self.predicted)

    @lazy
    def number(self) -> Tensor:
        """How many classes or labels are present."""
        return self.present.sum(-1)

    @lazy
    def tp_float(self) -> Tensor:
        """True positives in float64, for ratios."""
        return self.tp.double()

    @lazy
    def fp(self) -> Tensor:
        """False positives."""
        return self.predicted - self.tp

    @lazy
    def fn(self) -> Tensor:
        """False negatives."""
        return self.support - self.tp

    @lazy
    def tn(self) -> Tensor:
        """True negatives."""
        return self.total - self.predicted - self.fn

    def _cell(self, target: int, pred: int) -> Tensor:
        cell = self._counts[..., target, pred]
        return cell if self.config.task == "multilabel" else cell.unsqueeze(-1)


def count(config: StatScoresConfig, preds: Any, target: Any, sample_weight: Any) -> Counts:
    """Returns the counts of one batch."""
    return Counts(config, count_batch(config, preds, target, sample_weight))


def average_ratio(
    counts: Counts, num: Tensor, den: Tensor, average: Average, zero_division: float = 0, *, hits: bool = False
) -> Tensor:
    """Returns `num / den` averaged over classes (last dimension), in float64.

    A class that was neither predicted nor true is nan and left out of means, and so is a label without any element. In
    the others an empty denominator gives `zero_division`. Where nothing was counted the value is nan.

    Args:
        counts: Where the ratios come from.
        num: Numerator per class; 0 wherever the denominator is.
        den: Denominator per class.
        average: `"micro"` divides sums, and so do binary tasks; `"macro"` is the mean over classes; `"weighted"`
            weights by support; `"balanced"` is the mean over classes with support; `"none"` or `None` gives one value
            per class.
        zero_division: Value of `0 / 0`; nan leaves the class out of means.
        hits: Whether the numerator is 0 for classes that are not present, as true positives are.
    """
    keep = None
    if counts.config.dropped is not None:
        keep = torch.arange(num.shape[-1], device=num.device) != counts.config.dropped
        num, den = num * keep, den * keep
    if average == "micro" or counts.config.task == "binary":
        return _divide(counts, num.sum(-1, dtype=torch.float64), den.sum(-1), zero_division)
    # Where the denominator is 0 the numerator is too: any divisor gives 0 there, and spares weights below 1.
    ratio = num.double() / (torch.where(den > 0, den, 1) if den.is_floating_point() else den.clamp(min=1))
    out = zero_division != zero_division
    if zero_division and not out:
        ratio = torch.where(den > 0, ratio, zero_division)
    if average == "macro" and hits and keep is None and zero_division == 0:
        return ratio.sum(-1) / counts.number
    if average == "weighted":
        weights = counts.support if keep is None else counts.support * keep
        weights = weights * (den > 0) if out else weights
        return _divide(counts, (ratio * weights).sum(-1), weights.sum(-1), zero_division)
    present = counts.support > 0 if average == "balanced" else counts.present
    present = present if keep is None else present & keep
    if average in ("macro", "balanced"):
        present = present & (den > 0) if out else present
        return (ratio * present).sum(-1) / present.sum(-1)
    return torch.where(present & (den > 0) if out else present, ratio, torch.nan)


def _divide(counts: Counts, num: Tensor, den: Tensor, zero_division: float) -> Tensor:
    value = num / den
    if den.ndim == 0 and checks_are_free(den) and bool(den):
        return value
    return torch.where((den == 0) & (counts.total.sum(-1) > 0), zero_division, value)


def stat_scores_value(counts: Counts, average: Average) -> Tensor:
    """Returns `(tp, fp, tn, fn, support)` in the last dimension; see `multiclass_stat_scores` for the averages."""
    parts = torch.stack([counts.tp, counts.fp, counts.tn, counts.fn, counts.support], -1)
    if counts.config.task == "binary":
        return parts[..., 0, :]
    if average in ("none", None):
        return parts
    keep = torch.arange(parts.shape[-2], device=parts.device) != (-1 if (d := counts.config.dropped) is None else d)
    if average == "micro":
        return (parts * keep.unsqueeze(-1)).sum(-2)
    weights = (counts.support * keep if average == "weighted" else keep.expand(counts.support.shape)).unsqueeze(-1)
    return (parts * weights).sum(-2).double() / weights.sum(-2)


def binary_stat_scores(
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
    """True and false positives and negatives of binary predictions, and the number of positive targets.

    Args:
        preds: `(N, ...)` probabilities in [0, 1], logits (with `logits`), or labels 0 and 1.
        target: `(N, ...)` labels 0 and 1.
        threshold: Scores above it count as 1; in probability, also with `logits`.
        multidim_average: `"global"` for one value, `"samplewise"` for one per sample, `(N,)`.
        ignore_index: Targets of this value are left out.
        validate_args: Whether values are checked: at once in host memory; on accelerators a metric checks in `compute`.
        logits: Whether `preds` are logits. Never guessed from the values: a batch of small logits looks like
            probabilities.
        sample_weight: `(N,)` or `(N, ...)` weights; the counts become float64 sums of weights.

    Metrics that divide counts also take `zero_division`, the value of `0 / 0`.

    Returns:
        `(5,)`: tp, fp, tn, fn, support; `(N, 5)` samplewise.

    Raises:
        ValueError: If shapes differ, labels are not 0 and 1, or probabilities are outside [0, 1].
        TypeError: If targets are not integers.

    Example:
        >>> from lit_metrics.functional import binary_stat_scores
        >>> binary_stat_scores([0.9, 0.4, 0.6, 0.1], [1, 0, 0, 0])
        tensor([1, 1, 2, 0, 1])
    """
    config = binary_config(threshold, multidim_average, ignore_index, validate_args, logits)
    return stat_scores_value(count(config, preds, target, sample_weight), "micro")


def multiclass_stat_scores(
    preds: Any,
    target: Any,
    num_classes: int,
    average: Average = "macro",
    top_k: int = 1,
    multidim_average: MultidimAverage = "global",
    ignore_index: int | None = None,
    validate_args: bool = True,
    *,
    sample_weight: Any = None,
) -> Tensor:
    """True and false positives and negatives of each class, and the number of its targets.

    Args:
        preds: `(N, C, ...)` scores in any scale, or `(N, ...)` labels.
        target: `(N, ...)` labels in [0, C).
        num_classes: Number of classes C; may be left out where the micro average does without (accuracy, precision,
            recall, F-scores).
        average: `"micro"` counts all alike; `"macro"` is the mean over classes (for ratios: the predicted or true
            ones); `"weighted"` weights classes by support; `"none"` or `None` gives one value per class (for ratios:
            nan if it was neither predicted nor true).
        top_k: A prediction is right if the target is among the `top_k` best scores; ties go to the lower index.
        multidim_average: `"global"` for one value, `"samplewise"` for one per sample, `(N,)`.
        ignore_index: Targets of this value are left out; if it is a class, averages leave the class out too.
        validate_args: Whether values are checked: at once in host memory; on accelerators a metric checks in `compute`.
        sample_weight: `(N,)` or `(N, ...)` weights; the counts become float64 sums of weights.

    Metrics that divide counts also take `zero_division`, the value of `0 / 0` in a class that was predicted or true;
    nan leaves the class out of means.

    Returns:
        `(5,)`: tp, fp, tn, fn, support; `(C, 5)` for `"none"`; one of these per sample for `"samplewise"`.

    Raises:
        ValueError: If shapes do not fit, labels are out of range, or scores hold NaN.
        TypeError: If targets are not integers.

    Example:
        >>> from lit_metrics.functional import multiclass_stat_scores
        >>> multiclass_stat_scores([0, 1, 1, 2], [0, 1, 2, 2], num_classes=3)
        tensor([1.0000, 0.3333, 2.3333, 0.3333, 1.3333], dtype=torch.float64)
        >>> multiclass_stat_scores([0, 1, 1, 2], [0, 1, 2, 2], num_classes=3, average="none")
        tensor([[1, 0, 3, 0, 1],
                [1, 1, 2, 0, 1],
                [1, 0, 2, 1, 2]])
    """
    require_average(average)
    config = multiclass_config(num_classes, average, top_k, multidim_average, ignore_index, validate_args)
    return stat_scores_value(count(config, preds, target, sample_weight), average)


def multilabel_stat_scores(
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
    """True and false positives and negatives of each label, and the number of its positive targets.

    Args:
        preds: `(N, L, ...)` probabilities in [0, 1], logits (with `logits`), or labels 0 and 1.
        target: `(N, L, ...)` labels 0 and 1.
        num_labels: Number of labels L.
        threshold: Scores above it count as 1; in probability, also with `logits`.
        average: `"micro"`, `"macro"`, `"weighted"` (by positive targets), or `"none"` for one value per label.
        multidim_average: `"global"` for one value, `"samplewise"` for one per sample, `(N,)`.
        ignore_index: Targets of this value are left out.
        validate_args: Whether values are checked: at once in host memory; on accelerators a metric checks in `compute`.
        logits: Whether `preds` are logits; never guessed from the values.
        sample_weight: `(N,)` or `(N, L, ...)` weights; the counts become float64 sums of weights.

    Metrics that divide counts also take `zero_division`, the value of `0 / 0`; nan leaves the label out of means.

    Returns:
        `(5,)`: tp, fp, tn, fn, support; `(L, 5)` for `"none"`; one of these per sample for `"samplewise"`.

    Raises:
        ValueError: If shapes do not fit, labels are not 0 and 1, or probabilities are outside [0, 1].
        TypeError: If targets are not integers.

    Example:
        >>> from lit_metrics.functional import multilabel_stat_scores
        >>> multilabel_stat_scores([[0.9, 0.2], [0.3, 0.8]], [[1, 0], [1, 1]], num_labels=2, average="none")
        tensor([[1, 0, 0, 1, 2],
                [1, 0, 1, 0, 1]])
    """
    require_average(average)
    config = multilabel_config(num_labels, threshold, multidim_average, ignore_index, validate_args, logits)
    return stat_scores_value(count(config, preds, target, sample_weight), average)


def stat_scores(
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
    """Counts for any task, averaged `"micro"` by default; see `binary_stat_scores` and its like.

    Example:
        >>> from lit_metrics.functional import stat_scores
        >>> stat_scores([0, 1, 1, 2], [0, 1, 2, 2], task="multiclass", num_classes=3)
        tensor([3, 1, 7, 1, 4])
    """
    require_average(average)
    config = make_config(
        task, threshold, num_classes, num_labels, average, multidim_average, top_k, ignore_index, validate_args, logits
    )
    return stat_scores_value(count(config, preds, target, sample_weight), average)
