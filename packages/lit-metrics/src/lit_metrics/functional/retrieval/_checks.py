"""What the retrieval metrics take, and how one query becomes a ranking."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from lit_metrics._inputs import as_tensor, checks_are_free, require_same_shape, to_float
from lit_metrics.functional.retrieval._ranking import Ranking, rank


def as_documents(preds: Any, target: Any, graded: bool, ignore_index: int | None = None) -> tuple[Tensor, Tensor]:
    """Returns scores in at least float32, and relevance; values are checked where that stalls nothing.

    Raises:
        TypeError: If the inputs are not real numbers.
        ValueError: If the shapes differ, or a value is out of its range.
    """
    preds, target = as_tensor(preds, "preds"), as_tensor(target, "target")
    require_same_shape(preds, target)
    for name, value in (("preds", preds), ("target", target)):
        if value.is_complex():
            raise TypeError(f"{name} must hold real numbers, got {value.dtype}")
    preds, target = to_float(preds.detach()), target.detach()
    if checks_are_free(preds) and checks_are_free(target):
        require_values(preds, target, graded, ignore_index)
    return preds, target


def require_values(preds: Tensor, target: Tensor, graded: bool, ignore_index: int | None) -> None:
    """Raises a `ValueError` for scores that are NaN and relevance out of range; reads values on the host."""
    if preds.isnan().cpu().numpy().any():
        raise ValueError("preds must hold scores without NaN: they have no order")
    valid = target >= 0 if graded else (target == 0) | (target == 1)
    if ignore_index is not None:
        valid = valid | (target == ignore_index)
    if not valid.cpu().numpy().all():
        expected = "gains of at least 0" if graded else "relevance 0 or 1"
        raise ValueError(f"target must hold {expected}; got other values")


def require_weights(weights: Tensor) -> None:
    """Raises a `ValueError` for weights that are negative or NaN; reads values on the host."""
    if not (weights >= 0).cpu().numpy().all():
        raise ValueError("sample_weight must hold weights of at least 0; got others")


def require_top_k(top_k: Any, name: str = "top_k") -> None:
    """Raises a `ValueError` unless `top_k` is a positive integer or `None`."""
    if top_k is not None and (not isinstance(top_k, int) or isinstance(top_k, bool) or top_k < 1):
        raise ValueError(f"{name} must be a positive integer or None, got {top_k!r}")


def require_flag(value: Any, name: str) -> None:
    """Raises a `ValueError` unless `value` is a bool."""
    if not isinstance(value, bool):
        raise ValueError(f"{name} must be True or False, got {value!r}")


def require_share(value: Any, name: str) -> None:
    """Raises a `ValueError` unless `value` is a number between 0 and 1."""
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 <= value <= 1:
        raise ValueError(f"{name} must be a number in [0, 1], got {value!r}")


def rank_rows(preds: Any, target: Any, graded: bool = False) -> Ranking:
    """Returns the ranking of one query `(N,)`, or of one in each row `(Q, N)`.

    Raises:
        TypeError: If the inputs are not real numbers.
        ValueError: If the shapes differ or have other dimensions, or a value is out of its range.
    """
    preds, target = as_documents(preds, target, graded)
    if preds.ndim not in (1, 2):
        raise ValueError(f"preds and target must have shape (N,), or (Q, N) for Q queries, got {tuple(preds.shape)}")
    rows = preds if preds.ndim == 2 else preds[None]
    queries = torch.arange(len(rows), device=rows.device)[:, None].expand_as(rows)
    return rank(rows.reshape(-1), target.reshape(-1), queries.reshape(-1))
