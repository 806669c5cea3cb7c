"""Pairwise functions against loops over pairs in float64."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch

import lit_metrics.functional as F

if TYPE_CHECKING:
    from collections.abc import Callable

PAIRS: dict[str, Callable[[Any, Any], float]] = {
    "pairwise_cosine_similarity": lambda a, b: a @ b / (np.linalg.norm(a) * np.linalg.norm(b)),
    "pairwise_euclidean_distance": lambda a, b: np.linalg.norm(a - b),
    "pairwise_linear_similarity": lambda a, b: a @ b,
    "pairwise_manhattan_distance": lambda a, b: np.linalg.norm(a - b, ord=1),
    "pairwise_minkowski_distance": lambda a, b: np.linalg.norm(a - b),
}
G = torch.Generator().manual_seed(0)
X, Y = torch.randn(5, 3, generator=G).double(), torch.randn(4, 3, generator=G).double()


def loop(name: str, x: torch.Tensor, y: torch.Tensor) -> Any:
    return np.array([[PAIRS[name](a.numpy(), b.numpy()) for b in y] for a in x])


@pytest.mark.parametrize("name", PAIRS)
def test_matrix_means_and_sums_equal_a_loop(name: str) -> None:
    fn = getattr(F, name)
    expected = loop(name, X, Y)
    np.testing.assert_allclose(fn(X, Y).numpy(), expected, rtol=1e-13)
    np.testing.assert_allclose(fn(X, Y, reduction="none").numpy(), expected, rtol=1e-13)
    np.testing.assert_allclose(fn(X, Y, reduction="mean").numpy(), expected.mean(1), rtol=1e-13)
    np.testing.assert_allclose(fn(X, Y, reduction="sum").numpy(), expected.sum(1), rtol=1e-13)


@pytest.mark.parametrize("name", PAIRS)
def test_the_diagonal_is_zero_by_default_only_without_y(name: str) -> None:
    fn = getattr(F, name)
    whole = loop(name, X, X)
    np.testing.assert_allclose(fn(X, zero_diagonal=False).numpy(), whole, rtol=1e-13)
    np.testing.assert_allclose(fn(X, X).numpy(), whole, rtol=1e-13)
    np.fill_diagonal(whole, 0)
    np.testing.assert_allclose(fn(X).numpy(), whole, rtol=1e-13)
    np.testing.assert_allclose(fn(X, reduction="mean").numpy(), whole.mean(1), rtol=1e-13)
    wide = loop(name, X, Y)
    np.fill_diagonal(wide, 0)
    np.testing.assert_allclose(fn(X, Y, zero_diagonal=True).numpy(), wide, rtol=1e-13)


@pytest.mark.parametrize("exponent", [1, 1.5, 3, math.inf])
def test_minkowski_exponents_equal_numpy(exponent: float) -> None:
    expected = [[np.linalg.norm((a - b).numpy(), ord=exponent) for b in Y] for a in X]
    np.testing.assert_allclose(F.pairwise_minkowski_distance(X, Y, exponent=exponent).numpy(), expected, rtol=1e-13)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_distances_of_rows_that_nearly_agree_keep_their_digits(dtype: torch.dtype) -> None:
    base = torch.full((30, 40), 1000.0, dtype=dtype)
    rows = base + torch.arange(30, dtype=dtype)[:, None] * 2**-10
    expected = (torch.arange(30)[:, None] - torch.arange(30)).abs().double() * 2**-10 * math.sqrt(40)
    value = F.pairwise_euclidean_distance(rows, zero_diagonal=False)
    torch.testing.assert_close(value.double(), expected, rtol=1e-6, atol=0)
    assert (value.diagonal() == 0).all()


def test_results_have_the_type_of_the_inputs_and_half_precision_goes_up() -> None:
    assert F.pairwise_linear_similarity(X.float()).dtype == torch.float32
    assert F.pairwise_linear_similarity(X.float(), Y).dtype == torch.float64
    large = torch.full((2, 8), 300.0, dtype=torch.float16)
    assert F.pairwise_linear_similarity(large, large).tolist() == [[720_000.0] * 2] * 2
    assert F.pairwise_euclidean_distance([[0, 0], [3, 4]]).tolist() == [[0, 5], [5, 0]]


def test_a_row_of_zeros_has_no_angle_and_cosines_do_not_pass_one() -> None:
    value = F.pairwise_cosine_similarity([[0.0, 0.0], [1.0, 0.0]], zero_diagonal=False)
    assert value.isnan().tolist() == [[True, True], [True, False]]
    rows = torch.rand(50, 7, generator=torch.Generator().manual_seed(0)).double()
    assert F.pairwise_cosine_similarity(rows, rows).max() <= 1


@pytest.mark.parametrize("name", PAIRS)
def test_gradients_are_finite_also_between_equal_rows(name: str) -> None:
    x = torch.tensor([[1.0, 2.0], [1.0, 2.0], [0.5, 1.0]], requires_grad=True)
    getattr(F, name)(x).sum().backward()
    assert x.grad is not None
    assert x.grad.isfinite().all()


def test_1_0_spelling() -> None:
    cosine = loop("pairwise_cosine_similarity", X, X)
    np.testing.assert_allclose(F.embedding_similarity(X, zero_diagonal=False).numpy(), cosine, rtol=1e-13)
    np.fill_diagonal(cosine, 0)
    np.testing.assert_allclose(F.embedding_similarity(X, reduction="sum").numpy(), cosine.sum(1), rtol=1e-12)
    dot = F.embedding_similarity(X, similarity="dot", zero_diagonal=False)
    np.testing.assert_allclose(dot.numpy(), (X @ X.T).numpy(), rtol=1e-13)
    with pytest.raises(ValueError, match="similarity must be"):
        F.embedding_similarity(X, similarity="l2")  # type: ignore[arg-type]


@pytest.mark.parametrize("name", PAIRS)
def test_wrong_arguments_are_refused(name: str) -> None:
    fn = getattr(F, name)
    for arguments, message in (
        ((X[0],), r"x must have shape \(N, D\), got \(3,\)"),
        ((X, Y[0]), r"y must have shape \(N, D\), got \(3,\)"),
        ((X, Y[:, :2]), "rows of one length"),
    ):
        with pytest.raises(ValueError, match=message):
            fn(*arguments)
    with pytest.raises(ValueError, match="reduction must be"):
        fn(X, Y, reduction="max")
    with pytest.raises(ValueError, match="exponent must be a number of at least 1"):
        F.pairwise_minkowski_distance(X, exponent=0.5)
