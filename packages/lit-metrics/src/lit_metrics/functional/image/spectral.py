"""Agreement of the bands of multispectral images: angles, relative errors, and distortions after pansharpening."""

from __future__ import annotations

import itertools
from typing import Any

import torch
from torch import Tensor

from lit_metrics.functional.image._images import (
    Reduction,
    as_image,
    as_image_pair,
    gaussian_window,
    reduce_scores,
    require_reduction,
    require_window,
    sliding_means,
)
from lit_metrics.functional.image.structural_similarity import quality_map


def spectral_angles(preds: Any, target: Any) -> Tensor:
    """Returns the angle between the spectra of every pixel."""
    preds, target = as_image_pair(preds, target)
    if preds.shape[1] < 2:
        raise ValueError(f"preds and target must have at least two channels, got {preds.shape[1]}")
    u = preds / torch.linalg.vector_norm(preds, dim=1, keepdim=True)
    v = target / torch.linalg.vector_norm(target, dim=1, keepdim=True)
    # Kahan's form: exact for small angles, where the arc cosine loses half of the digits.
    return 2 * torch.atan2(torch.linalg.vector_norm(u - v, dim=1), torch.linalg.vector_norm(u + v, dim=1))


def spectral_angle_mapper(preds: Any, target: Any, reduction: Reduction = "elementwise_mean") -> Tensor:
    """Spectral angle: `arccos(<p, t> / (|p| |t|))` between the channels of each pixel, in radians.

    Args:
        preds: `(N, C, H, W)` with at least two channels.
        target: The same shape.
        reduction: `"elementwise_mean"` or `"sum"` over pixels and images, or `"none"` for the map.

    Returns:
        Float64 in [0, pi]; nan if a pixel is 0 in all channels; `(N, H, W)` for `"none"`.

    Raises:
        ValueError: If the shapes differ or there is one channel only.

    Example:
        >>> import torch
        >>> from lit_metrics.functional import spectral_angle_mapper
        >>> preds = torch.tensor([1.0, 0.0]).reshape(1, 2, 1, 1)
        >>> spectral_angle_mapper(preds, torch.ones(1, 2, 1, 1))
        tensor(0.7854, dtype=torch.float64)

    Source: Yuhas, Goetz and Boardman, Discrimination among semi-arid landscape endmembers using SAM, 1992.
    """
    return reduce_scores(spectral_angles(preds, target), reduction)


def ergas_scores(preds: Any, target: Any, ratio: float = 4) -> Tensor:
    """Returns the relative error of every image."""
    preds, target = as_image_pair(preds, target)
    if not ratio > 0:
        raise ValueError(f"ratio must be positive, got {ratio!r}")
    relative = (preds - target).square().mean((2, 3)) / target.mean((2, 3)).square()
    root: Tensor = relative.mean(1).sqrt()
    return 100 / ratio * root


def error_relative_global_dimensionless_synthesis(
    preds: Any, target: Any, ratio: float = 4, reduction: Reduction = "elementwise_mean"
) -> Tensor:
    """ERGAS: `100 / ratio sqrt(mean_k (RMSE_k / M_k)^2)` over the channels `k`, `M_k` the target's mean.

    Args:
        preds: `(N, C, H, W)`.
        target: The same shape.
        ratio: Pixel size of the multispectral image divided by that of the panchromatic one.
        reduction: `"elementwise_mean"` or `"sum"` over images, or `"none"`.

    Returns:
        Float64, lower is better; inf for a channel with mean 0; `(N,)` for `"none"`.

    Raises:
        ValueError: If the shapes differ or `ratio` is not positive.

    Example:
        >>> import torch
        >>> from lit_metrics.functional import error_relative_global_dimensionless_synthesis
        >>> target = torch.full((1, 3, 4, 4), 4.0)
        >>> error_relative_global_dimensionless_synthesis(target + 1, target)
        tensor(6.2500, dtype=torch.float64)

    Source: Wald, Quality of high resolution synthesised images: is there a simple criterion?, 2000.
    """
    return reduce_scores(ergas_scores(preds, target, ratio), reduction)


def _quality_sums(a: Tensor, b: Tensor) -> Tensor:
    """Returns the universal quality index of every channel, summed over images."""
    windows = [gaussian_window(11, 1.5, a.device)] * 2
    return quality_map(a, b, windows).mean((2, 3)).sum(0)


def require_power(power: Any, name: str) -> None:
    """Raises a `ValueError` unless the exponent is a positive integer."""
    if not isinstance(power, int) or isinstance(power, bool) or power < 1:
        raise ValueError(f"{name} must be a positive integer, got {power!r}")


def spectral_distortion_state(preds: Any, target: Any) -> dict[str, Tensor | int]:
    """Returns the quality index of every pair of channels, within `preds` and within `target`, summed over images."""
    preds, target = as_image(preds, "preds"), as_image(target, "target")
    if preds.shape[:2] != target.shape[:2]:
        raise ValueError(
            f"preds and target must have the same number of images and channels, got {tuple(preds.shape)} and"
            f" {tuple(target.shape)}"
        )
    pairs = list(itertools.combinations(range(preds.shape[1]), 2))
    if not pairs:
        raise ValueError(f"preds and target must have at least two channels, got {preds.shape[1]}")
    first, second = map(list, zip(*pairs, strict=True))
    return {
        "preds_quality": _quality_sums(preds[:, first], preds[:, second]),
        "target_quality": _quality_sums(target[:, first], target[:, second]),
        "num_images": preds.shape[0],
    }


def distortion_value(one: Tensor, other: Tensor, num_images: Tensor | int, power: int) -> Tensor:
    """Returns the generalised mean of differences between mean quality indices."""
    return ((one - other) / num_images).abs().pow(power).mean().pow(1 / power)


def spectral_distortion_index(preds: Any, target: Any, p: int = 1, reduction: Reduction = "elementwise_mean") -> Tensor:
    """Spectral distortion `D_lambda`: by how much pansharpening changed the relations between channels.

    `(mean_{k != l} |Q(preds_k, preds_l) - Q(target_k, target_l)|^p)^(1/p)`, where `Q` is the universal quality index,
    a mean over images.

    Args:
        preds: `(N, C, H, W)` sharpened images with at least two channels.
        target: `(N, C, h, w)` multispectral images of any resolution.
        p: Exponent; a larger one weights large differences more.
        reduction: Accepted as in torchmetrics; there is one value.

    Returns:
        Float64 in [0, 2]; 0 is best.

    Raises:
        ValueError: If the numbers of images or channels differ, or `p` is not a positive integer.

    Example:
        >>> import torch
        >>> from lit_metrics.functional import spectral_distortion_index
        >>> preds = torch.rand(1, 3, 16, 16, generator=torch.Generator().manual_seed(0))
        >>> spectral_distortion_index(preds, preds)
        tensor(0., dtype=torch.float64)

    Source: Alparone et al., Multispectral and panchromatic data fusion assessment without reference, 2008.
    """
    require_power(p, "p")
    require_reduction(reduction)
    state = spectral_distortion_state(preds, target)
    return distortion_value(**_named(state, "preds_quality", "target_quality"), power=p)


def _named(state: dict[str, Tensor | int], one: str, other: str) -> dict[str, Any]:
    return {"one": state[one], "other": state[other], "num_images": state["num_images"]}


def spatial_distortion_state(
    preds: Any, ms: Any, pan: Any, pan_lr: Any = None, window_size: int = 7
) -> dict[str, Tensor | int]:
    """Returns the quality index of every channel with the panchromatic image, at both resolutions, summed."""
    require_window(window_size)
    preds, pan = as_image_pair(preds, pan)
    ms = as_image(ms, "ms")
    if preds.shape[:2] != ms.shape[:2]:
        raise ValueError(f"preds and ms must have the same images and channels, got {preds.shape} and {ms.shape}")
    if pan_lr is None:
        low = sliding_means(pan, window_size)
        low = torch.nn.functional.interpolate(low, ms.shape[2:], mode="bilinear", align_corners=False)
    else:
        low = as_image(pan_lr, "pan_lr")
        if low.shape != ms.shape:
            raise ValueError(f"pan_lr and ms must have the same shape, got {tuple(low.shape)} and {tuple(ms.shape)}")
    return {
        "ms_pan_quality": _quality_sums(ms, low),
        "preds_pan_quality": _quality_sums(preds, pan),
        "num_images": preds.shape[0],
    }


def spatial_distortion_index(
    preds: Any,
    ms: Any,
    pan: Any,
    pan_lr: Any = None,
    norm_order: int = 1,
    window_size: int = 7,
    reduction: Reduction = "elementwise_mean",
) -> Tensor:
    """Spatial distortion `D_s`: by how much pansharpening changed the relation of channels to the panchromatic image.

    `(mean_k |Q(preds_k, pan_k) - Q(ms_k, pan_lr_k)|^q)^(1/q)`, where `Q` is the universal quality index.

    Args:
        preds: `(N, C, H, W)` sharpened images.
        ms: `(N, C, h, w)` multispectral images of low resolution; sides of at least 11.
        pan: `(N, C, H, W)` panchromatic images, repeated for every channel.
        pan_lr: `(N, C, h, w)` the same at low resolution; `None` makes it of `pan`, by a moving mean and bilinear
            interpolation.
        norm_order: The exponent `q`.
        window_size: Side of that moving mean's window.
        reduction: Accepted as in torchmetrics; there is one value.

    Returns:
        Float64 in [0, 2]; 0 is best.

    Raises:
        ValueError: If shapes do not fit together, or `norm_order` is not a positive integer.

    Example:
        >>> import torch
        >>> from lit_metrics.functional import spatial_distortion_index
        >>> x = torch.rand(1, 2, 32, 32, generator=torch.Generator().manual_seed(0))
        >>> spatial_distortion_index(x, x[..., ::2, ::2], x, x[..., ::2, ::2])
        tensor(0., dtype=torch.float64)

    Source: Alparone et al., Multispectral and panchromatic data fusion assessment without reference, 2008.
    """
    require_power(norm_order, "norm_order")
    require_reduction(reduction)
    state = spatial_distortion_state(preds, ms, pan, pan_lr, window_size)
    return distortion_value(**_named(state, "ms_pan_quality", "preds_pan_quality"), power=norm_order)


def quality_with_no_reference(
    preds: Any,
    ms: Any,
    pan: Any,
    pan_lr: Any = None,
    alpha: float = 1,
    beta: float = 1,
    norm_order: int = 1,
    window_size: int = 7,
    reduction: Reduction = "elementwise_mean",
) -> Tensor:
    """Quality with no reference (QNR): `(1 - D_lambda)^alpha (1 - D_s)^beta`.

    Args:
        preds: `(N, C, H, W)` sharpened images with at least two channels.
        ms: `(N, C, h, w)` multispectral images of low resolution; sides of at least 11.
        pan: `(N, C, H, W)` panchromatic images.
        pan_lr: `(N, C, h, w)` the same at low resolution; see `spatial_distortion_index`.
        alpha: Weight of the spectral distortion; see `spectral_distortion_index`.
        beta: Weight of the spatial distortion.
        norm_order: Exponent inside both distortions.
        window_size: Side of the window that `pan_lr` is made with.
        reduction: Accepted as in torchmetrics; there is one value.

    Returns:
        Float64; 1 is best.

    Raises:
        ValueError: If shapes do not fit together, or an exponent is out of its range.

    Example:
        >>> import torch
        >>> from lit_metrics.functional import quality_with_no_reference
        >>> x = torch.rand(1, 2, 32, 32, generator=torch.Generator().manual_seed(0))
        >>> quality_with_no_reference(x, x[..., ::2, ::2], x).item() < 1
        True

    Source: Alparone et al., Multispectral and panchromatic data fusion assessment without reference, 2008.
    """
    d_lambda = spectral_distortion_index(preds, ms, norm_order, reduction)
    d_s = spatial_distortion_index(preds, ms, pan, pan_lr, norm_order, window_size, reduction)
    return qnr_value(d_lambda, d_s, alpha, beta)


def qnr_value(d_lambda: Tensor, d_s: Tensor, alpha: float, beta: float) -> Tensor:
    """Returns the quality of the two distortions.

    Raises:
        ValueError: If a weight is negative.
    """
    if alpha < 0 or beta < 0:
        raise ValueError(f"alpha and beta must not be negative, got {alpha!r} and {beta!r}")
    return (1 - d_lambda) ** alpha * (1 - d_s) ** beta
