"""The extremes of a metric's value over time."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from lit_metrics._composite import Composite, Inputs
from lit_metrics.metric import Metric
from lit_metrics.wrappers.classwise import require_metric


class MinMaxMetric(Composite):
    """Value of a metric, and the smallest and largest value that `compute` has given since the last reset.

    The value of a batch, as `forward` returns it, is its own minimum and maximum and leaves the extremes alone.

    Args:
        base_metric: Metric with a single value.
        compute_on_step: Whether `forward` returns the batch value.

    Raises:
        TypeError: If `base_metric` is no metric.
        ValueError: In `compute`, if its value is not a single number.

    Example:
        >>> from lit_metrics import MeanMetric, MinMaxMetric
        >>> metric = MinMaxMetric(MeanMetric())
        >>> for value in (3.0, 1.0, 5.0):
        ...     metric.update(value)
        ...     result = metric.compute()
        >>> {name: float(value) for name, value in result.items()}
        {'raw': 3.0, 'max': 3.0, 'min': 2.0}
    """

    def __init__(self, base_metric: Metric, compute_on_step: bool = True) -> None:
        super().__init__(compute_on_step)
        require_metric(base_metric, "base_metric")
        self.base_metric = base_metric
        self.extremes = _Extremes()

    def parts(self) -> Sequence[Metric]:
        """Returns the metric and the extremes so far."""
        return [self.base_metric, self.extremes]

    def route(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Sequence[Inputs]:
        """Feeds the metric alone; the extremes are fed by `compute`."""
        return [(args, kwargs)]

    def combine(self, values: Sequence[Any]) -> dict[str, Tensor]:
        """Returns the value and its extremes."""
        value = torch.as_tensor(values[0])
        if value.numel() != 1:
            raise ValueError(
                f"base_metric must give a single number, got a value of shape {tuple(value.shape)} from"
                f" {type(self.base_metric).__name__}"
            )
        low = high = value
        if len(values) > 1:
            self.extremes.update(value)
            low, high = self.extremes.compute().to(value.dtype)
        return {"raw": value, "max": high, "min": low}


class _Extremes(Metric):
    """Smallest and largest value of a scalar; equal on all processes, as the values are."""

    low: Tensor
    high: Tensor

    def __init__(self) -> None:
        super().__init__(sync_on_compute=False)
        self.add_state("low", torch.tensor(torch.inf, dtype=torch.float64), dist_reduce_fx="min")
        self.add_state("high", torch.tensor(-torch.inf, dtype=torch.float64), dist_reduce_fx="max")

    def update(self, value: Tensor) -> None:
        """Takes in one value; NaN changes nothing."""
        self.low = torch.fmin(self.low, value.double().reshape(()))
        self.high = torch.fmax(self.high, value.double().reshape(()))

    def compute(self) -> Tensor:
        """Returns both; nan if there was no value."""
        return torch.where(self.low <= self.high, torch.stack([self.low, self.high]), torch.nan)
