"""Mean absolute error and its relatives in percent."""

from __future__ import annotations

from typing import Any

from lit_metrics.functional.regression.mean_absolute_error import (
    absolute_errors,
    percentage_errors,
    symmetric_percentage_errors,
    weighted_percentage_state,
)
from lit_metrics.regression._scores import ScoreMetric


class MeanAbsoluteError(ScoreMetric):
    """Mean of absolute errors over everything seen; see `lit_metrics.functional.mean_absolute_error`.

    Arguments: see there and `Metric`.

    Example:
        >>> from lit_metrics import MeanAbsoluteError
        >>> metric = MeanAbsoluteError()
        >>> metric.update([1.0, 2.0], [1.0, 4.0])
        >>> metric.compute()
        tensor(1., dtype=torch.float64)
    """

    higher_is_better = False
    is_differentiable = True

    def __init__(self, num_outputs: int = 1, **kwargs: Any) -> None:
        super().__init__(num_outputs=num_outputs, **kwargs)

    def update(self, preds: Any, target: Any, sample_weight: Any = None) -> None:
        """Takes in one batch; `sample_weight` is `(N,)` or one weight per element."""
        self.take(absolute_errors(preds, target), sample_weight)


class MeanAbsolutePercentageError(ScoreMetric):
    """Mean of errors relative to the target; see `lit_metrics.functional.mean_absolute_percentage_error`.

    Example:
        >>> from lit_metrics import MeanAbsolutePercentageError
        >>> MeanAbsolutePercentageError()([0.9, 15.0], [1.0, 10.0])
        tensor(0.3000, dtype=torch.float64)
    """

    higher_is_better = False
    is_differentiable = True

    def update(self, preds: Any, target: Any, sample_weight: Any = None) -> None:
        """Takes in one batch; `sample_weight` is `(N,)` or one weight per element."""
        self.take(percentage_errors(preds, target), sample_weight)


class SymmetricMeanAbsolutePercentageError(ScoreMetric):
    """Mean of errors relative to both sides; see `lit_metrics.functional.symmetric_mean_absolute_percentage_error`.

    Example:
        >>> from lit_metrics import SymmetricMeanAbsolutePercentageError
        >>> SymmetricMeanAbsolutePercentageError()([1.0, 3.0], [1.0, 1.0])
        tensor(0.5000, dtype=torch.float64)
    """

    higher_is_better = False
    is_differentiable = True

    def update(self, preds: Any, target: Any, sample_weight: Any = None) -> None:
        """Takes in one batch; `sample_weight` is `(N,)` or one weight per element."""
        self.take(symmetric_percentage_errors(preds, target), sample_weight)


class WeightedMeanAbsolutePercentageError(ScoreMetric):
    """Sum of errors relative to that of targets; see `lit_metrics.functional.weighted_mean_absolute_percentage_error`.

    Example:
        >>> from lit_metrics import WeightedMeanAbsolutePercentageError
        >>> WeightedMeanAbsolutePercentageError()([1.0, 3.0], [2.0, 2.0])
        tensor(0.5000, dtype=torch.float64)
    """

    higher_is_better = False
    is_differentiable = True

    def update(self, preds: Any, target: Any, sample_weight: Any = None) -> None:
        """Takes in one batch; `sample_weight` is `(N,)` or one weight per element."""
        self.accumulate(weighted_percentage_state(preds, target, sample_weight))
