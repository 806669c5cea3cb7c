"""Rows of the image metrics; the references are written with explicit windows in numpy."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import torch

import lit_metrics as lm
from tests.contracts.metric_rows.row import ORDERED, Row

if TYPE_CHECKING:
    from collections.abc import Callable

Images = np.ndarray[Any, Any]


def images(*shape: int, low: float = 0.0) -> Callable[[torch.Generator, int], tuple[Any, ...]]:
    def make(g: torch.Generator, n: int) -> tuple[Any, ...]:
        target = low + torch.rand(n, *shape, generator=g)
        return target + 0.2 * torch.randn(n, *shape, generator=g), target

    return make


def weighted_images(*shape: int) -> Callable[[torch.Generator, int], tuple[Any, ...]]:
    return lambda g, n: (*images(*shape)(g, n), torch.rand(n, generator=g))


def fused(g: torch.Generator, n: int) -> tuple[Any, ...]:
    preds, pan = images(2, 22, 22)(g, n)
    return preds, torch.rand(n, 2, 11, 11, generator=g), pan, torch.rand(n, 2, 11, 11, generator=g)


def features(g: torch.Generator, n: int) -> tuple[Any, ...]:
    return torch.randn(n, 3, generator=g), torch.rand(n, generator=g) > 0.5


def gauss(size: int, sigma: float) -> Images:
    x = np.arange(size) - size // 2
    w = np.exp(-(x**2) / (2 * sigma**2))
    return np.outer(w, w) / np.outer(w, w).sum()


def moments(p: Images, t: Images, w: Images) -> tuple[Images, ...]:
    """Means, variances and covariance by their definitions, window by window."""
    a, b = (np.lib.stride_tricks.sliding_window_view(x, w.shape, axis=(-2, -1)) for x in (p, t))
    ma, mb = (a * w).sum((-2, -1)), (b * w).sum((-2, -1))
    da, db = a - ma[..., None, None], b - mb[..., None, None]
    return ma, mb, (da * da * w).sum((-2, -1)), (db * db * w).sum((-2, -1)), (da * db * w).sum((-2, -1))


def ssim_maps(p: Images, t: Images, w: Images, width: float = 1.0) -> tuple[Images, Images]:
    ma, mb, va, vb, cov = moments(p, t, w)
    c1, c2 = (0.01 * width) ** 2, (0.03 * width) ** 2
    structure = (2 * cov + c2) / (va + vb + c2)
    return (2 * ma * mb + c1) / (ma**2 + mb**2 + c1) * structure, structure


def both(p: torch.Tensor, t: torch.Tensor) -> tuple[Images, Images]:
    return p.double().numpy(), t.double().numpy()


def ssim(width: float | None = 1.0, size: int = 11, sigma: float = 1.5) -> Callable[..., Images]:
    def reference(p: torch.Tensor, t: torch.Tensor) -> Images:
        a, b = both(p, t)
        spread = max(np.ptp(a), np.ptp(b)) if width is None else width
        return ssim_maps(a, b, gauss(size, sigma), spread)[0].mean((1, 2, 3))

    return reference


def ms_ssim(p: torch.Tensor, t: torch.Tensor) -> float:
    a, b = both(p, t)
    w = np.full((3, 3), 1 / 9)
    fine = ssim_maps(a, b, w)[1].mean((1, 2, 3))
    a, b = (x.reshape(*x.shape[:2], 6, 2, 6, 2).mean((3, 5)) for x in (a, b))
    return float(np.mean(np.maximum(fine, 0) ** 0.4 * np.maximum(ssim_maps(a, b, w)[0].mean((1, 2, 3)), 0) ** 0.6))


def quality(p: Images, t: Images) -> Images:
    ma, mb, va, vb, cov = moments(p, t, gauss(11, 1.5))
    return 4 * cov * ma * mb / ((va + vb) * (ma**2 + mb**2))


def spectral_distortion(p: torch.Tensor, t: torch.Tensor) -> float:
    a, b = both(p, t)
    pairs = [(i, j) for i in range(a.shape[1]) for j in range(a.shape[1]) if i != j]
    return float(np.mean([abs(quality(a[:, i], a[:, j]).mean() - quality(b[:, i], b[:, j]).mean()) for i, j in pairs]))


def spatial_distortion(p: torch.Tensor, ms: torch.Tensor, pan: torch.Tensor, low: torch.Tensor) -> float:
    (a, b), (c, d) = both(p, pan), both(ms, low)
    channels = range(a.shape[1])
    return float(np.mean([abs(quality(a[:, k], b[:, k]).mean() - quality(c[:, k], d[:, k]).mean()) for k in channels]))


def qnr(p: torch.Tensor, ms: torch.Tensor, pan: torch.Tensor, low: torch.Tensor) -> float:
    return (1 - spectral_distortion(p, ms)) * (1 - spatial_distortion(p, ms, pan, low))


def psnr(p: torch.Tensor, t: torch.Tensor) -> float:
    a, b = both(p, t)
    return float(10 * np.log10(np.ptp(b) ** 2 / np.mean((a - b) ** 2)))


def psnr_of_images(p: torch.Tensor, t: torch.Tensor) -> Images:
    a, b = both(p, t)
    return 10 * np.log10(1 / np.mean((a - b) ** 2, (1, 2, 3)))


def psnr_weighted(p: torch.Tensor, t: torch.Tensor, w: torch.Tensor) -> float:
    a, b = both(p, t)
    return float(-10 * np.log10(np.average(((a - b) ** 2).mean((1, 2, 3)), weights=w.double().numpy())))


def psnrb(p: torch.Tensor, t: torch.Tensor) -> float:
    a, b = both(p, t)
    effects = []
    for image in a[:, 0]:
        edge, other = [], []
        for x in (image, image.T):
            for i in range(1, x.shape[1]):
                (other if i % 4 else edge).extend((x[:, i] - x[:, i - 1]) ** 2)
        effects.append(max(np.mean(edge) - np.mean(other), 0) * np.log2(4) / np.log2(min(image.shape)))
    return float(-10 * np.log10(np.mean((a - b) ** 2) + np.mean(effects)))


def angles(p: torch.Tensor, t: torch.Tensor) -> float:
    a, b = both(p, t)
    return float(np.arccos((a * b).sum(1) / np.sqrt((a**2).sum(1) * (b**2).sum(1))).mean())


def ergas(p: torch.Tensor, t: torch.Tensor) -> float:
    a, b = both(p, t)
    return float(25 * np.sqrt((((a - b) ** 2).mean((2, 3)) / b.mean((2, 3)) ** 2).mean(1)).mean())


def windows(x: Images, size: int) -> Images:
    """Means around the pixels whose window of odd size is inside, less one ring."""
    means = np.lib.stride_tricks.sliding_window_view(x, (size, size), axis=(-2, -1)).mean((-2, -1))
    ring = round(size / 2) - size // 2
    return means[..., ring : means.shape[-2] - ring, ring : means.shape[-1] - ring]


def rmse_sw(p: torch.Tensor, t: torch.Tensor) -> float:
    a, b = both(p, t)
    return float(np.sqrt(windows((a - b) ** 2, 5)).mean())


def rase(p: torch.Tensor, t: torch.Tensor) -> float:
    a, b = both(p, t)
    return float((100 / windows(b, 5).mean(1) * np.sqrt(windows((a - b) ** 2, 5).mean(1))).mean())


def scc(p: torch.Tensor, t: torch.Tensor) -> float:
    kernel = -np.ones((3, 3)) + 9 * np.eye(3)[1][:, None] * np.eye(3)[1]
    sharp = []
    for x in both(p, t):
        padded = np.pad(x, ((0, 0), (0, 0), (1, 1), (1, 1)), mode="symmetric")
        high = (np.lib.stride_tricks.sliding_window_view(padded, (3, 3), axis=(-2, -1)) * kernel).sum((-2, -1))
        sharp.append(np.pad(high, ((0, 0), (0, 0), (2, 2), (2, 2))))
    _, _, va, vb, cov = moments(sharp[0], sharp[1], np.full((5, 5), 1 / 25))
    return float((cov / np.sqrt(va * vb)).mean())


def vif(p: torch.Tensor, t: torch.Tensor) -> float:
    scores = []
    a, b = both(p, t)
    for n in range(len(a)):
        x, y, kept, total = a[n, 0], b[n, 0], 0.0, 0.0
        for scale in range(4):
            w = gauss(2 ** (4 - scale) + 1, (2 ** (4 - scale) + 1) / 5)
            if scale:
                x, y = moments(x, y, w)[0][::2, ::2], moments(x, y, w)[1][::2, ::2]
            _, _, v_x, v_y, cov = moments(x, y, w)
            gain = np.where(cov < 0, 0, cov / v_y)
            kept += np.log(1 + gain**2 * v_y / (v_x - gain * cov + 0.1)).sum()
            total += np.log(1 + v_y / 0.1).sum()
        scores.append(kept / total)
    return float(np.mean(scores))


def variation(x: torch.Tensor) -> float:
    return float(sum(np.abs(np.diff(x.double().numpy(), axis=axis)).sum() for axis in (2, 3)))


def frechet(x: torch.Tensor, real: torch.Tensor) -> float:
    a, b = x.double().numpy()[real.numpy()], x.double().numpy()[~real.numpy()]
    s, r = np.cov(a.T), np.cov(b.T)
    root = np.sqrt(np.linalg.eigvals(s @ r).real.clip(0)).sum()
    return float(((a.mean(0) - b.mean(0)) ** 2).sum() + np.trace(s) + np.trace(r) - 2 * root)


def discrepancy(x: torch.Tensor, real: torch.Tensor) -> Images:
    sides = {flag: [v for v, r in zip(x.double().numpy(), real.numpy(), strict=True) if r == flag] for flag in (0, 1)}

    def kernel(u: Images, v: Images) -> float:
        return float((u @ v / 3 + 1) ** 3)

    within = [
        np.mean([kernel(u, v) for i, u in enumerate(s) for j, v in enumerate(s) if i != j]) for s in sides.values()
    ]
    return np.array([sum(within) - 2 * np.mean([kernel(u, v) for u in sides[0] for v in sides[1]]), 0.0])


SMALL = images(2, 12, 13)

ROWS: dict[str, Row] = {
    "ErrorRelativeGlobalDimensionlessSynthesis": Row(
        lm.ErrorRelativeGlobalDimensionlessSynthesis, images(3, 4, 5, low=1.0), ergas
    ),
    "FrechetDistance": Row(lambda: lm.FrechetDistance(3), features, frechet),
    "KernelDistance": Row(lambda: lm.KernelDistance(subset_size=None), features, discrepancy),
    "MultiScaleStructuralSimilarityIndexMeasure": Row(
        lambda: lm.MultiScaleStructuralSimilarityIndexMeasure(
            gaussian_kernel=False, kernel_size=3, data_range=1.0, betas=(0.4, 0.6)
        ),
        images(1, 12, 12),
        ms_ssim,
    ),
    "PeakSignalNoiseRatio": Row(lm.PeakSignalNoiseRatio, SMALL, psnr),
    "PeakSignalNoiseRatio(dim)": Row(
        lambda: lm.PeakSignalNoiseRatio(1.0, dim=(1, 2, 3)), SMALL, lambda p, t: psnr_of_images(p, t).mean()
    ),
    "PeakSignalNoiseRatio(none)": Row(
        lambda: lm.PeakSignalNoiseRatio(1.0, dim=(1, 2, 3), reduction="none"), SMALL, psnr_of_images, ORDERED
    ),
    "PeakSignalNoiseRatio(sample_weight)": Row(
        lambda: lm.PeakSignalNoiseRatio(1.0), weighted_images(2, 4, 4), psnr_weighted
    ),
    "PeakSignalNoiseRatioWithBlockedEffect": Row(
        lambda: lm.PeakSignalNoiseRatioWithBlockedEffect(1.0, block_size=4), images(1, 12, 14), psnrb
    ),
    "QualityWithNoReference": Row(lm.QualityWithNoReference, fused, qnr),
    "RelativeAverageSpectralError": Row(
        lambda: lm.RelativeAverageSpectralError(window_size=5), images(3, 9, 8, low=1.0), rase
    ),
    "RootMeanSquaredErrorUsingSlidingWindow": Row(
        lambda: lm.RootMeanSquaredErrorUsingSlidingWindow(window_size=5), images(2, 9, 8), rmse_sw
    ),
    "SpatialCorrelationCoefficient": Row(lambda: lm.SpatialCorrelationCoefficient(window_size=5), images(2, 9, 8), scc),
    "SpatialDistortionIndex": Row(lm.SpatialDistortionIndex, fused, spatial_distortion),
    "SpectralAngleMapper": Row(lm.SpectralAngleMapper, images(3, 4, 5), angles),
    "SpectralDistortionIndex": Row(lm.SpectralDistortionIndex, images(3, 12, 11), spectral_distortion),
    "StructuralSimilarityIndexMeasure": Row(
        lambda: lm.StructuralSimilarityIndexMeasure(data_range=1.0), SMALL, lambda p, t: ssim()(p, t).mean()
    ),
    "StructuralSimilarityIndexMeasure(none)": Row(
        lambda: lm.StructuralSimilarityIndexMeasure(data_range=1.0, sigma=1.0, reduction="none"),
        SMALL,
        ssim(size=9, sigma=1.0),
        ORDERED,
    ),
    "StructuralSimilarityIndexMeasure(no range)": Row(
        lm.StructuralSimilarityIndexMeasure, SMALL, lambda p, t: ssim(None)(p, t).mean()
    ),
    "StructuralSimilarityIndexMeasure(sample_weight)": Row(
        lambda: lm.StructuralSimilarityIndexMeasure(data_range=1.0),
        weighted_images(1, 11, 11),
        lambda p, t, w: np.average(ssim()(p, t), weights=w.double().numpy()),
    ),
    "TotalVariation": Row(lm.TotalVariation, lambda g, n: (torch.rand(n, 2, 4, 5, generator=g),), variation),
    "UniversalImageQualityIndex": Row(lm.UniversalImageQualityIndex, SMALL, lambda p, t: quality(*both(p, t)).mean()),
    "VisualInformationFidelity": Row(lambda: lm.VisualInformationFidelity(sigma_n_sq=0.1), images(1, 41, 41), vif),
}
