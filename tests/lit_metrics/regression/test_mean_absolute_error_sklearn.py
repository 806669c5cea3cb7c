"""Means of errors against scikit-learn."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

import lit_metrics as lm

sk = pytest.importorskip("sklearn.metrics")

CASES: dict[str, tuple[Any, Any]] = {
    "mae": (lm.MeanAbsoluteError, sk.mean_absolute_error),
    "mape": (lm.MeanAbsolutePercentageError, sk.mean_absolute_percentage_error),
    "mse": (lm.MeanSquaredError, sk.mean_squared_error),
    "rmse": (lambda: lm.MeanSquaredError(squared=False), sk.root_mean_squared_error),
    "msle": (lm.MeanSquaredLogError, sk.mean_squared_log_error),
    "poisson": (lambda: lm.TweedieDevianceScore(1), sk.mean_poisson_deviance),
    "gamma": (lambda: lm.TweedieDevianceScore(2), sk.mean_gamma_deviance),
}
for power in (-1.5, 0, 1, 1.3, 2, 3, 4.5):
    CASES[f"tweedie {power}"] = (
        lambda power=power: lm.TweedieDevianceScore(power),
        lambda *a, power=power, **k: sk.mean_tweedie_deviance(*a, power=power, **k),
    )


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("name", CASES)
def test_value_equals_scikit_learn_weighted_or_not(name: str, seed: int) -> None:
    make, reference = CASES[name]
    g = np.random.default_rng(seed)
    p, t, w = g.random(50) + 0.01, g.random(50) + 0.01, g.random(50)
    for weights in (None, w):
        metric = make()
        for part in np.split(np.arange(50), [7, 31]):
            metric.update(p[part], t[part], None if weights is None else weights[part])
        assert float(metric.compute()) == pytest.approx(reference(t, p, sample_weight=weights), rel=1e-12)


def test_percentage_error_of_targets_of_zero_equals_scikit_learn() -> None:
    p, t = np.array([1.0, 0.5]), np.array([0.0, 1e-10])
    metric = lm.MeanAbsolutePercentageError()
    metric.update(torch.tensor(p), torch.tensor(t))
    assert float(metric.compute()) == pytest.approx(sk.mean_absolute_percentage_error(t, p), rel=1e-12)
