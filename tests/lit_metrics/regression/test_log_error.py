"""Log errors against closed forms."""

from __future__ import annotations

import math

import pytest
import torch

import lit_metrics as lm
import lit_metrics.functional as F


def test_squared_log_error_and_its_root_equal_the_formula() -> None:
    p, t = [0.0, 1.0, 2.5, 3.0], [0.0, 1.0, 2.0, 2.0]
    expected = sum((math.log1p(a) - math.log1p(b)) ** 2 for a, b in zip(p, t, strict=True)) / 4
    assert float(F.mean_squared_log_error(p, t)) == pytest.approx(expected, rel=1e-14)
    assert float(F.rmsle(p, t)) == pytest.approx(math.sqrt(expected), rel=1e-14)
    assert float(F.rmsle(p, t, reduction="sum")) == pytest.approx(math.sqrt(4 * expected), rel=1e-14)
    assert F.rmsle(p, t, reduction="none").shape == (4,)


def test_logarithms_of_values_below_minus_one_are_nan_with_a_warning() -> None:
    metric = lm.MeanSquaredLogError()
    metric.update([-2.0, 1.0], [1.0, 1.0])
    with pytest.warns(UserWarning, match="is nan"):
        assert metric.compute().isnan()


@pytest.mark.parametrize("error", [0.0, 1e-12, 1e-4, 0.3, 0.999999, 1.0, 1.000001, 5.0, 30.0, 1e4, 1e300])
def test_log_cosh_keeps_its_digits_at_every_size(error: float) -> None:
    if error < 1e-3:
        expected = error**2 / 2 - error**4 / 12
    elif error > 20:
        expected = error - math.log(2)
    else:
        expected = math.log(math.cosh(error))
    for sign in (1, -1):
        assert float(F.log_cosh_error([sign * error], [0.0])) == pytest.approx(expected, rel=1e-12, abs=0)


def test_log_cosh_of_two_dimensions_has_one_value_per_output() -> None:
    p, t = torch.rand(5, 2, generator=torch.Generator().manual_seed(0)).double(), torch.zeros(5, 2).double()
    value = F.log_cosh_error(p, t)
    assert torch.allclose(value, p.cosh().log().mean(0), rtol=1e-13)
    metric = lm.LogCoshError(num_outputs=2)
    metric.update(p, t)
    assert torch.equal(metric.compute(), value)


def test_log_cosh_gradient_is_tanh_of_the_error_and_finite_everywhere() -> None:
    p = torch.tensor([0.0, 0.5, -2.0, 1000.0], dtype=torch.float64, requires_grad=True)
    (4 * F.log_cosh_error(p, torch.zeros(4))).backward()
    assert p.grad is not None
    assert torch.allclose(p.grad, p.detach().tanh(), rtol=1e-12)
