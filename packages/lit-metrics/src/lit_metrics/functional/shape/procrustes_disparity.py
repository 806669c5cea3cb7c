"""Procrustes disparity of point clouds."""

from __future__ import annotations

from typing import Any, Literal, overload

import torch
from torch import Tensor

from lit_metrics.functional.regression._scores import real_pair


def _standardised(points: Tensor) -> Tensor:
    points = points - points.mean(1, keepdim=True)
    # Points that all agree have no shape: 0 / 0.
    size: Tensor = torch.linalg.matrix_norm(points, keepdim=True)
    return points / size


def procrustes_fit(point_cloud1: Any, point_cloud2: Any) -> tuple[Tensor, Tensor, Tensor]:
    """Returns disparity `(N,)`, scale `(N, 1)` and rotation `(N, D, D)` of each pair, in float64.

    Raises:
        ValueError: If the shapes differ or are not `(N, M, D)`.
    """
    first, second = real_pair(point_cloud1, point_cloud2, ("point_cloud1", "point_cloud2"))
    if first.ndim != 3:
        raise ValueError(f"point_cloud1 and point_cloud2 must have shape (N, M, D), got {tuple(first.shape)}")
    first, second = _standardised(first.double()), _standardised(second.double())
    products = second.mT @ first
    undefined = ~products.isfinite().all(-1).all(-1)
    # Decompositions refuse NaN: a pair without shape goes through as zeros and gets its nan afterwards.
    u, singular, v = torch.linalg.svd(products.masked_fill(undefined[:, None, None], 0.0), full_matrices=False)
    rotation, scale = (u @ v).mT, singular.sum(-1)
    fitted = scale[:, None, None] * second @ rotation.mT
    return (first - fitted).square().sum((1, 2)), scale.masked_fill(undefined, torch.nan).unsqueeze(1), rotation


@overload
def procrustes_disparity(point_cloud1: Any, point_cloud2: Any, return_all: Literal[False] = False) -> Tensor: ...


@overload
def procrustes_disparity(
    point_cloud1: Any, point_cloud2: Any, return_all: Literal[True]
) -> tuple[Tensor, Tensor, Tensor]: ...


def procrustes_disparity(
    point_cloud1: Any, point_cloud2: Any, return_all: bool = False
) -> Tensor | tuple[Tensor, Tensor, Tensor]:
    """Sum of squared distances left between point clouds after the best shift, scaling and rotation of the second.

    Both clouds are centred and divided by their Frobenius norm; then `min_{s, R} |A - s B R|^2`, as scipy's
    `spatial.procrustes`. Reflections count as rotations.

    Args:
        point_cloud1: `(N, M, D)`: N clouds of M points.
        point_cloud2: The same shape; point i belongs to point i of the first.
        return_all: Whether to return scale `(N, 1)` and rotation `(N, D, D)` too.

    Returns:
        `(N,)` values in [0, 1], float64; nan where all points of a cloud agree, which scipy refuses and torchmetrics
        calls 0. With `return_all` a tuple of disparity, scale and rotation.

    Raises:
        ValueError: If the shapes differ or are not `(N, M, D)`.

    Example:
        >>> import torch
        >>> from lit_metrics.functional import procrustes_disparity
        >>> square = torch.tensor([[[0.0, 0.0], [1.0, 0.0], [1.0, 1.0], [0.0, 1.0]]])
        >>> kite = torch.tensor([[[0.0, 0.0], [1.0, 0.0], [2.0, 2.0], [0.0, 1.0]]])
        >>> procrustes_disparity(square, kite)
        tensor([0.1818], dtype=torch.float64)
    """
    disparity, scale, rotation = procrustes_fit(point_cloud1, point_cloud2)
    return (disparity, scale, rotation) if return_all else disparity
