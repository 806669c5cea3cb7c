"""Distances of features against numpy and closed forms."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

import lit_metrics as lm
import lit_metrics.functional as F


def draw(n: int, d: int, seed: int) -> torch.Tensor:
    return torch.randn(n, d, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def test_diagonal_covariances_have_the_closed_form() -> None:
    """For independent features the distance is the sum of (m - n)^2 + (s - t)^2 over features."""
    x = torch.cartesian_prod(torch.tensor([-1.0, 1.0]), torch.tensor([-2.0, 2.0])).double()
    y = 3 * x + 1
    spread = x.std(0)
    expected = 2 * 1.0 + float(((3 * spread - spread) ** 2).sum())
    assert float(F.frechet_distance(x, y)) == pytest.approx(expected, rel=1e-10)


def test_moments_merge_with_an_offset_of_a_million() -> None:
    x, y = draw(60, 4, 0), 2 * draw(50, 4, 1) + 1
    x, y = (x * 2**20).round() / 2**20, (y * 2**20).round() / 2**20  # exact after the offset
    plain = F.frechet_distance(x, y)
    metric, other = lm.FrechetDistance(4), lm.FrechetDistance(4)
    for part in x.split(7):
        metric.update(part + 1e6, real=True)
    for part in y.split(9):
        other.update(part + 1e6, real=False)
    metric.merge_state(other)
    assert float(metric.compute()) == pytest.approx(float(plain), rel=1e-8)


def test_fewer_samples_than_features_and_equal_sets_are_fine() -> None:
    x = draw(5, 16, 0)
    assert float(F.frechet_distance(x, x)) == pytest.approx(0, abs=1e-6)
    assert float(F.frechet_distance(x, x + 1)) == pytest.approx(16, rel=1e-6)


def test_flags_by_row_equal_two_updates() -> None:
    x, real = draw(30, 3, 0), torch.arange(30) % 3 == 0
    for make in (lambda: lm.FrechetDistance(3), lambda: lm.KernelDistance(subset_size=None)):
        mixed, apart = make(), make()
        mixed.update(x, real)
        apart.update(x[real], real=True)
        apart.update(x[~real], real=False)
        torch.testing.assert_close(mixed.compute(), apart.compute(), rtol=1e-12, atol=1e-12)


def test_one_row_on_a_side_gives_nan() -> None:
    assert math.isnan(F.frechet_distance(draw(1, 2, 0), draw(5, 2, 1)))
    assert F.kernel_distance(draw(1, 2, 0), draw(5, 2, 1)).isnan().all()


def test_subsets_are_unbiased_and_repeatable() -> None:
    """The mean over subsets estimates the value of all rows; its spread says how well."""
    x, y = draw(60, 4, 0), draw(60, 4, 1) + 0.5
    mean, std = F.kernel_distance(x, y, subsets=200, subset_size=30)
    full, none = F.kernel_distance(x, y, subset_size=None)
    assert none == 0
    assert abs(float(mean - full)) < 4 * float(std) / math.sqrt(200) + 0.02
    assert std > 0
    assert torch.equal(F.kernel_distance(x, y, 5, 30), F.kernel_distance(x, y, 5, 30))
    assert not torch.equal(F.kernel_distance(x, y, 5, 30), F.kernel_distance(x, y, 5, 30, seed=1))


def test_kernel_is_the_polynomial() -> None:
    x, y = draw(6, 3, 0).numpy(), draw(7, 3, 1).numpy()

    def mean(a: np.ndarray, b: np.ndarray, skip: bool) -> float:
        pairs = [(i, j) for i in range(len(a)) for j in range(len(b)) if not (skip and i == j)]
        return float(np.mean([(0.5 * a[i] @ b[j] + 2) ** 2 for i, j in pairs]))

    expected = mean(x, x, True) + mean(y, y, True) - 2 * mean(x, y, False)
    value = F.kernel_distance(x, y, subset_size=None, degree=2, gamma=0.5, coef=2.0)
    assert float(value[0]) == pytest.approx(expected, rel=1e-12)


def test_wrong_inputs_are_refused() -> None:
    with pytest.raises(ValueError, match=r"shape \(N, 3\), got \(4, 2\)"):
        lm.FrechetDistance(3).update(draw(4, 2, 0), real=True)
    with pytest.raises(TypeError, match="real must be True, False"):
        lm.FrechetDistance(2).update(draw(4, 2, 0), real=torch.ones(4))
    with pytest.raises(ValueError, match="real must have shape"):
        lm.KernelDistance().update(draw(4, 2, 0), real=torch.ones(3, dtype=torch.bool))
    with pytest.raises(ValueError, match="num_features must be"):
        lm.FrechetDistance(0)
    for name, value in (("subsets", 0), ("subset_size", 0), ("degree", 1.5), ("gamma", -1.0)):
        with pytest.raises(ValueError, match=f"{name} must be"):
            lm.KernelDistance(**{name: value})
    with pytest.raises(ValueError, match="subset_size must be between 2 and the 4 rows"):
        F.kernel_distance(draw(4, 2, 0), draw(5, 2, 0), subset_size=5)
