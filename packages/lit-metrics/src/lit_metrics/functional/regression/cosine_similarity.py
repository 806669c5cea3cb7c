"""Cosine similarity of rows."""

from __future__ import annotations

from typing import Any

from torch import Tensor

from lit_metrics.functional.regression._scores import ScoreReduction, real_pair, reduce_scores


def cosines(preds: Any, target: Any) -> Tensor:
    """Returns the cosine of each pair of rows in float64; nan for a row of zeros.

    Raises:
        ValueError: If the shapes differ or are not `(N, D)`.
    """
    preds, target = real_pair(preds, target)
    if preds.ndim != 2:
        raise ValueError(f"preds and target must have shape (N, D), got {tuple(preds.shape)}")
    return (unit_rows(preds) * unit_rows(target)).sum(1).clamp(-1, 1)


def unit_rows(rows: Tensor) -> Tensor:
    """Returns rows of norm 1 in float64; scaled by their largest entry first, so that squares do not overflow."""
    rows = rows.double()
    if rows.shape[1]:
        rows = rows / rows.detach().abs().amax(1, keepdim=True)
    return rows / rows.square().sum(1, keepdim=True).sqrt()


def cosine_similarity(
    preds: Any, target: Any, reduction: ScoreReduction = "sum", *, sample_weight: Any = None
) -> Tensor:
    """Cosine of the angle between rows, `x . y / (|x| |y|)`, summed over the rows.

    Args:
        preds: `(N, D)`.
        target: `(N, D)`.
        reduction: `"sum"`, `"mean"`, or `"none"` (also `None`) for one value per row.
        sample_weight: `(N,)` weights; with `"none"` each row's value is multiplied by its weight.

    Returns:
        Float64; each row's cosine is in [-1, 1], nan for a row of zeros; nan for no rows.

    Raises:
        ValueError: If the shapes differ or are not `(N, D)`.
        TypeError: If the inputs are not real numbers.

    Example:
        >>> from lit_metrics.functional import cosine_similarity
        >>> cosine_similarity([[3.0, 4.0], [1.0, 0.0]], [[4.0, 3.0], [0.0, 2.0]], reduction="none")
        tensor([0.9600, 0.0000], dtype=torch.float64)
    """
    return reduce_scores(cosines(preds, target), sample_weight=sample_weight, reduction=reduction)
