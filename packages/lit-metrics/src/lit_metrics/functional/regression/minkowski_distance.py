"""Minkowski distance between all predictions and all targets."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor

from lit_metrics._inputs import as_weights
from lit_metrics.functional.regression._scores import difference


def require_exponent(p: Any, name: str = "p") -> None:
    """Raises a `ValueError` unless `p` is a number of at least 1."""
    if not isinstance(p, (int, float)) or isinstance(p, bool) or not p >= 1:
        raise ValueError(f"{name} must be a number of at least 1, got {p!r}")


def minkowski_state(preds: Any, targets: Any, p: float, sample_weight: Any = None) -> dict[str, Tensor | int]:
    """Returns the sum of powers of absolute differences; the largest difference for an infinite power."""
    distance = difference(preds, targets, ("preds", "targets")).abs()
    if sample_weight is not None:
        weights = as_weights(sample_weight, distance.shape, distance.device)
        return {"powers": (distance * (weights > 0)).amax() if math.isinf(p) else (weights * distance.pow(p)).sum()}
    if math.isinf(p):
        return {"powers": distance.amax()} if distance.numel() else {"powers": distance.sum()}
    return {"powers": distance.pow(p).sum()}


def minkowski_value(powers: Tensor | int, p: float) -> Tensor:
    """Returns the distance."""
    return torch.as_tensor(powers) if math.isinf(p) else torch.as_tensor(powers).pow(1 / p)


def minkowski_distance(preds: Any, targets: Any, p: float, *, sample_weight: Any = None) -> Tensor:
    """Minkowski distance, `(sum_i w_i |preds_i - targets_i|^p)^(1/p)`.

    Args:
        preds: Any shape.
        targets: The same shape.
        p: Exponent, at least 1; 1 is the Manhattan, 2 the Euclidean distance, `inf` the largest difference
            (torchmetrics gives 1 there).
        sample_weight: `(N,)` weights, or one per element.

    Returns:
        Value in [0, inf), float64; 0 for no samples.

    Raises:
        ValueError: If the shapes differ or `p` is below 1.

    Example:
        >>> from lit_metrics.functional import minkowski_distance
        >>> minkowski_distance([0.0, 0.0], [3.0, 4.0], p=2)
        tensor(5., dtype=torch.float64)
    """
    require_exponent(p)
    return minkowski_value(minkowski_state(preds, targets, p, sample_weight)["powers"], p)
