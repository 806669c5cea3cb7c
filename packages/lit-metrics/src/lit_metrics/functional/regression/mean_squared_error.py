"""Mean squared error and its root."""

from __future__ import annotations

from typing import Any, Literal, TypeAlias

import torch
from torch import Tensor

from lit_metrics._inputs import as_tensor, as_weights, require_same_shape, to_float

OldReduction: TypeAlias = Literal["elementwise_mean", "sum", "none"]


def squared_error_state(
    preds: Any, target: Any, num_outputs: int = 1, sample_weight: Any = None
) -> dict[str, Tensor | int]:
    """Returns the float64 sum of squared errors and the number (or weight) of samples; per output if several."""
    preds, target = as_tensor(preds, "preds"), as_tensor(target, "target")
    require_same_shape(preds, target)
    if preds.is_complex() or target.is_complex():
        raise TypeError(f"preds and target must be real, got {preds.dtype} and {target.dtype}")
    if num_outputs > 1 and (preds.ndim != 2 or preds.shape[1] != num_outputs):
        raise ValueError(f"preds and target must have shape (N, {num_outputs}), got {tuple(preds.shape)}")
    error = (to_float(preds) - to_float(target)).double()
    if sample_weight is not None:
        weights = as_weights(sample_weight, error.shape, error.device)
        weighted = weights * error.square()
        if num_outputs > 1:
            return {"sum_squared_error": weighted.sum(0), "total": weights.sum(0)}
        return {"sum_squared_error": weighted.sum(), "total": weights.sum()}
    if num_outputs > 1:
        return {"sum_squared_error": error.square().sum(0), "total": error.shape[0]}
    error = error.reshape(-1)
    return {"sum_squared_error": torch.dot(error, error), "total": error.numel()}


def mean_squared_error_value(sum_squared_error: Tensor, total: Tensor | int, squared: bool = True) -> Tensor:
    """Returns the mean of squared errors, or its root; nan without samples."""
    mean = sum_squared_error / total
    return mean if squared else mean.sqrt()


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
    state = squared_error_state(preds, target, num_outputs, sample_weight)
    total = state["sum_squared_error"]
    assert isinstance(total, Tensor)
    return mean_squared_error_value(total, state["total"], squared)


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
    pred, target = as_tensor(pred, "pred"), as_tensor(target, "target")
    require_same_shape(pred, target)
    if reduction == "elementwise_mean":
        return mean_squared_error(pred, target)
    if reduction not in ("sum", "none"):
        raise ValueError(f"reduction must be 'elementwise_mean', 'sum' or 'none', got {reduction!r}")
    squares = (to_float(pred) - to_float(target)).double().square()
    return squares.sum() if reduction == "sum" else squares


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
