"""Scores from a square window that slides over the whole image: local errors and local correlations."""

from __future__ import annotations

from typing import Any, Literal, TypeAlias

import torch
from torch import Tensor

from lit_metrics._inputs import as_tensor
from lit_metrics.functional.image._images import (
    as_image_pair,
    mirrored,
    reduce_scores,
    require_window,
    sliding_means,
    uniform_window,
    window_means,
)

MeanReduction: TypeAlias = Literal["mean", "none"] | None

HIGH_PASS = ((-1.0, -1.0, -1.0), (-1.0, 8.0, -1.0), (-1.0, -1.0, -1.0))

# A variance below this share of the second moment is rounding.
FLAT = 1e-13


def rmse_maps(preds: Any, target: Any, window_size: int) -> tuple[Tensor, Tensor, tuple[Any, ...]]:
    """Returns the error under the window around every pixel, the target, and where the window is inside the image."""
    require_window(window_size)
    preds, target = as_image_pair(preds, target)
    margin = round(window_size / 2)
    if min(preds.shape[2:]) <= 2 * margin:
        raise ValueError(f"window_size must be smaller than the images {tuple(preds.shape[2:])}, got {window_size}")
    inside = (..., slice(margin, -margin or None), slice(margin, -margin or None))
    return sliding_means((preds - target).square(), window_size).sqrt(), target, inside


def rmse_sw_state(preds: Any, target: Any, window_size: int = 8) -> tuple[Tensor, Tensor]:
    """Returns the mean windowed error of every image, and the windowed errors."""
    maps, _, inside = rmse_maps(preds, target, window_size)
    return maps[inside].mean((1, 2, 3)), maps


def root_mean_squared_error_using_sliding_window(
    preds: Any, target: Any, window_size: int = 8, return_rmse_map: bool = False
) -> Tensor | tuple[Tensor, Tensor]:
    """Mean over pixels of the root mean squared error in a square window around the pixel.

    Pixels closer to the edge than half a window are left out of the mean.

    Args:
        preds: `(N, C, H, W)`.
        target: The same shape.
        window_size: Side of the window in pixels.
        return_rmse_map: Whether to return the errors of every pixel too, as a mean over images; edges are mirrored.

    Returns:
        Float64, in the unit of the images; with the map `(C, H, W)` a pair.

    Raises:
        ValueError: If the shapes differ or the images are not larger than the window.

    Example:
        >>> import torch
        >>> from lit_metrics.functional import root_mean_squared_error_using_sliding_window
        >>> root_mean_squared_error_using_sliding_window(torch.zeros(1, 1, 16, 16), torch.full((1, 1, 16, 16), 2.0))
        tensor(2., dtype=torch.float64)
    """
    scores, maps = rmse_sw_state(preds, target, window_size)
    return (scores.mean(), maps.mean(0)) if return_rmse_map else scores.mean()


def rase_scores(preds: Any, target: Any, window_size: int = 8) -> Tensor:
    """Returns the relative error of every image."""
    maps, target, inside = rmse_maps(preds, target, window_size)
    level = sliding_means(target, window_size).mean(1, keepdim=True)
    return (100 / level * maps.square().mean(1, keepdim=True).sqrt())[inside].mean((1, 2, 3))


def relative_average_spectral_error(preds: Any, target: Any, window_size: int = 8) -> Tensor:
    """Relative average spectral error (RASE): the error over all bands in percent of the target's mean.

    Per pixel `100 / M sqrt(mean_k RMSE_k^2)`, where `RMSE_k` is the error of band `k` in a square window around the
    pixel and `M` the target's mean over bands in that window; then the mean over pixels whose window is inside, and
    over images.

    Arguments and errors: see `root_mean_squared_error_using_sliding_window`.

    Returns:
        Float64, in percent; lower is better.

    Example:
        >>> import torch
        >>> from lit_metrics.functional import relative_average_spectral_error
        >>> target = torch.full((1, 3, 16, 16), 4.0)
        >>> relative_average_spectral_error(target + 1, target)
        tensor(25., dtype=torch.float64)

    Source: González-Audícana et al., Fusion of multispectral and panchromatic images, 2004. torchmetrics divides `M`
    by the window's area once more, and averages errors of different images pixel by pixel.
    """
    return rase_scores(preds, target, window_size).mean()


def scc_scores(preds: Any, target: Any, hp_filter: Any = None, window_size: int = 8) -> Tensor:
    """Returns the correlation of every image: a mean over channels and pixels."""
    require_window(window_size)
    preds, target = as_image_pair(preds, target)
    if min(preds.shape[2:]) < window_size:
        raise ValueError(f"window_size must not exceed the images {tuple(preds.shape[2:])}, got {window_size}")
    kernel = as_tensor(HIGH_PASS if hp_filter is None else hp_filter, "hp_filter").double().to(preds.device)
    if kernel.ndim != 2:
        raise ValueError(f"hp_filter must have two dimensions, got shape {tuple(kernel.shape)}")
    a, b = (_correlated(images, kernel.flip(0, 1)) for images in (preds, target))
    before = window_size // 2
    margins = [before, window_size - 1 - before] * 2
    window = uniform_window(window_size, preds.device)
    stacked = torch.nn.functional.pad(torch.stack([a, b, a * a, b * b, a * b]), margins)
    mean_a, mean_b, square_a, square_b, product = window_means(stacked, [window, window]).unbind()
    var_a, var_b = square_a - mean_a.square(), square_b - mean_b.square()
    flat_a, flat_b = var_a <= FLAT * square_a, var_b <= FLAT * square_b
    flat = flat_a | flat_b
    scale = torch.where(flat, 1.0, var_a * var_b).sqrt()
    correlations = torch.where(flat, 0.0, (product - mean_a * mean_b) / scale)
    return correlations.sum((1, 2, 3)) / (~(flat_a & flat_b)).sum((1, 2, 3))


def _correlated(images: Tensor, kernel: Tensor) -> Tensor:
    height, width = kernel.shape
    padded = mirrored(images, height // 2, height - 1 - height // 2, dims=[-2])
    padded = mirrored(padded, width // 2, width - 1 - width // 2, dims=[-1])
    rows, columns = images.shape[2:]
    result = torch.zeros_like(images)
    for i in range(height):
        for j in range(width):
            result = result + kernel[i, j] * padded[..., i : i + rows, j : j + columns]
    return result


def spatial_correlation_coefficient(
    preds: Any, target: Any, hp_filter: Any = None, window_size: int = 8, reduction: MeanReduction = "mean"
) -> Tensor:
    """Spatial correlation coefficient: the mean local correlation of the images' high frequencies.

    Both images pass a high-pass filter (mirrored edges); in a square window around every pixel, with zeros beyond the
    edges, the two results are correlated. A window in which one of them is constant counts as 0; one in which both are
    is left out.

    Args:
        preds: `(N, C, H, W)`.
        target: The same shape.
        hp_filter: `(height, width)` filter that the images are convolved with; `None` is 8 in the middle of eight -1.
        window_size: Side of the window in pixels.
        reduction: `"mean"` over images, or `"none"`.

    Returns:
        Float64 in [-1, 1]; nan if both images are constant; `(N,)` for `"none"`.

    Raises:
        ValueError: If the shapes differ, or the images are smaller than the window.

    Example:
        >>> import torch
        >>> from lit_metrics.functional import spatial_correlation_coefficient
        >>> target = torch.rand(1, 3, 16, 16, generator=torch.Generator().manual_seed(0))
        >>> round(spatial_correlation_coefficient(3 * target + 1, target).item(), 6)
        1.0

    Source: Zhou, Civco and Silander, A wavelet transform method to merge Landsat TM and SPOT panchromatic data, 1998.
    torchmetrics counts windows in which both images are constant as 0.
    """
    return reduce_scores(scc_scores(preds, target, hp_filter, window_size), reduction)
