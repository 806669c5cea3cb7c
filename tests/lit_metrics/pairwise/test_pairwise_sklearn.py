"""Pairwise functions against scikit-learn."""

from __future__ import annotations

import numpy as np
import pytest

import lit_metrics.functional as F

sk = pytest.importorskip("sklearn.metrics.pairwise")


def test_matrices_equal_scikit_learn() -> None:
    g = np.random.default_rng(0)
    x, y = g.normal(size=(9, 4)), g.normal(size=(7, 4))
    for ours, theirs in (
        (F.pairwise_cosine_similarity, sk.cosine_similarity),
        (F.pairwise_euclidean_distance, sk.euclidean_distances),
        (F.pairwise_linear_similarity, sk.linear_kernel),
        (F.pairwise_manhattan_distance, sk.manhattan_distances),
    ):
        np.testing.assert_allclose(ours(x, y).numpy(), theirs(x, y), rtol=1e-10, atol=1e-14)
