"""Hinge loss of raw decision values; nothing is normalised, whatever their range."""

from __future__ import annotations

from typing import Any, Literal, TypeAlias

import torch
from torch import Tensor

from lit_metrics._inputs import as_weights, checks_are_free, require_same_shape, to_float
from lit_metrics.functional.classification._counting import label_tensors

MulticlassMode: TypeAlias = Literal["crammer-singer", "one-vs-all"]

_MODES = ("crammer-singer", "one-vs-all")


def hinge_loss_state(
    preds: Any,
    target: Any,
    num_classes: int | None = None,
    squared: bool = False,
    multiclass_mode: MulticlassMode = "crammer-singer",
    ignore_index: int | None = None,
    validate_args: bool = True,
    sample_weight: Any = None,
) -> dict[str, Tensor | int]:
    """Returns the float64 sum of losses (per class for one-vs-all) and the number or weight of samples.

    On accelerators an invalid target makes the sum nan.

    Args:
        preds: Decision values; `(N, ...)` without `num_classes`, else `(N, C)`.
        target: Labels of the same first dimensions.
        num_classes: Number of classes; `None` for binary.
        squared: Whether losses are squared.
        multiclass_mode: Which margin counts.
        ignore_index: Targets of this value are left out.
        validate_args: Whether targets are checked.
        sample_weight: One weight per target.
    """
    preds, target = label_tensors(preds, target)
    if not preds.is_floating_point():
        raise TypeError(f"preds must be floating-point decision values, got {preds.dtype}")
    if num_classes is None:
        require_same_shape(preds, target)
    elif preds.ndim != 2 or preds.shape != (*target.shape, num_classes):
        raise ValueError(
            f"preds must be ({len(target) if target.ndim else 'N'}, {num_classes}) for target"
            f" {tuple(target.shape)}, got {tuple(preds.shape)}"
        )
    classes = num_classes or 2
    weights = torch.ones(target.shape, dtype=torch.float64, device=target.device)
    if sample_weight is not None:
        weights = as_weights(sample_weight, target.shape, target.device)
    if ignore_index is not None:
        weights = weights * (target != ignore_index)
    scores, target, weights = (
        to_float(preds).reshape(-1, *preds.shape[target.ndim :]),
        target.reshape(-1),
        weights.reshape(-1),
    )
    valid = (target >= 0) & (target < classes) & ~scores.isnan().reshape(len(target), -1).any(1)
    if validate_args and checks_are_free(target) and not (valid | (weights == 0)).numpy().all():
        raise ValueError(invalid_hinge_inputs(num_classes, ignore_index))
    loss = _loss(scores, target.clamp(0, classes - 1), num_classes, multiclass_mode).double()
    loss = loss.square() if squared else loss
    shape = (-1,) + (1,) * (loss.ndim - 1)
    if validate_args:
        loss = torch.where(valid.view(shape), loss, torch.nan)
    loss = torch.where((weights > 0).view(shape), loss * weights.view(shape), 0)
    return {"measures": loss.sum(0), "total": weights.sum()}


def invalid_hinge_inputs(num_classes: int | None, ignore_index: int | None) -> str:
    """Returns what is said of invalid values; where looking at them is not free they make the sum nan."""
    known = "" if ignore_index is None else f" or ignore_index={ignore_index}"
    return f"preds must hold no NaN, and target labels in [0, {(num_classes or 2) - 1}]{known}; got others"


def _loss(scores: Tensor, target: Tensor, num_classes: int | None, mode: MulticlassMode) -> Tensor:
    if num_classes is None:
        return (1 - scores * (2 * target - 1)).clamp(min=0)
    is_target = target[:, None] == torch.arange(num_classes, device=target.device)  # one_hot would read the labels
    if mode == "one-vs-all":
        return (1 - torch.where(is_target, scores, -scores)).clamp(min=0)
    best_other = scores.masked_fill(is_target, -torch.inf).amax(1)
    return (1 - scores.gather(1, target[:, None])[:, 0] + best_other).clamp(min=0)


def hinge_loss_value(measures: Tensor, total: Tensor) -> Tensor:
    """Returns the mean loss; nan without samples."""
    return measures / total


def require_hinge(task: Any, num_classes: Any, multiclass_mode: Any) -> None:
    """Raises a `ValueError` for arguments out of range."""
    if task not in ("binary", "multiclass"):
        raise ValueError(f"task must be 'binary' or 'multiclass', got {task!r}")
    if task == "multiclass" and (not isinstance(num_classes, int) or num_classes < 2):
        raise ValueError(f"num_classes must be an integer of at least 2, got {num_classes!r}")
    if multiclass_mode not in _MODES:
        raise ValueError(f"multiclass_mode must be one of {_MODES}, got {multiclass_mode!r}")


def binary_hinge_loss(
    preds: Any,
    target: Any,
    squared: bool = False,
    ignore_index: int | None = None,
    validate_args: bool = True,
    *,
    sample_weight: Any = None,
) -> Tensor:
    """Mean of `max(0, 1 - y d)` for decision values `d` and targets `y` of -1 (label 0) and 1; differentiable.

    Args:
        preds: `(N, ...)` decision values; the further from 0, the surer.
        target: `(N, ...)` labels 0 and 1.
        squared: Whether losses are squared before the mean.
        ignore_index: Targets of this value are left out.
        validate_args: Whether targets are checked.
        sample_weight: `(N,)` or `(N, ...)` weights.

    Returns:
        Value in [0, inf), float64; nan for no samples.

    Raises:
        ValueError: If shapes differ or labels are not 0 and 1.
        TypeError: If `preds` are not floats or targets not integers.

    Example:
        >>> from lit_metrics.functional import binary_hinge_loss
        >>> binary_hinge_loss([2.0, -3.0, 0.5], [1, 0, 0])
        tensor(0.5000, dtype=torch.float64)

    Source: `sklearn.metrics.hinge_loss`. Peers that squash decision values into probabilities first give other values.
    """
    return hinge_loss(
        preds,
        target,
        "binary",
        None,
        squared,
        "crammer-singer",
        ignore_index,
        validate_args,
        sample_weight=sample_weight,
    )


def multiclass_hinge_loss(
    preds: Any,
    target: Any,
    num_classes: int,
    squared: bool = False,
    multiclass_mode: MulticlassMode = "crammer-singer",
    ignore_index: int | None = None,
    validate_args: bool = True,
    *,
    sample_weight: Any = None,
) -> Tensor:
    """Mean of `max(0, 1 - (d_y - max_{k != y} d_k))` for decision values `d_k` of the classes; differentiable.

    Args:
        preds: `(N, C)` decision values.
        target: `(N,)` labels.
        num_classes: Number of classes C, at least 2.
        squared: Whether losses are squared before the mean.
        multiclass_mode: `"crammer-singer"` for the formula above; `"one-vs-all"` for the binary loss of each class.
        ignore_index: Targets of this value are left out.
        validate_args: Whether targets are checked.
        sample_weight: `(N,)` weights.

    Returns:
        Value in [0, inf), float64, `(C,)` for `"one-vs-all"`; nan for no samples.

    Raises:
        ValueError: If shapes do not fit or labels are out of range.
        TypeError: If `preds` are not floats or targets not integers.

    Example:
        >>> from lit_metrics.functional import multiclass_hinge_loss
        >>> multiclass_hinge_loss([[0.2, 1.4, -0.5], [2.0, 0.3, 0.1]], [1, 2], num_classes=3)
        tensor(1.4500, dtype=torch.float64)

    Source: Crammer and Singer, Journal of Machine Learning Research 2 (2001); `sklearn.metrics.hinge_loss`.
    """
    return hinge_loss(
        preds,
        target,
        "multiclass",
        num_classes,
        squared,
        multiclass_mode,
        ignore_index,
        validate_args,
        sample_weight=sample_weight,
    )


def hinge_loss(
    preds: Any,
    target: Any,
    task: Literal["binary", "multiclass"],
    num_classes: int | None = None,
    squared: bool = False,
    multiclass_mode: MulticlassMode = "crammer-singer",
    ignore_index: int | None = None,
    validate_args: bool = True,
    *,
    sample_weight: Any = None,
) -> Tensor:
    """Hinge loss for binary and multiclass tasks; see `binary_hinge_loss` and `multiclass_hinge_loss`.

    Example:
        >>> from lit_metrics.functional import hinge_loss
        >>> hinge_loss([2.0, -3.0, 0.5], [1, 0, 0], task="binary")
        tensor(0.5000, dtype=torch.float64)
    """
    require_hinge(task, num_classes, multiclass_mode)
    classes = num_classes if task == "multiclass" else None
    state = hinge_loss_state(
        preds, target, classes, squared, multiclass_mode, ignore_index, validate_args, sample_weight
    )
    return hinge_loss_value(torch.as_tensor(state["measures"]), torch.as_tensor(state["total"]))
