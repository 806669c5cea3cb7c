"""Cosine similarity against torch's formula in float64."""

from __future__ import annotations

from typing import Any

import pytest
import torch

import lit_metrics as lm
import lit_metrics.functional as F

G = torch.Generator().manual_seed(0)
P, T = torch.randn(8, 5, generator=G).double(), torch.randn(8, 5, generator=G).double()
ROWS = (P * T).sum(1) / (P.norm(dim=1) * T.norm(dim=1))


@pytest.mark.parametrize(
    ("reduction", "expected"), [("sum", ROWS.sum()), ("mean", ROWS.mean()), ("none", ROWS), (None, ROWS)]
)
def test_every_reduction_equals_the_formula(reduction: Any, expected: torch.Tensor) -> None:
    metric = lm.CosineSimilarity(reduction)
    metric.update(P[:3], T[:3])
    metric.update(P[3:], T[3:])
    torch.testing.assert_close(metric.compute(), expected, rtol=1e-13, atol=1e-13)
    torch.testing.assert_close(F.cosine_similarity(P, T, reduction), expected, rtol=1e-13, atol=1e-13)


@pytest.mark.parametrize("scale", [1e-200, 1e200])
def test_scale_does_not_matter(scale: float) -> None:
    torch.testing.assert_close(F.cosine_similarity(P * scale, T, "none"), ROWS, rtol=1e-13, atol=1e-13)


def test_value_of_equal_rows_does_not_pass_one() -> None:
    rows = torch.rand(1000, 7, generator=torch.Generator().manual_seed(1))
    assert F.cosine_similarity(rows, rows, "none").max() <= 1


def test_a_row_of_zeros_is_nan_with_a_warning_and_nothing_is_too() -> None:
    metric = lm.CosineSimilarity()
    metric.update([[0.0, 0.0]], [[1.0, 0.0]])
    with pytest.warns(UserWarning, match="is nan"):
        assert metric.compute().isnan()
    with pytest.warns(UserWarning, match="no data was seen"):
        assert lm.CosineSimilarity().compute().isnan()
    assert lm.CosineSimilarity("none").compute().shape == (0,)


def test_gradient_exists() -> None:
    p = P.clone().requires_grad_()
    F.cosine_similarity(p, T).backward()
    assert p.grad is not None
    torch.testing.assert_close((p.grad * P).sum(1), torch.zeros(8).double())  # the length of a row does not matter


def test_wrong_arguments_are_refused() -> None:
    with pytest.raises(ValueError, match=r"\(N, D\), got \(5,\)"):
        F.cosine_similarity(P[0], T[0])
    for make in (lambda: lm.CosineSimilarity("max"), lambda: F.cosine_similarity(P, T, "max")):  # type: ignore[arg-type]
        with pytest.raises(ValueError, match="reduction must be"):
            make()
