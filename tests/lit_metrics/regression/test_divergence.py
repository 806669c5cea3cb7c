"""Divergences against closed forms; scipy stands in its own file."""

from __future__ import annotations

import math

import pytest
import torch

import lit_metrics as lm
import lit_metrics.functional as F


def test_divergence_of_two_coins_equals_the_closed_form() -> None:
    p, q = 0.3, 0.6
    expected = p * math.log(p / q) + (1 - p) * math.log((1 - p) / (1 - q))
    assert float(F.kl_divergence([[p, 1 - p]], [[q, 1 - q]])) == pytest.approx(expected, rel=1e-13)


def test_counts_are_normalised_and_logarithms_are_not() -> None:
    p, q = torch.tensor([[1.0, 3.0]]), torch.tensor([[2.0, 2.0]])
    log_p, log_q = (p / 4).log(), (q / 4).log()
    for fn in (F.kl_divergence, F.jensen_shannon_divergence):
        assert float(fn(p, q)) == pytest.approx(float(fn(log_p, log_q, log_prob=True)), rel=1e-6)


@pytest.mark.parametrize("log_prob", [False, True])
def test_zeros(log_prob: bool) -> None:
    zero_one, half = torch.tensor([[0.0, 1.0]]), torch.tensor([[0.5, 0.5]])
    if log_prob:
        zero_one, half = zero_one.log(), half.log()
    assert float(F.kl_divergence(zero_one, half, log_prob)) == pytest.approx(math.log(2), rel=1e-6)
    assert F.kl_divergence(half, zero_one, log_prob) == math.inf
    assert F.kl_divergence(zero_one, zero_one, log_prob) == 0
    assert float(F.jensen_shannon_divergence(zero_one, zero_one.flip(1), log_prob)) == pytest.approx(math.log(2))


def test_weights_repeat_rows() -> None:
    p, q = torch.rand(3, 4, generator=torch.Generator().manual_seed(0)), torch.rand(3, 4)
    rows = torch.tensor([0, 0, 2])
    for fn in (F.kl_divergence, F.jensen_shannon_divergence):
        assert float(fn(p, q, sample_weight=[2, 0, 1])) == pytest.approx(float(fn(p[rows], q[rows])), rel=1e-12)


def test_negative_values_and_wrong_shapes_are_refused_and_leave_the_state() -> None:
    metric = lm.KLDivergence()
    metric.update([[0.3, 0.7]], [[0.5, 0.5]])
    before = metric.compute()
    with pytest.raises(ValueError, match="p and q must hold"):
        metric.update([[-1.0, 2.0]], [[0.5, 0.5]])
    with pytest.raises(ValueError, match=r"\(N, D\), got \(2,\)"):
        metric.update([0.5, 0.5], [0.5, 0.5])
    with pytest.raises(ValueError, match="p and q must have the same shape"):
        metric.update([[0.5, 0.5]], [[1.0]])
    assert metric.compute() == before
    with pytest.raises(TypeError, match="log_prob must be"):
        lm.JensenShannonDivergence(log_prob="no")  # type: ignore[arg-type]


def test_a_row_of_zeros_is_nan() -> None:
    assert F.kl_divergence([[0.0, 0.0]], [[0.5, 0.5]]).isnan()


def test_gradient_of_logits_is_the_difference_of_probabilities() -> None:
    logits = torch.randn(3, 4, generator=torch.Generator().manual_seed(0)).double().requires_grad_()
    p = torch.rand(3, 4, generator=torch.Generator().manual_seed(1)).double()
    p = p / p.sum(1, keepdim=True)
    F.kl_divergence(p.log(), logits.log_softmax(1), log_prob=True, reduction="sum").backward()
    assert logits.grad is not None
    torch.testing.assert_close(logits.grad, (logits.softmax(1) - p).detach())
