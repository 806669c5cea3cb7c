"""Correlations against scipy, which comes with scikit-learn."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import lit_metrics.functional as F

stats = pytest.importorskip("scipy.stats")


@pytest.mark.parametrize("kinds", [3, 30, 100_000])
@pytest.mark.parametrize("n", [5, 64, 201])
def test_correlations_equal_scipy(n: int, kinds: int) -> None:
    g = np.random.default_rng(n)
    x, y = g.integers(0, kinds, n), g.integers(0, kinds, n)
    assert float(F.spearman_corrcoef(x, y)) == pytest.approx(stats.spearmanr(x, y).statistic, rel=1e-11, abs=1e-14)
    assert float(F.pearson_corrcoef(x, y)) == pytest.approx(stats.pearsonr(x, y).statistic, rel=1e-11, abs=1e-14)


@pytest.mark.parametrize("variant", ["b", "c"])
@pytest.mark.parametrize("alternative", ["two-sided", "less", "greater"])
@pytest.mark.parametrize("kinds", [3, 100_000])
def test_kendall_and_its_p_value_equal_scipy(variant: Any, alternative: Any, kinds: int) -> None:
    g = np.random.default_rng(kinds)
    x, y = g.integers(0, kinds, (40, 2)), g.integers(0, kinds, (40, 2))
    value, p_value = F.kendall_rank_corrcoef(x, y, variant, t_test=True, alternative=alternative)
    for i in range(2):
        expected = stats.kendalltau(x[:, i], y[:, i], variant=variant, method="asymptotic", alternative=alternative)
        assert float(value[i]) == pytest.approx(expected.statistic, rel=1e-12)
        assert float(p_value[i]) == pytest.approx(expected.pvalue, rel=1e-10)
