"""Similarities and distances between all pairs of rows."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal

import torch
from torch import Tensor

from lit_metrics._inputs import as_tensor, to_float
from lit_metrics.functional.regression._scores import ScoreReduction, require_score_reduction
from lit_metrics.functional.regression.cosine_similarity import unit_rows
from lit_metrics.functional.regression.minkowski_distance import require_exponent


def _pairwise(
    fn: Callable[[Tensor, Tensor], Tensor], x: Any, y: Any, reduction: ScoreReduction, zero_diagonal: bool | None
) -> Tensor:
    """Computes the matrix in float64 and returns it, or its rows' means or sums, in the inputs' type."""
    require_score_reduction(reduction)
    x = _rows(x, "x")
    if zero_diagonal is None:
        zero_diagonal = y is None
    y = x if y is None else _rows(y, "y")
    if x.shape[1] != y.shape[1]:
        raise ValueError(f"x and y must have rows of one length, got {tuple(x.shape)} and {tuple(y.shape)}")
    matrix = fn(x.double(), y.double())
    if zero_diagonal:
        diagonal = torch.eye(*matrix.shape, dtype=torch.bool, device=matrix.device)
        matrix = matrix.masked_fill(diagonal, 0.0)
    if reduction == "mean":
        matrix = matrix.mean(1)
    elif reduction == "sum":
        matrix = matrix.sum(1)
    return matrix.to(torch.promote_types(x.dtype, y.dtype))


def _rows(value: Any, name: str) -> Tensor:
    rows = to_float(as_tensor(value, name))
    if rows.is_complex():
        raise TypeError(f"{name} must be real, got {rows.dtype}")
    if rows.ndim != 2:
        raise ValueError(f"{name} must have shape (N, D), got {tuple(rows.shape)}")
    return rows


def _distance(p: float) -> Callable[[Tensor, Tensor], Tensor]:
    # The faster way by matrix products loses all digits between rows that nearly agree.
    return lambda x, y: torch.cdist(x, y, p=p, compute_mode="donot_use_mm_for_euclid_dist")


def pairwise_cosine_similarity(
    x: Any, y: Any = None, reduction: ScoreReduction = None, zero_diagonal: bool | None = None
) -> Tensor:
    """Cosine of the angle between every row of `x` and every row of `y`, `x_i . y_j / (|x_i| |y_j|)`.

    Args:
        x: `(N, D)`.
        y: `(M, D)`; `None` compares `x` with itself.
        reduction: `"mean"` or `"sum"` over each row of the matrix; `"none"` or `None` for the matrix.
        zero_diagonal: Whether the diagonal is set to 0; `None` does so if `y` is `None`.

    Returns:
        `(N, M)`, or `(N,)` reduced; computed in float64, returned in the inputs' type (at least float32). Values are in
        [-1, 1]; nan for rows of zeros.

    Raises:
        ValueError: If shapes do not fit or `reduction` is none of these.

    Example:
        >>> from lit_metrics.functional import pairwise_cosine_similarity
        >>> pairwise_cosine_similarity([[3.0, 4.0], [1.0, 0.0]], [[4.0, 3.0]])
        tensor([[0.9600],
                [0.8000]], dtype=torch.float64)
    """
    return _pairwise(lambda a, b: (unit_rows(a) @ unit_rows(b).T).clamp(-1, 1), x, y, reduction, zero_diagonal)


def pairwise_linear_similarity(
    x: Any, y: Any = None, reduction: ScoreReduction = None, zero_diagonal: bool | None = None
) -> Tensor:
    """Dot product of every row of `x` and every row of `y`; see `pairwise_cosine_similarity` for arguments and errors.

    Example:
        >>> from lit_metrics.functional import pairwise_linear_similarity
        >>> pairwise_linear_similarity([[3.0, 4.0], [1.0, 0.0]], reduction="sum")
        tensor([3., 3.], dtype=torch.float64)
    """
    return _pairwise(lambda a, b: a @ b.T, x, y, reduction, zero_diagonal)


def pairwise_euclidean_distance(
    x: Any, y: Any = None, reduction: ScoreReduction = None, zero_diagonal: bool | None = None
) -> Tensor:
    """Euclidean distance of every row of `x` to every row of `y`, exact also between rows that nearly agree.

    See `pairwise_cosine_similarity` for arguments and errors.

    Example:
        >>> from lit_metrics.functional import pairwise_euclidean_distance
        >>> pairwise_euclidean_distance([[0.0, 0.0], [3.0, 4.0]])
        tensor([[0., 5.],
                [5., 0.]], dtype=torch.float64)
    """
    return _pairwise(_distance(2.0), x, y, reduction, zero_diagonal)


def pairwise_manhattan_distance(
    x: Any, y: Any = None, reduction: ScoreReduction = None, zero_diagonal: bool | None = None
) -> Tensor:
    """Sum of absolute differences of every row of `x` and every row of `y`; see `pairwise_cosine_similarity`.

    Example:
        >>> from lit_metrics.functional import pairwise_manhattan_distance
        >>> pairwise_manhattan_distance([[0.0, 0.0], [3.0, 4.0]])
        tensor([[0., 7.],
                [7., 0.]], dtype=torch.float64)
    """
    return _pairwise(_distance(1.0), x, y, reduction, zero_diagonal)


def pairwise_minkowski_distance(
    x: Any, y: Any = None, exponent: float = 2, reduction: ScoreReduction = None, zero_diagonal: bool | None = None
) -> Tensor:
    """Minkowski distance of every row of `x` to every row of `y`, `(sum_d |x_id - y_jd|^p)^(1/p)`.

    See `pairwise_cosine_similarity` for the other arguments and errors.

    Args:
        x: `(N, D)`.
        y: `(M, D)` or `None`.
        exponent: The power p, at least 1; `inf` for the largest difference.
        reduction: `"mean"`, `"sum"`, `"none"` or `None`.
        zero_diagonal: Whether the diagonal is set to 0.

    Example:
        >>> from lit_metrics.functional import pairwise_minkowski_distance
        >>> pairwise_minkowski_distance([[0.0, 0.0]], [[3.0, 4.0]], exponent=3)
        tensor([[4.4979]], dtype=torch.float64)
    """
    require_exponent(exponent, "exponent")
    return _pairwise(_distance(float(exponent)), x, y, reduction, zero_diagonal)


def embedding_similarity(
    batch: Any,
    similarity: Literal["cosine", "dot"] = "cosine",
    reduction: Literal["none", "sum", "mean"] = "none",
    zero_diagonal: bool = True,
) -> Tensor:
    """Similarity of every two rows, in the 1.0 spelling of the pairwise functions.

    Args:
        batch: `(N, D)`.
        similarity: `"cosine"` or `"dot"`.
        reduction: `"mean"` or `"sum"` over each row of the matrix, or `"none"` for the matrix.
        zero_diagonal: Whether the diagonal is set to 0.

    Raises:
        ValueError: If an argument is none of these.

    Example:
        >>> from lit_metrics.functional import embedding_similarity
        >>> embedding_similarity([[3.0, 4.0], [4.0, 3.0]])
        tensor([[0.0000, 0.9600],
                [0.9600, 0.0000]], dtype=torch.float64)
    """
    if similarity == "cosine":
        return pairwise_cosine_similarity(batch, None, reduction, zero_diagonal)
    if similarity == "dot":
        return pairwise_linear_similarity(batch, None, reduction, zero_diagonal)
    raise ValueError(f"similarity must be 'cosine' or 'dot', got {similarity!r}")
