"""Retrieval metrics against scikit-learn, one query at a time."""

from __future__ import annotations

import numpy as np
import pytest

import lit_metrics as lm
import lit_metrics.functional as F

sk = pytest.importorskip("sklearn.metrics")


def query(seed: int, levels: int = 1000) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    return rng.integers(levels, size=25) - levels / 2, rng.integers(2, size=25)


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("levels", [5, 1000])
@pytest.mark.parametrize("k", [1, 4, 10, None])
def test_graded_gain_with_ties_equals_sklearn(seed: int, levels: int, k: int | None) -> None:
    scores, target = query(seed, levels)
    gains = target * np.random.default_rng(seed).integers(5, size=25)
    expected = sk.ndcg_score(gains[None], scores[None], k=k, ignore_ties=False)
    assert float(F.retrieval_normalized_dcg(scores, gains, top_k=k)) == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("max_fpr", [None, 0.05, 0.3, 1.0])
@pytest.mark.parametrize("levels", [5, 1000])
def test_area_with_ties_equals_sklearn(seed: int, max_fpr: float | None, levels: int) -> None:
    scores, target = query(seed, levels)
    expected = sk.roc_auc_score(target, scores, max_fpr=max_fpr)
    assert float(F.retrieval_auroc(scores, target, max_fpr=max_fpr)) == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("seed", range(4))
def test_mean_average_precision_without_ties_equals_sklearn(seed: int) -> None:
    rng = np.random.default_rng(seed)
    scores, target, indexes = rng.normal(size=200), rng.integers(2, size=200), rng.integers(10, size=200) - 5
    metric = lm.RetrievalMAP()
    metric.update(scores, target, indexes)
    each = [sk.average_precision_score(target[indexes == q], scores[indexes == q]) for q in np.unique(indexes)]
    assert float(metric.compute()) == pytest.approx(np.mean(each), rel=1e-12)
