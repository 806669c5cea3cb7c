"""Continuous ranked probability score of ensembles."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from lit_metrics._inputs import as_tensor, to_float
from lit_metrics.functional.regression._scores import reduce_scores


def ranked_probability_scores(preds: Any, target: Any) -> Tensor:
    """Returns the score of each ensemble, in float64."""
    preds, target = as_tensor(preds, "preds"), as_tensor(target, "target")
    if preds.ndim != 2 or target.shape != preds.shape[:1]:
        shapes = f"{tuple(preds.shape)} and {tuple(target.shape)}"
        raise ValueError(f"preds and target must have shapes (N, M) and (N,), got {shapes}")
    if preds.shape[1] == 0:
        raise ValueError("preds must hold at least one member per ensemble, got shape (N, 0)")
    errors, _ = (to_float(preds) - to_float(target).unsqueeze(1)).double().sort(dim=1)
    size = errors.shape[1]
    # Sorted, sum_jk |x_j - x_k| is one weighted sum: M log M steps, not M^2.
    ranks = torch.arange(1 - size, size, 2, device=errors.device, dtype=torch.float64)
    return errors.abs().mean(1) - (errors * ranks).sum(1) / size**2


def continuous_ranked_probability_score(preds: Any, target: Any, *, sample_weight: Any = None) -> Tensor:
    """Mean over samples of `mean_j |x_j - y| - sum_jk |x_j - x_k| / (2 M^2)`: how well ensembles predict targets.

    The integral of the squared difference between the ensemble's distribution function and the target's step; the
    absolute error for an ensemble of one. See Gneiting and Raftery, Strictly proper scoring rules, 2007.

    Args:
        preds: `(N, M)` predictions: N ensembles of M members.
        target: `(N,)` observed values.
        sample_weight: `(N,)` weights.

    Returns:
        Value in [0, inf), float64; nan for no samples.

    Raises:
        ValueError: If the shapes do not fit.

    Example:
        >>> from lit_metrics.functional import continuous_ranked_probability_score
        >>> continuous_ranked_probability_score([[0.0, 2.0], [1.0, 1.0]], [1.0, 2.0])
        tensor(0.7500, dtype=torch.float64)
    """
    return reduce_scores(ranked_probability_scores(preds, target), sample_weight=sample_weight)
