"""Mean squared error."""

from __future__ import annotations

from typing import Any

from lit_metrics.functional.regression.mean_squared_error import squared_errors
from lit_metrics.regression._scores import ScoreMetric


class MeanSquaredError(ScoreMetric):
    """Mean of squared errors over everything seen; see `lit_metrics.functional.mean_squared_error`.

    Arguments and errors: see there and `Metric`.

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

    def __init__(self, squared: bool = True, num_outputs: int = 1, **kwargs: Any) -> None:
        super().__init__(num_outputs=num_outputs, root=not squared, **kwargs)
        self.squared = squared

    @property
    def group_key(self) -> Any:
        """Equal for the error and its root."""
        return ("squared_error", self.num_outputs)

    def update(self, preds: Any, target: Any, sample_weight: Any = None) -> None:
        """Takes in one batch; `sample_weight` is `(N,)` or one weight per element."""
        self.take(squared_errors(preds, target), sample_weight)
