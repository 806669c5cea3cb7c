"""Sums, means and extremes of a stream of values."""

from __future__ import annotations

import warnings
from typing import Any, ClassVar

import torch
from torch import Tensor

from lit_metrics.functional.aggregation import (
    NanStrategy,
    apply_nan_strategy,
    extreme_state,
    flat_values,
    mean_state,
    require_nan_strategy,
    select,
    sum_state,
    unreported,
)
from lit_metrics.metric import Metric


class Aggregator(Metric):
    """What the aggregation metrics share: the NaN policy.

    Args:
        nan_strategy: `"warn"` leaves NaN out and warns, `"ignore"` leaves them out, `"error"` raises, `"disable"` lets
            them through into the value, a number replaces them. On an accelerator the warning or error comes with
            `compute`.
        kwargs: Arguments of `Metric`.

    Raises:
        ValueError: If `nan_strategy` is none of these.
    """

    pure_update = True

    nans: Tensor

    def __init__(self, nan_strategy: NanStrategy = "warn", **kwargs: Any) -> None:
        super().__init__(**kwargs)
        require_nan_strategy(nan_strategy)
        self.nan_strategy = nan_strategy
        self.add_state("nans", torch.tensor(0), dist_reduce_fx="sum")

    def check_state(self) -> None:
        """Reports NaN that an accelerator counted."""
        if self.nan_strategy not in ("error", "warn") or self.device.type == "meta" or not int(self.nans):
            return
        if self.nan_strategy == "error":
            raise ValueError(f"{int(self.nans)} values were NaN; choose another nan_strategy to leave NaN out")
        warnings.warn(f"{int(self.nans)} values were NaN and were left out", stacklevel=3)


class SumMetric(Aggregator):
    """Sum of all values, in float64: adding 1 to 2^24 ones still counts. The sum of nothing is 0.

    Args:
        nan_strategy: What happens to NaN; see `Aggregator`.
        kwargs: Arguments of `Metric`.

    Example:
        >>> from lit_metrics import SumMetric
        >>> metric = SumMetric()
        >>> metric.update(1.0)
        >>> metric.update([2.0, 3.0])
        >>> metric.compute()
        tensor(6., dtype=torch.float64)
    """

    sum_value: Tensor

    def __init__(self, nan_strategy: NanStrategy = "warn", **kwargs: Any) -> None:
        super().__init__(nan_strategy, **kwargs)
        self.add_state("sum_value", torch.tensor(0.0, dtype=torch.float64), dist_reduce_fx="sum")

    def update(self, value: Any) -> None:
        """Adds a number, or all values of a tensor, array or list."""
        self.accumulate(sum_state(value, self.nan_strategy))

    def compute(self) -> Tensor:
        """Returns the sum."""
        return self.sum_value


class MeanMetric(Aggregator):
    """Weighted mean of all values, `sum(w v) / sum(w)` in float64; nan if nothing was seen.

    Arguments: see `SumMetric` and `Metric`.

    Example:
        >>> from lit_metrics import MeanMetric
        >>> metric = MeanMetric()
        >>> metric.update(1.0, weight=3)
        >>> metric.update([5.0])
        >>> metric.compute()
        tensor(2., dtype=torch.float64)
    """

    mean_value: Tensor
    weight: Tensor

    def __init__(self, nan_strategy: NanStrategy = "warn", **kwargs: Any) -> None:
        super().__init__(nan_strategy, **kwargs)
        self.add_state("mean_value", torch.tensor(0.0, dtype=torch.float64), dist_reduce_fx="sum")
        self.add_state("weight", torch.tensor(0.0, dtype=torch.float64), dist_reduce_fx="sum")

    def update(self, value: Any, weight: Any = 1.0) -> None:
        """Takes in values with weights that broadcast to them."""
        self.accumulate(mean_state(value, weight, self.nan_strategy))

    def compute(self) -> Tensor:
        """Returns the mean."""
        return self.mean_value / self.weight


class Extreme(Aggregator):
    """What `MaxMetric` and `MinMetric` share.

    Args:
        nan_strategy: What happens to NaN; see `Aggregator`.
        kwargs: Arguments of `Metric`.
    """

    largest: ClassVar[bool]

    seen: Tensor

    def __init__(self, nan_strategy: NanStrategy = "warn", **kwargs: Any) -> None:
        super().__init__(nan_strategy, **kwargs)
        default = torch.tensor(-torch.inf if self.largest else torch.inf, dtype=torch.float64)
        if self.largest:
            self.add_state("max_value", default, dist_reduce_fx="max")
        else:
            self.add_state("min_value", default, dist_reduce_fx="min")
        self.add_state("seen", torch.tensor(0), dist_reduce_fx="sum")

    def update(self, value: Any) -> None:
        """Takes in a number, or all values of a tensor, array or list."""
        self.accumulate(extreme_state(value, self.largest, self.nan_strategy))

    def compute(self) -> Tensor:
        """Returns the largest or smallest value."""
        return torch.where(self.seen > 0, self.max_value if self.largest else self.min_value, torch.nan)


class MaxMetric(Extreme):
    """Largest value; nan if nothing was seen.

    Example:
        >>> from lit_metrics import MaxMetric
        >>> metric = MaxMetric()
        >>> metric.update([1.0, 7.0])
        >>> metric.update(3)
        >>> metric.compute()
        tensor(7., dtype=torch.float64)
    """

    largest = True


class MinMetric(Extreme):
    """Smallest value; nan if nothing was seen.

    Example:
        >>> from lit_metrics import MinMetric
        >>> metric = MinMetric()
        >>> metric.update([1.0, 7.0])
        >>> metric.update(3)
        >>> metric.compute()
        tensor(1., dtype=torch.float64)
    """

    largest = False


class CatMetric(Aggregator):
    """All values in one flat tensor, in the order of updates and ranks.

    Arguments: see `SumMetric` and `Metric`.

    Example:
        >>> from lit_metrics import CatMetric
        >>> metric = CatMetric()
        >>> metric.update([1, 2])
        >>> metric.update(3)
        >>> metric.compute()
        tensor([1, 2, 3])
    """

    value: list[Tensor]

    def __init__(self, nan_strategy: NanStrategy = "warn", **kwargs: Any) -> None:
        super().__init__(nan_strategy, **kwargs)
        self.add_state("value", [], dist_reduce_fx="cat")

    def update(self, value: Any) -> None:
        """Appends a number, or all values of a tensor, array or list."""
        values, keep = apply_nan_strategy(flat_values(value), self.nan_strategy)
        self.accumulate({"value": select(values, keep, torch.nan).clone(), **unreported(keep)})

    def compute(self) -> Tensor:
        """Returns all values; an empty tensor if there are none."""
        if not self.value:
            return torch.empty(0, device=self.device)
        values = torch.cat(self.value)
        keeps_all = not isinstance(self.nan_strategy, str) or self.nan_strategy == "disable"
        return values if keeps_all else values[~values.isnan()]
