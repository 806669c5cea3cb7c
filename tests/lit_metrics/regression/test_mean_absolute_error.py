"""Absolute and percentage errors against numpy in float64."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch

import lit_metrics as lm
import lit_metrics.functional as F

if TYPE_CHECKING:
    from collections.abc import Callable


def draw(*shape: int, seed: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    g = torch.Generator().manual_seed(seed)
    return torch.randn(*shape, generator=g).double(), torch.randn(*shape, generator=g).double()


FORMULAS: dict[str, Callable[..., Any]] = {
    "mean_absolute_error": lambda p, t, w: np.average(abs(p - t), weights=w),
    "mean_absolute_percentage_error": lambda p, t, w: np.average(abs(p - t) / abs(t), weights=w),
    "symmetric_mean_absolute_percentage_error": lambda p, t, w: np.average(
        2 * abs(p - t) / (abs(p) + abs(t)), weights=w
    ),
    "weighted_mean_absolute_percentage_error": lambda p, t, w: np.sum(w * abs(p - t)) / np.sum(w * abs(t)),
}


@pytest.mark.parametrize("shape", [(7,), (7, 3), (2, 3, 4)])
@pytest.mark.parametrize("name", FORMULAS)
def test_value_equals_the_formula_weighted_or_not(name: str, shape: tuple[int, ...]) -> None:
    p, t = draw(*shape)
    w = torch.rand(shape[0], generator=torch.Generator().manual_seed(1)).double()
    weights = w.reshape(-1, *[1] * (len(shape) - 1)).expand(shape).numpy()
    fn = getattr(F, name)
    assert float(fn(p, t)) == pytest.approx(FORMULAS[name](p.numpy(), t.numpy(), np.ones(shape)), rel=1e-13)
    assert float(fn(p, t, sample_weight=w)) == pytest.approx(FORMULAS[name](p.numpy(), t.numpy(), weights), rel=1e-13)


def test_several_outputs_have_one_value_each() -> None:
    p, t = draw(7, 3)
    metric = lm.MeanAbsoluteError(num_outputs=3)
    metric.update(p[:4], t[:4])
    metric.update(p[4:], t[4:])
    np.testing.assert_allclose(metric.compute().numpy(), abs((p - t).numpy()).mean(0), rtol=1e-13)
    with pytest.raises(ValueError, match=r"\(N, 3\), got \(7,\)"):
        metric.update(p[:, 0], t[:, 0])
    with pytest.raises(ValueError, match="num_outputs must be"):
        lm.MeanAbsoluteError(num_outputs=0)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_sums_do_not_overflow(dtype: torch.dtype) -> None:
    target = torch.zeros(70_000, dtype=dtype)
    metric = lm.MeanAbsoluteError()
    metric.update(target + 3, target)
    assert metric.compute() == 3
    assert F.mean_absolute_error((target + 32_768).half(), (target - 32_768).half()) == 65_536


def test_counts_pass_2_to_the_24() -> None:
    metric = lm.MeanAbsoluteError()
    chunk = torch.ones(1 << 22, dtype=torch.float16)
    for _ in range(5):
        metric.update(chunk, torch.zeros_like(chunk))
    metric.update([2.0], [0.0])
    assert metric.compute() == ((5 << 22) + 2) / ((5 << 22) + 1)


def test_errors_of_tiny_targets_are_not_understated() -> None:
    assert float(F.mean_absolute_percentage_error([2e-9], [1e-9])) == pytest.approx(1.0)


def test_targets_of_zero() -> None:
    assert F.symmetric_mean_absolute_percentage_error([0.0, 1.0], [0.0, 0.0]) == 1.0
    assert F.weighted_mean_absolute_percentage_error([1.0], [0.0]) == math.inf
    assert F.weighted_mean_absolute_percentage_error([0.0], [0.0]).isnan()
    assert F.mean_absolute_percentage_error([0.0], [0.0]) == 0


def test_weighted_and_plain_batches_of_the_weighted_error_mix() -> None:
    metric = lm.WeightedMeanAbsolutePercentageError()
    metric.update([1.0, 3.0], [2.0, 2.0])
    metric.update([0.0], [4.0], sample_weight=[0.5])
    assert metric.compute() == (1 + 1 + 2) / (2 + 2 + 2)


def test_gradients_exist() -> None:
    for name in FORMULAS:
        p = torch.tensor([1.0, 2.0], requires_grad=True)
        getattr(F, name)(p, torch.tensor([2.0, 1.0])).backward()
        assert p.grad is not None
        assert p.grad[0] < 0 < p.grad[1]


def test_1_0_spelling() -> None:
    p, t = torch.tensor([1.0, 2.0]), torch.tensor([1.0, 4.0])
    assert F.mae(p, t) == 1
    assert F.mae(p, t, reduction="sum") == 2
    assert F.mae(p, t, reduction="none").tolist() == [0, 2]
    with pytest.raises(ValueError, match="reduction must be 'elementwise_mean'"):
        F.mae(p, t, reduction="mean")  # type: ignore[arg-type]


@pytest.mark.parametrize("name", FORMULAS)
def test_wrong_inputs_are_refused(name: str) -> None:
    fn = getattr(F, name)
    with pytest.raises(ValueError, match=r"\(3,\) and \(4,\)"):
        fn(torch.rand(3), torch.rand(4))
    with pytest.raises(TypeError, match="must be real"):
        fn(torch.tensor([1j]), torch.tensor([1j]))
    with pytest.raises(ValueError, match="sample_weight"):
        fn([1.0, 2.0], [1.0, 2.0], sample_weight=[1.0, 1.0, 1.0])
