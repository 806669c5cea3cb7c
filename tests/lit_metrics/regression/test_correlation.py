"""Pearson and concordance correlation against numpy and rational numbers."""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np
import pytest
import torch

import lit_metrics as lm
import lit_metrics.functional as F


def draw(n: int = 50, offset: float = 0.0, scale: float = 1.0) -> tuple[torch.Tensor, torch.Tensor]:
    g = torch.Generator().manual_seed(0)
    t = torch.randn(n, generator=g).double()
    p = t + torch.randn(n, generator=g).double()
    return (p + offset) * scale, (t + offset) * scale


def exact(p: torch.Tensor, t: torch.Tensor) -> tuple[float, float]:
    """Returns Pearson's and the concordance correlation from rational sums."""
    x, y = [Fraction(float(v)) for v in p], [Fraction(float(v)) for v in t]
    n = len(x)
    a, b = sum(x) / n, sum(y) / n
    xx, yy = sum((v - a) ** 2 for v in x), sum((v - b) ** 2 for v in y)
    xy = sum((v - a) * (w - b) for v, w in zip(x, y, strict=True))
    concordance = 2 * xy / (xx + yy + (n - 1) * (a - b) ** 2)
    return float(xy) / math.sqrt(float(xx) * float(yy)), float(concordance)


@pytest.mark.parametrize(
    ("offset", "scale"), [(0.0, 1.0), (1e6, 1.0), (1e9, 1.0), (0.0, 1e-8), (0.0, 1e-60), (0.0, 1e60)]
)
@pytest.mark.parametrize("size", [1, 7, 50])
def test_offset_scale_and_split_cost_no_digits(offset: float, scale: float, size: int) -> None:
    p, t = draw(offset=offset, scale=scale)
    for metric, expected in zip((lm.PearsonCorrCoef(), lm.ConcordanceCorrCoef()), exact(p, t), strict=True):
        for x, y in zip(p.split(size), t.split(size), strict=True):
            metric.update(x, y)
        assert float(metric.compute()) == pytest.approx(expected, rel=1e-12)


def test_columns_equal_numpy() -> None:
    g = torch.Generator().manual_seed(1)
    p, t = torch.randn(20, 3, generator=g), torch.randn(20, 3, generator=g)
    expected = [np.corrcoef(p[:, i].double(), t[:, i].double())[0, 1] for i in range(3)]
    metric = lm.PearsonCorrCoef(num_outputs=3)
    for rows in (slice(0, 1), slice(1, 20)):
        metric.update(p[rows], t[rows])
    np.testing.assert_allclose(metric.compute().numpy(), expected, rtol=1e-13)
    np.testing.assert_allclose(F.pearson_corrcoef(p, t).numpy(), expected, rtol=1e-13)
    assert F.pearson_corrcoef(p[:, :1], t[:, :1]).shape == ()


@pytest.mark.parametrize("value", [0.1, 1e6 + 0.1])
def test_constant_input_is_nan_and_warns_once(value: float) -> None:
    constant = torch.full((9,), value, dtype=torch.float64)
    metric = lm.PearsonCorrCoef()
    for x in constant.split(2):
        metric.update(x, torch.rand(len(x)))
    with pytest.warns(UserWarning, match="is nan"):
        assert metric.compute().isnan()
    assert F.pearson_corrcoef(constant, constant).isnan()
    assert F.concordance_corrcoef(constant, constant).isnan()
    assert F.concordance_corrcoef(constant, torch.arange(9)) == 0


def test_one_sample_is_nan() -> None:
    assert F.pearson_corrcoef([1.0], [2.0]).isnan()
    assert F.concordance_corrcoef([1.0], [2.0]).isnan()


def test_value_stays_within_one() -> None:
    x = torch.rand(1000, 3, generator=torch.Generator().manual_seed(0))
    assert F.pearson_corrcoef(x, x).max() <= 1
    assert F.pearson_corrcoef(x, -3 * x).min() >= -1


def test_computing_twice_and_going_on_changes_nothing() -> None:
    p, t = draw()
    metric = lm.PearsonCorrCoef()
    metric.update(p[:20], t[:20])
    first = metric.compute().clone()
    assert metric.compute() == first
    metric.update(p[20:], t[20:])
    assert float(metric.compute()) == pytest.approx(exact(p, t)[0], rel=1e-12)


def test_gradient_is_orthogonal_to_shift_and_scale() -> None:
    p, t = draw(9)
    p.requires_grad_()
    F.pearson_corrcoef(p, t).backward()
    assert p.grad is not None
    assert float(p.grad.sum()) == pytest.approx(0, abs=1e-12)
    assert float((p.grad * p.detach()).sum()) == pytest.approx(0, abs=1e-12)
    assert float(p.grad.abs().max()) > 0.01
