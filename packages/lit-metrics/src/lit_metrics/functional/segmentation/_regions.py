"""How large the regions of each class are and how far they overlap: what Dice and IoU are read from.

Shapes: N samples, C classes, ... one or more spatial dimensions.
"""

from __future__ import annotations

from typing import Any, Literal, TypeAlias

import torch
from torch import Tensor

from lit_metrics._inputs import as_tensor, checks_are_free
from lit_metrics.functional.clustering._labels import count_cells, require_num_classes, require_range

InputFormat: TypeAlias = Literal["one-hot", "index", "mixed"]
INPUT_FORMATS = ("one-hot", "index", "mixed")


def require_segmentation(num_classes: Any, include_background: Any, input_format: Any) -> None:
    """Raises a `ValueError` for arguments that no segmentation metric knows."""
    if num_classes is not None:
        require_num_classes(num_classes)
    if not isinstance(include_background, bool):
        raise ValueError(f"include_background must be a bool, got {include_background!r}")
    if input_format not in INPUT_FORMATS:
        raise ValueError(f"input_format must be one of {INPUT_FORMATS}, got {input_format!r}")


def _indices_or_masks(value: Tensor, name: str, channels: bool, num_classes: int) -> Tensor:
    """Returns int64 class indices `(N, ...)`, or bool masks `(N, C, ...)`; scores become indices."""
    if value.is_complex() or value.ndim < (3 if channels else 2):
        wanted = "(N, C, ...) masks or scores" if channels else "(N, ...) class indices"
        raise ValueError(f"{name} must be {wanted}, got {value.dtype} of {tuple(value.shape)}")
    if not channels:
        if value.is_floating_point():
            raise TypeError(f"{name} must hold integer class indices, got {value.dtype}")
        require_range(value, num_classes, name)
        return value.long()
    if value.shape[1] != num_classes:
        raise ValueError(f"{name} must have num_classes={num_classes} channels, got shape {tuple(value.shape)}")
    if value.is_floating_point():
        return value.argmax(1)
    if value.dtype != torch.bool and checks_are_free(value) and value.numel():
        low, high = int(value.numpy().min()), int(value.numpy().max())
        if low < 0 or high > 1:
            raise ValueError(f"{name} must hold 0 and 1 as one-hot masks, got {low if low < 0 else high}")
    return value.bool()


def _unknown(value: Tensor, num: int) -> Tensor | int:
    """Returns how many integers are outside of [0, num), where looking at them is not free."""
    if checks_are_free(value) or value.is_floating_point() or value.dtype == torch.bool:
        return 0
    return ((value < 0) | (value >= num)).sum()


def as_regions(
    preds: Any, target: Any, num_classes: int | None, input_format: InputFormat
) -> tuple[Tensor, Tensor, int, Tensor | int]:
    """Returns both inputs as class indices (int64) or masks (bool), the number of classes, and that of unknown values.

    Raises:
        ValueError: If shapes, channels or labels do not fit.
        TypeError: If class indices are not integers.
    """
    preds, target = as_tensor(preds, "preds"), as_tensor(target, "target")
    channels = {"one-hot": (True, True), "index": (False, False)}.get(
        input_format, (preds.ndim > target.ndim, target.ndim > preds.ndim)
    )
    if input_format == "mixed" and abs(preds.ndim - target.ndim) != 1:
        raise ValueError(
            "preds or target must have one dimension more, for the classes, with input_format='mixed',"
            f" got {tuple(preds.shape)} and {tuple(target.shape)}"
        )
    if num_classes is None:
        one = preds if channels[0] else target
        if not any(channels) or one.ndim < 2:
            raise ValueError("num_classes is needed for inputs of class indices")
        num_classes = one.shape[1]
    sizes = [(x.shape[:1] + x.shape[2:]) if c else x.shape for x, c in ((preds, channels[0]), (target, channels[1]))]
    if sizes[0] != sizes[1]:
        raise ValueError(
            f"preds and target must have the same samples and pixels, got {tuple(preds.shape)} and"
            f" {tuple(target.shape)} with input_format={input_format!r}"
        )
    sides = ((preds, "preds", channels[0]), (target, "target", channels[1]))
    invalid = sum(_unknown(value, 2 if masks else num_classes) for value, _, masks in sides)
    p, t = (_indices_or_masks(value, name, masks, num_classes) for value, name, masks in sides)
    return p, t, num_classes, invalid


def as_masks(regions: Tensor, num_classes: int) -> Tensor:
    """Returns bool masks `(N, C, ...)` of class indices or masks."""
    if regions.dtype == torch.bool:
        return regions
    classes = torch.arange(num_classes, device=regions.device).view(-1, *[1] * (regions.ndim - 1))
    return regions.unsqueeze(1) == classes


def region_state(
    preds: Any, target: Any, num_classes: int | None, include_background: bool, input_format: InputFormat
) -> tuple[Tensor, Tensor, Tensor, Tensor | int]:
    """Returns pixels `(N, C)` in both, in preds, in target, and the number of unknown labels."""
    p, t, num, invalid = as_regions(preds, target, num_classes, input_format)
    first = 0 if include_background else 1
    if p.dtype == t.dtype == torch.long:
        index = (torch.arange(len(p), device=p.device).view(-1, *[1] * (p.ndim - 1)) * num + t) * num + p
        cells = len(p) * num * num
        if not checks_are_free(p):
            outside = (p < 0) | (p >= num) | (t < 0) | (t >= num)
            index = torch.where(outside, cells, index)
        matrix = count_cells(index, cells + 1)[:-1].view(len(p), num, num)
        overlap, in_preds, in_target = matrix.diagonal(dim1=1, dim2=2), matrix.sum(1), matrix.sum(2)
    else:
        p, t = as_masks(p, num).flatten(2), as_masks(t, num).flatten(2)
        overlap, in_preds, in_target = (p & t).sum(2), p.sum(2), t.sum(2)
    return overlap[:, first:], in_preds[:, first:], in_target[:, first:], invalid


def raise_if_outside(invalid: Tensor | int) -> None:
    """Raises a `ValueError` if an accelerator counted labels out of range."""
    if not (isinstance(invalid, Tensor) and invalid.is_meta) and int(invalid):
        raise ValueError(f"{int(invalid)} class indices were outside of [0, num_classes), or masks not 0 and 1")


def sum_of_defined(scores: Tensor, weights: Tensor | None = None) -> tuple[Tensor, Tensor]:
    """Returns the sum over samples (first dimension) of the scores that are not nan, and their number or weight."""
    defined = ~scores.isnan()
    scores = torch.where(defined, scores, 0.0)
    if weights is not None:
        weights = weights.reshape(-1, *[1] * (scores.ndim - 1))
        scores, defined = torch.where(weights > 0, scores * weights, 0.0), defined * weights
    return scores.sum(0), defined.sum(0)
