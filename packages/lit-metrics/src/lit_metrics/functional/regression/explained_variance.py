"""Metrics that compare errors with the spread of targets: R2, explained variance, relative and normalised errors."""

from __future__ import annotations

from typing import Any, Literal, TypeAlias

import torch
from torch import Tensor

from lit_metrics._inputs import as_weights
from lit_metrics.functional.regression._moments import (
    COUNT,
    SQUARES_E,
    SQUARES_T,
    WEIGHT,
    averaged,
    batch_moments,
    mean_target,
    squared_error_sum,
)
from lit_metrics.functional.regression._scores import real_pair, require_num_outputs

Multioutput: TypeAlias = Literal["raw_values", "uniform_average", "variance_weighted"]
Normalization: TypeAlias = Literal["mean", "range", "std", "l2"]

MULTIOUTPUTS = ("raw_values", "uniform_average", "variance_weighted")
NORMALIZATIONS = ("mean", "range", "std", "l2")


def require_adjusted(adjusted: Any) -> None:
    """Raises a `ValueError` unless `adjusted` is a non-negative integer."""
    if not isinstance(adjusted, int) or isinstance(adjusted, bool) or adjusted < 0:
        raise ValueError(f"adjusted must be a non-negative integer, got {adjusted!r}")


def require_multioutput(multioutput: Any) -> None:
    """Raises a `ValueError` unless `multioutput` is one of the names."""
    if multioutput not in MULTIOUTPUTS:
        raise ValueError(f"multioutput must be one of {MULTIOUTPUTS}, got {multioutput!r}")


def require_normalization(normalization: Any) -> None:
    """Raises a `ValueError` unless `normalization` is one of the names."""
    if normalization not in NORMALIZATIONS:
        raise ValueError(f"normalization must be one of {NORMALIZATIONS}, got {normalization!r}")


def _explained(unexplained: Tensor, spread: Tensor, count: Tensor) -> Tensor:
    """Returns `1 - unexplained / spread`; constant targets give 1 if nothing is unexplained, else 0."""
    constant = torch.where(unexplained == 0, 1.0, unexplained * 0)
    value = torch.where(spread == 0, constant, 1 - unexplained / torch.where(spread == 0, 1.0, spread))
    return torch.where((count < 2) | spread.isnan(), torch.nan, value)


def r2_value(moments: Tensor, adjusted: int = 0, multioutput: Multioutput = "uniform_average") -> Tensor:
    """Returns R2 from moments."""
    scores = _explained(squared_error_sum(moments), moments[SQUARES_T], moments[COUNT])
    value = averaged(scores, moments[SQUARES_T], multioutput)
    if not adjusted:
        return value
    size = moments[WEIGHT].reshape(-1)[0]
    freedom = size - adjusted - 1
    return torch.where(freedom > 0, 1 - (1 - value) * (size - 1) / freedom, torch.nan)


def explained_variance_value(moments: Tensor, multioutput: Multioutput = "uniform_average") -> Tensor:
    """Returns explained variance from moments."""
    scores = _explained(moments[SQUARES_E], moments[SQUARES_T], moments[COUNT])
    return averaged(scores, moments[SQUARES_T], multioutput)


def relative_squared_error_value(moments: Tensor, squared: bool = True) -> Tensor:
    """Returns the relative squared error, or its root, from moments; the mean over outputs."""
    error = squared_error_sum(moments) / moments[SQUARES_T]
    return (error if squared else error.sqrt()).mean()


def normalized_rmse_value(moments: Any, normalization: Normalization = "mean", extent: Any = None) -> Tensor:
    """Returns the normalised root of the mean squared error from moments; `extent` is the targets' `target_extent`."""
    rmse: Tensor = (squared_error_sum(moments) / moments[WEIGHT]).sqrt()
    if normalization == "mean":
        size = mean_target(moments)
    elif normalization == "std":
        size = (moments[SQUARES_T] / moments[WEIGHT]).sqrt()
    elif normalization == "l2":
        size = (moments[SQUARES_T] + moments[WEIGHT] * mean_target(moments).square()).sqrt()
    else:
        size = extent[0] + extent[1]
    return rmse / size


def normalized_rmse_state(
    preds: Any, target: Any, normalization: Normalization, num_outputs: int = 1, sample_weight: Any = None
) -> dict[str, Tensor | int]:
    """Returns the moments, and the targets' extent where it is needed; one output takes any shape."""
    preds, target = real_pair(preds, target)
    if num_outputs == 1:
        if sample_weight is not None:
            sample_weight = as_weights(sample_weight, preds.shape, preds.device).reshape(-1)
        preds, target = preds.reshape(-1), target.reshape(-1)
    state: dict[str, Tensor | int] = {"moments": batch_moments(preds, target, num_outputs, sample_weight)}
    if normalization == "range":
        state["extent"] = target_extent(target, num_outputs)
    return state


def target_extent(target: Tensor, num_outputs: int) -> Tensor:
    """Returns the largest target and the largest negated one, per output: what merges by `"max"`."""
    if not target.shape[0]:
        shape = (2,) if num_outputs == 1 else (2, num_outputs)
        return torch.full(shape, -torch.inf, dtype=torch.float64, device=target.device)
    return torch.stack([target.amax(0), -target.amin(0)]).double()


def r2_score(
    preds: Any,
    target: Any,
    adjusted: int = 0,
    multioutput: Multioutput = "uniform_average",
    *,
    sample_weight: Any = None,
) -> Tensor:
    """Coefficient of determination, `1 - sum(w (target - preds)^2) / sum(w (target - mean(target))^2)`.

    Exact whatever the offset of the data; torchmetrics loses all digits at offsets of 1e4.

    Args:
        preds: `(N,)`, or `(N, D, ...)` for several outputs.
        target: The same shape.
        adjusted: Number of independent regressors k; above 0 the value is `1 - (1 - R2) (N - 1) / (N - k - 1)`, where
            N is the sum of weights.
        multioutput: `"uniform_average"` is the mean over outputs, `"variance_weighted"` weights them by the variance of
            their targets, `"raw_values"` gives one value each.
        sample_weight: `(N,)` weights.

    Returns:
        Value in (-inf, 1], float64; for constant targets 1 if every prediction is right, else 0, as in scikit-learn;
        nan for less than two samples, or no degree of freedom left.

    Raises:
        ValueError: If the shapes differ, or an argument is out of its range.

    Example:
        >>> from lit_metrics.functional import r2_score
        >>> r2_score([2.5, 0.0, 2.0, 8.0], [3.0, -0.5, 2.0, 7.0])
        tensor(0.9486, dtype=torch.float64)
        >>> r2_score([[0.0, 2.0], [-1.0, 2.0], [8.0, -5.0]], [[0.5, 1.0], [-1.0, 1.0], [7.0, -6.0]],
        ...          multioutput="raw_values")
        tensor([0.9654, 0.9082], dtype=torch.float64)
    """
    require_adjusted(adjusted)
    require_multioutput(multioutput)
    return r2_value(batch_moments(preds, target, None, sample_weight), adjusted, multioutput)


def explained_variance(
    preds: Any, target: Any, multioutput: Multioutput = "uniform_average", *, sample_weight: Any = None
) -> Tensor:
    """Share of the targets' variance that is explained, `1 - var(target - preds) / var(target)`.

    As `r2_score`, but for errors that all predictions share.

    Args:
        preds: `(N,)`, or `(N, D, ...)` for several outputs.
        target: The same shape.
        multioutput: `"uniform_average"`, `"variance_weighted"` or `"raw_values"`; see `r2_score`.
        sample_weight: `(N,)` weights.

    Returns:
        Value in (-inf, 1], float64; for constant targets 1 if errors are constant, else 0, as in scikit-learn; nan for
        less than two samples.

    Raises:
        ValueError: If the shapes differ, or `multioutput` is none of these.

    Example:
        >>> from lit_metrics.functional import explained_variance
        >>> explained_variance([2.5, 0.0, 2.0, 8.0], [3.0, -0.5, 2.0, 7.0])
        tensor(0.9572, dtype=torch.float64)
    """
    require_multioutput(multioutput)
    return explained_variance_value(batch_moments(preds, target, None, sample_weight), multioutput)


def relative_squared_error(preds: Any, target: Any, squared: bool = True, *, sample_weight: Any = None) -> Tensor:
    """Squared errors relative to those of the best constant, `sum((target - preds)^2) / sum((target - mean)^2)`.

    Args:
        preds: `(N,)`, or `(N, D)` for D outputs, whose mean is the value.
        target: The same shape.
        squared: False gives the root of each output's error.
        sample_weight: `(N,)` weights.

    Returns:
        Value in [0, inf], float64; for constant targets inf, or nan if every prediction is right; nan for no samples.

    Raises:
        ValueError: If the shapes differ.

    Example:
        >>> from lit_metrics.functional import relative_squared_error
        >>> relative_squared_error([2.5, 0.0, 2.0, 8.0], [3.0, -0.5, 2.0, 7.0])
        tensor(0.0514, dtype=torch.float64)
    """
    return relative_squared_error_value(batch_moments(preds, target, None, sample_weight), squared)


def normalized_root_mean_squared_error(
    preds: Any, target: Any, normalization: Normalization = "mean", num_outputs: int = 1, *, sample_weight: Any = None
) -> Tensor:
    """Root of the mean squared error, divided by a size of the targets.

    Args:
        preds: Any shape; `(N, num_outputs)` for several outputs.
        target: The same shape.
        normalization: Divided by the targets' `"mean"`, `"range"` (largest minus smallest), `"std"` (of the population)
            or `"l2"` norm.
        num_outputs: Number of outputs; with several, one value each.
        sample_weight: `(N,)` weights, or one per element. A target of weight 0 still counts in the range.

    Returns:
        Float64; negative if the mean of targets is; `(num_outputs,)` for several outputs; inf or nan where the
        denominator is 0; nan for no samples.

    Raises:
        ValueError: If the shapes differ, or an argument is out of its range.

    Example:
        >>> from lit_metrics.functional import normalized_root_mean_squared_error
        >>> normalized_root_mean_squared_error([0.0, 1.0, 2.0, 3.0], [0.0, 1.0, 2.0, 2.0], normalization="range")
        tensor(0.2500, dtype=torch.float64)
    """
    require_normalization(normalization)
    state = normalized_rmse_state(preds, target, normalization, require_num_outputs(num_outputs), sample_weight)
    return normalized_rmse_value(normalization=normalization, **state)
