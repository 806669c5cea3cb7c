"""Procrustes disparity against scipy, which comes with scikit-learn."""

from __future__ import annotations

import numpy as np
import pytest

import lit_metrics.functional as F

spatial = pytest.importorskip("scipy.spatial")


@pytest.mark.parametrize(("points", "dims"), [(2, 2), (5, 2), (9, 3), (3, 5)])
def test_disparity_equals_scipy(points: int, dims: int) -> None:
    g = np.random.default_rng(points)
    a, b = g.normal(size=(6, points, dims)), g.normal(size=(6, points, dims))
    expected = [spatial.procrustes(x, y)[2] for x, y in zip(a, b, strict=True)]
    np.testing.assert_allclose(F.procrustes_disparity(a, b).numpy(), expected, rtol=1e-10, atol=1e-14)
