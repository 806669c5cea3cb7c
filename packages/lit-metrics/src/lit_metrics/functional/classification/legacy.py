"""Functions of the 1.0 API that today's spell otherwise."""

from __future__ import annotations

from typing import Any, Literal, TypeAlias

import torch
from torch import Tensor

from lit_metrics._inputs import as_tensor
from lit_metrics.functional.classification._task import Average, multiclass_config
from lit_metrics.functional.classification.precision import precision_value
from lit_metrics.functional.classification.recall import recall_value
from lit_metrics.functional.classification.stat_scores import Counts, count
from lit_metrics.functional.reduction import reduce

Reduction: TypeAlias = Literal["elementwise_mean", "sum", "none"]


def to_onehot(tensor: Any, num_classes: int | None = None) -> Tensor:
    """Returns labels `(N, ...)` as one-hot int64 `(N, C, ...)`.

    Args:
        tensor: Integer labels.
        num_classes: Number of classes C; the largest label + 1 if not given.

    Raises:
        ValueError: If a label is outside [0, C).

    Example:
        >>> from lit_metrics.functional import to_onehot
        >>> to_onehot([1, 0, 2])
        tensor([[0, 1, 0],
                [1, 0, 0],
                [0, 0, 1]])
    """
    labels = as_tensor(tensor, "tensor").long()
    classes = num_classes or (int(labels.max()) + 1 if labels.numel() else 1)
    if labels.numel() and not (int(labels.min()) >= 0 and int(labels.max()) < classes):
        raise ValueError(
            f"tensor must hold labels in [0, {classes - 1}], got {int(labels.min())} to {int(labels.max())}"
        )
    return torch.nn.functional.one_hot(labels, classes).movedim(-1, 1)


def to_categorical(tensor: Any, argmax_dim: int = 1) -> Tensor:
    """Returns the index of the largest score along `argmax_dim`, int64.

    Args:
        tensor: Scores.
        argmax_dim: Dimension of the classes.

    Example:
        >>> from lit_metrics.functional import to_categorical
        >>> to_categorical([[0.2, 0.5], [0.9, 0.1]])
        tensor([1, 0])
    """
    return as_tensor(tensor, "tensor").argmax(dim=argmax_dim)


def _counts(pred: Any, target: Any, num_classes: int | None, argmax_dim: int = 1) -> Counts:
    """Counts per class; the number of classes is told by scores, or else is the largest label + 1."""
    pred, target = as_tensor(pred, "pred"), as_tensor(target, "target")
    if pred.ndim == target.ndim + 1:
        num_classes = num_classes or pred.shape[argmax_dim]
        pred = pred.argmax(dim=argmax_dim)
    if num_classes is None:
        num_classes = max(int(x.max()) + 1 if x.numel() else 1 for x in (pred, target))
    config = multiclass_config(num_classes, "none", 1, "global", None, True)
    return count(config, pred.long(), target, None)


def stat_scores_multiple_classes(
    pred: Any, target: Any, num_classes: int | None = None, argmax_dim: int = 1, reduction: Reduction = "none"
) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
    """True positives, false positives, true negatives, false negatives and support of each class.

    Args:
        pred: `(N, C, ...)` scores, or `(N, ...)` labels.
        target: `(N, ...)` labels.
        num_classes: Number of classes; told by the inputs if not given.
        argmax_dim: Dimension of the classes in scores.
        reduction: `"none"`, or `"sum"` or `"elementwise_mean"` over classes.

    Raises:
        ValueError: If labels are out of range or `reduction` is none of these.

    Example:
        >>> from lit_metrics.functional import stat_scores_multiple_classes
        >>> tp, fp, tn, fn, support = stat_scores_multiple_classes([0, 1, 1, 2], [0, 1, 2, 2])
        >>> tp, fn
        (tensor([1., 1., 1.], dtype=torch.float64), tensor([0., 0., 1.], dtype=torch.float64))
    """
    c = _counts(pred, target, num_classes, argmax_dim)
    tp, fp, tn, fn, support = (reduce(x.double(), reduction) for x in (c.tp, c.fp, c.tn, c.fn, c.support))
    return tp, fp, tn, fn, support


def precision_recall(
    pred: Any, target: Any, num_classes: int | None = None, class_reduction: Average = "micro"
) -> tuple[Tensor, Tensor]:
    """Precision and recall at once, in the 1.0 spelling; see `multiclass_precision` and `multiclass_recall`.

    Args:
        pred: `(N, C, ...)` scores, or `(N, ...)` labels.
        target: `(N, ...)` labels.
        num_classes: Number of classes; told by the inputs if not given.
        class_reduction: Average over classes.

    Example:
        >>> from lit_metrics.functional import precision_recall
        >>> precision_recall([0, 1, 1, 2], [0, 1, 2, 2], class_reduction="macro")
        (tensor(0.8333, dtype=torch.float64), tensor(0.8333, dtype=torch.float64))
    """
    counts = _counts(pred, target, num_classes)
    return precision_value(counts, class_reduction), recall_value(counts, class_reduction)


def iou(
    pred: Any,
    target: Any,
    ignore_index: int | None = None,
    absent_score: float = 0.0,
    num_classes: int | None = None,
    reduction: Reduction = "elementwise_mean",
) -> Tensor:
    """Intersection over union of each class, in the 1.0 spelling; `multiclass_jaccard_index` is today's.

    Args:
        pred: Integer labels.
        target: Integer labels of the same shape.
        ignore_index: Class that is left out of the result; its elements still count for the others.
        absent_score: Value of a class that is neither predicted nor true; it takes part in the mean.
        num_classes: Number of classes; told by the inputs if not given.
        reduction: `"elementwise_mean"`, `"sum"`, or `"none"` for one value per class.

    Raises:
        ValueError: If shapes differ or `reduction` is none of these.

    Example:
        >>> from lit_metrics.functional import iou
        >>> iou([0, 1, 1, 2], [0, 1, 2, 2])
        tensor(0.6667, dtype=torch.float64)
    """
    counts = _counts(pred, target, num_classes)
    union = (counts.support + counts.fp).double()
    scores = torch.where(union > 0, counts.tp / union, absent_score)
    if ignore_index is not None and 0 <= ignore_index < len(scores):
        scores = torch.cat([scores[:ignore_index], scores[ignore_index + 1 :]])
    return reduce(scores, reduction)


def dice_score(
    pred: Any,
    target: Any,
    bg: bool = False,
    nan_score: float = 0.0,
    no_fg_score: float = 0.0,
    reduction: Reduction = "elementwise_mean",
) -> Tensor:
    """Dice score of each class, `2 tp / (2 tp + fp + fn)`, in the 1.0 spelling.

    Args:
        pred: `(N, C, ...)` scores.
        target: `(N, ...)` labels.
        bg: Whether class 0, the background, is counted too.
        nan_score: Value of a true class for which the formula is `0 / 0`.
        no_fg_score: Value of a class without any target, whatever was predicted.
        reduction: `"elementwise_mean"`, `"sum"`, or `"none"` for one value per class.

    Raises:
        ValueError: If shapes do not fit or `reduction` is none of these.

    Example:
        >>> from lit_metrics.functional.classification.legacy import dice_score
        >>> dice_score([[0.1, 0.8, 0.1], [0.2, 0.3, 0.5], [0.1, 0.7, 0.2]], [1, 2, 2])
        tensor(0.6667, dtype=torch.float64)
    """
    counts = _counts(pred, target, None)
    total = (counts.support + counts.predicted).double()
    scores = torch.where(total > 0, 2 * counts.tp / total, nan_score)
    scores = torch.where(counts.support > 0, scores, no_fg_score)
    return reduce(scores if bg else scores[1:], reduction)
