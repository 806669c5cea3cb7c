"""The best assignment of estimates to speakers, and the value of a metric under it."""

from __future__ import annotations

from collections.abc import Callable
from itertools import permutations
from typing import Any, Literal, TypeAlias

import numpy as np
import torch
from torch import Tensor

from lit_metrics._inputs import as_tensor

Mode: TypeAlias = Literal["speaker-wise", "permutation-wise"]
EvalFunc: TypeAlias = Literal["max", "min"]

EXHAUSTIVE = 6
"""Speakers up to which all assignments are tried (720 of them)."""


def require_pit(mode: Any, eval_func: Any) -> None:
    """Raises a `ValueError` unless both are known."""
    if mode not in ("speaker-wise", "permutation-wise"):
        raise ValueError(f"mode must be 'speaker-wise' or 'permutation-wise', got {mode!r}")
    if eval_func not in ("max", "min"):
        raise ValueError(f"eval_func must be 'max' or 'min', got {eval_func!r}")


def permutation_invariant_training(
    preds: Any,
    target: Any,
    metric_func: Callable[..., Tensor],
    mode: Mode = "speaker-wise",
    eval_func: EvalFunc = "max",
    **kwargs: Any,
) -> tuple[Tensor, Tensor]:
    """Best value of a metric over all assignments of estimates to speakers, and that assignment, per sample.

    Differentiable if `metric_func` is.

    Args:
        preds: `(N, speakers, ...)`.
        target: `(N, speakers, ...)`.
        metric_func: In mode `"speaker-wise"` called for one estimate and one speaker, `(N, ...)` each; in mode
            `"permutation-wise"` for all of them, `(N, speakers, ...)`. Returns `(N,)`, in the latter case any shape
            that starts with N, of which the mean counts.
        mode: Speaker-wise makes S^2 calls and takes the mean over speakers; permutation-wise makes S! calls.
        eval_func: Whether the largest or the smallest value is best.
        kwargs: Passed to `metric_func`.

    Returns:
        The value `(N,)`, and the assignment `(N, speakers)`: entry `j` is the estimate that belongs to speaker `j`.

    Raises:
        ValueError: If the first two dimensions of the inputs differ, `metric_func` returns another number of values,
            or an argument is unknown.

    Example:
        >>> import torch
        >>> from lit_metrics.functional import permutation_invariant_training, signal_noise_ratio
        >>> target = torch.tensor([[[1.0, 2.0, 3.0], [3.0, -1.0, 0.0]]])
        >>> value, assignment = permutation_invariant_training(target.flip(1) + 0.1, target, signal_noise_ratio)
        >>> value, assignment
        (tensor([25.9594], dtype=torch.float64), tensor([[1, 0]]))

    Source: Yu et al., Permutation invariant training of deep models for speaker-independent multi-talker speech
    separation, 2017.
    """
    require_pit(mode, eval_func)
    preds, target = as_tensor(preds, "preds"), as_tensor(target, "target")
    if preds.ndim < 2 or preds.shape[:2] != target.shape[:2]:
        raise ValueError(
            "preds and target must have shape (N, speakers, ...) with equal N and speakers, got"
            f" {tuple(preds.shape)} and {tuple(target.shape)}"
        )
    largest = eval_func == "max"
    if mode == "permutation-wise":
        return _best_permutation(preds, target, metric_func, largest, kwargs)
    speakers = range(preds.shape[1])
    rows = [
        [_per_sample(metric_func(preds[:, i], target[:, j], **kwargs), len(preds)) for i in speakers] for j in speakers
    ]
    values = torch.stack([torch.stack(row, -1) for row in rows], -2)
    chosen = _assign(values.detach(), largest)
    return values.gather(-1, chosen[..., None])[..., 0].mean(-1), chosen


def _per_sample(value: Tensor, num_samples: int) -> Tensor:
    if value.ndim == 0 or len(value) != num_samples:
        raise ValueError(
            f"metric_func must return one value for each of {num_samples} samples, got shape {value.shape}"
        )
    return value.flatten(1).mean(1) if value.ndim > 1 else value


def _orders(num_speakers: int, device: torch.device) -> Tensor:
    return torch.tensor(list(permutations(range(num_speakers))), device=device)


def _best_permutation(
    preds: Tensor, target: Tensor, metric_func: Callable[..., Tensor], largest: bool, kwargs: dict[str, Any]
) -> tuple[Tensor, Tensor]:
    orders = _orders(preds.shape[1], preds.device)
    all_values = [_per_sample(metric_func(preds[:, order], target, **kwargs), len(preds)) for order in orders.unbind()]
    values = torch.stack(all_values, -1)
    best, index = values.max(-1) if largest else values.min(-1)
    return best, orders[index]


def _assign(values: Tensor, largest: bool) -> Tensor:
    """Returns for each sample the assignment of columns to rows of `values` (N, S, S) with the best sum."""
    if values.shape[-1] <= EXHAUSTIVE:
        orders = _orders(values.shape[-1], values.device)
        rows = torch.arange(values.shape[-1], device=values.device)
        sums = values[:, rows, orders].sum(-1)
        return orders[sums.argmax(-1) if largest else sums.argmin(-1)]
    costs = values.double().cpu().numpy()
    return torch.tensor(np.stack([cheapest_assignment(-c if largest else c) for c in costs]), device=values.device)


def cheapest_assignment(costs: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """Returns the column of each row of a square matrix such that all differ and the sum of costs is smallest.

    The Hungarian method: rows join one by one along the cheapest augmenting path; `u` and `v` keep reduced costs
    `costs - u - v` at 0 or above. Cubic in the number of rows.

    Raises:
        ValueError: If a cost is not finite.
    """
    if not np.isfinite(costs).all():
        raise ValueError("metric_func must return finite values for more than six speakers, got inf or nan")
    n = len(costs)
    u, v = np.zeros(n), np.zeros(n)
    row_of = np.full(n, -1)
    for row in range(n):
        distance, previous, done = np.full(n, np.inf), np.full(n, -1), np.zeros(n, dtype=bool)
        current, column, reached = row, -1, 0.0
        while current >= 0:
            path = reached + costs[current] - u[current] - v
            closer = ~done & (path < distance)
            distance[closer], previous[closer] = path[closer], column
            column = int(np.where(done, np.inf, distance).argmin())
            reached, current = distance[column], row_of[column]
            done[column] = True
        seen = done & (row_of >= 0)
        u[row_of[seen]] += reached - distance[seen]
        u[row] += reached
        v[done] -= reached - distance[done]
        while column >= 0:
            before = previous[column]
            row_of[column] = row if before < 0 else row_of[before]
            column = before
    columns: np.ndarray[Any, Any] = np.argsort(row_of)
    return columns


def pit_permutate(preds: Any, perm: Any) -> Tensor:
    """Puts estimates in the order of their speakers: `out[n, j] = preds[n, perm[n, j]]`.

    Args:
        preds: `(N, speakers, ...)`.
        perm: `(N, speakers)` as `permutation_invariant_training` returns it.

    Raises:
        ValueError: If `perm` does not fit `preds`.

    Example:
        >>> import torch
        >>> from lit_metrics.functional import pit_permutate
        >>> pit_permutate(torch.tensor([[[1.0], [2.0]]]), torch.tensor([[1, 0]])).flatten().tolist()
        [2.0, 1.0]
    """
    preds, perm = as_tensor(preds, "preds"), as_tensor(perm, "perm")
    if perm.shape != preds.shape[:2]:
        raise ValueError(f"perm must have shape {tuple(preds.shape[:2])}, got {tuple(perm.shape)}")
    ordered: Tensor = preds[torch.arange(len(preds), device=preds.device)[:, None], perm.to(preds.device)]
    return ordered
