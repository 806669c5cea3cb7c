"""Divergences against scipy, which comes with scikit-learn."""

from __future__ import annotations

import numpy as np
import pytest

import lit_metrics as lm

distance = pytest.importorskip("scipy.spatial.distance")
stats = pytest.importorskip("scipy.stats")


def test_divergences_equal_scipy() -> None:
    g = np.random.default_rng(0)
    p, q = g.random((20, 6)), g.random((20, 6))
    p[:4, :2] = 0
    kl, js = lm.KLDivergence(reduction="none"), lm.JensenShannonDivergence(reduction="none")
    for part in (slice(0, 3), slice(3, 20)):
        kl.update(p[part], q[part])
        js.update(p[part], q[part])
    np.testing.assert_allclose(kl.compute().numpy(), stats.entropy(p, q, axis=1), rtol=1e-12)
    np.testing.assert_allclose(js.compute().numpy(), distance.jensenshannon(p, q, axis=1) ** 2, rtol=1e-12)
