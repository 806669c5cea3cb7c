"""Correlations from moments, of values (Pearson, concordance) and of ranks (Spearman)."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from lit_metrics._inputs import as_weights
from lit_metrics.functional.regression._moments import (
    COUNT,
    PRODUCT_TP,
    SQUARES_P,
    SQUARES_T,
    WEIGHT,
    batch_moments,
    mean_error,
)
from lit_metrics.functional.regression._scores import real_pair, require_outputs


def pearson_value(moments: Tensor) -> Tensor:
    """Returns Pearson's correlation from moments; nan if either side is constant."""
    # The ratio is exact where both sides spread alike, and cannot overflow as the product would.
    size = moments[SQUARES_T] * (moments[SQUARES_P] / moments[SQUARES_T]).sqrt()
    return (moments[PRODUCT_TP] / size).clamp(-1, 1)


def concordance_value(moments: Tensor) -> Tensor:
    """Returns the concordance correlation from moments; nan if both sides are the same constant."""
    shift = (moments[WEIGHT] - 1) * mean_error(moments).square()
    value = 2 * moments[PRODUCT_TP] / (moments[SQUARES_T] + moments[SQUARES_P] + shift)
    return torch.where(moments[COUNT] < 2, torch.nan, value)


def paired_samples(
    preds: Any, target: Any, num_outputs: int | None = None, sample_weight: Any = None
) -> tuple[Tensor, Tensor, Tensor | None]:
    """Returns predictions and targets as `(N,)` or, for several outputs, `(N, D)`, and `(N,)` weights if there are any.

    Raises:
        ValueError: If the shapes differ or do not fit `num_outputs`.
    """
    preds, target = real_pair(preds, target)
    if preds.ndim > 2:
        raise ValueError(f"preds and target must have shape (N,) or (N, D), got {tuple(preds.shape)}")
    if num_outputs is not None and (num_outputs > 1 or preds.ndim > 1):
        require_outputs(preds.shape, num_outputs)
    preds, target = torch.atleast_1d(preds), torch.atleast_1d(target)
    weights = None if sample_weight is None else as_weights(sample_weight, preds.shape[:1], preds.device)
    if preds.ndim == 2 and preds.shape[1] == 1:
        preds, target = preds[:, 0], target[:, 0]
    return preds, target, weights


def ranks(values: Tensor, weights: Tensor | None = None) -> Tensor:
    """Returns each value's rank among all, in float64, up to a constant; ties get the mean of their ranks.

    A value of weight w counts as w values.
    """
    order = values.argsort()
    ordered = values[order]
    weights = torch.ones_like(ordered, dtype=torch.float64) if weights is None else weights[order]
    before = torch.cat([weights.new_zeros(1), weights.cumsum(0)])
    low = before[torch.searchsorted(ordered, ordered)]
    high = before[torch.searchsorted(ordered, ordered, right=True)]
    return torch.empty_like(low).index_copy(0, order, (low + high) / 2)


def spearman_value(preds: Tensor, target: Tensor, weights: Tensor | None = None) -> Tensor:
    """Returns Spearman's correlation of `(N,)` or, one by one, of the columns of `(N, D)`; nan if a value is NaN."""
    if preds.ndim == 2:
        pairs = zip(preds.unbind(1), target.unbind(1), strict=True)
        return torch.stack([spearman_value(p, t, weights) for p, t in pairs])
    if not preds.numel():
        return torch.full((), torch.nan, dtype=torch.float64, device=preds.device)
    value = pearson_value(batch_moments(ranks(preds, weights), ranks(target, weights), 1, weights))
    return torch.where((preds.isnan() | target.isnan()).any(), torch.nan, value)


def pearson_corrcoef(preds: Any, target: Any, *, sample_weight: Any = None) -> Tensor:
    """Pearson's correlation, `cov(preds, target) / (std(preds) std(target))`.

    Exact whatever the offset and the scale of the data.

    Args:
        preds: `(N,)`, or `(N, D)` for D outputs.
        target: The same shape.
        sample_weight: `(N,)` weights.

    Returns:
        Value in [-1, 1], float64; `(D,)` for several outputs; nan if either side is constant, as for a single sample.

    Raises:
        ValueError: If the shapes differ.
        TypeError: If the inputs are not real numbers.

    Example:
        >>> from lit_metrics.functional import pearson_corrcoef
        >>> pearson_corrcoef([2.5, 0.0, 2.0, 8.0], [3.0, -0.5, 2.0, 7.0])
        tensor(0.9849, dtype=torch.float64)
    """
    return pearson_value(batch_moments(preds, target, None, sample_weight))


def concordance_corrcoef(preds: Any, target: Any, *, sample_weight: Any = None) -> Tensor:
    """Concordance correlation, `2 cov(x, y) / (var(x) + var(y) + (mean(x) - mean(y))^2)`.

    How close pairs lie to the line of equality; variances are those of samples (divided by N - 1), N being the sum of
    weights. See Lin, A concordance correlation coefficient to evaluate reproducibility, 1989.

    Arguments and errors: see `pearson_corrcoef`.

    Returns:
        Value in [-1, 1], float64; `(D,)` for several outputs; 0 if one side is constant (torchmetrics: nan); nan if
        both are the same constant, or for less than two samples.

    Example:
        >>> from lit_metrics.functional import concordance_corrcoef
        >>> concordance_corrcoef([2.5, 0.0, 2.0, 8.0], [3.0, -0.5, 2.0, 7.0])
        tensor(0.9777, dtype=torch.float64)
    """
    return concordance_value(batch_moments(preds, target, None, sample_weight))


def spearman_corrcoef(preds: Any, target: Any, *, sample_weight: Any = None) -> Tensor:
    """Spearman's correlation: Pearson's of the ranks, where ties share the mean of their ranks.

    Args:
        preds: `(N,)`, or `(N, D)` for D outputs.
        target: The same shape.
        sample_weight: `(N,)` weights; a sample of weight 2 counts as two samples.

    Returns:
        Value in [-1, 1], float64; `(D,)` for several outputs; nan if either side is constant (torchmetrics: 0) or a
        value is NaN.

    Raises:
        ValueError: If the shapes differ or have more than two dimensions.
        TypeError: If the inputs are not real numbers.

    Example:
        >>> from lit_metrics.functional import spearman_corrcoef
        >>> spearman_corrcoef([2.5, 0.0, 2.0, 8.0], [3.0, -0.5, 2.0, 7.0])
        tensor(1., dtype=torch.float64)
    """
    return spearman_value(*paired_samples(preds, target, sample_weight=sample_weight))
