"""Visual information fidelity in the pixel domain."""

from __future__ import annotations

from typing import Any, Literal, TypeAlias

import torch
from torch import Tensor

from lit_metrics.functional.image._images import as_image_pair, gaussian_window, reduce_scores, window_means
from lit_metrics.functional.image.structural_similarity import local_moments

MeanReduction: TypeAlias = Literal["mean", "none"] | None

SMALLEST_SIDE = 41
TINY = 1e-10


def vif_scores(preds: Any, target: Any, sigma_n_sq: float = 2.0) -> Tensor:
    """Returns the fidelity of every image: the mean of its channels."""
    preds, target = as_image_pair(preds, target)
    if min(preds.shape[2:]) < SMALLEST_SIDE:
        size = tuple(preds.shape[2:])
        raise ValueError(f"images must be at least {SMALLEST_SIDE}x{SMALLEST_SIDE} for four scales, got {size}")
    kept = torch.zeros(preds.shape[:2], dtype=torch.float64, device=preds.device)
    total = torch.zeros_like(kept)
    for scale in range(4):
        size = 2 ** (4 - scale) + 1
        windows = [gaussian_window(size, size / 5, preds.device)] * 2
        if scale:
            preds, target = window_means(preds, windows)[..., ::2, ::2], window_means(target, windows)[..., ::2, ::2]
        m = local_moments(preds, target, windows)
        # preds = gain * target + noise under each window; a flat target or a negative gain is all noise.
        gain = m.cov / (m.var_t + TINY)
        noise = m.var_p - gain * m.cov
        no_signal = (m.var_t < TINY) | (gain < 0)
        gain = torch.where(no_signal | (m.var_p < TINY), 0.0, gain)
        noise = torch.where(m.var_p < TINY, 0.0, torch.where(no_signal, m.var_p, noise)).clamp(min=TINY)
        signal = torch.where(m.var_t < TINY, 0.0, m.var_t)
        kept = kept + torch.log1p(gain.square() * signal / (noise + sigma_n_sq)).sum((2, 3))
        total = total + torch.log1p(signal / sigma_n_sq).sum((2, 3))
    return (kept / total).mean(1)


def visual_information_fidelity(
    preds: Any, target: Any, sigma_n_sq: float = 2.0, reduction: MeanReduction = "mean"
) -> Tensor:
    """Visual information fidelity (VIF-p): the share of the information about the target that is left in `preds`.

    `sum log(1 + g^2 v_t / (v_n + s)) / sum log(1 + v_t / s)` over four scales and all places of a Gaussian window.
    `preds = g target + noise` under the window, `v_n` is the variance of that noise and `s` that of the eye's.

    Args:
        preds: `(N, C, H, W)`, sides of at least 41. Values are expected in [0, 255].
        target: The same shape.
        sigma_n_sq: Variance of the visual noise, in squared units of the images.
        reduction: `"mean"` over images, or `"none"`.

    Returns:
        Float64; 1 for equal images, above 1 for a sharper `preds`; nan for a constant target; `(N,)` for `"none"`.

    Raises:
        ValueError: If the shapes differ or the images are too small.

    Example:
        >>> import torch
        >>> from lit_metrics.functional import visual_information_fidelity
        >>> target = 255 * torch.rand(1, 1, 41, 41, generator=torch.Generator().manual_seed(0))
        >>> round(visual_information_fidelity(target, target).item(), 6)
        1.0
        >>> visual_information_fidelity(0.5 * target + 64, target)
        tensor(0.8136, dtype=torch.float64)

    Source: Sheikh and Bovik, Image information and visual quality, 2006; the authors' pixel-domain program.
    """
    return reduce_scores(vif_scores(preds, target, sigma_n_sq), reduction)
