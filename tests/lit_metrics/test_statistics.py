"""Confidence intervals: closed forms, and how often they cover the truth."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch

from lit_metrics.statistics import Interval, delong_interval, ratio_interval, wilson_interval

Z = 1.959963984540054


def covered(interval: Interval, truth: float) -> float:
    return float(((interval.lower <= truth) & (truth <= interval.upper)).double().mean())


@pytest.mark.parametrize(("k", "n"), [(0, 10), (10, 10), (3, 10), (90, 100), (1, 1000)])
def test_wilson_bounds_solve_the_equation_of_their_definition(k: int, n: int) -> None:
    value, lower, upper = (float(bound) for bound in wilson_interval(k, n))
    assert value == k / n
    for p in (lower, upper):
        assert abs(k / n - p) == pytest.approx(Z * math.sqrt(p * (1 - p) / n), abs=1e-9)
    assert 0 <= lower <= value <= upper <= 1


def test_wilson_takes_one_proportion_per_class_and_says_nothing_without_trials() -> None:
    value, lower, upper = wilson_interval([1, 0, 0], [2, 4, 0])
    assert value[:2].tolist() == [0.5, 0]
    assert value[2].isnan()
    assert (lower[2], upper[2]) == (0, 1)


@pytest.mark.parametrize("p", [0.5, 0.9, 0.02])
def test_wilson_covers_at_its_level(p: float) -> None:
    n = torch.full((20_000,), 200.0)
    k = torch.binomial(n, torch.full_like(n, p), generator=torch.Generator().manual_seed(0))
    assert 0.92 < covered(wilson_interval(k, n), p) < 0.97
    assert 0.77 < covered(wilson_interval(k, n, level=0.8), p) < 0.86


def test_interval_of_a_mean_is_the_textbook_one() -> None:
    values = np.random.default_rng(0).normal(3, 2, size=50)
    value, lower, upper = ratio_interval(values)
    error = values.std(ddof=1) / math.sqrt(50)
    assert float(value) == pytest.approx(values.mean(), rel=1e-12)
    assert float(upper) == pytest.approx(values.mean() + Z * error, rel=1e-9)
    assert float(lower) == pytest.approx(values.mean() - Z * error, rel=1e-9)


def test_ratio_intervals_cover_at_their_level() -> None:
    rng = torch.Generator().manual_seed(1)
    errors = torch.randn(2000, 300, generator=rng, dtype=torch.float64).square()
    assert 0.92 < covered(ratio_interval(errors), 1.0) < 0.97

    truth, chance = 0.3, 0.8  # of a positive sample, and that its label is found
    target = torch.rand(2000, 300, generator=rng) < truth
    preds = target ^ (torch.rand(2000, 300, generator=rng) > chance)
    f1 = 2 * truth * chance / (truth + truth * chance + (1 - truth) * (1 - chance))
    both, either = (preds & target).double(), preds.double() + target.double()
    assert 0.92 < covered(ratio_interval(2 * both, either), f1) < 0.97


def test_dependent_samples_need_their_groups() -> None:
    rng = torch.Generator().manual_seed(2)
    levels = torch.randn(1000, 60, 1, generator=rng, dtype=torch.float64)
    values = (levels + 0.3 * torch.randn(1000, 60, 5, generator=rng, dtype=torch.float64)).reshape(1000, 300)
    groups = torch.arange(60).repeat_interleave(5)
    assert 0.92 < covered(ratio_interval(values, groups=groups), 0.0) < 0.97
    assert covered(ratio_interval(values), 0.0) < 0.75


def test_weights_of_zero_are_absent_samples() -> None:
    values = torch.randn(20, dtype=torch.float64)
    weights = torch.tensor([1.0] * 12 + [0.0] * 8)
    for groups in (None, torch.arange(20)):
        got = ratio_interval(values, sample_weight=weights, groups=groups)
        torch.testing.assert_close(got, ratio_interval(values[:12]), rtol=1e-12, atol=0)


def test_one_sample_has_no_interval() -> None:
    value, lower, upper = ratio_interval([3.0])
    assert value == 3
    assert lower.isnan()
    assert upper.isnan()


def slow_delong(preds: Any, target: Any) -> tuple[float, float]:
    positive, negative = preds[target == 1], preds[target == 0]
    wins = (positive[:, None] > negative[None]) + 0.5 * (positive[:, None] == negative[None])
    variance = wins.mean(1).var(ddof=1) / len(positive) + wins.mean(0).var(ddof=1) / len(negative)
    return wins.mean(), variance


@pytest.mark.parametrize("ties", [False, True])
def test_delong_is_the_double_loop_over_pairs(ties: bool) -> None:
    rng = np.random.default_rng(4)
    target = rng.integers(0, 2, 80)
    preds = rng.normal(size=80) + target
    preds = preds.round() if ties else preds
    area, variance = slow_delong(preds, target)
    value, lower, upper = (float(bound) for bound in delong_interval(preds, target))
    half = Z * math.sqrt(variance) / (area * (1 - area))
    assert value == pytest.approx(area, rel=1e-12)
    assert math.log(upper / (1 - upper)) - math.log(area / (1 - area)) == pytest.approx(half, rel=1e-9)
    assert math.log(area / (1 - area)) - math.log(lower / (1 - lower)) == pytest.approx(half, rel=1e-9)


@pytest.mark.parametrize("shift", [0.5, 1.5])
def test_delong_covers_at_its_level(shift: float) -> None:
    rng = torch.Generator().manual_seed(5)
    truth = 0.5 * (1 + math.erf(shift / 2))  # of two normal distributions, `shift` standard deviations apart
    hits = 0
    for _ in range(600):
        target = (torch.rand(200, generator=rng) < 0.3).long()
        preds = torch.randn(200, generator=rng) + shift * target
        interval = delong_interval(preds, target)
        hits += bool(interval.lower <= truth <= interval.upper)
    assert 0.92 <= hits / 600 <= 0.97


def test_delong_at_its_edges() -> None:
    assert all(bound.isnan() for bound in delong_interval([0.1, 0.2, 0.3], [0, 0, 1]))
    for preds, area in (([0.1, 0.2, 0.3, 0.4], 1), ([0.4, 0.3, 0.2, 0.1], 0), ([0.5] * 4, 0.5)):
        value, lower, upper = delong_interval(preds, [0, 0, 1, 1])
        assert value == area
        assert lower.isnan()
        assert upper.isnan()
    assert all(bound.isnan() for bound in delong_interval([0.1, math.nan, 0.3, 0.4], [0, 0, 1, 1]))


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: wilson_interval(3, 2), "successes"),
        (lambda: wilson_interval(1, 2, level=95), "level"),
        (lambda: ratio_interval([1.0], level=0), "level"),
        (lambda: ratio_interval(3.0), "numerator"),
        (lambda: ratio_interval([1.0, 2.0], [1.0, 2.0, 3.0]), "one shape"),
        (lambda: ratio_interval([1.0, 2.0], groups=[0]), "groups"),
        (lambda: ratio_interval([1.0, 2.0], groups=[0, -1]), "groups must be numbered from 0, got -1"),
        (lambda: delong_interval([1.0, 2.0], [0, 2]), "target"),
        (lambda: delong_interval([1.0, 2.0], [0]), "one shape"),
    ],
)
def test_bad_arguments_are_refused(call: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        call()
