"""Signal ratios against closed forms and invariances."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch

import lit_metrics as lm
import lit_metrics.functional as F


def draw(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def test_noise_of_a_tenth_is_twenty_decibels() -> None:
    t = draw(2, 3, 100)
    torch.testing.assert_close(F.signal_noise_ratio(1.1 * t, t), torch.full((2, 3), 20.0, dtype=torch.float64))


def test_orthogonal_noise_sets_the_scale_invariant_ratio() -> None:
    """target [1, 0], estimate g [1, n]: the ratio is 1 / n^2 whatever g is."""
    for gain in (1.0, 1e-3, 1e4, -2.0):
        value = F.scale_invariant_signal_distortion_ratio([gain, gain * 0.01], [1.0, 0.0])
        assert float(value) == pytest.approx(40, abs=1e-5)


def test_removed_means_make_offsets_invisible() -> None:
    t, p = draw(4, 50), draw(4, 50) + 0.3 * draw(4, 50, seed=1)
    plain = F.scale_invariant_signal_noise_ratio(p, t)
    torch.testing.assert_close(F.scale_invariant_signal_noise_ratio(p + 5, t - 7), plain, rtol=1e-9, atol=0)
    centred = F.signal_noise_ratio(p - p.mean(-1, keepdim=True), t - t.mean(-1, keepdim=True))
    torch.testing.assert_close(F.signal_noise_ratio(p + 5, t - 7, zero_mean=True), centred, rtol=1e-9, atol=0)


def test_quiet_float32_signals_have_the_ratio_of_loud_ones() -> None:
    t, p = draw(100).float(), (draw(100) + 0.1 * draw(100, seed=1)).float()
    for function in (F.signal_noise_ratio, F.scale_invariant_signal_distortion_ratio):
        loud, quiet = function(p, t), function(p * 2.0**-16, t * 2.0**-16)
        assert float(quiet) == pytest.approx(float(loud), rel=1e-6)


def test_sources_share_one_factor() -> None:
    t, p = draw(3, 2, 40), draw(3, 2, 40) + 0.5 * draw(3, 2, 40, seed=1)
    flat = F.scale_invariant_signal_distortion_ratio(p.flatten(1), t.flatten(1))
    torch.testing.assert_close(F.source_aggregated_signal_distortion_ratio(p, t), flat)
    plain = F.source_aggregated_signal_distortion_ratio(p, t, scale_invariant=False)
    torch.testing.assert_close(plain, F.signal_noise_ratio(p.flatten(1), t.flatten(1)))


def test_a_silent_source_does_not_decide_the_aggregated_ratio() -> None:
    t = draw(2, 40)
    t[1] = 0
    p = t + 0.1 * draw(2, 40, seed=1)
    expected = 10 * math.log10(float((t**2).sum() / ((p - t) ** 2).sum()))
    value = F.source_aggregated_signal_distortion_ratio(p, t, scale_invariant=False)
    assert float(value) == pytest.approx(expected, rel=1e-9)


def test_complex_and_paired_spectra_are_the_same() -> None:
    t, p = torch.view_as_complex(draw(2, 5, 6, 2)), torch.view_as_complex(draw(2, 5, 6, 2, seed=1))
    value = F.complex_scale_invariant_signal_noise_ratio(t + 0.1 * p, t)
    pairs = F.complex_scale_invariant_signal_noise_ratio(torch.view_as_real(t + 0.1 * p), torch.view_as_real(t))
    torch.testing.assert_close(value, pairs)
    a, b = (t + 0.1 * p).numpy().reshape(2, -1), t.numpy().reshape(2, -1)
    scale = (a * b.conj()).real.sum(1) / (abs(b) ** 2).sum(1)
    expected = 10 * np.log10((abs(scale[:, None] * b) ** 2).sum(1) / (abs(scale[:, None] * b - a) ** 2).sum(1))
    np.testing.assert_allclose(value.numpy(), expected, rtol=1e-10)


def test_perfect_and_silent_signals_give_finite_values_and_gradients() -> None:
    t = draw(2, 30)
    for function in (F.signal_noise_ratio, F.scale_invariant_signal_distortion_ratio, F.signal_distortion_ratio):
        options = {"filter_length": 4} if function is F.signal_distortion_ratio else {}
        for preds, target, sign in ((t, t, 1), (t, 0 * t, -1)):
            leaf = preds.clone().requires_grad_()
            value = function(leaf, target, **options)
            value.sum().backward()
            assert (sign * value > 120).all()
            assert leaf.grad is not None
            assert leaf.grad.isfinite().all()


@pytest.mark.parametrize(
    "function",
    [
        F.signal_noise_ratio,
        F.scale_invariant_signal_distortion_ratio,
        F.scale_invariant_signal_noise_ratio,
        F.source_aggregated_signal_distortion_ratio,
        lambda p, t: F.signal_distortion_ratio(p, t, filter_length=3),
    ],
)
def test_losses_have_the_gradient_of_finite_differences(function: Any) -> None:
    preds = draw(2, 2, 12).requires_grad_()
    assert torch.autograd.gradcheck(lambda x: function(x, draw(2, 2, 12, seed=1)), preds)


def test_mean_is_over_signals_not_batches() -> None:
    metric = lm.SignalNoiseRatio()
    metric.update([[1.1, 0.0]], [[1.0, 0.0]])
    metric.update([[2.0, 0.0], [2.0, 0.0], [2.0, 0.0]], [[1.0, 0.0], [1.0, 0.0], [1.0, 0.0]])
    assert float(metric.compute()) == pytest.approx(20 / 4, abs=1e-9)


def test_weight_zero_leaves_no_trace() -> None:
    metric = lm.ScaleInvariantSignalDistortionRatio()
    t, p = draw(3, 30), draw(3, 30, seed=1)
    p[2] = math.nan
    metric.update(p, t, [1.0, 3.0, 0.0])
    values = F.scale_invariant_signal_distortion_ratio(p, t)
    assert float(metric.compute()) == pytest.approx(float(values[0] + 3 * values[1]) / 4)


def test_wrong_signals_are_refused() -> None:
    with pytest.raises(ValueError, match="same shape"):
        F.signal_noise_ratio([1.0], [1.0, 2.0])
    with pytest.raises(TypeError, match="must be real"):
        F.signal_noise_ratio(torch.ones(2) * 1j, torch.ones(2))
    with pytest.raises(ValueError, match="time dimension"):
        F.signal_noise_ratio(1.0, 1.0)
    with pytest.raises(ValueError, match="sources, time"):
        F.source_aggregated_signal_distortion_ratio([1.0], [1.0])
    with pytest.raises(ValueError, match="frequency, time, 2"):
        F.complex_scale_invariant_signal_noise_ratio(torch.ones(3, 4, 3), torch.ones(3, 4, 3))
