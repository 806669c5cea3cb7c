"""A metric over the last updates only."""

from __future__ import annotations

from typing import Any

from lit_metrics.aggregation import MeanMetric, SumMetric
from lit_metrics.functional.aggregation import NanStrategy
from lit_metrics.metric import Metric
from lit_metrics.wrappers._bank import StateBank
from lit_metrics.wrappers.multioutput import require_positive


class Running(StateBank):
    """Value of a metric over its last `window` updates; `forward` returns that of the batch.

    A ring of the states of single updates, merged by the metric's own rules, so that old data leave without being
    subtracted. Across processes the window is the last `window` updates of each; merged metrics share their slots.

    Args:
        base_metric: Metric whose states merge.
        window: Number of updates.
        kwargs: Arguments of `Metric`.

    Raises:
        TypeError: If `base_metric` is no metric that holds mergeable states itself.
        ValueError: If `window` is not a positive integer.

    Example:
        >>> from lit_metrics import MeanMetric, Running
        >>> metric = Running(MeanMetric(), window=2)
        >>> for value in (1.0, 2.0, 6.0):
        ...     metric.update(value)
        >>> metric.compute()
        tensor(4., dtype=torch.float64)
    """

    full_state_update = True

    def __init__(self, base_metric: Metric, window: int = 5, **kwargs: Any) -> None:
        require_positive(window, "window")
        super().__init__(base_metric, window, **kwargs)

    def update(self, *args: Any, **kwargs: Any) -> None:
        """Puts the batch in the place of the oldest."""
        batch = self.metric.batch_state(*args, **self.metric.filter_kwargs(kwargs))
        if batch.count:
            self.set_slot(self.update_count % self.size, batch)

    def compute(self) -> Any:
        """Returns the value of the window."""
        return self.metric.value_of(self.total())


class RunningMean(Running):
    """Weighted mean of the values of the last `window` updates; see `Running` and `MeanMetric`.

    Args:
        window: Number of updates.
        nan_strategy: What happens to NaN; see `MeanMetric`.
        kwargs: Arguments of `Metric`.

    Example:
        >>> from lit_metrics import RunningMean
        >>> metric = RunningMean(window=2)
        >>> [float(metric(value)) for value in (1.0, 2.0, 6.0)]
        [1.0, 2.0, 6.0]
        >>> metric.compute()
        tensor(4., dtype=torch.float64)
    """

    def __init__(self, window: int = 5, nan_strategy: NanStrategy = "warn", **kwargs: Any) -> None:
        super().__init__(MeanMetric(nan_strategy), window, **kwargs)


class RunningSum(Running):
    """Sum of the values of the last `window` updates; see `Running` and `SumMetric`.

    Args:
        window: Number of updates.
        nan_strategy: What happens to NaN; see `SumMetric`.
        kwargs: Arguments of `Metric`.

    Example:
        >>> from lit_metrics import RunningSum
        >>> metric = RunningSum(window=2)
        >>> for value in (1.0, 2.0, 6.0):
        ...     metric.update(value)
        >>> metric.compute()
        tensor(8., dtype=torch.float64)
    """

    def __init__(self, window: int = 5, nan_strategy: NanStrategy = "warn", **kwargs: Any) -> None:
        super().__init__(SumMetric(nan_strategy), window, **kwargs)
