"""R2 and explained variance against scikit-learn."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import lit_metrics as lm

sk = pytest.importorskip("sklearn.metrics")


@pytest.mark.parametrize("multioutput", ["raw_values", "uniform_average", "variance_weighted"])
@pytest.mark.parametrize("offset", [0.0, 1e4])
@pytest.mark.parametrize("weighted", [False, True])
def test_value_equals_scikit_learn(multioutput: Any, offset: float, weighted: bool) -> None:
    g = np.random.default_rng(0)
    t = g.normal(size=(50, 3)) * [1, 2, 3] + offset
    p, w = t + g.normal(size=(50, 3)), g.random(50) if weighted else None
    pairs: list[tuple[Any, Any]] = [
        (lm.R2Score, sk.r2_score),
        (lm.ExplainedVariance, sk.explained_variance_score),
    ]
    for make, reference in pairs:
        metric = make(multioutput=multioutput)
        for part in np.split(np.arange(50), [1, 7, 31]):
            metric.update(p[part], t[part], None if w is None else w[part])
        expected = reference(t, p, sample_weight=w, multioutput=multioutput)
        np.testing.assert_allclose(metric.compute().numpy(), expected, rtol=1e-11)


@pytest.mark.parametrize("multioutput", ["raw_values", "uniform_average", "variance_weighted"])
@pytest.mark.parametrize(
    ("p", "t"),
    [
        ([[1.0, 2.0], [2.0, 3.0]], [[3.0, 2.0], [3.0, 5.0]]),
        ([[3.0, 2.0], [3.0, 3.0]], [[3.0, 2.0], [3.0, 5.0]]),
        ([[1.0, 2.0], [1.0, 3.0]], [[3.0, 2.0], [3.0, 2.0]]),
    ],
)
def test_constant_outputs_follow_scikit_learn(multioutput: Any, p: Any, t: Any) -> None:
    for make, reference in ((lm.R2Score, sk.r2_score), (lm.ExplainedVariance, sk.explained_variance_score)):
        metric: Any = make(multioutput=multioutput)
        metric.update(p[:1], t[:1])
        metric.update(p[1:], t[1:])
        np.testing.assert_allclose(metric.compute().numpy(), reference(t, p, multioutput=multioutput), rtol=1e-12)
