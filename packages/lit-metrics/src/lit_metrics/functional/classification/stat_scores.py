"""The one engine of threshold-based classification: how often each class was predicted, was true, and both.

Binary, multiclass and multilabel tasks count into one tensor, and accuracy, precision, recall, F-scores and their like
are different readings of it. Two layouts exist:

* matrix `(..., K + 2, K)`: a confusion matrix, rows are targets; row `K` counts invalid targets, row `K + 1` invalid
  predictions. Multilabel keeps one 2 x 2 matrix per label.
* counts `(..., 3, K + 1)`: hits, predictions and targets per class; column `K` counts the invalid. For many classes,
  for one value per sample, and (with K = 1) for accuracy over an unknown number of classes.

Shape suffixes: N samples or elements, K classes, L labels, G groups (labels, and samples for samplewise averages).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal, TypeAlias

import numpy as np
import torch
from torch import Tensor

from lit_metrics._inputs import as_tensor, as_weights, checks_are_free, require_same_shape

Task: TypeAlias = Literal["binary", "multiclass", "multilabel"]
Average: TypeAlias = Literal["micro", "macro", "weighted", "none", "balanced"] | None
MultidimAverage: TypeAlias = Literal["global", "samplewise"]

TASKS = ("binary", "multiclass", "multilabel")
AVERAGES = ("micro", "macro", "weighted", "none", None)
_BAD_CLASSES = "preds must be labels in [0, {}] or scores without NaN; got other values"
MATRIX_CLASSES = 128
"""Largest number of classes for which a confusion matrix is kept; beyond, three counts per class."""


@dataclass(frozen=True)
class StatScoresConfig:
    """Everything that decides how a batch is counted; equal configurations share one state.

    Args:
        task: `"binary"`, `"multiclass"` or `"multilabel"`.
        num_classes: Classes, or labels for multilabel; `None` only for multiclass counts that need no classes.
        threshold: Binary and multilabel scores above it are positive; in probability, also with `logits`.
        top_k: A multiclass prediction is a hit if the target is among the `top_k` best scores (ties: lower index
            first).
        ignore_index: Elements with this target are left out; any integer.
        samplewise: One result per sample instead of one for all.
        logits: Whether binary and multilabel scores are logits; never guessed from the values.
        validate_args: Whether values are checked (labels in range, probabilities in [0, 1], no NaN).

    Raises:
        ValueError: If a value is out of its range.
    """

    task: Task
    num_classes: int | None = None
    threshold: float = 0.5
    top_k: int = 1
    ignore_index: int | None = None
    samplewise: bool = False
    logits: bool = False
    validate_args: bool = True

    def __post_init__(self) -> None:
        if self.task not in TASKS:
            raise ValueError(f"task must be one of {TASKS}, got {self.task!r}")
        size = "num_labels" if self.task == "multilabel" else "num_classes"
        if self.num_classes is not None and (not _is_int(self.num_classes) or self.num_classes < 1):
            raise ValueError(f"{size} must be a positive integer, got {self.num_classes!r}")
        if self.task == "multilabel" and self.num_classes is None:
            raise ValueError("num_labels must be given for task='multilabel'")
        if isinstance(self.threshold, bool) or not (0.0 <= float(self.threshold) <= 1.0):
            raise ValueError(f"threshold must be a probability in [0, 1], got {self.threshold!r}")
        if not _is_int(self.top_k) or self.top_k < 1:
            raise ValueError(f"top_k must be an integer of at least 1, got {self.top_k!r}")
        if self.num_classes is not None and self.task == "multiclass" and self.top_k > self.num_classes:
            raise ValueError(f"top_k must be at most num_classes={self.num_classes}, got {self.top_k}")
        if self.ignore_index is not None and not _is_int(self.ignore_index):
            raise ValueError(f"ignore_index must be an integer or None, got {self.ignore_index!r}")

    @cached_property
    def classes(self) -> int:
        """Classes per confusion matrix: K, or 2 for binary and multilabel, or 1 where all classes fall together."""
        return (self.num_classes or 1) if self.task == "multiclass" else 2

    @cached_property
    def is_matrix(self) -> bool:
        """Whether the state is a confusion matrix."""
        if self.task != "multiclass":
            return True
        return self.num_classes is not None and self.num_classes <= MATRIX_CLASSES and not self.samplewise

    @cached_property
    def is_plain(self) -> bool:
        """Whether every element counts one, into a multiclass confusion matrix."""
        return self.task == "multiclass" and self.is_matrix and self.top_k == 1 and self.ignore_index is None

    @cached_property
    def state_shape(self) -> tuple[int, ...]:
        """Shape of the state of one group of samples."""
        k = self.classes
        if self.task == "multilabel":
            return (self.num_classes or 0, k + 2, k)
        return (k + 2, k) if self.is_matrix else (3, k + 1)

    @cached_property
    def cut(self) -> float:
        """The threshold on the scale of the scores."""
        if not self.logits:
            return float(self.threshold)
        if self.threshold in (0, 1):
            return -math.inf if self.threshold == 0 else math.inf
        return math.log(self.threshold / (1 - self.threshold))


def count_batch(config: StatScoresConfig, preds: Any, target: Any, sample_weight: Any = None) -> Tensor:
    """Returns the state of one batch, of shape `config.state_shape` (after a sample dimension if samplewise).

    Args:
        config: How to count.
        preds: Scores or labels: `(N, ...)`; multiclass scores `(N, K, ...)`; multilabel `(N, L, ...)`.
        target: Integer labels `(N, ...)`; multilabel `(N, L, ...)` of 0 and 1.
        sample_weight: Weight per sample or per element; the counts become float64 sums of weights.

    Raises:
        ValueError: If shapes do not fit, or (with `validate_args`, in host memory) values are out of range.
        TypeError: If targets are not integers.
    """
    if sample_weight is None and config.is_plain and _is_plain_batch(preds, target):
        return _count_on_host(config, preds, target)
    preds, target = as_tensor(preds, "preds"), as_tensor(target, "target")
    if target.is_floating_point() or target.is_complex():
        raise TypeError(f"target must hold integer labels, got {target.dtype}; convert it with target.long()")
    target = target.long()
    if target.device != preds.device:
        raise ValueError(f"preds and target must be on one device, got {preds.device} and {target.device}")
    weights = None if sample_weight is None else as_weights(sample_weight, target.shape, target.device)
    if config.ignore_index is not None:
        kept = target != config.ignore_index
        weights = kept.long() if weights is None else weights * kept
    if config.task != "multiclass":
        return _count_binary(config, preds, target, weights)
    return _count_multiclass(config, preds, target, weights)


def _is_plain_batch(preds: Any, target: Any) -> bool:
    return (
        isinstance(preds, Tensor)
        and isinstance(target, Tensor)
        and preds.dtype is torch.float32
        and target.dtype is torch.int64
        and preds.ndim == 2
        and target.is_cpu
        and checks_are_free(preds)
    )


def _count_on_host(config: StatScoresConfig, preds: Tensor, target: Tensor) -> Tensor:
    """The commonest case of `_count_multiclass` in numpy, whose calls cost a third of torch's on small batches."""
    k = config.classes
    num, num_scores = preds.shape
    if num_scores != k or target.shape != (num,):
        _require_scores(config, preds, target)
    scores = preds.detach().numpy() if preds.requires_grad else preds.numpy()
    # A sum of squares is NaN exactly if an entry is.
    if config.validate_args and (norm := np.vdot(scores, scores)) != norm:
        raise ValueError(_BAD_CLASSES.format(k - 1))
    # As unsigned numbers, negative labels are large: one minimum sends everything out of range to row K.
    row = np.minimum(target.numpy().view(np.uint64), k).view(np.int64)
    row *= k
    row += scores.argmax(1)
    counts = np.bincount(row, minlength=(k + 2) * k)
    state = torch.from_numpy(counts).view(k + 2, k)
    if config.validate_args and np.count_nonzero(counts[k * k :]):
        raise_if_invalid(config, state)
    return state


def _count_binary(config: StatScoresConfig, preds: Tensor, target: Tensor, weights: Tensor | None) -> Tensor:
    """Counts into one 2 x 2 matrix per group; binary is multilabel with one label."""
    require_same_shape(preds, target)
    labels = 1
    if config.task == "multilabel":
        labels = config.num_classes or 1
        if preds.ndim < 2 or preds.shape[1] != labels:
            raise ValueError(f"preds and target must have shape (N, {labels}, ...), got {tuple(preds.shape)}")
        preds, target = preds.movedim(1, -1), target.movedim(1, -1)
        weights = None if weights is None else weights.movedim(1, -1)
    hard, bad = _binary_labels(config, preds)
    index = _rows(config, target, bad).mul(2).add_(hard)
    samples = target.shape[0] if config.samplewise else 1
    groups = samples * labels
    if groups > 1:
        group = torch.arange(groups, device=target.device).view(samples, 1, labels)
        index = index.reshape(samples, -1, labels) + group * 8
    counts = _histogram(index.reshape(-1), groups * 8, weights)
    shape = (samples, *config.state_shape) if config.samplewise else config.state_shape
    return _checked(config, counts.view(shape))


def _binary_labels(config: StatScoresConfig, preds: Tensor) -> tuple[Tensor, Tensor | None]:
    """Returns 0 or 1 for every prediction, and where the prediction is invalid."""
    if not preds.is_floating_point():
        hard = preds.long().clamp(0, 1)
        return hard, hard != preds if config.validate_args else None
    hard = preds > config.cut
    if not config.validate_args:
        return hard, None
    if checks_are_free(preds) and preds.dtype not in (torch.bfloat16, torch.float16) and preds.numel():
        scores = preds.detach().numpy()
        low, high = scores.min(), scores.max()
        if (low == low) if config.logits else (low >= 0 and high <= 1):
            return hard, None
    return hard, preds.isnan() if config.logits else preds != preds.clamp(0, 1)


def _count_multiclass(config: StatScoresConfig, preds: Tensor, target: Tensor, weights: Tensor | None) -> Tensor:
    k = config.classes
    samples = target.shape[0] if config.samplewise else 1
    labels, bad = _class_labels(config, preds, target)
    if labels.ndim > 1:
        labels, target = labels.reshape(-1), target.reshape(-1)
        weights = None if weights is None else weights.reshape(-1)
        bad = None if bad is None else bad.reshape(-1)
    if config.is_matrix:
        index = torch.add(labels, _rows(config, target, bad), alpha=k)
        return _checked(config, _histogram(index, (k + 2) * k, weights).view(k + 2, k))
    hit = labels == target
    if config.num_classes is None:
        row, labels = torch.zeros_like(target), torch.zeros_like(labels)
    else:
        row = target.clamp(-1, k).remainder(k + 1)
    if bad is not None:
        labels = torch.where(bad, k, labels)
    index = torch.cat([row, labels + (k + 1), row + 2 * (k + 1)])
    if config.samplewise:
        sample = torch.arange(samples, device=target.device).repeat_interleave(target.numel() // max(samples, 1))
        index = index + (sample * 3 * (k + 1)).repeat(3)
    ones = torch.ones_like(row) if weights is None else weights
    counts = _histogram(index, samples * 3 * (k + 1), torch.cat([hit * ones, ones, ones]))
    shape = (samples, *config.state_shape) if config.samplewise else config.state_shape
    return _checked(config, counts.view(shape))


def _class_labels(config: StatScoresConfig, preds: Tensor, target: Tensor) -> tuple[Tensor, Tensor | None]:
    """Returns the predicted class of every target, and where the prediction is invalid."""
    k = config.num_classes
    if not preds.is_floating_point():
        require_same_shape(preds, target)
        if config.top_k > 1:
            raise ValueError(f"top_k={config.top_k} needs scores of shape (N, num_classes, ...), got labels")
        if k is None:
            return preds.long(), None
        hard = preds.long().clamp(0, k - 1)
        return hard, hard != preds if config.validate_args else None
    _require_scores(config, preds, target)
    if checks_are_free(preds) and preds.dtype != torch.bfloat16 and preds.numel():
        scores = preds.detach().numpy()  # numpy's argmax over rows is several times faster than torch's on CPU
        labels = torch.from_numpy(scores.argmax(1))
        best = scores.max() if config.validate_args else 0
        bad = None if best == best else preds.isnan().any(1)
    else:
        values, labels = preds.max(1)
        bad = values.isnan() if config.validate_args else None
    if config.top_k > 1:
        hit = _target_rank(preds, target) < config.top_k
        labels = torch.where(hit, target.clamp(0, preds.shape[1] - 1), labels)
    return labels, bad


def _require_scores(config: StatScoresConfig, preds: Tensor, target: Tensor) -> None:
    shape = preds.shape
    if len(shape) != target.ndim + 1 or shape[:1] + shape[2:] != target.shape:
        raise ValueError(
            f"preds must be scores (N, num_classes, ...) for target (N, ...), or labels of its shape; got"
            f" {tuple(shape)} and {tuple(target.shape)}"
        )
    if config.num_classes is not None and shape[1] != config.num_classes:
        raise ValueError(f"preds must have num_classes={config.num_classes} scores in dimension 1, got {shape[1]}")


def _target_rank(preds: Tensor, target: Tensor) -> Tensor:
    """Returns how many classes rank before the target: better scores, and equal ones of lower index."""
    k = preds.shape[1]
    index = target.clamp(0, k - 1).unsqueeze(1)
    score = preds.gather(1, index)
    classes = torch.arange(k, device=preds.device).view(1, k, *[1] * (preds.ndim - 2))
    return ((preds > score) | ((preds == score) & (classes < index))).sum(1)


def _rows(config: StatScoresConfig, target: Tensor, bad: Tensor | None) -> Tensor:
    """Returns the matrix row of every target: its class, K if there is none, K + 1 if its prediction is invalid."""
    k = config.classes
    row = target.clamp(-1, k).remainder(k + 1)
    return row if bad is None else torch.where(bad, k + 1, row)


def _histogram(index: Tensor, size: int, weights: Tensor | None) -> Tensor:
    if weights is None:
        if checks_are_free(index):
            return torch.bincount(index, minlength=size)
        weights = torch.ones_like(index)  # bincount would read the largest index back from the device
    return weights.new_zeros(size).index_add_(0, index, weights.reshape(-1))


def _checked(config: StatScoresConfig, counts: Tensor) -> Tensor:
    if config.validate_args and checks_are_free(counts):
        raise_if_invalid(config, counts)
    return counts


def raise_if_invalid(config: StatScoresConfig, counts: Tensor) -> None:
    """Raises a `ValueError` if a state counted invalid labels or scores; reads the state from its device."""
    k = config.classes
    if not config.validate_args or (config.num_classes is None and config.task == "multiclass"):
        return
    cells = counts[..., k:, :] if config.is_matrix else counts[..., k]
    if not cells.detach().cpu().numpy().any():
        return
    preds_bad = bool(cells[..., 1, :].any()) if config.is_matrix else bool(cells[..., 1].any())
    if preds_bad and config.task != "multiclass":
        valid = "logits without NaN" if config.logits else "probabilities in [0, 1] (pass logits=True for logits)"
        raise ValueError(f"preds must be labels 0 and 1, or {valid}; got other values")
    if preds_bad:
        raise ValueError(_BAD_CLASSES.format(k - 1))
    raise ValueError(
        f"target must hold labels in [0, {k - 1}]"
        + ("" if config.ignore_index is None else f" or ignore_index={config.ignore_index}")
        + "; got others"
    )


class StatScores:
    """A reading of the counts: true and false positives and negatives per class (last dimension).

    Args:
        config: How the counts were made.
        counts: State made by `count_batch`, or a sum of such states.
    """

    def __init__(self, config: StatScoresConfig, counts: Tensor) -> None:
        self.config = config
        self._counts = counts
        self._k = config.classes

    @cached_property
    def matrix(self) -> Tensor:
        """Confusion matrix `(..., K, K)`, rows are targets; only in the matrix layout."""
        return self._counts.narrow(-2, 0, self._k)

    @cached_property
    def tp(self) -> Tensor:
        """True positives."""
        if self.config.task == "multiclass":
            return self.matrix.diagonal(dim1=-2, dim2=-1) if self.config.is_matrix else self._counts[..., 0, : self._k]
        return self._cell(1, 1)

    @cached_property
    def support(self) -> Tensor:
        """Targets of the class: true positives and false negatives."""
        if self.config.task == "multiclass":
            return self.matrix.sum(-1) if self.config.is_matrix else self._counts[..., 2, : self._k]
        return self.tp + self._cell(1, 0)

    @cached_property
    def predicted(self) -> Tensor:
        """Predictions of the class: true and false positives."""
        if self.config.task == "multiclass":
            return self.matrix.sum(-2) if self.config.is_matrix else self._counts[..., 1, : self._k]
        return self.tp + self._cell(0, 1)

    @cached_property
    def total(self) -> Tensor:
        """Elements counted, in a last dimension of 1 (multiclass) or per label."""
        if self.config.task == "multiclass":
            return self.support.sum(-1, keepdim=True)
        return self.support + self._cell(0, 0) + self._cell(0, 1)

    @cached_property
    def hits(self) -> Tensor:
        """True positives of all classes together."""
        return self.tp.sum(-1)

    @cached_property
    def present(self) -> Tensor:
        """Which classes were predicted or true at all; which labels had any element counted."""
        return self.total > 0 if self.config.task == "multilabel" else torch.logical_or(self.support, self.predicted)

    @cached_property
    def fp(self) -> Tensor:
        """False positives."""
        return self.predicted - self.tp

    @cached_property
    def fn(self) -> Tensor:
        """False negatives."""
        return self.support - self.tp

    @cached_property
    def tn(self) -> Tensor:
        """True negatives."""
        return self.total - self.predicted - self.fn

    @cached_property
    def dropped(self) -> int | None:
        """The multiclass class that `ignore_index` names, if any: it takes no part in averages."""
        index = self.config.ignore_index
        classes = self.config.num_classes or 0
        return index if self.config.task == "multiclass" and index is not None and 0 <= index < classes else None

    def _cell(self, target: int, pred: int) -> Tensor:
        cell = self._counts[..., target, pred]
        return cell if self.config.task == "multilabel" else cell.unsqueeze(-1)


def average_ratio(scores: StatScores, num: Tensor, den: Tensor, average: Average) -> Tensor:
    """Returns `num / den` averaged over classes (last dimension), in float64.

    A class that was neither predicted nor true is nan and left out of means, and so is a label without any element.
    Other classes with an empty denominator count 0.

    Args:
        scores: Where the ratios come from.
        num: Numerator per class; 0 wherever the denominator is.
        den: Denominator per class.
        average: `"micro"` divides sums; `"macro"` is the mean over classes; `"weighted"` weights by support;
            `"balanced"` is the mean over classes with support; `"none"` or `None` gives one value per class.
    """
    keep = None
    if scores.dropped is not None:
        keep = torch.arange(num.shape[-1], device=num.device) != scores.dropped
        num, den = num * keep, den * keep
    if average == "micro":
        return num.sum(-1, dtype=torch.float64) / den.sum(-1)
    # Where the denominator is 0 the numerator is too: any divisor gives 0 there, and spares weights below 1.
    ratio = num.double() / (torch.where(den > 0, den, 1) if den.is_floating_point() else den.clamp(min=1))
    if average == "weighted":
        weights = scores.support if keep is None else scores.support * keep
        return (ratio * weights).sum(-1) / weights.sum(-1)
    present = scores.support > 0 if average == "balanced" else scores.present
    if keep is not None:
        present = present & keep
    if average in ("macro", "balanced"):
        return (ratio * present if average == "balanced" else ratio).sum(-1) / present.sum(-1)
    return torch.where(present, ratio, torch.nan)


def require_average(average: Any, allowed: tuple[Any, ...] = AVERAGES) -> None:
    """Raises a `ValueError` unless `average` is one of `allowed`."""
    if average not in allowed:
        raise ValueError(f"average must be one of {allowed}, got {average!r}")


def _is_int(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)
