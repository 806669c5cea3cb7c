"""Mean squared error and its root."""

from __future__ import annotations

from typing import Any

from torch import Tensor

from lit_metrics.functional.regression._scores import OldReduction, difference, old_reduce, reduce_scores


def squared_errors(preds: Any, target: Any) -> Tensor:
    """Returns `(preds - target)^2` per element, in float64."""
    return difference(preds, target).square()


def mean_squared_error(
    preds: Any, target: Any, squared: bool = True, num_outputs: int = 1, *, sample_weight: Any = None
) -> Tensor:
    """Mean of squared errors, `sum_i w_i (preds_i - target_i)^2 / sum_i w_i`.

    Differences are taken in at least float32 and summed in float64, so half precision inputs do not overflow. The value
    is differentiable in `preds`. NaN inputs give nan.

    Args:
        preds: Any shape; `(N, num_outputs)` for several outputs.
        target: The same shape.
        squared: False gives the root of the mean, in the unit of the inputs.
        num_outputs: Number of outputs; with several, one value each.
        sample_weight: `(N,)` weights, or one per element.

    Returns:
        Value in [0, inf), float64; `(num_outputs,)` for several outputs; nan for no samples.

    Raises:
        ValueError: If the shapes differ.
        TypeError: If the inputs are not real numbers.

    Example:
        >>> from lit_metrics.functional import mean_squared_error
        >>> mean_squared_error([1.0, 2.0, 3.0], [1.0, 2.0, 5.0])
        tensor(1.3333, dtype=torch.float64)
        >>> mean_squared_error([1.0, 2.0, 3.0], [1.0, 2.0, 5.0], sample_weight=[1, 1, 2], squared=False)
        tensor(1.4142, dtype=torch.float64)
    """
    return reduce_scores(squared_errors(preds, target), num_outputs, sample_weight, root=not squared)


def mse(pred: Any, target: Any, reduction: OldReduction = "elementwise_mean") -> Tensor:
    """Squared error in the 1.0 spelling; `mean_squared_error` is today's.

    Args:
        pred: Any shape.
        target: The same shape.
        reduction: `"elementwise_mean"`, `"sum"`, or `"none"` for every element's squared error.

    Raises:
        ValueError: If the shapes differ or `reduction` is none of these.

    Example:
        >>> from lit_metrics.functional import mse
        >>> mse([1.0, 2.0], [1.0, 4.0])
        tensor(2., dtype=torch.float64)
    """
    return old_reduce(squared_errors, pred, target, reduction)


def rmse(pred: Any, target: Any, reduction: OldReduction = "elementwise_mean") -> Tensor:
    """Root of `mse`, in the 1.0 spelling; `mean_squared_error(..., squared=False)` is today's.

    Args:
        pred: Any shape.
        target: The same shape.
        reduction: What the root is taken of: the mean, the sum, or every element.

    Example:
        >>> from lit_metrics.functional import rmse
        >>> rmse([1.0, 2.0], [1.0, 4.0])
        tensor(1.4142, dtype=torch.float64)
    """
    return mse(pred, target, reduction).sqrt()
