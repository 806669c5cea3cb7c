"""Deviance of the Tweedie family of distributions."""

from __future__ import annotations

from typing import Any

from lit_metrics.functional.regression.tweedie_deviance import require_power, tweedie_deviances, tweedie_range
from lit_metrics.regression._scores import RangedScoreMetric


class TweedieDevianceScore(RangedScoreMetric):
    """Mean deviance of a Tweedie distribution; see `lit_metrics.functional.tweedie_deviance_score`.

    Arguments: see there and `Metric`.

    Example:
        >>> from lit_metrics import TweedieDevianceScore
        >>> metric = TweedieDevianceScore(power=2)
        >>> metric.update([4.0, 3.0, 2.0, 1.0], [1.0, 2.0, 3.0, 4.0])
        >>> metric.compute()
        tensor(1.2083, dtype=torch.float64)
    """

    higher_is_better = None
    is_differentiable = True

    def __init__(self, power: float = 0.0, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        require_power(power)
        self.power = power

    def update(self, preds: Any, targets: Any, sample_weight: Any = None) -> None:
        """Takes in one batch; `sample_weight` is `(N,)` or one weight per element."""
        scores, invalid = tweedie_deviances(preds, targets, self.power)
        self.take(scores, sample_weight, invalid=invalid)

    @property
    def wanted(self) -> str:
        """The values that the distribution takes."""
        return tweedie_range(self.power)
