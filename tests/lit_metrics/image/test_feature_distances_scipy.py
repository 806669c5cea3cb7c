"""Fréchet distance against the matrix square root of scipy."""

from __future__ import annotations

import numpy as np
import pytest

import lit_metrics.functional as F

linalg = pytest.importorskip("scipy.linalg")


@pytest.mark.parametrize(("n", "m", "d"), [(40, 50, 6), (300, 200, 20)])
def test_value_is_that_of_the_formula_with_sqrtm(n: int, m: int, d: int) -> None:
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(n, d)), rng.normal(size=(m, d)) @ rng.normal(size=(d, d)) + 1
    s, r = np.cov(x.T), np.cov(y.T)
    expected = ((x.mean(0) - y.mean(0)) ** 2).sum() + np.trace(s + r - 2 * linalg.sqrtm(s @ r).real)
    assert float(F.frechet_distance(x, y)) == pytest.approx(expected, rel=1e-9)
