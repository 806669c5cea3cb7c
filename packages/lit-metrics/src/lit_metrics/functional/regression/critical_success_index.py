"""Critical success index of fields cut at a threshold."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from lit_metrics._inputs import as_tensor, as_weights, require_same_shape


def require_threshold(threshold: Any) -> None:
    """Raises a `ValueError` unless `threshold` is a number."""
    if not isinstance(threshold, (int, float)) or isinstance(threshold, bool):
        raise ValueError(f"threshold must be a number, got {threshold!r}")


def event_counts(
    preds: Any, target: Any, threshold: float, keep_sequence_dim: int | None = None, sample_weight: Any = None
) -> Tensor:
    """Returns hits and events (hits, misses and false alarms), `(1, 2)`, or `(S, 2)` for each index of a dimension."""
    preds, target = as_tensor(preds, "preds"), as_tensor(target, "target")
    require_same_shape(preds, target)
    if keep_sequence_dim is not None and not 0 <= keep_sequence_dim < preds.ndim:
        raise ValueError(
            f"keep_sequence_dim must be one of the {preds.ndim} dimensions of preds and target, counted from 0,"
            f" got {keep_sequence_dim!r}"
        )
    forecast, observed = preds >= threshold, target >= threshold
    counts = torch.stack([forecast & observed, forecast | observed], -1)
    if sample_weight is not None:
        counts = counts * as_weights(sample_weight, preds.shape, preds.device).unsqueeze(-1)
    if keep_sequence_dim is None:
        return counts.reshape(-1, 2).sum(0).unsqueeze(0)
    return counts.movedim(keep_sequence_dim, 0).flatten(1, -2).sum(1)


def critical_success_value(counts: Tensor, keep_sequence_dim: int | None = None) -> Tensor:
    """Returns hits per event; nan where there was none."""
    hits, events = counts.double().unbind(1)
    value = hits / events
    return value.sum() if keep_sequence_dim is None else value


def critical_success_index(
    preds: Any, target: Any, threshold: float, keep_sequence_dim: int | None = None, *, sample_weight: Any = None
) -> Tensor:
    """Share of forecast or observed events that were both, `hits / (hits + misses + false alarms)`.

    Also known as threat score; an event is a value of at least `threshold`.

    Args:
        preds: Forecasts, any shape.
        target: Observations, the same shape.
        threshold: Smallest value that is an event.
        keep_sequence_dim: Dimension whose indices get one value each; `None` for one value of everything.
        sample_weight: `(N,)` weights, or one per element.

    Returns:
        Value in [0, 1], float64; `(S,)` with `keep_sequence_dim`; nan without events, where torchmetrics gives 0.

    Raises:
        ValueError: If the shapes differ, or an argument is out of its range.

    Example:
        >>> from lit_metrics.functional import critical_success_index
        >>> critical_success_index([[0.9, 0.2], [0.6, 0.1]], [[0.8, 0.7], [0.3, 0.1]], threshold=0.5)
        tensor(0.3333, dtype=torch.float64)
        >>> critical_success_index([[0.9, 0.2], [0.6, 0.1]], [[0.8, 0.7], [0.3, 0.1]], 0.5, keep_sequence_dim=0)
        tensor([0.5000, 0.0000], dtype=torch.float64)
    """
    require_threshold(threshold)
    counts = event_counts(preds, target, threshold, keep_sequence_dim, sample_weight)
    return critical_success_value(counts, keep_sequence_dim)
