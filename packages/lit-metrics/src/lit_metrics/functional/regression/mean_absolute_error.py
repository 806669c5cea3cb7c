"""Mean absolute error and its relatives in percent."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from lit_metrics.functional.regression._scores import (
    OldReduction,
    difference,
    old_reduce,
    real_pair,
    reduce_scores,
    score_sums,
    score_value,
)


def absolute_errors(preds: Any, target: Any) -> Tensor:
    """Returns `|preds - target|` per element, in float64."""
    return difference(preds, target).abs()


def percentage_errors(preds: Any, target: Any) -> Tensor:
    """Returns `|preds - target| / max(|target|, eps)` per element, in float64."""
    p, t = real_pair(preds, target)
    return (p - t).double().abs() / t.double().abs().clamp_min(torch.finfo(torch.float64).eps)


def symmetric_percentage_errors(preds: Any, target: Any) -> Tensor:
    """Returns `2 |preds - target| / (|preds| + |target|)` per element, in float64; 0 where both are 0."""
    p, t = real_pair(preds, target)
    size = p.double().abs() + t.double().abs()
    return 2 * (p - t).double().abs() / torch.where(size == 0, 1.0, size)


def weighted_percentage_state(preds: Any, target: Any, sample_weight: Any = None) -> dict[str, Tensor | int]:
    """Returns the sums of absolute errors and of absolute targets."""
    p, t = real_pair(preds, target)
    errors = score_sums((p - t).double().abs(), sample_weight=sample_weight)
    sizes = score_sums(t.double().abs(), sample_weight=sample_weight)
    return {"sum_score": errors["sum_score"], "total": sizes["sum_score"]}


def mean_absolute_error(preds: Any, target: Any, num_outputs: int = 1, *, sample_weight: Any = None) -> Tensor:
    """Mean of absolute errors, `sum_i w_i |preds_i - target_i| / sum_i w_i`.

    Differences are taken in at least float32 and summed in float64, so half precision inputs do not overflow. The value
    is differentiable in `preds`. NaN inputs give nan.

    Args:
        preds: Any shape; `(N, num_outputs)` for several outputs.
        target: The same shape.
        num_outputs: Number of outputs; with several, one value each.
        sample_weight: `(N,)` weights, or one per element.

    Returns:
        Value in [0, inf), float64; `(num_outputs,)` for several outputs; nan for no samples.

    Raises:
        ValueError: If the shapes differ.
        TypeError: If the inputs are not real numbers.

    Example:
        >>> from lit_metrics.functional import mean_absolute_error
        >>> mean_absolute_error([1.0, 2.0, 3.0], [1.0, 2.0, 5.0])
        tensor(0.6667, dtype=torch.float64)
        >>> mean_absolute_error([1.0, 2.0, 3.0], [1.0, 2.0, 5.0], sample_weight=[1, 1, 2])
        tensor(1., dtype=torch.float64)
    """
    return reduce_scores(absolute_errors(preds, target), num_outputs, sample_weight)


def mae(pred: Any, target: Any, reduction: OldReduction = "elementwise_mean") -> Tensor:
    """Absolute error in the 1.0 spelling; `mean_absolute_error` is today's.

    Args:
        pred: Any shape.
        target: The same shape.
        reduction: `"elementwise_mean"`, `"sum"`, or `"none"` for every element's absolute error.

    Raises:
        ValueError: If the shapes differ or `reduction` is none of these.

    Example:
        >>> from lit_metrics.functional import mae
        >>> mae([1.0, 2.0], [1.0, 4.0], reduction="sum")
        tensor(2., dtype=torch.float64)
    """
    return old_reduce(absolute_errors, pred, target, reduction)


def mean_absolute_percentage_error(preds: Any, target: Any, *, sample_weight: Any = None) -> Tensor:
    """Mean of absolute errors relative to the target, `mean(|preds - target| / max(|target|, eps))`.

    `eps` is float64's 2.2e-16, as in scikit-learn; torchmetrics takes 1.17e-6, which understates the errors of smaller
    targets. A wrong prediction of a target of 0 gives a huge value; see `symmetric_mean_absolute_percentage_error`.

    Args:
        preds: Any shape.
        target: The same shape.
        sample_weight: `(N,)` weights, or one per element.

    Returns:
        Value in [0, inf), float64, as a ratio: 0.1 is 10 %; nan for no samples.

    Raises:
        ValueError: If the shapes differ.
        TypeError: If the inputs are not real numbers.

    Example:
        >>> from lit_metrics.functional import mean_absolute_percentage_error
        >>> mean_absolute_percentage_error([0.9, 15.0], [1.0, 10.0])
        tensor(0.3000, dtype=torch.float64)
    """
    return reduce_scores(percentage_errors(preds, target), sample_weight=sample_weight)


def symmetric_mean_absolute_percentage_error(preds: Any, target: Any, *, sample_weight: Any = None) -> Tensor:
    """Mean of absolute errors relative to prediction and target, `mean(2 |preds - target| / (|preds| + |target|))`.

    Where prediction and target are both 0 the error is 0. See Makridakis, Accuracy measures, 1993.

    Arguments and errors: see `mean_absolute_percentage_error`.

    Returns:
        Value in [0, 2], float64; nan for no samples.

    Example:
        >>> from lit_metrics.functional import symmetric_mean_absolute_percentage_error
        >>> symmetric_mean_absolute_percentage_error([1.0, 3.0], [1.0, 1.0])
        tensor(0.5000, dtype=torch.float64)
    """
    return reduce_scores(symmetric_percentage_errors(preds, target), sample_weight=sample_weight)


def weighted_mean_absolute_percentage_error(preds: Any, target: Any, *, sample_weight: Any = None) -> Tensor:
    """Sum of absolute errors relative to the sum of absolute targets, `sum |preds - target| / sum |target|`.

    Arguments and errors: see `mean_absolute_percentage_error`.

    Returns:
        Value in [0, inf), float64; inf (or nan, for perfect predictions) if all targets are 0; nan for no samples.

    Example:
        >>> from lit_metrics.functional import weighted_mean_absolute_percentage_error
        >>> weighted_mean_absolute_percentage_error([1.0, 3.0], [2.0, 2.0])
        tensor(0.5000, dtype=torch.float64)
    """
    state = weighted_percentage_state(preds, target, sample_weight)
    return score_value(state["sum_score"], state["total"])
