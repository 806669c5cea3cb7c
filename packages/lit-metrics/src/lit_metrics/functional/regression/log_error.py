"""Errors on a logarithmic scale: mean squared log error and log-cosh error."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor

from lit_metrics.functional.regression._scores import OldReduction, difference, old_reduce, real_pair, reduce_scores


def squared_log_errors(preds: Any, target: Any) -> Tensor:
    """Returns `(log(1 + preds) - log(1 + target))^2` per element, in float64."""
    p, t = real_pair(preds, target)
    return (p.double().log1p() - t.double().log1p()).square()


def log_cosh_errors(preds: Any, target: Any) -> Tensor:
    """Returns `log(cosh(preds - target))` per element, in float64."""
    error = difference(preds, target).abs()
    # Two forms, as each loses its digits where the other keeps them.
    small = torch.log1p(2 * torch.sinh(error.clamp(max=1.0) / 2).square())
    large = error + torch.log1p(torch.exp(-2 * error)) - math.log(2)
    return torch.where(error < 1, small, large)


def mean_squared_log_error(preds: Any, target: Any, *, sample_weight: Any = None) -> Tensor:
    """Mean of squared differences of logarithms, `mean((log(1 + preds) - log(1 + target))^2)`.

    Args:
        preds: Any shape, values above -1; smaller ones give nan.
        target: The same shape and range.
        sample_weight: `(N,)` weights, or one per element.

    Returns:
        Value in [0, inf), float64; nan for no samples.

    Raises:
        ValueError: If the shapes differ.
        TypeError: If the inputs are not real numbers.

    Example:
        >>> from lit_metrics.functional import mean_squared_log_error
        >>> mean_squared_log_error([0.5, 1.0, 2.0, 8.0], [0.5, 1.0, 2.0, 7.0])
        tensor(0.0035, dtype=torch.float64)
    """
    return reduce_scores(squared_log_errors(preds, target), sample_weight=sample_weight)


def rmsle(pred: Any, target: Any, reduction: OldReduction = "elementwise_mean") -> Tensor:
    """Root of the squared log error, in the 1.0 spelling.

    Args:
        pred: Any shape, values above -1.
        target: The same shape and range.
        reduction: What the root is taken of: `"elementwise_mean"`, `"sum"`, or `"none"` for every element.

    Raises:
        ValueError: If the shapes differ or `reduction` is none of these.

    Example:
        >>> from lit_metrics.functional import rmsle
        >>> rmsle([0.0, 1.0, 2.0, 3.0], [0.0, 1.0, 2.0, 2.0])
        tensor(0.1438, dtype=torch.float64)
    """
    return old_reduce(squared_log_errors, pred, target, reduction).sqrt()


def log_cosh_error(preds: Any, target: Any, *, sample_weight: Any = None) -> Tensor:
    """Mean of `log(cosh(preds - target))`: the squared error halved for small errors, the absolute one for large.

    Errors of any size are exact; the plain formula overflows at 710.

    Args:
        preds: `(N,)`, or `(N, D)` for D outputs.
        target: The same shape.
        sample_weight: `(N,)` weights, or one per element.

    Returns:
        Value in [0, inf), float64; `(D,)` for D > 1 outputs; nan for no samples.

    Raises:
        ValueError: If the shapes differ.
        TypeError: If the inputs are not real numbers.

    Example:
        >>> from lit_metrics.functional import log_cosh_error
        >>> log_cosh_error([3.0, 5.0, 2.5, 7.0], [2.5, 5.0, 4.0, 8.0])
        tensor(0.3523, dtype=torch.float64)
    """
    errors = log_cosh_errors(preds, target)
    return reduce_scores(errors, errors.shape[1] if errors.ndim == 2 else 1, sample_weight)
