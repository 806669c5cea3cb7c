"""Mean squared error."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from lit_metrics.functional.regression.mean_squared_error import mean_squared_error_value, squared_error_state
from lit_metrics.metric import Metric


class MeanSquaredError(Metric):
    """Mean of squared errors over everything seen; see `lit_metrics.functional.mean_squared_error`.

    Args:
        squared: False gives the root of the mean (RMSE): the root of the whole mean, not a mean of batch roots.
        num_outputs: Number of outputs; with several, inputs are `(N, num_outputs)` and the value has one entry each.
        kwargs: Arguments of `Metric`.

    Raises:
        ValueError: If `num_outputs` is not a positive integer.

    Example:
        >>> from lit_metrics import MeanSquaredError
        >>> metric = MeanSquaredError()
        >>> metric.update([1.0, 2.0], [1.0, 4.0])
        >>> metric.update([3.0], [3.0])
        >>> metric.compute()
        tensor(1.3333, dtype=torch.float64)
    """

    higher_is_better = False
    is_differentiable = True
    pure_update = True

    sum_squared_error: Tensor
    total: Tensor

    def __init__(self, squared: bool = True, num_outputs: int = 1, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        if not isinstance(num_outputs, int) or isinstance(num_outputs, bool) or num_outputs < 1:
            raise ValueError(f"num_outputs must be a positive integer, got {num_outputs!r}")
        self.squared = squared
        self.num_outputs = num_outputs
        shape = () if num_outputs == 1 else (num_outputs,)
        self.add_state("sum_squared_error", torch.zeros(shape, dtype=torch.float64), dist_reduce_fx="sum")
        self.add_state("total", torch.zeros(shape, dtype=torch.long), dist_reduce_fx="sum")

    @property
    def group_key(self) -> Any:
        """Equal for the error and its root."""
        return ("squared_error", self.num_outputs)

    def update(self, preds: Any, target: Any, sample_weight: Any = None) -> None:
        """Takes in one batch; `sample_weight` is `(N,)` or one weight per element."""
        self.accumulate(squared_error_state(preds, target, self.num_outputs, sample_weight))

    def compute(self) -> Tensor:
        """Returns the mean, or its root; nan if nothing was seen."""
        return mean_squared_error_value(self.sum_squared_error, self.total, self.squared)
