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


def without_nans(values: Tensor, weights: Tensor | None, nan_strategy: NanStrategy) -> tuple[Tensor, Tensor | None]:
    """Returns values (and weights, if any) with the NaN policy applied; removed elements are gone.

    Off the host, removing would wait for the device: there a removed value stays NaN and `keep_mask` tells it apart.

    Raises:
        ValueError: If the policy is `"error"` and a value is NaN.
    """
    if nan_strategy == "disable" or not values.is_floating_point():
        return values, weights
    mask = values.isnan()
    if not isinstance(nan_strategy, str):
        return torch.where(mask, float(nan_strategy), values), weights
    if not checks_are_free(values) or not mask.numpy().any():
        return values, weights
    if nan_strategy == "error":
        raise ValueError("value holds NaN; choose another nan_strategy to leave NaN out")
    if nan_strategy == "warn":
        warnings.warn("value holds NaN, which is left out; nan_strategy='ignore' leaves it out silently", stacklevel=4)
    return values[~mask], None if weights is None else weights[~mask]


def keep_mask(values: Tensor, nan_strategy: NanStrategy) -> Tensor | None:
    """Returns which values count, or `None` for all: on an accelerator NaN are still among them."""
    dropped = isinstance(nan_strategy, str) and nan_strategy != "disable"
    return ~values.isnan() if dropped and values.is_floating_point() and not checks_are_free(values) else None


def sum_state(value: Any, nan_strategy: NanStrategy = "warn") -> dict[str, Tensor | int]:
    """Returns the sum of the values in float64, and the number of NaN still to be reported."""
    values, _ = without_nans(flat_values(value), None, nan_strategy)
    keep = keep_mask(values, nan_strategy)
    if keep is None:
        return {"sum_value": values.sum(dtype=torch.float64)}
    return {"sum_value": torch.where(keep, values, 0).sum(dtype=torch.float64), "nans": (~keep).sum()}


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
    values, kept = without_nans(flat_values(values), weights, nan_strategy)
    assert kept is not None
    keep = keep_mask(values, nan_strategy)
    values = values.double()
    if keep is None:
        return {"mean_value": torch.dot(values, kept), "weight": kept.sum()}
    values, kept = torch.where(keep, values, 0), kept * keep
    return {"mean_value": torch.dot(values, kept), "weight": kept.sum(), "nans": (~keep).sum()}


def extreme_state(value: Any, largest: bool, nan_strategy: NanStrategy = "warn") -> dict[str, Tensor | int]:
    """Returns the largest (smallest) value in float64 and how many values were seen."""
    name, neutral = ("max_value", -torch.inf) if largest else ("min_value", torch.inf)
    values, _ = without_nans(flat_values(value), None, nan_strategy)
    keep = keep_mask(values, nan_strategy)
    values = values.double()
    if keep is None:
        if not values.numel():
            return {}
        return {name: values.amax() if largest else values.amin(), "seen": values.numel()}
    values = torch.where(keep, values, neutral)
    return {name: values.amax() if largest else values.amin(), "seen": keep.sum(), "nans": (~keep).sum()}
