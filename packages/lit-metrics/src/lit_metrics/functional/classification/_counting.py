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

from typing import Any, NoReturn

import numpy as np
import torch
from torch import Tensor

from lit_metrics._inputs import as_tensor, as_weights, checks_are_free, require_same_shape
from lit_metrics.functional.classification._task import StatScoresConfig

_BAD_CLASSES = "preds must be labels in [0, {}] or scores without NaN; got other values"


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
    preds, target = label_tensors(preds, target)
    weights = None if sample_weight is None else as_weights(sample_weight, target.shape, target.device)
    if config.ignore_index is not None:
        kept = target != config.ignore_index
        weights = kept.long() if weights is None else weights * kept
    if config.task != "multiclass":
        return _count_binary(config, preds, target, weights)
    return _count_multiclass(config, preds, target, weights)


def label_tensors(preds: Any, target: Any) -> tuple[Tensor, Tensor]:
    """Returns predictions as they are and targets as int64, on one device.

    Raises:
        ValueError: If they are on different devices.
        TypeError: If targets are not integers.
    """
    preds, target = as_tensor(preds, "preds"), as_tensor(target, "target")
    if target.is_floating_point() or target.is_complex():
        raise TypeError(f"target must hold integer labels, got {target.dtype}; convert it with target.long()")
    target = target.long()
    if target.device != preds.device:
        raise ValueError(f"preds and target must be on one device, got {preds.device} and {target.device}")
    return preds, target


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
    hard, bad = binary_labels(config, preds)
    index = matrix_rows(config, target, bad).mul(2).add_(hard)
    samples = target.shape[0] if config.samplewise else 1
    groups = samples * labels
    if groups > 1:
        group = torch.arange(groups, device=target.device).view(samples, 1, labels)
        index = index.reshape(samples, -1, labels) + group * 8
    counts = histogram(index.reshape(-1), groups * 8, weights)
    shape = (samples, *config.state_shape) if config.samplewise else config.state_shape
    return _checked(config, counts.view(shape))


def binary_labels(config: StatScoresConfig, preds: Tensor) -> tuple[Tensor, Tensor | None]:
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
    labels, bad = class_labels(config, preds, target)
    if labels.ndim > 1:
        labels, target = labels.reshape(-1), target.reshape(-1)
        weights = None if weights is None else weights.reshape(-1)
        bad = None if bad is None else bad.reshape(-1)
    if config.is_matrix:
        index = torch.add(labels, matrix_rows(config, target, bad), alpha=k)
        return _checked(config, histogram(index, (k + 2) * k, weights).view(k + 2, k))
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
    counts = histogram(index, samples * 3 * (k + 1), torch.cat([hit * ones, ones, ones]))
    shape = (samples, *config.state_shape) if config.samplewise else config.state_shape
    return _checked(config, counts.view(shape))


def class_labels(config: StatScoresConfig, preds: Tensor, target: Tensor) -> tuple[Tensor, Tensor | None]:
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


def matrix_rows(config: StatScoresConfig, target: Tensor, bad: Tensor | None) -> Tensor:
    """Returns the matrix row of every target: its class, K if there is none, K + 1 if its prediction is invalid."""
    k = config.classes
    row = target.clamp(-1, k).remainder(k + 1)
    return row if bad is None else torch.where(bad, k + 1, row)


def histogram(index: Tensor, size: int, weights: Tensor | None) -> Tensor:
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
    raise_invalid(config, bool(cells[..., 1, :].any()) if config.is_matrix else bool(cells[..., 1].any()))


def raise_invalid(config: StatScoresConfig, preds_bad: bool) -> NoReturn:
    """Raises the `ValueError` for invalid predictions, or else for invalid targets."""
    if preds_bad and config.task != "multiclass":
        valid = "logits without NaN" if config.logits else "probabilities in [0, 1] (pass logits=True for logits)"
        raise ValueError(f"preds must be labels 0 and 1, or {valid}; got other values")
    if preds_bad:
        raise ValueError(_BAD_CLASSES.format(config.classes - 1))
    raise ValueError(
        f"target must hold labels in [0, {config.classes - 1}]"
        + ("" if config.ignore_index is None else f" or ignore_index={config.ignore_index}")
        + "; got others"
    )
