"""Hausdorff distance of the outlines of segmented regions."""

from __future__ import annotations

from typing import Any, Literal, TypeAlias

import numpy as np
import torch
from torch import Tensor

from lit_metrics._inputs import as_tensor
from lit_metrics.functional.clustering._labels import require_num_classes
from lit_metrics.functional.segmentation._regions import (
    InputFormat,
    as_masks,
    as_regions,
    raise_if_outside,
    require_segmentation,
)

DistanceMetric: TypeAlias = Literal["euclidean", "chessboard", "taxicab"]
_NORMS = {"euclidean": 2.0, "chessboard": float("inf"), "taxicab": 1.0}
_PAIRS_AT_ONCE = 1 << 22


def require_distance(num_classes: Any, distance_metric: Any, directed: Any) -> None:
    """Raises a `ValueError` for arguments that `hausdorff_distance` does not know."""
    require_num_classes(num_classes)
    if distance_metric not in _NORMS:
        raise ValueError(f"distance_metric must be one of {tuple(_NORMS)}, got {distance_metric!r}")
    if not isinstance(directed, bool):
        raise ValueError(f"directed must be a bool, got {directed!r}")


def outlines(masks: Tensor) -> Tensor:
    """Returns the pixels of masks `(N, C, ...)` with a neighbour along an axis that is not in them, or is outside."""
    inner = masks
    for dim in range(2, masks.ndim):
        pad = [0, 0] * (masks.ndim - 1 - dim) + [1, 1]
        padded = torch.nn.functional.pad(masks, pad)
        inner = inner & padded.narrow(dim, 0, masks.shape[dim]) & padded.narrow(dim, 2, masks.shape[dim])
    return masks & ~inner


def _coordinates(mask: Tensor, spacing: Tensor) -> Tensor:
    where = torch.from_numpy(np.argwhere(mask.numpy())) if mask.is_cpu else mask.nonzero()
    return where * spacing


def _farthest(points: Tensor, others: Tensor, norm: float) -> Tensor:
    """Returns the largest distance of a point to its nearest other."""
    step = max(1, _PAIRS_AT_ONCE // max(len(others), 1))
    nearest = [
        torch.cdist(part, others, p=norm, compute_mode="donot_use_mm_for_euclid_dist").amin(1)
        for part in points.split(step)
    ]
    return torch.cat(nearest).amax()


def hausdorff_state(
    preds: Any,
    target: Any,
    num_classes: int,
    include_background: bool,
    distance_metric: DistanceMetric,
    spacing: Any,
    directed: bool,
    input_format: InputFormat,
) -> tuple[Tensor, Tensor | int]:
    """Returns the distance of each sample and class, `(N, C)`, and the number of unknown labels."""
    p, t, _, invalid = as_regions(preds, target, num_classes, input_format)
    first = 0 if include_background else 1
    p, t = outlines(as_masks(p, num_classes)[:, first:]), outlines(as_masks(t, num_classes)[:, first:])
    dims = p.ndim - 2
    scale = torch.ones(dims, dtype=torch.float64) if spacing is None else as_tensor(spacing, "spacing").double()
    if scale.shape != (dims,):
        raise ValueError(f"spacing must have one entry for each of {dims} spatial dimensions, got {spacing!r}")
    scale, norm = scale.to(p.device), _NORMS[distance_metric]
    value = torch.full(p.shape[:2], torch.nan, dtype=torch.float64, device=p.device)
    for n in range(p.shape[0]):
        for c in range(p.shape[1]):
            mine, other = _coordinates(p[n, c], scale), _coordinates(t[n, c], scale)
            if len(mine) and len(other):
                value[n, c] = _farthest(mine, other, norm)
                if not directed:
                    value[n, c] = torch.maximum(value[n, c], _farthest(other, mine, norm))
            elif len(mine) or len(other):
                value[n, c] = torch.inf
    return value, invalid


def hausdorff_distance(
    preds: Any,
    target: Any,
    num_classes: int,
    include_background: bool = False,
    distance_metric: DistanceMetric = "euclidean",
    spacing: Any = None,
    directed: bool = False,
    input_format: InputFormat = "one-hot",
) -> Tensor:
    """Hausdorff distance, the largest distance of an outline's pixel to the other outline, by sample and class.

    The outline of a region is its pixels with a neighbour along an axis that is not in it.

    Args:
        preds: One-hot masks or scores `(N, C, ...)` or class indices `(N, ...)`; as in `dice_score`.
        target: Likewise.
        num_classes: Number of classes C, background included.
        include_background: Whether class 0 counts.
        distance_metric: `"euclidean"`, `"chessboard"` (largest difference) or `"taxicab"` (sum of differences).
        spacing: Size of a pixel along each spatial dimension; 1 by default.
        directed: Whether only distances from `preds` to `target` count.
        input_format: As in `dice_score`.

    Returns:
        Distances in the unit of `spacing`, float64 `(N, C)`; inf if only one of both has the class, nan if neither has.

    Raises:
        ValueError: If an argument is none of these, or shapes, channels or labels do not fit.

    Example:
        >>> from lit_metrics.functional import hausdorff_distance
        >>> preds, target = [[[0, 1, 1, 0, 0, 0]]], [[[0, 1, 0, 0, 0, 1]]]
        >>> hausdorff_distance(preds, target, num_classes=2, input_format="index")
        tensor([[3.]], dtype=torch.float64)

    Source:
        Huttenlocher, Klanderman and Rucklidge (1993), "Comparing Images Using the Hausdorff Distance".
    """
    require_segmentation(num_classes, include_background, input_format)
    require_distance(num_classes, distance_metric, directed)
    distances, invalid = hausdorff_state(
        preds, target, num_classes, include_background, distance_metric, spacing, directed, input_format
    )
    raise_if_outside(invalid)
    return distances
