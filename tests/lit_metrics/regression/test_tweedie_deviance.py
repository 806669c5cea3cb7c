"""Tweedie deviance: limits, range, gradients; scikit-learn's values stand beside the other means of errors."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch

import lit_metrics as lm
import lit_metrics.functional as F


def test_a_target_of_zero_has_the_poisson_deviance_of_its_limit() -> None:
    assert F.tweedie_deviance_score([1.0, 2.0], [0.0, 2.0], power=1) == 1.0


@pytest.mark.parametrize("power", [1, 2])
def test_powers_beside_a_limit_have_values_beside_it(power: int) -> None:
    p, t = torch.rand(20, generator=torch.Generator().manual_seed(0)) + 0.1, torch.linspace(0.1, 1, 20)
    at = float(F.tweedie_deviance_score(p, t, power=power))
    assert float(F.tweedie_deviance_score(p, t, power=power + 1e-6)) == pytest.approx(at, rel=1e-4)


@pytest.mark.parametrize(
    ("power", "preds", "target"),
    [(-1, 0.0, 1.0), (1, -1.0, 1.0), (1, 1.0, -1.0), (1.5, 0.0, 1.0), (1.5, 1.0, -1.0), (2, 1.0, 0.0), (3, 0.0, 1.0)],
)
def test_values_out_of_range_are_refused_and_leave_the_state(power: float, preds: float, target: float) -> None:
    metric = lm.TweedieDevianceScore(power)
    metric.update([2.0], [3.0])
    before = metric.compute()
    with pytest.raises(ValueError, match=f"power={power} needs preds above 0"):
        metric.update([1.0, preds], [1.0, target])
    assert metric.compute() == before


def test_negative_powers_take_targets_of_any_sign() -> None:
    assert math.isfinite(F.tweedie_deviance_score([1.0, 2.0], [-1.0, 0.0], power=-1))


@pytest.mark.parametrize("power", [0.5, math.nan, "1", None, True])
def test_powers_without_a_distribution_are_refused(power: Any) -> None:
    with pytest.raises(ValueError, match="power must be"):
        lm.TweedieDevianceScore(power)


def test_gradient_of_the_gamma_deviance_equals_the_closed_form() -> None:
    p = torch.tensor([2.0], dtype=torch.float64, requires_grad=True)
    F.tweedie_deviance_score(p, torch.tensor([3.0]), power=2).backward()
    assert p.grad is not None
    assert p.grad.item() == pytest.approx(2 * (1 / 2 - 3 / 4))
