"""Mean squared error against numpy in float64."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch

import lit_metrics as lm
import lit_metrics.functional as F


def draw(*shape: int, seed: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    g = torch.Generator().manual_seed(seed)
    return torch.randn(*shape, generator=g).double(), torch.randn(*shape, generator=g).double()


@pytest.mark.parametrize("shape", [(7,), (7, 3), (2, 3, 4)])
def test_mean_and_root_equal_numpy(shape: tuple[int, ...]) -> None:
    p, t = draw(*shape)
    expected = np.mean((p.numpy() - t.numpy()) ** 2)
    assert float(F.mean_squared_error(p, t)) == pytest.approx(expected, rel=1e-14)
    assert float(F.mean_squared_error(p, t, squared=False)) == pytest.approx(math.sqrt(expected), rel=1e-14)
    assert float(F.mse(p, t)) == pytest.approx(expected, rel=1e-14)
    assert float(F.rmse(p, t)) == pytest.approx(math.sqrt(expected), rel=1e-14)


def test_root_of_batches_is_the_root_of_the_whole_mean() -> None:
    metric = lm.MeanSquaredError(squared=False)
    metric.update([0.0], [3.0])
    metric.update([0.0, 0.0, 0.0], [1.0, 1.0, 1.0])
    assert float(metric.compute()) == pytest.approx(math.sqrt(12 / 4))


@pytest.mark.parametrize("per_element", [False, True])
@pytest.mark.parametrize("num_outputs", [1, 3])
def test_weights_equal_numpy_average(per_element: bool, num_outputs: int) -> None:
    p, t = draw(6, 3)
    w = torch.rand(6, 3 if per_element else 1, generator=torch.Generator().manual_seed(1)).double()
    expected = np.average(((p - t) ** 2).numpy(), weights=w.expand(6, 3).numpy(), axis=0 if num_outputs == 3 else None)
    metric = lm.MeanSquaredError(num_outputs=num_outputs)
    weights = w if per_element else w[:, 0]
    metric.update(p[:4], t[:4], weights[:4])
    metric.update(p[4:], t[4:], weights[4:])
    np.testing.assert_allclose(metric.compute().numpy(), expected, rtol=1e-13)


def test_unweighted_and_weighted_batches_mix() -> None:
    metric = lm.MeanSquaredError()
    metric.update([0.0, 0.0], [1.0, 3.0])
    metric.update([0.0], [5.0], sample_weight=[0.5])
    assert metric.compute() == (1 + 9 + 12.5) / 2.5


def test_half_precision_sums_do_not_overflow() -> None:
    p = torch.zeros(70_000, dtype=torch.float16)
    for dtype in (torch.float16, torch.bfloat16):
        metric = lm.MeanSquaredError()
        metric.update(p.to(dtype), (p + 3).to(dtype))
        assert metric.compute() == 9
        assert F.mean_squared_error((p + 300).to(dtype), p.to(dtype)) == 90_000


def test_large_offset_keeps_the_digits_of_the_error() -> None:
    t = 1e6 + torch.arange(1000).double() * 1e-3
    metric = lm.MeanSquaredError()
    for chunk in range(0, 1000, 100):
        metric.update(t[chunk : chunk + 100] + 1e-3, t[chunk : chunk + 100])
    expected = np.mean(((t + 1e-3).numpy() - t.numpy()) ** 2)
    assert float(metric.compute()) == pytest.approx(expected, rel=1e-13)


def test_integer_inputs_are_numbers() -> None:
    assert F.mean_squared_error([1, 2], [3, 2]) == 2
    large = torch.tensor([2**40 + 1])
    assert F.mean_squared_error(large, large - 1) == 1


def test_functional_value_is_differentiable() -> None:
    p = torch.tensor([1.0, 2.0], requires_grad=True)
    F.mean_squared_error(p, torch.tensor([0.0, 0.0])).backward()
    assert p.grad is not None
    assert p.grad.tolist() == [1.0, 2.0]


def test_nan_inputs_give_nan_and_a_warning() -> None:
    metric = lm.MeanSquaredError()
    metric.update([1.0, math.nan], [1.0, 1.0])
    with pytest.warns(UserWarning, match="is nan: the data seen leave it undefined"):
        assert math.isnan(metric.compute())


def test_1_0_reductions() -> None:
    p, t = torch.tensor([1.0, 2.0]), torch.tensor([1.0, 4.0])
    assert F.mse(p, t, reduction="sum") == 4
    assert F.mse(p, t, reduction="none").tolist() == [0, 4]
    assert F.rmse(p, t, reduction="sum") == 2
    with pytest.raises(ValueError, match="reduction must be"):
        F.mse(p, t, reduction="mean")


@pytest.mark.parametrize(
    ("preds", "target", "num_outputs", "error", "message"),
    [
        (torch.rand(3), torch.rand(4), 1, ValueError, r"\(3,\) and \(4,\)"),
        (torch.rand(3, 1), torch.rand(3), 1, ValueError, "same shape"),
        (torch.rand(3, 2), torch.rand(3, 2), 3, ValueError, r"\(N, 3\)"),
        (torch.tensor([1j]), torch.tensor([1j]), 1, TypeError, "real"),
        ("a", torch.rand(1), 1, TypeError, "preds must be"),
    ],
)
def test_wrong_inputs_are_refused(
    preds: Any, target: torch.Tensor, num_outputs: int, error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        F.mean_squared_error(preds, target, num_outputs=num_outputs)


@pytest.mark.parametrize("num_outputs", [0, -1, 1.0, True])
def test_wrong_num_outputs_is_refused(num_outputs: Any) -> None:
    with pytest.raises(ValueError, match="num_outputs must be"):
        lm.MeanSquaredError(num_outputs=num_outputs)
