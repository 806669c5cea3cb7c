"""One metric per output."""

from __future__ import annotations

import math

import pytest
import torch

import lit_metrics as lm

NAN = math.nan
PREDS = torch.tensor([[1.0, 2.0], [3.0, NAN], [NAN, 1.0]])
TARGET = torch.tensor([[1.0, 3.0], [4.0, 4.0], [2.0, 4.0]])


def test_a_sample_with_nan_is_left_out_of_its_output_only() -> None:
    metric = lm.MultioutputWrapper(lm.MeanSquaredError(), 2)
    assert metric(PREDS, TARGET).tolist() == [0.5, 5.0]
    metric.update(PREDS[1:2], TARGET[1:2])
    assert metric.compute().tolist() == pytest.approx([2 / 3, 5.0])


def test_nan_in_an_output_without_other_samples_is_undefined_there_alone() -> None:
    metric = lm.MultioutputWrapper(lm.MeanSquaredError(), 2)
    metric.update(PREDS[1:2], TARGET[1:2])
    with pytest.warns(UserWarning, match="is nan"):
        values = metric.compute()
    assert values[0] == 1
    assert values[1].isnan()


def test_nan_stays_without_remove_nans() -> None:
    value = lm.MultioutputWrapper(lm.MeanSquaredError(), 2, remove_nans=False)(PREDS, TARGET)
    assert value.isnan().all()


def test_outputs_may_be_in_any_dimension() -> None:
    preds, target = torch.randn(5, 2, 3), torch.randn(5, 2, 3)
    expected = (preds - target).double().square().mean((0, 2))
    torch.testing.assert_close(lm.MultioutputWrapper(lm.MeanSquaredError(), 2, output_dim=1)(preds, target), expected)


def test_the_dimension_of_outputs_stays_without_squeeze_outputs() -> None:
    shapes = []

    class Shapes(lm.SumMetric):
        def update(self, value: torch.Tensor, **kwargs: object) -> None:
            shapes.append((tuple(value.shape), sorted(kwargs)))

    for squeeze in (True, False):
        lm.MultioutputWrapper(Shapes(), 2, squeeze_outputs=squeeze).update(torch.ones(4, 2), other=3.0)
    assert shapes == [((4,), ["other"])] * 2 + [((4, 1), ["other"])] * 2


@pytest.mark.parametrize("preds", [torch.ones(4, 3), torch.tensor(1.0)])
def test_other_numbers_of_outputs_are_refused(preds: torch.Tensor) -> None:
    with pytest.raises(ValueError, match="must have 2 outputs"):
        lm.MultioutputWrapper(lm.MeanSquaredError(), 2).update(preds, preds)


@pytest.mark.parametrize("num_outputs", [0, True, 2.0])
def test_num_outputs_is_a_positive_integer(num_outputs: int) -> None:
    with pytest.raises(ValueError, match="num_outputs"):
        lm.MultioutputWrapper(lm.MeanSquaredError(), num_outputs)
