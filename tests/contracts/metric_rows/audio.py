"""Rows of the audio metrics."""

from __future__ import annotations

from itertools import permutations
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

import lit_metrics as lm
from lit_metrics.functional import scale_invariant_signal_distortion_ratio, source_aggregated_signal_distortion_ratio
from tests.contracts.metric_rows.row import Row

if TYPE_CHECKING:
    from collections.abc import Callable

Signals = np.ndarray[Any, Any]


def signals(*shape: int) -> Callable[[torch.Generator, int], tuple[Any, ...]]:
    def make(g: torch.Generator, n: int) -> tuple[Any, ...]:
        target = torch.randn(n, *shape, generator=g)
        return 0.8 * target + 0.3 * torch.randn(n, *shape, generator=g) + 0.1, target

    return make


def weighted_signals(g: torch.Generator, n: int) -> tuple[Any, ...]:
    return *signals(20)(g, n), torch.rand(n, generator=g)


def both(p: torch.Tensor, t: torch.Tensor) -> tuple[Signals, Signals]:
    return p.double().numpy(), t.double().numpy()


def ratio(signal: Signals, noise: Signals) -> float:
    return float(10 * np.log10((signal**2).sum() / (noise**2).sum()))


def snr(p: Signals, t: Signals) -> float:
    return ratio(t, t - p)


def si_sdr(p: Signals, t: Signals) -> float:
    scaled = (p * t).sum() / (t * t).sum() * t
    return ratio(scaled, scaled - p)


def si_snr(p: Signals, t: Signals) -> float:
    return si_sdr(p - p.mean(), t - t.mean())


def sdr(p: Signals, t: Signals) -> float:
    """The filtered target nearest to the estimate, by least squares on all delayed copies."""
    delayed = np.zeros((len(t) + 3, 4))
    for k in range(4):
        delayed[k : k + len(t), k] = t
    padded = np.concatenate([p, np.zeros(3)])
    fitted = delayed @ np.linalg.lstsq(delayed, padded, rcond=None)[0]
    return ratio(fitted, fitted - padded)


def mean_of(score: Callable[[Signals, Signals], float]) -> Callable[..., float]:
    return lambda p, t: float(np.mean([score(a, b) for a, b in zip(*both(p, t), strict=True)]))


def best(score: Callable[[Signals, Signals], float]) -> Callable[..., float]:
    def reference(p: torch.Tensor, t: torch.Tensor) -> float:
        a, b = both(p, t)
        orders = list(permutations(range(a.shape[1])))
        return float(np.mean([max(score(x[list(o)], y) for o in orders) for x, y in zip(a, b, strict=True)]))

    return reference


def mean_si_sdr(p: Signals, t: Signals) -> float:
    return float(np.mean([si_sdr(a, b) for a, b in zip(p, t, strict=True)]))


ROWS: dict[str, Row] = {
    "ComplexScaleInvariantSignalNoiseRatio": Row(
        lm.ComplexScaleInvariantSignalNoiseRatio, signals(3, 5, 2), mean_of(si_sdr)
    ),
    "PermutationInvariantTraining": Row(
        lambda: lm.PermutationInvariantTraining(scale_invariant_signal_distortion_ratio),
        signals(3, 20),
        best(mean_si_sdr),
    ),
    "PermutationInvariantTraining(permutation-wise)": Row(
        lambda: lm.PermutationInvariantTraining(source_aggregated_signal_distortion_ratio, mode="permutation-wise"),
        signals(3, 20),
        best(si_sdr),
    ),
    "ScaleInvariantSignalDistortionRatio": Row(lm.ScaleInvariantSignalDistortionRatio, signals(20), mean_of(si_sdr)),
    "ScaleInvariantSignalNoiseRatio": Row(lm.ScaleInvariantSignalNoiseRatio, signals(20), mean_of(si_snr)),
    "SignalDistortionRatio": Row(lambda: lm.SignalDistortionRatio(filter_length=4), signals(30), mean_of(sdr)),
    "SignalDistortionRatio(use_cg_iter)": Row(
        lambda: lm.SignalDistortionRatio(use_cg_iter=20, filter_length=4), signals(30), mean_of(sdr)
    ),
    "SignalNoiseRatio": Row(lm.SignalNoiseRatio, signals(20), mean_of(snr)),
    "SignalNoiseRatio(sample_weight)": Row(
        lm.SignalNoiseRatio,
        weighted_signals,
        lambda p, t, w: np.average([snr(a, b) for a, b in zip(*both(p, t), strict=True)], weights=w.double().numpy()),
    ),
    "SourceAggregatedSignalDistortionRatio": Row(
        lm.SourceAggregatedSignalDistortionRatio, signals(2, 20), mean_of(si_sdr)
    ),
}
