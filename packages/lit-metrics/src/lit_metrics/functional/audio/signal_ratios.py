"""Ratios of signal to noise or distortion: plain, scale-invariant, over several sources, and of complex spectra."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from lit_metrics._inputs import as_tensor, require_same_shape

EPS = torch.finfo(torch.float64).eps
"""Added to every energy: silence and perfect estimates give large finite ratios, with finite gradients."""


def as_signals(preds: Any, target: Any, zero_mean: bool = False) -> tuple[Tensor, Tensor]:
    """Returns two sets of signals of one shape in float64, with mean 0 over time if asked for.

    Raises:
        TypeError: If they are not real numbers.
        ValueError: If the shapes differ or there is no time dimension.
    """
    preds, target = as_tensor(preds, "preds"), as_tensor(target, "target")
    require_same_shape(preds, target)
    if preds.is_complex() or target.is_complex():
        raise TypeError(f"preds and target must be real, got {preds.dtype} and {target.dtype}")
    if preds.ndim == 0:
        raise ValueError("preds and target must have a time dimension, got numbers")
    preds, target = preds.double(), target.double()
    if zero_mean:
        return preds - preds.mean(-1, keepdim=True), target - target.mean(-1, keepdim=True)
    return preds, target


def decibels(signal: Tensor, noise: Tensor, dims: tuple[int, ...] = (-1,)) -> Tensor:
    """Returns `10 log10` of the ratio of energies."""
    return 10 * ((signal.square().sum(dims) + EPS) / (noise.square().sum(dims) + EPS)).log10()


def projected(preds: Tensor, target: Tensor, dims: tuple[int, ...] = (-1,)) -> Tensor:
    """Returns the multiple of `target` that is nearest to `preds`; one factor over all of `dims`."""
    along, energy = (preds * target).sum(dims, keepdim=True), target.square().sum(dims, keepdim=True)
    return (along + EPS) / (energy + EPS) * target


def signal_noise_ratio(preds: Any, target: Any, zero_mean: bool = False) -> Tensor:
    """Signal-to-noise ratio, `10 log10(|t|^2 / |t - p|^2)`, of every signal.

    Energies are taken in float64, plus 2.2e-16: a perfect estimate or a silent target gives a large finite value.

    Args:
        preds: `(..., time)`.
        target: The same shape.
        zero_mean: Whether the mean over time is removed first.

    Returns:
        `(...,)` in decibels, float64; higher is better.

    Raises:
        ValueError: If the shapes differ.
        TypeError: If the signals are not real.

    Example:
        >>> from lit_metrics.functional import signal_noise_ratio
        >>> signal_noise_ratio([2.5, 0.0, 2.0, 8.0], [3.0, -0.5, 2.0, 7.0])
        tensor(16.1805, dtype=torch.float64)
    """
    preds, target = as_signals(preds, target, zero_mean)
    return decibels(target, target - preds)


def scale_invariant_signal_distortion_ratio(preds: Any, target: Any, zero_mean: bool = False) -> Tensor:
    """SI-SDR, `10 log10(|a t|^2 / |a t - p|^2)` with `a = <p, t> / |t|^2`, of every signal.

    Energies are taken in float64, plus 2.2e-16: a perfect estimate or a silent target gives a large finite value.

    Arguments and errors: see `signal_noise_ratio`.

    Returns:
        `(...,)` in decibels, float64; higher is better; unchanged if `preds` is scaled.

    Example:
        >>> from lit_metrics.functional import scale_invariant_signal_distortion_ratio
        >>> scale_invariant_signal_distortion_ratio([2.5, 0.0, 2.0, 8.0], [3.0, -0.5, 2.0, 7.0])
        tensor(18.4030, dtype=torch.float64)

    Source: Le Roux et al., SDR - half-baked or well done?, 2019.
    """
    preds, target = as_signals(preds, target, zero_mean)
    target = projected(preds, target)
    return decibels(target, target - preds)


def scale_invariant_signal_noise_ratio(preds: Any, target: Any) -> Tensor:
    """SI-SNR: `scale_invariant_signal_distortion_ratio` with the means over time removed.

    Arguments and errors: see `signal_noise_ratio`.

    Returns:
        `(...,)` in decibels, float64; higher is better.

    Example:
        >>> from lit_metrics.functional import scale_invariant_signal_noise_ratio
        >>> scale_invariant_signal_noise_ratio([2.5, 0.0, 2.0, 8.0], [3.0, -0.5, 2.0, 7.0])
        tensor(15.0918, dtype=torch.float64)

    Source: Luo and Mesgarani, TaSNet, 2018.
    """
    return scale_invariant_signal_distortion_ratio(preds, target, zero_mean=True)


def source_aggregated_signal_distortion_ratio(
    preds: Any, target: Any, scale_invariant: bool = True, zero_mean: bool = False
) -> Tensor:
    """SA-SDR, `10 log10(sum_s |a t_s|^2 / sum_s |a t_s - p_s|^2)` over the sources `s` of a mixture.

    Args:
        preds: `(..., sources, time)`.
        target: The same shape.
        scale_invariant: Whether `a` is the best common factor of all sources; if not, it is 1.
        zero_mean: Whether the mean over time is removed first.

    Returns:
        `(...,)` in decibels, float64; higher is better.

    Raises:
        ValueError: If the shapes differ, or there is no dimension of sources.
        TypeError: If the signals are not real.

    Example:
        >>> from lit_metrics.functional import source_aggregated_signal_distortion_ratio
        >>> source_aggregated_signal_distortion_ratio([[1.0, 2.0], [0.0, 1.0]], [[1.0, 2.0], [0.0, 3.0]])
        tensor(5.0515, dtype=torch.float64)

    Source: von Neumann et al., SA-SDR: a novel loss function for separation of meeting style data, 2022.
    """
    preds, target = as_signals(preds, target, zero_mean)
    if preds.ndim < 2:
        raise ValueError(f"preds and target must have shape (..., sources, time), got {tuple(preds.shape)}")
    if scale_invariant:
        target = projected(preds, target, (-2, -1))
    return decibels(target, target - preds, (-2, -1))


def complex_scale_invariant_signal_noise_ratio(preds: Any, target: Any, zero_mean: bool = False) -> Tensor:
    """C-SI-SNR: `scale_invariant_signal_distortion_ratio` of complex spectra, real and imaginary parts side by side.

    Args:
        preds: `(..., frequency, time)` complex, or `(..., frequency, time, 2)` real.
        target: The same shape.
        zero_mean: Whether the mean over all frequencies, times and parts is removed first.

    Returns:
        `(...,)` in decibels, float64; higher is better.

    Raises:
        ValueError: If the shapes differ or are none of these.

    Example:
        >>> import torch
        >>> from lit_metrics.functional import complex_scale_invariant_signal_noise_ratio
        >>> target = torch.tensor([[1 + 1j, 2.0], [0.0, 1j]])
        >>> complex_scale_invariant_signal_noise_ratio(target + 0.1, target)
        tensor(24.4789, dtype=torch.float64)
    """
    signals = [as_tensor(preds, "preds"), as_tensor(target, "target")]
    signals = [torch.view_as_real(x) if x.is_complex() else x for x in signals]
    require_same_shape(signals[0], signals[1])
    if signals[0].ndim < 3 or signals[0].shape[-1] != 2:
        raise ValueError(
            "preds and target must have shape (..., frequency, time, 2), or be complex without the last dimension, got"
            f" {tuple(signals[0].shape)}"
        )
    return scale_invariant_signal_distortion_ratio(signals[0].flatten(-3), signals[1].flatten(-3), zero_mean)
