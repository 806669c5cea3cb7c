"""Labels and how often they occur together: what clustering, nominal and segmentation metrics count."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from lit_metrics._inputs import as_tensor, checks_are_free, require_same_shape


def as_labels(value: Any, name: str) -> Tensor:
    """Returns integer labels as int64.

    Raises:
        TypeError: If `value` holds no integers.
    """
    labels = as_tensor(value, name)
    if labels.is_floating_point() or labels.is_complex():
        raise TypeError(f"{name} must hold integer labels, got {labels.dtype}")
    return labels.long()


def label_pair(preds: Any, target: Any) -> tuple[Tensor, Tensor]:
    """Returns the labels of both clusterings, `(N,)` each.

    Raises:
        ValueError: If the shapes differ or are not `(N,)`.
    """
    preds, target = as_labels(preds, "preds"), as_labels(target, "target")
    require_same_shape(preds, target)
    if preds.ndim != 1:
        raise ValueError(f"preds and target must have shape (N,), got {tuple(preds.shape)}")
    return preds, target


def require_num_classes(num_classes: Any) -> None:
    """Raises a `ValueError` unless it is a positive integer."""
    if not isinstance(num_classes, int) or isinstance(num_classes, bool) or num_classes < 1:
        raise ValueError(f"num_classes must be a positive integer, got {num_classes!r}")


def require_range(labels: Tensor, num_classes: int, name: str) -> None:
    """Raises a `ValueError` for labels outside of [0, num_classes), where looking at them is free."""
    if not checks_are_free(labels) or not labels.numel():
        return
    array = labels.numpy()
    low, high = int(array.min()), int(array.max())
    if low < 0 or high >= num_classes:
        raise ValueError(f"{name} must hold labels in [0, {num_classes}), got {low if low < 0 else high}")


def count_cells(index: Tensor, size: int) -> Tensor:
    """Returns how often each of `size` cells occurs in `index`, int64."""
    index = index.reshape(-1)
    if checks_are_free(index):
        return torch.bincount(index, minlength=size)
    # bincount would read the largest index back from the device
    return index.new_zeros(size).index_add_(0, index, torch.ones_like(index))


def joint_counts(
    preds: Tensor, target: Tensor, num_classes: int, keep: Tensor | None = None
) -> dict[str, Tensor | int]:
    """Returns `confmat`, `(num_classes, num_classes)` with targets in rows, and `invalid`, the pairs outside of it.

    Args:
        preds: Labels.
        target: Labels, the same shape.
        num_classes: Number of classes.
        keep: Pairs to count; the others must hold labels in range.

    Raises:
        ValueError: If labels are out of range, where looking at them is free; elsewhere they are counted.
    """
    require_range(preds, num_classes, "preds")
    require_range(target, num_classes, "target")
    free = checks_are_free(preds)
    index, cells = target * num_classes + preds, num_classes * num_classes
    invalid = None if free else ~((preds >= 0) & (preds < num_classes) & (target >= 0) & (target < num_classes))
    if invalid is not None:
        index = torch.where(invalid, cells + 1, index)
    if keep is not None:
        index = torch.where(keep, index, cells)
    counts = count_cells(index, cells + 2)
    return {"confmat": counts[:cells].view(num_classes, num_classes), "invalid": 0 if free else counts[-1]}


def raise_if_invalid(invalid: Tensor | int, num_classes: int) -> None:
    """Raises a `ValueError` if an accelerator counted labels out of range."""
    if not (isinstance(invalid, Tensor) and invalid.is_meta) and int(invalid):
        raise ValueError(f"{int(invalid)} pairs of labels had one outside of [0, {num_classes})")
