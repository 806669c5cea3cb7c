"""Minkowski distance against numpy's norms."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch

import lit_metrics as lm
import lit_metrics.functional as F


@pytest.mark.parametrize("p", [1, 2, 2.5, 7, math.inf])
def test_distance_of_batches_equals_the_norm_of_all_differences(p: float) -> None:
    x, y = torch.randn(2, 30, generator=torch.Generator().manual_seed(0)).double()
    expected = np.linalg.norm((x - y).numpy(), ord=p)
    metric = lm.MinkowskiDistance(p)
    metric.update(x[:10], y[:10])
    metric.update(x[10:], y[10:])
    assert float(metric.compute()) == pytest.approx(expected, rel=1e-13)
    assert float(F.minkowski_distance(x, y, p)) == pytest.approx(expected, rel=1e-13)


def test_weights_repeat_elements() -> None:
    x, y, w = torch.tensor([1.0, 2.0, 9.0]), torch.zeros(3), torch.tensor([2.0, 1.0, 0.0])
    assert float(F.minkowski_distance(x, y, 2, sample_weight=w)) == pytest.approx(math.sqrt(1 + 1 + 4))
    assert F.minkowski_distance(x, y, math.inf, sample_weight=w) == 2


def test_nothing_seen_is_nan_with_a_warning() -> None:
    with pytest.warns(UserWarning, match="no data was seen"):
        assert lm.MinkowskiDistance(2).compute().isnan()


@pytest.mark.parametrize("p", [0.5, -1, math.nan, "2", True])
def test_exponents_below_one_are_refused(p: Any) -> None:
    with pytest.raises(ValueError, match="p must be a number of at least 1"):
        lm.MinkowskiDistance(p)
    with pytest.raises(ValueError, match="p must be a number of at least 1"):
        F.minkowski_distance([1.0], [2.0], p)
    with pytest.raises(ValueError, match="preds and targets must have the same shape"):
        F.minkowski_distance([1.0], [2.0, 3.0], 2)
