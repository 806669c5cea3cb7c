"""Edit distance between strings."""

from __future__ import annotations

from typing import Any, Literal, TypeAlias

import torch
from torch import Tensor

from lit_metrics.functional.text._inputs import Texts, as_pairs
from lit_metrics.functional.text._levenshtein import common_subsequence, levenshtein
from lit_metrics.functional.text.error_rates import rate_value

EditReduction: TypeAlias = Literal["mean", "sum", "none"] | None


def require_edit_options(substitution_cost: Any, reduction: Any) -> None:
    """Raises a `ValueError` unless the cost is a whole number and the reduction is known."""
    if not isinstance(substitution_cost, int) or isinstance(substitution_cost, bool) or substitution_cost < 0:
        raise ValueError(f"substitution_cost must be an integer of at least 0, got {substitution_cost!r}")
    if reduction not in ("mean", "sum", "none", None):
        raise ValueError(f"reduction must be 'mean', 'sum', 'none' or None, got {reduction!r}")


def edit_distances(preds: Any, target: Any, substitution_cost: int = 1) -> list[int]:
    """Returns the distance of every pair of strings."""
    return [_distance(a, b, substitution_cost) for a, b in zip(*as_pairs(preds, target), strict=True)]


def _distance(a: str, b: str, substitution_cost: int) -> int:
    if substitution_cost == 1:
        return levenshtein(a, b)
    if substitution_cost == 0:
        return abs(len(a) - len(b))
    return len(a) + len(b) - 2 * common_subsequence(a, b)  # a deletion and an insertion cost no more


def edit_distance(preds: Texts, target: Texts, substitution_cost: int = 1, reduction: EditReduction = "mean") -> Tensor:
    """Levenshtein distance: the least cost of inserted, deleted (1 each) and substituted characters.

    Args:
        preds: A string or a list of strings.
        target: As many references.
        substitution_cost: Cost of replacing a character, a whole number; 2 and more amount to the same, for replacing
            is deleting and inserting.
        reduction: `"mean"` over pairs, `"sum"`, or `"none"` for every pair's distance.

    Returns:
        Mean in float64, nan for no pairs; sum or `(N,)` distances in int64.

    Raises:
        TypeError: If the inputs are not strings.
        ValueError: If their numbers differ, or an option is out of its range.

    Example:
        >>> from lit_metrics.functional import edit_distance
        >>> edit_distance(["rain", "lnaguaeg"], ["shine", "language"])
        tensor(3.5000, dtype=torch.float64)
        >>> edit_distance(["rain", "lnaguaeg"], ["shine", "language"], substitution_cost=2, reduction="none")
        tensor([5, 4])
    """
    require_edit_options(substitution_cost, reduction)
    distances = torch.tensor(edit_distances(preds, target, substitution_cost), dtype=torch.long)
    if reduction == "mean":
        return rate_value(distances.sum(), distances.numel())
    return distances.sum() if reduction == "sum" else distances
