"""Continuous ranked probability score against its integral and the double sum."""

from __future__ import annotations

import numpy as np
import pytest
import torch

import lit_metrics as lm
import lit_metrics.functional as F


def test_score_is_the_integral_of_the_squared_difference_of_distribution_functions() -> None:
    members, observed = np.array([0.2, -1.0, 1.4, 0.9]), 0.5
    grid = np.linspace(-3, 3, 600_001)
    ensemble = (members[:, None] <= grid).mean(0)
    expected = np.sum((ensemble - (observed <= grid)) ** 2) * (grid[1] - grid[0])
    value = F.continuous_ranked_probability_score(members[None], [observed])
    assert float(value) == pytest.approx(expected, abs=1e-4)


def test_score_of_large_offsets_equals_the_double_sum() -> None:
    g = torch.Generator().manual_seed(0)
    x, y = torch.randn(9, 6, generator=g).double() + 1e6, torch.randn(9, generator=g).double() + 1e6
    spread = (x[:, :, None] - x[:, None, :]).abs().mean((1, 2)) / 2
    expected = ((x - y[:, None]).abs().mean(1) - spread).mean()
    metric = lm.ContinuousRankedProbabilityScore()
    metric.update(x[:4], y[:4])
    metric.update(x[4:], y[4:])
    assert float(metric.compute()) == pytest.approx(float(expected), rel=1e-12)


def test_score_of_one_member_is_the_absolute_error() -> None:
    assert F.continuous_ranked_probability_score([[1.0], [4.0]], [2.0, 2.0]) == 1.5


def test_members_may_come_in_any_order_and_stay_as_they_are() -> None:
    x = torch.tensor([[3.0, 1.0, 2.0]])
    copy = x.clone()
    value = F.continuous_ranked_probability_score(x, [1.5])
    assert torch.equal(x, copy)
    assert value == F.continuous_ranked_probability_score(x.flip(1), [1.5])


def test_wrong_shapes_are_refused() -> None:
    for preds, target in (((4, 3), (4, 1)), ((4,), (4,)), ((4, 3), (3,)), ((4, 0), (4,))):
        with pytest.raises(ValueError, match="preds"):
            F.continuous_ranked_probability_score(torch.rand(preds), torch.rand(target))
