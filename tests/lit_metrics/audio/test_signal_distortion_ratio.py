"""The ratio with a filter against a direct least-squares solution."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

import lit_metrics as lm
import lit_metrics.functional as F


def draw(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def direct(preds: torch.Tensor, target: torch.Tensor, length: int) -> float:
    """Fits all delayed copies of the target by least squares."""
    p, t = preds.numpy(), target.numpy()
    delayed = np.zeros((len(t) + length - 1, length))
    for k in range(length):
        delayed[k : k + len(t), k] = t
    padded = np.concatenate([p, np.zeros(length - 1)])
    fitted = delayed @ np.linalg.lstsq(delayed, padded, rcond=None)[0]
    return float(10 * np.log10((fitted**2).sum() / ((fitted - padded) ** 2).sum()))


@pytest.mark.parametrize(("time", "length"), [(60, 1), (60, 8), (61, 32), (20, 32), (700, 512)])
@pytest.mark.parametrize("steps", [None, 40])
def test_value_is_that_of_least_squares(time: int, length: int, steps: int | None) -> None:
    target = draw(time)
    echo = torch.cat([torch.zeros(1), target[:-1]]).double()
    preds = 0.7 * target + 0.4 * echo + 0.2 * draw(time, seed=1)
    value = F.signal_distortion_ratio(preds, target, steps, length)
    assert float(value) == pytest.approx(direct(preds, target, length), rel=1e-8)


def test_a_filtered_target_is_no_distortion() -> None:
    """Echoes within the filter cost nothing; a longer echo does."""
    target = torch.cat([draw(500), torch.zeros(20)])
    preds = 0.5 * target + 0.3 * target.roll(5) - 0.2 * target.roll(9)
    assert F.signal_distortion_ratio(preds, target, filter_length=10) > 120
    assert F.signal_distortion_ratio(preds, target, filter_length=9) < 20
    assert F.scale_invariant_signal_distortion_ratio(preds, target) < 20


def test_one_tap_is_the_scale_invariant_ratio() -> None:
    t, p = draw(3, 80), draw(3, 80) + 0.5 * draw(3, 80, seed=1)
    expected = F.scale_invariant_signal_distortion_ratio(p, t)
    torch.testing.assert_close(F.signal_distortion_ratio(p, t, filter_length=1), expected)


def test_scale_and_mean_do_not_matter_where_they_should_not() -> None:
    t, p = draw(80), draw(80) + 0.5 * draw(80, seed=1)
    value = F.signal_distortion_ratio(p, t, filter_length=4, zero_mean=True)
    moved = F.signal_distortion_ratio(1e4 * p + 3, 1e-4 * t - 2, filter_length=4, zero_mean=True)
    assert float(moved) == pytest.approx(float(value), rel=1e-8)


def test_loaded_diagonal_is_that_of_a_regularised_fit() -> None:
    t, p = draw(60), draw(60) + 0.5 * draw(60, seed=1)
    u, v = (t / t.norm()).numpy(), (p / p.norm()).numpy()
    delayed = np.zeros((63, 4))
    for k in range(4):
        delayed[k : k + 60, k] = u
    cross = delayed.T @ np.concatenate([v, np.zeros(3)])
    share = cross @ np.linalg.solve(delayed.T @ delayed + 0.1 * np.eye(4), cross)
    value = F.signal_distortion_ratio(p, t, filter_length=4, load_diag=0.1)
    assert float(value) == pytest.approx(10 * np.log10(share / (1 - share)), rel=1e-9)


@pytest.mark.parametrize(
    "options", [{"filter_length": 0}, {"filter_length": 2.0}, {"use_cg_iter": 0}, {"use_cg_iter": True}]
)
def test_wrong_numbers_are_refused(options: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=f"{next(iter(options))} must be a positive integer"):
        lm.SignalDistortionRatio(**options)
