"""What the aggregation metrics do with one batch of values: NaN policy, weights, and the batch's state."""

from __future__ import annotations

import warnings
from typing import Any, Literal, TypeAlias

import torch
from torch import Tensor

from lit_metrics._inputs import as_tensor, checks_are_free

NanStrategy: TypeAlias = Literal["error", "warn", "ignore", "disable"] | float

NAN_STRATEGIES = ("error", "warn", "ignore", "disable")


def require_nan_strategy(nan_strategy: Any) -> None:
    """Raises a `ValueError` unless `nan_strategy` is one of the names or a number."""
    is_number = isinstance(nan_strategy, (int, float)) and not isinstance(nan_strategy, bool)
    if nan_strategy not in NAN_STRATEGIES and not is_number:
        raise ValueError(f"nan_strategy must be one of {NAN_STRATEGIES} or a number, got {nan_strategy!r}")


def flat_values(value: Any, name: str = "value") -> Tensor:
    """Returns the values as a flat tensor.

    Raises:
        TypeError: If the values are not real numbers.
    """
    values = as_tensor(value, name)
    if values.is_complex():
        raise TypeError(f"{name} must hold real numbers, got {values.dtype}")
    return values.detach().reshape(-1)


def apply_nan_strategy(values: Tensor, nan_strategy: NanStrategy) -> tuple[Tensor, Tensor | None]:
    """Returns the values, NaN replaced if the strategy is a number, and which of them count (`None` for all).

    Raises:
        ValueError: If the strategy is `"error"` and a value is NaN; off the host the metric raises in `compute`.
    """
    if nan_strategy == "disable" or not values.is_floating_point():
        return values, None
    nan = values.isnan()
    if not isinstance(nan_strategy, str):
        return torch.where(nan, float(nan_strategy), values), None
    if checks_are_free(values):
        if not nan.numpy().any():
            return values, None
        if nan_strategy == "error":
            raise ValueError("value holds NaN; choose another nan_strategy to leave NaN out")
        if nan_strategy == "warn":
            message = "value holds NaN, which is left out; nan_strategy='ignore' leaves it out silently"
            warnings.warn(message, stacklevel=4)
    return values, ~nan


def select(values: Tensor, keep: Tensor | None, neutral: float) -> Tensor:
    """Returns the values that count; off the host, where picking them would wait, the others become `neutral`."""
    if keep is None:
        return values
    return values[keep] if checks_are_free(keep) else torch.where(keep, values, neutral)


def unreported(keep: Tensor | None) -> dict[str, Tensor | int]:
    """Returns the number of NaN that `compute` has to report, as a state; none on the host."""
    return {} if keep is None or checks_are_free(keep) else {"nans": (~keep).sum()}


def sum_state(value: Any, nan_strategy: NanStrategy = "warn") -> dict[str, Tensor | int]:
    """Returns the sum of the values in float64, and the number of NaN still to be reported."""
    values, keep = apply_nan_strategy(flat_values(value), nan_strategy)
    return {"sum_value": select(values, keep, 0).sum(dtype=torch.float64), **unreported(keep)}


def mean_state(value: Any, weight: Any = 1.0, nan_strategy: NanStrategy = "warn") -> dict[str, Tensor | int]:
    """Returns the weighted sum of the values and the sum of the weights in float64.

    Raises:
        ValueError: If the weights cannot be broadcast to the values.
    """
    values = as_tensor(value, "value")
    weights = as_tensor(weight, "weight").detach().to(device=values.device, dtype=torch.float64)
    try:
        weights = weights.broadcast_to(values.shape).reshape(-1)
    except RuntimeError as error:
        got = tuple(weights.shape)
        raise ValueError(f"weight must broadcast to value {tuple(values.shape)}, got shape {got}") from error
    values, keep = apply_nan_strategy(flat_values(values), nan_strategy)
    values, weights = select(values, keep, 0).double(), select(weights, keep, 0)
    return {"mean_value": torch.dot(values, weights), "weight": weights.sum(), **unreported(keep)}


def extreme_state(value: Any, largest: bool, nan_strategy: NanStrategy = "warn") -> dict[str, Tensor | int]:
    """Returns the largest (smallest) value in float64 and how many values were seen."""
    name, neutral = ("max_value", -torch.inf) if largest else ("min_value", torch.inf)
    values, keep = apply_nan_strategy(flat_values(value), nan_strategy)
    values = select(values, keep, neutral).double()
    if not values.numel():
        return {}
    later = unreported(keep)
    seen = values.numel() - later.get("nans", 0)
    return {name: values.amax() if largest else values.amin(), "seen": seen, **later}
