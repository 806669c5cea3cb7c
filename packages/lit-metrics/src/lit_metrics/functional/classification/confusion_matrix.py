"""Confusion matrix: how often each class was taken for each."""

from __future__ import annotations

from typing import Any, Literal, TypeAlias

import torch
from torch import Tensor

from lit_metrics.functional.classification._task import (
    Task,
    binary_config,
    make_config,
    multiclass_config,
    multilabel_config,
)
from lit_metrics.functional.classification.stat_scores import Counts, count

Normalize: TypeAlias = Literal["true", "pred", "all", "none"] | None

_NORMALIZE = ("true", "pred", "all", "none", None)


def confusion_matrix_value(counts: Counts, normalize: Normalize = None) -> Tensor:
    """Returns the confusion matrix, or its shares."""
    matrix = counts.matrix
    if normalize in (None, "none"):
        return matrix
    dims = {"true": (-1,), "pred": (-2,), "all": (-2, -1)}[str(normalize)]
    total = matrix.sum(dims, keepdim=True).double()
    return matrix / torch.where(total > 0, total, 1)


def require_normalize(normalize: Any) -> None:
    """Raises a `ValueError` unless `normalize` is a known way."""
    if normalize not in _NORMALIZE:
        raise ValueError(f"normalize must be one of {_NORMALIZE}, got {normalize!r}")


def binary_confusion_matrix(
    preds: Any,
    target: Any,
    threshold: float = 0.5,
    normalize: Normalize = None,
    ignore_index: int | None = None,
    validate_args: bool = True,
    *,
    logits: bool = False,
    sample_weight: Any = None,
) -> Tensor:
    """Counts of predictions (columns) by target (rows), `[[tn, fp], [fn, tp]]`.

    Arguments and errors are those of `binary_stat_scores`, and `normalize` as in `multiclass_confusion_matrix`.

    Example:
        >>> from lit_metrics.functional import binary_confusion_matrix
        >>> binary_confusion_matrix([0.9, 0.4, 0.6, 0.1], [1, 0, 0, 0])
        tensor([[2, 1],
                [0, 1]])
    """
    require_normalize(normalize)
    config = binary_config(threshold, "global", ignore_index, validate_args, logits)
    return confusion_matrix_value(count(config, preds, target, sample_weight), normalize)


def multiclass_confusion_matrix(
    preds: Any,
    target: Any,
    num_classes: int,
    normalize: Normalize = None,
    ignore_index: int | None = None,
    validate_args: bool = True,
    *,
    sample_weight: Any = None,
) -> Tensor:
    """Counts of predicted classes (columns) by true class (rows), `(C, C)`.

    Other arguments and errors are those of `multiclass_stat_scores`.

    Args:
        preds: `(N, C, ...)` scores, or `(N, ...)` labels.
        target: `(N, ...)` labels.
        num_classes: Number of classes C.
        normalize: `"true"` divides rows by their sums, `"pred"` columns, `"all"` everything; `None` or `"none"` counts.
            Rows and columns without any count stay 0, as in scikit-learn.
        ignore_index: Targets of this value are left out.
        validate_args: Whether values are checked.
        sample_weight: `(N,)` or `(N, ...)` weights.

    Returns:
        int64 counts; float64 with weights or normalized.

    Raises:
        ValueError: If `normalize` is none of these.

    Example:
        >>> from lit_metrics.functional import multiclass_confusion_matrix
        >>> multiclass_confusion_matrix([0, 1, 1, 2], [0, 1, 2, 2], num_classes=3)
        tensor([[1, 0, 0],
                [0, 1, 0],
                [0, 1, 1]])
        >>> multiclass_confusion_matrix([0, 1, 1, 2], [0, 1, 2, 2], num_classes=3, normalize="true")
        tensor([[1.0000, 0.0000, 0.0000],
                [0.0000, 1.0000, 0.0000],
                [0.0000, 0.5000, 0.5000]], dtype=torch.float64)
    """
    require_normalize(normalize)
    config = multiclass_config(num_classes, "none", 1, "global", ignore_index, validate_args, matrix=True)
    return confusion_matrix_value(count(config, preds, target, sample_weight), normalize)


def multilabel_confusion_matrix(
    preds: Any,
    target: Any,
    num_labels: int,
    threshold: float = 0.5,
    normalize: Normalize = None,
    ignore_index: int | None = None,
    validate_args: bool = True,
    *,
    logits: bool = False,
    sample_weight: Any = None,
) -> Tensor:
    """Binary confusion matrix of each label, `(L, 2, 2)`; see `binary_confusion_matrix`.

    Example:
        >>> from lit_metrics.functional import multilabel_confusion_matrix
        >>> multilabel_confusion_matrix([[0.9, 0.2], [0.3, 0.8]], [[1, 0], [1, 1]], num_labels=2).tolist()
        [[[0, 0], [1, 1]], [[1, 0], [0, 1]]]
    """
    require_normalize(normalize)
    config = multilabel_config(num_labels, threshold, "global", ignore_index, validate_args, logits)
    return confusion_matrix_value(count(config, preds, target, sample_weight), normalize)


def confusion_matrix(
    preds: Any,
    target: Any,
    task: Task,
    threshold: float = 0.5,
    num_classes: int | None = None,
    num_labels: int | None = None,
    normalize: Normalize = None,
    ignore_index: int | None = None,
    validate_args: bool = True,
    *,
    logits: bool = False,
    sample_weight: Any = None,
) -> Tensor:
    """Confusion matrix for any task; see `binary_confusion_matrix` and its like.

    Example:
        >>> from lit_metrics.functional import confusion_matrix
        >>> confusion_matrix([0, 1, 1, 2], [0, 1, 2, 2], task="multiclass", num_classes=3)
        tensor([[1, 0, 0],
                [0, 1, 0],
                [0, 1, 1]])
    """
    require_normalize(normalize)
    options: dict[str, Any] = {"ignore_index": ignore_index, "validate_args": validate_args, "logits": logits}
    config = make_config(task, threshold, num_classes, num_labels, matrix=True, **options)
    return confusion_matrix_value(count(config, preds, target, sample_weight), normalize)
