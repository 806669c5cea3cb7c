"""What the image functions share: checked inputs, moving windows, and how scores become one value."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal, TypeAlias

import torch
from torch import Tensor

from lit_metrics._inputs import as_tensor, require_same_shape

Reduction: TypeAlias = Literal["elementwise_mean", "mean", "sum", "none"] | None
DataRange: TypeAlias = float | tuple[float, float]

REDUCTIONS = ("elementwise_mean", "mean", "sum", "none", None)

BLOCK = 64


def as_image(value: Any, name: str, dims: tuple[int, ...] = (4,)) -> Tensor:
    """Returns images in float64.

    Raises:
        TypeError: If they are not real numbers.
        ValueError: If the number of dimensions is none of `dims`.
    """
    images = as_tensor(value, name)
    if images.is_complex():
        raise TypeError(f"{name} must hold real numbers, got {images.dtype}")
    if images.ndim not in dims:
        layouts = " or ".join({4: "(N, C, H, W)", 5: "(N, C, D, H, W)"}[d] for d in dims)
        raise ValueError(f"{name} must have shape {layouts}, got {tuple(images.shape)}")
    return images.double()


def as_image_pair(preds: Any, target: Any, dims: tuple[int, ...] = (4,)) -> tuple[Tensor, Tensor]:
    """Returns two sets of images of one shape in float64."""
    preds, target = as_image(preds, "preds", dims), as_image(target, "target", dims)
    require_same_shape(preds, target)
    return preds, target


def require_reduction(reduction: Any) -> None:
    """Raises a `ValueError` unless `reduction` is known."""
    if reduction not in REDUCTIONS:
        raise ValueError(f"reduction must be one of {REDUCTIONS}, got {reduction!r}")


def reduce_scores(scores: Tensor, reduction: Reduction) -> Tensor:
    """Returns the mean or the sum of the scores, or the scores as they are."""
    require_reduction(reduction)
    if reduction in ("elementwise_mean", "mean"):
        return scores.mean()
    return scores.sum() if reduction == "sum" else scores


def require_range(data_range: Any, optional: bool = True) -> None:
    """Raises a `ValueError` unless `data_range` is a positive number or a pair `(low, high)`."""
    if data_range is None and optional:
        return
    pair = data_range if isinstance(data_range, tuple) else (0, data_range)
    if len(pair) != 2 or not all(isinstance(v, (int, float)) for v in pair) or not pair[0] < pair[1]:
        raise ValueError(f"data_range must be a positive number or a pair (low, high), got {data_range!r}")


def clamp_to_range(preds: Tensor, target: Tensor, data_range: DataRange) -> tuple[Tensor, Tensor, float]:
    """Returns both images and the width of the range; a pair `(low, high)` also clamps the images to it."""
    if isinstance(data_range, tuple):
        low, high = data_range
        return preds.clamp(low, high), target.clamp(low, high), high - low
    return preds, target, data_range


def gaussian_window(size: int, sigma: float, device: torch.device) -> Tensor:
    """Returns `size` weights of a normal density around the middle, with sum 1."""
    x = torch.arange(size, dtype=torch.float64, device=device) - (size - 1) / 2
    weights = torch.exp(-0.5 * (x / sigma) ** 2)
    return weights / weights.sum()


def uniform_window(size: int, device: torch.device) -> Tensor:
    """Returns `size` equal weights with sum 1."""
    return torch.full((size,), 1 / size, dtype=torch.float64, device=device)


def window_means(images: Tensor, windows: Sequence[Tensor]) -> Tensor:
    """Weighted means over all places of a window that lie inside the image.

    Args:
        images: `(..., *size)`.
        windows: One-dimensional weights for each of the last dimensions; the window is their outer product.

    Returns:
        `(..., *places)`; each dimension is shorter by the length of its window less one.

    Raises:
        ValueError: If the window is larger than the image.
    """
    sizes = tuple(len(w) for w in windows)
    if any(n < k for n, k in zip(images.shape[-len(sizes) :], sizes, strict=True)):
        raise ValueError(f"images of size {tuple(images.shape[-len(sizes) :])} are smaller than the window {sizes}")
    for i, window in enumerate(windows):
        images = _means_along(images, window, images.ndim - len(windows) + i)
    return images


def _means_along(images: Tensor, window: Tensor, axis: int) -> Tensor:
    """Correlates one dimension by matrix products, a block of places each: faster than convolution in float64."""
    size, places = len(window), images.shape[axis] - len(window) + 1
    step = torch.arange(BLOCK + size - 1, device=images.device)[:, None] - torch.arange(BLOCK, device=images.device)
    band = torch.where((step >= 0) & (step < size), window[step.clamp(0, size - 1)], 0.0)
    starts = range(0, places, BLOCK)
    counts = [min(BLOCK, places - start) for start in starts]
    if axis == images.ndim - 1:
        blocks = [
            images[..., i : i + n + size - 1] @ band[: n + size - 1, :n] for i, n in zip(starts, counts, strict=True)
        ]
        return torch.cat(blocks, -1)
    rows = images.flatten(axis + 1)
    blocks = [
        band.T[:n, : n + size - 1] @ rows[..., i : i + n + size - 1, :] for i, n in zip(starts, counts, strict=True)
    ]
    return torch.cat(blocks, -2).reshape(*images.shape[:axis], places, *images.shape[axis + 1 :])


def mirrored(images: Tensor, before: int, after: int, dims: Sequence[int] = (-2, -1)) -> Tensor:
    """Returns images continued beyond their edges by mirroring, the edge pixel included."""
    for dim in dims:
        n = images.shape[dim]
        index = torch.arange(-before, n + after, device=images.device) % (2 * n)
        images = images.index_select(dim, torch.where(index < n, index, 2 * n - 1 - index))
    return images


def sliding_means(images: Tensor, window_size: int) -> Tensor:
    """Returns the mean of a square window around every pixel, mirrored at the edges; an even window leans left."""
    before = window_size // 2
    window = uniform_window(window_size, images.device)
    return window_means(mirrored(images, before, window_size - 1 - before), [window, window])


def require_window(window_size: Any, name: str = "window_size") -> None:
    """Raises a `ValueError` unless the size is a positive integer."""
    if not isinstance(window_size, int) or isinstance(window_size, bool) or window_size < 1:
        raise ValueError(f"{name} must be a positive integer, got {window_size!r}")
