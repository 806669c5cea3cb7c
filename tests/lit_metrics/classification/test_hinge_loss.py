"""Hinge loss: raw margins, whatever their range."""

from __future__ import annotations

import math

import pytest
import torch

import lit_metrics as lm
import lit_metrics.functional as F


def test_decision_values_are_taken_as_they_are() -> None:
    assert F.binary_hinge_loss([2.0, -3.0], [1, 0]) == 0
    assert float(F.binary_hinge_loss([0.2, 0.9], [1, 0])) == pytest.approx((0.8 + 1.9) / 2)
    scores = torch.tensor([[0.2, 1.4, -0.5], [2.0, 0.3, 0.1]], dtype=torch.float64)
    assert float(F.multiclass_hinge_loss(scores, [1, 2], 3)) == pytest.approx((0 + 1 - 0.1 + 2.0) / 2)
    squared = F.multiclass_hinge_loss(scores, [1, 2], 3, squared=True)
    assert float(squared) == pytest.approx(2.9**2 / 2)


def test_value_does_not_depend_on_how_batches_are_cut() -> None:
    g = torch.Generator().manual_seed(0)
    margins, target = torch.randn(12, generator=g), torch.randint(2, (12,), generator=g)
    metric = lm.BinaryHingeLoss()
    for i in range(12):
        metric.update(margins[i : i + 1], target[i : i + 1])
    assert float(metric.compute()) == pytest.approx(float(F.binary_hinge_loss(margins, target)), rel=1e-12)


def test_one_vs_all_is_the_binary_loss_of_each_class() -> None:
    g = torch.Generator().manual_seed(0)
    scores, target = torch.randn(20, 3, generator=g), torch.randint(3, (20,), generator=g)
    got = F.multiclass_hinge_loss(scores, target, 3, multiclass_mode="one-vs-all", squared=True)
    expected = [F.binary_hinge_loss(scores[:, c], (target == c).long(), squared=True) for c in range(3)]
    torch.testing.assert_close(got, torch.stack(expected))


def test_gradient_is_that_of_the_formula() -> None:
    margins = torch.tensor([0.5, 2.0, -0.5], requires_grad=True)
    F.binary_hinge_loss(margins, [1, 1, 0]).backward()
    torch.testing.assert_close(margins.grad, torch.tensor([-1 / 3, 0.0, 1 / 3]))


def test_ignored_and_weightless_samples_do_not_count_even_if_nan() -> None:
    assert F.binary_hinge_loss([0.5, math.nan], [1, -1], ignore_index=-1) == 0.5
    assert F.binary_hinge_loss([0.5, math.nan], [1, 0], sample_weight=[1.0, 0.0]) == 0.5
    assert math.isnan(F.binary_hinge_loss([0.5, math.nan], [1, 0], validate_args=False))
    with pytest.raises(ValueError, match="preds must hold no NaN"):
        F.binary_hinge_loss([0.5, math.nan], [1, 0])


@pytest.mark.parametrize(
    ("preds", "target", "error"),
    [([1.0, 2.0], [0, 2], ValueError), ([1.0], [0, 1], ValueError), ([1, 2], [0, 1], TypeError)],
)
def test_bad_inputs_are_refused(preds: list[float], target: list[int], error: type[Exception]) -> None:
    metric = lm.BinaryHingeLoss()
    with pytest.raises(error, match="must"):
        metric.update(preds, target)
    assert metric.update_count == 0
