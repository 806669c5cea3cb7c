"""Differences of neighbouring pixels, and their sum."""

from __future__ import annotations

from typing import Any, Literal, TypeAlias

import torch
from torch import Tensor

from lit_metrics._inputs import as_tensor
from lit_metrics.functional.image._images import as_image, reduce_scores

SumReduction: TypeAlias = Literal["sum", "mean", "none"] | None


def image_gradients(img: Any) -> tuple[Tensor, Tensor]:
    """Differences to the next row and to the next column; the last row (column) is 0.

    Args:
        img: `(N, C, H, W)`.

    Returns:
        The pair `(dy, dx)`, each `(N, C, H, W)` in the dtype of `img`.

    Raises:
        ValueError: If there are not four dimensions.

    Example:
        >>> import torch
        >>> from lit_metrics.functional import image_gradients
        >>> dy, dx = image_gradients(torch.arange(6.0).reshape(1, 1, 2, 3))
        >>> dy[0, 0].tolist(), dx[0, 0].tolist()
        ([[3.0, 3.0, 3.0], [0.0, 0.0, 0.0]], [[1.0, 1.0, 0.0], [1.0, 1.0, 0.0]])
    """
    images = as_tensor(img, "img")
    if images.ndim != 4:
        raise ValueError(f"img must have shape (N, C, H, W), got {tuple(images.shape)}")
    last_row, last_column = torch.zeros_like(images[..., :1, :]), torch.zeros_like(images[..., :1])
    return torch.cat([images.diff(dim=-2), last_row], -2), torch.cat([images.diff(dim=-1), last_column], -1)


def total_variations(img: Any) -> Tensor:
    """Returns the total variation of every image."""
    images = as_image(img, "img")
    return sum((images.diff(dim=dim).abs().sum((1, 2, 3)) for dim in (-2, -1)), torch.zeros((), dtype=torch.float64))


def total_variation(img: Any, reduction: SumReduction = "sum") -> Tensor:
    """Anisotropic total variation, `sum |x[i+1, j] - x[i, j]| + |x[i, j+1] - x[i, j]|`, summed over images.

    Args:
        img: `(N, C, H, W)`.
        reduction: `"sum"` or `"mean"` over images, or `"none"`.

    Returns:
        Float64; `(N,)` for `"none"`.

    Raises:
        ValueError: If there are not four dimensions, or `reduction` is none of these.

    Example:
        >>> import torch
        >>> from lit_metrics.functional import total_variation
        >>> total_variation(torch.arange(6.0).reshape(1, 1, 2, 3))
        tensor(13., dtype=torch.float64)
    """
    return reduce_scores(total_variations(img), reduction)
