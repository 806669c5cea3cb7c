"""Signal-to-distortion ratio that allows the target to be filtered."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from lit_metrics.functional.audio.signal_ratios import EPS, as_signals


def require_filter(use_cg_iter: Any, filter_length: Any) -> None:
    """Raises a `ValueError` unless both are positive integers; the number of steps may be `None`."""
    for name, value in (("use_cg_iter", 1 if use_cg_iter is None else use_cg_iter), ("filter_length", filter_length)):
        if not isinstance(value, int) or isinstance(value, bool) or value < 1:
            raise ValueError(f"{name} must be a positive integer, got {value!r}")


def signal_distortion_ratio(
    preds: Any,
    target: Any,
    use_cg_iter: int | None = None,
    filter_length: int = 512,
    zero_mean: bool = False,
    load_diag: float | None = None,
) -> Tensor:
    """SDR, `10 log10(|h * t|^2 / |h * t - p|^2)` with the filter `h` that brings the target nearest to `preds`.

    `h` solves a Toeplitz system of correlations, which are taken by FFT. The ratio is kept within 157 decibels, where
    the digits of float64 end.

    Args:
        preds: `(..., time)`.
        target: The same shape.
        use_cg_iter: Number of steps of the preconditioned conjugate gradient method, 10 are usually enough; `None`
            solves exactly, in time cubic in `filter_length`.
        filter_length: Number of taps of `h`.
        zero_mean: Whether the mean over time is removed first.
        load_diag: Added to the diagonal of the system for targets of energy 1; steadies narrow-band targets.

    Returns:
        `(...,)` in decibels, float64; higher is better; unchanged if `preds` is scaled; -157 for a silent target.

    Raises:
        ValueError: If the shapes differ, or a number is out of its range.
        TypeError: If the signals are not real.

    Example:
        >>> import torch
        >>> from lit_metrics.functional import signal_distortion_ratio
        >>> g = torch.Generator().manual_seed(0)
        >>> target, noise = torch.randn(8000, generator=g), torch.randn(8000, generator=g)
        >>> delayed = torch.cat([torch.zeros(3), target[:-3]])
        >>> signal_distortion_ratio(delayed + 0.1 * noise, target, filter_length=8)
        tensor(19.8740, dtype=torch.float64)

    Source: Vincent, Gribonval and Févotte, Performance measurement in blind audio source separation, 2006; Scheibler,
    SDR - medium rare with fast computations, 2022.
    """
    require_filter(use_cg_iter, filter_length)
    preds, target = as_signals(preds, target, zero_mean)
    preds, target = _unit(preds), _unit(target)
    length = preds.shape[-1] + filter_length
    spectrum = torch.fft.rfft(target, length)
    auto = torch.fft.irfft(spectrum.abs().square(), length)[..., :filter_length]
    cross = torch.fft.irfft(spectrum.conj() * torch.fft.rfft(preds, length), length)[..., :filter_length]
    first = torch.arange(filter_length, device=auto.device) == 0
    auto = auto + first * ((auto[..., :1] == 0).double() + (load_diag or 0.0))
    if use_cg_iter is None:
        lag = torch.arange(filter_length, device=auto.device)
        system = auto[..., (lag[:, None] - lag).abs()]
        taps = torch.linalg.solve_ex(system, cross[..., None])[0][..., 0]
    else:
        taps = _conjugate_gradient(auto, cross, use_cg_iter)
    # |h * t|^2 is the share of the energy of preds, 1, that the filter explains.
    share = (cross * taps).sum(-1)
    ratio: Tensor = share.clamp(min=EPS).log10() - (1 - share).clamp(min=EPS).log10()
    return 10 * ratio


def _unit(signals: Tensor) -> Tensor:
    norm = torch.linalg.vector_norm(signals, dim=-1, keepdim=True)
    return signals / torch.where(norm > 0, norm, 1.0)


def _conjugate_gradient(auto: Tensor, cross: Tensor, steps: int) -> Tensor:
    """Solves the symmetric Toeplitz system with first column `auto`, by products and a preconditioner in FFT."""
    size = auto.shape[-1]
    tail = auto[..., 1:].flip(-1)
    # The Toeplitz matrix is a corner of a circulant one of twice its size.
    circulant = torch.fft.rfft(torch.cat([auto, torch.zeros_like(auto[..., :1]), tail], -1))
    k = torch.arange(size, device=auto.device)
    wrapped = torch.cat([torch.zeros_like(auto[..., :1]), tail], -1)
    nearest = torch.fft.rfft(((size - k) * auto + k * wrapped) / size).real.clamp(min=EPS)

    def times(x: Tensor) -> Tensor:
        product: Tensor = torch.fft.irfft(circulant * torch.fft.rfft(x, 2 * size), 2 * size)
        return product[..., :size]

    def precondition(x: Tensor) -> Tensor:
        product: Tensor = torch.fft.irfft(torch.fft.rfft(x) / nearest, size)
        return product

    solution, residual = torch.zeros_like(cross), cross
    direction = scaled = precondition(residual)
    energy = (residual * scaled).sum(-1, keepdim=True)
    for _ in range(steps):
        image = times(direction)
        rate = energy / ((direction * image).sum(-1, keepdim=True) + EPS**2)
        solution, residual = solution + rate * direction, residual - rate * image
        scaled = precondition(residual)
        previous, energy = energy, (residual * scaled).sum(-1, keepdim=True)
        direction = scaled + energy / (previous + EPS**2) * direction
    return solution
