"""Errors on a logarithmic scale."""

from __future__ import annotations

from typing import Any

from lit_metrics.functional.regression.log_error import log_cosh_errors, squared_log_errors
from lit_metrics.regression._scores import ScoreMetric


class MeanSquaredLogError(ScoreMetric):
    """Mean of squared differences of logarithms; see `lit_metrics.functional.mean_squared_log_error`.

    Example:
        >>> from lit_metrics import MeanSquaredLogError
        >>> metric = MeanSquaredLogError()
        >>> metric.update([0.5, 1.0, 2.0, 8.0], [0.5, 1.0, 2.0, 7.0])
        >>> metric.compute()
        tensor(0.0035, dtype=torch.float64)
    """

    higher_is_better = False
    is_differentiable = True

    def update(self, preds: Any, target: Any, sample_weight: Any = None) -> None:
        """Takes in one batch; `sample_weight` is `(N,)` or one weight per element."""
        self.take(squared_log_errors(preds, target), sample_weight)


class LogCoshError(ScoreMetric):
    """Mean of `log(cosh(error))`; see `lit_metrics.functional.log_cosh_error`.

    Args:
        num_outputs: Number of outputs; with several, inputs are `(N, num_outputs)` and the value has one entry each.
        kwargs: Arguments of `Metric`.

    Example:
        >>> from lit_metrics import LogCoshError
        >>> LogCoshError()([3.0, 5.0, 2.5, 7.0], [2.5, 5.0, 4.0, 8.0])
        tensor(0.3523, dtype=torch.float64)
    """

    higher_is_better = False
    is_differentiable = True

    def __init__(self, num_outputs: int = 1, **kwargs: Any) -> None:
        super().__init__(num_outputs=num_outputs, **kwargs)

    def update(self, preds: Any, target: Any, sample_weight: Any = None) -> None:
        """Takes in one batch; `sample_weight` is `(N,)` or one weight per element."""
        self.take(log_cosh_errors(preds, target), sample_weight)
