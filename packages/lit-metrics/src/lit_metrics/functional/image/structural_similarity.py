"""Structural similarity at one scale and at several, and the universal quality index, from one set of local moments."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal, NamedTuple, TypeAlias

import torch
from torch import Tensor

from lit_metrics.functional.image._images import (
    DataRange,
    Reduction,
    as_image_pair,
    clamp_to_range,
    gaussian_window,
    reduce_scores,
    require_range,
    require_reduction,
    uniform_window,
    window_means,
)

Normalize: TypeAlias = Literal["relu", "simple"] | None

MS_SSIM_BETAS = (0.0448, 0.2856, 0.3001, 0.2363, 0.1333)

# Variances below this share of the second moments are rounding.
FLAT = 1e-13


class Moments(NamedTuple):
    """Local means, variances and covariance of two images, and the local second moments they were taken from."""

    mean_p: Tensor
    mean_t: Tensor
    var_p: Tensor
    var_t: Tensor
    cov: Tensor
    second: Tensor


def local_moments(preds: Tensor, target: Tensor, windows: Sequence[Tensor]) -> Moments:
    """Returns the moments under a window at every place inside the images."""
    # Variances do not depend on an offset, but their digits do: an offset of 1e6 would eat 12 of 16.
    offset = target.detach().mean(tuple(range(2, target.ndim)), keepdim=True)
    p, t = preds - offset, target - offset
    mean_p, mean_t, square_p, square_t, product = window_means(
        torch.stack([p, t, p.square(), t.square(), p * t]), windows
    ).unbind()
    return Moments(
        mean_p + offset,
        mean_t + offset,
        (square_p - mean_p.square()).clamp(min=0),
        (square_t - mean_t.square()).clamp(min=0),
        product - mean_p * mean_t,
        square_p + square_t,
    )


class SsimConfig(NamedTuple):
    """How structural similarity is taken; see `structural_similarity_index_measure`."""

    gaussian_kernel: bool = True
    sigma: float | Sequence[float] = 1.5
    kernel_size: int | Sequence[int] = 11
    data_range: DataRange | None = None
    k1: float = 0.01
    k2: float = 0.03

    def check(self) -> None:
        """Raises a `ValueError` for sizes, widths or ranges that make no window."""
        require_range(self.data_range)
        sizes = self.kernel_size if isinstance(self.kernel_size, Sequence) else [self.kernel_size]
        if any(not isinstance(k, int) or k < 1 or k % 2 == 0 for k in sizes):
            raise ValueError(f"kernel_size must be odd and positive, got {self.kernel_size!r}")
        sigmas = self.sigma if isinstance(self.sigma, Sequence) else [self.sigma]
        if any(not s > 0 for s in sigmas):
            raise ValueError(f"sigma must be positive, got {self.sigma!r}")

    def windows(self, num_dims: int, device: torch.device) -> list[Tensor]:
        """Returns the window's weights along each of the dimensions."""
        chosen: Any = self.sigma if self.gaussian_kernel else self.kernel_size
        name = "sigma" if self.gaussian_kernel else "kernel_size"
        per_dim = list(chosen) if isinstance(chosen, Sequence) else [chosen] * num_dims
        if len(per_dim) != num_dims:
            raise ValueError(f"{name} must have {num_dims} entries for these images, got {chosen!r}")
        if not self.gaussian_kernel:
            return [uniform_window(k, device) for k in per_dim]
        return [gaussian_window(2 * int(3.5 * s + 0.5) + 1, s, device) for s in per_dim]

    def prepare(self, preds: Any, target: Any) -> tuple[Tensor, Tensor, float | Tensor]:
        """Returns both images and the width of their range."""
        self.check()
        preds, target = as_image_pair(preds, target, (4, 5))
        if self.data_range is not None:
            return clamp_to_range(preds, target, self.data_range)
        if not preds.numel():
            return preds, target, 1.0
        return preds, target, torch.maximum(preds.amax() - preds.amin(), target.amax() - target.amin()).detach()


def ssim_maps(
    preds: Tensor, target: Tensor, width: float | Tensor, config: SsimConfig, windows: Sequence[Tensor] | None = None
) -> tuple[Tensor, Tensor]:
    """Returns the similarity and its contrast-structure factor at every place of the window inside the images."""
    m = local_moments(preds, target, windows or config.windows(preds.ndim - 2, preds.device))
    c1, c2 = (config.k1 * width) ** 2, (config.k2 * width) ** 2
    structure = (2 * m.cov + c2) / (m.var_p + m.var_t + c2)
    return (2 * m.mean_p * m.mean_t + c1) / (m.mean_p.square() + m.mean_t.square() + c1) * structure, structure


def ssim_state(
    preds: Any, target: Any, config: SsimConfig, full_image: bool = False
) -> tuple[Tensor, Tensor, Tensor | None]:
    """Returns similarity and contrast sensitivity of every image, and the map of similarity if asked for."""
    preds, target, width = config.prepare(preds, target)
    full = None
    if full_image:
        windows = config.windows(preds.ndim - 2, preds.device)
        margins = [len(w) // 2 for w in reversed(windows) for _ in range(2)]
        padded = [torch.nn.functional.pad(x, margins, mode="reflect") for x in (preds, target)]
        full, structure = ssim_maps(padded[0], padded[1], width, config)
        inside = (..., *(slice(len(w) // 2, -(len(w) // 2) or None) for w in windows))
        similarity, structure = full[inside], structure[inside]
    else:
        similarity, structure = ssim_maps(preds, target, width, config)
    return similarity.flatten(1).mean(1), structure.flatten(1).mean(1), full


def structural_similarity_index_measure(
    preds: Any,
    target: Any,
    gaussian_kernel: bool = True,
    sigma: float | Sequence[float] = 1.5,
    kernel_size: int | Sequence[int] = 11,
    reduction: Reduction = "elementwise_mean",
    data_range: DataRange | None = None,
    k1: float = 0.01,
    k2: float = 0.03,
    return_full_image: bool = False,
    return_contrast_sensitivity: bool = False,
) -> Tensor | tuple[Tensor, Tensor]:
    """Structural similarity (SSIM) of images or volumes: the mean of a local index over places of a moving window.

    The index is `(2 m_p m_t + c1)(2 cov + c2) / ((m_p^2 + m_t^2 + c1)(v_p + v_t + c2))`, with means `m`, variances `v`
    and the covariance under the window, `c1 = (k1 range)^2` and `c2 = (k2 range)^2`.
    Places where the window would leave the image are left out. All channels count alike. Differentiable; computed in
    float64.

    Args:
        preds: `(N, C, H, W)` or `(N, C, D, H, W)`.
        target: The same shape.
        gaussian_kernel: Whether the window is a normal density; if not, all its weights are equal.
        sigma: Standard deviation of a Gaussian window, or one for each dimension; it reaches 3.5 sigma to each side.
        kernel_size: Side of a window of equal weights, or one for each dimension; odd.
        reduction: `"elementwise_mean"` or `"sum"` over images, or `"none"`.
        data_range: Width of the range of values, e.g. 1.0 or 255; a pair `(low, high)` also clamps both images to it;
            `None` takes the larger range of all `preds` and all `target`.
        k1: Stabilises the means.
        k2: Stabilises the variances.
        return_full_image: Whether to return the similarity of every pixel too; edges are reflected for it.
        return_contrast_sensitivity: Whether to return `mean((2 cov + c2) / (v_p + v_t + c2))` of every image too.

    Returns:
        Float64 in [-1, 1], 1 for equal images; `(N,)` for `"none"`. With one of the two flags a pair.

    Raises:
        ValueError: If the shapes differ, the image is smaller than the window, both flags are set, or an argument is
            out of its range.

    Example:
        >>> import torch
        >>> from lit_metrics.functional import structural_similarity_index_measure
        >>> target = torch.linspace(0, 1, 256).reshape(1, 1, 16, 16)
        >>> structural_similarity_index_measure(0.75 * target, target, data_range=1.0)
        tensor(0.9240, dtype=torch.float64)

    Source: Wang, Bovik, Sheikh and Simoncelli, Image quality assessment, 2004; equals
    `skimage.metrics.structural_similarity(gaussian_weights=True, sigma=1.5, use_sample_covariance=False)`.
    """
    if return_full_image and return_contrast_sensitivity:
        raise ValueError("return_full_image and return_contrast_sensitivity cannot both be True")
    config = SsimConfig(gaussian_kernel, sigma, kernel_size, data_range, k1, k2)
    scores, structure, full = ssim_state(preds, target, config, return_full_image)
    value = reduce_scores(scores, reduction)
    if full is not None:
        return value, full
    return (value, structure) if return_contrast_sensitivity else value


def ssim(
    pred: Any,
    target: Any,
    kernel_size: Sequence[int] = (11, 11),
    sigma: Sequence[float] = (1.5, 1.5),
    reduction: Reduction = "elementwise_mean",
    data_range: float | None = None,
    k1: float = 0.01,
    k2: float = 0.03,
) -> Tensor:
    """Structural similarity in the 1.0 spelling, where the size of the Gaussian window is given beside its width.

    Args:
        pred: `(N, C, H, W)`.
        target: The same shape.
        kernel_size: Height and width of the window; odd.
        sigma: Its standard deviations.
        reduction: `"elementwise_mean"` or `"sum"` over places and channels, or `"none"` for the map.
        data_range: Width of the range of values; `None` takes the larger range of all `pred` and all `target`.
        k1: Stabilises the means.
        k2: Stabilises the variances.

    Returns:
        Float64 in [-1, 1]; for `"none"` a map `(N, C, H', W')` of the places inside the image.

    Example:
        >>> import torch
        >>> from lit_metrics.functional import ssim
        >>> target = torch.linspace(0, 1, 256).reshape(1, 1, 16, 16)
        >>> ssim(0.75 * target, target, data_range=1.0)
        tensor(0.9240, dtype=torch.float64)
    """
    require_reduction(reduction)
    config = SsimConfig(True, sigma, kernel_size, data_range, k1, k2)
    pred, target, width = config.prepare(pred, target)
    windows = gaussian_windows(kernel_size, sigma, pred.device)
    return reduce_scores(ssim_maps(pred, target, width, config, windows)[0], reduction)


def gaussian_windows(kernel_size: Sequence[int], sigma: Sequence[float], device: torch.device) -> list[Tensor]:
    """Returns a Gaussian window of given size for both dimensions of an image.

    Raises:
        ValueError: If there are not two odd sizes and two positive widths.
    """
    if len(kernel_size) != 2 or len(sigma) != 2:
        raise ValueError(f"kernel_size and sigma must have two entries, got {kernel_size!r} and {sigma!r}")
    SsimConfig(True, sigma, kernel_size).check()
    return [gaussian_window(k, s, device) for k, s in zip(kernel_size, sigma, strict=True)]


def ms_ssim_scores(
    preds: Any, target: Any, config: SsimConfig, betas: tuple[float, ...], normalize: Normalize
) -> Tensor:
    """Returns the multi-scale similarity of every image."""
    require_scales(betas, normalize)
    preds, target, width = config.prepare(preds, target)
    pool = torch.nn.functional.avg_pool2d if preds.ndim == 4 else torch.nn.functional.avg_pool3d
    largest = max(len(w) for w in config.windows(preds.ndim - 2, torch.device("cpu")))
    needed = largest * 2 ** (len(betas) - 1)
    if min(preds.shape[2:]) < needed:
        raise ValueError(
            f"{len(betas)} scales of a window of {largest} need images of at least {needed} pixels a side, got"
            f" {tuple(preds.shape[2:])}; give fewer betas or a smaller window"
        )
    factors = []
    for i in range(len(betas)):
        similarity, structure = ssim_maps(preds, target, width, config)
        last = i == len(betas) - 1
        factors.append((similarity if last else structure).flatten(1).mean(1))
        if not last:
            preds, target = pool(preds, 2), pool(target, 2)
    stacked = torch.stack(factors)
    if normalize == "relu":
        stacked = stacked.relu()
    elif normalize == "simple":
        stacked = (stacked + 1) / 2
    return (stacked ** torch.tensor(betas, dtype=torch.float64, device=stacked.device)[:, None]).prod(0)


def require_scales(betas: Any, normalize: Any) -> None:
    """Raises a `ValueError` unless `betas` are numbers and `normalize` is known."""
    if not isinstance(betas, tuple) or not betas or not all(isinstance(b, (int, float)) for b in betas):
        raise ValueError(f"betas must be a tuple of numbers, got {betas!r}")
    if normalize not in ("relu", "simple", None):
        raise ValueError(f"normalize must be 'relu', 'simple' or None, got {normalize!r}")


def multiscale_structural_similarity_index_measure(
    preds: Any,
    target: Any,
    gaussian_kernel: bool = True,
    sigma: float | Sequence[float] = 1.5,
    kernel_size: int | Sequence[int] = 11,
    reduction: Reduction = "elementwise_mean",
    data_range: DataRange | None = None,
    k1: float = 0.01,
    k2: float = 0.03,
    betas: tuple[float, ...] = MS_SSIM_BETAS,
    normalize: Normalize = "relu",
) -> Tensor:
    """Multi-scale structural similarity (MS-SSIM): `prod_i c_i^beta_i`.

    `c_i` is the contrast sensitivity of the images halved `i` times, and at the coarsest scale the whole similarity;
    see `structural_similarity_index_measure` for both and for the arguments that are not listed here.

    Args:
        preds: `(N, C, H, W)` or `(N, C, D, H, W)`; sides of at least the window times `2^(len(betas) - 1)`.
        target: The same shape.
        gaussian_kernel: Whether the window is a normal density.
        sigma: Standard deviation of a Gaussian window.
        kernel_size: Side of a window of equal weights.
        reduction: `"elementwise_mean"` or `"sum"` over images, or `"none"`.
        data_range: Width of the range of values; `None` takes that of all images given.
        k1: Stabilises the means.
        k2: Stabilises the variances.
        betas: Exponent of each scale, finest first.
        normalize: What is done to negative factors, whose powers are nan: `"relu"` sets them to 0, `"simple"` takes
            `(c + 1) / 2` of every factor, `None` leaves them.

    Returns:
        Float64, 1 for equal images; `(N,)` for `"none"`.

    Raises:
        ValueError: If the shapes differ, the images are too small, or an argument is out of its range.

    Example:
        >>> import torch
        >>> from lit_metrics.functional import multiscale_structural_similarity_index_measure
        >>> target = torch.linspace(0, 1, 48 * 48).reshape(1, 1, 48, 48)
        >>> multiscale_structural_similarity_index_measure(0.75 * target, target, data_range=1.0, betas=(0.5, 0.3, 0.2))
        tensor(0.9614, dtype=torch.float64)

    Source: Wang, Simoncelli and Bovik, Multiscale structural similarity for image quality assessment, 2003.
    """
    config = SsimConfig(gaussian_kernel, sigma, kernel_size, data_range, k1, k2)
    return reduce_scores(ms_ssim_scores(preds, target, config, betas, normalize), reduction)


def quality_map(preds: Tensor, target: Tensor, windows: Sequence[Tensor]) -> Tensor:
    """Returns the universal quality index at every place of the window inside the images."""
    m = local_moments(preds, target, windows)
    variance, flat = m.var_p + m.var_t, (m.var_p + m.var_t) <= FLAT * m.second
    power = m.mean_p.square() + m.mean_t.square()
    dark = power == 0
    structure = torch.where(flat, 1.0, 2 * m.cov / torch.where(flat, 1.0, variance))
    return structure * torch.where(dark, 1.0, 2 * m.mean_p * m.mean_t / torch.where(dark, 1.0, power))


def uqi_map(preds: Any, target: Any, kernel_size: Sequence[int], sigma: Sequence[float]) -> Tensor:
    """Returns the index of every place of the window inside the images."""
    preds, target = as_image_pair(preds, target)
    return quality_map(preds, target, gaussian_windows(kernel_size, sigma, preds.device))


def universal_image_quality_index(
    preds: Any,
    target: Any,
    kernel_size: Sequence[int] = (11, 11),
    sigma: Sequence[float] = (1.5, 1.5),
    reduction: Reduction = "elementwise_mean",
) -> Tensor:
    """Universal image quality index: the mean of `4 cov m_p m_t / ((v_p + v_t)(m_p^2 + m_t^2))` over a moving window.

    Structural similarity without constants. Where both images are constant under the window, its first factor is 1;
    where both are 0, the index is 1.

    Args:
        preds: `(N, C, H, W)`.
        target: The same shape.
        kernel_size: Height and width of the Gaussian window; odd.
        sigma: Its standard deviations.
        reduction: `"elementwise_mean"` or `"sum"` over places, channels and images, or `"none"` for the map.

    Returns:
        Float64 in [-1, 1], 1 for equal images; `(N, C, H', W')` for `"none"`.

    Raises:
        ValueError: If the shapes differ, the image is smaller than the window, or an argument is out of its range.

    Example:
        >>> import torch
        >>> from lit_metrics.functional import universal_image_quality_index
        >>> target = torch.linspace(0, 1, 256).reshape(1, 1, 16, 16)
        >>> universal_image_quality_index(0.75 * target, target)
        tensor(0.9216, dtype=torch.float64)

    Source: Wang and Bovik, A universal image quality index, 2002. torchmetrics gives 0 where both images are constant.
    """
    require_reduction(reduction)
    return reduce_scores(uqi_map(preds, target, kernel_size, sigma), reduction)
