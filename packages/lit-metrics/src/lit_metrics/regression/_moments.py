"""The class behind every metric that is a reading of the moments of targets, predictions and errors."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from lit_metrics.functional.regression._moments import MERGE_MOMENTS, batch_moments, known_moments
from lit_metrics.functional.regression._scores import require_num_outputs
from lit_metrics.metric import Metric


class MomentsMetric(Metric):
    """Keeps means and centred sums in float64, merged exactly; a subclass says what value they give.

    Metrics with the same number of outputs share their state in a collection.

    Args:
        num_outputs: Number of outputs of inputs: 1 for `(N,)` or `(N, 1)`, D for `(N, D)`; `None` takes any.
        kwargs: Arguments of `Metric`.

    Raises:
        ValueError: If `num_outputs` is not a positive integer.
    """

    pure_update = True
    is_differentiable = True

    moments: Tensor

    def __init__(self, num_outputs: int | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.num_outputs = None if num_outputs is None else require_num_outputs(num_outputs)
        self.add_state("moments", torch.zeros(0, dtype=torch.float64), dist_reduce_fx=MERGE_MOMENTS)

    @property
    def group_key(self) -> Any:
        """Equal for all metrics that take in the same moments."""
        return ("moments", self.num_outputs)

    def update(self, preds: Any, target: Any, sample_weight: Any = None) -> None:
        """Takes in one batch of `(N,)` or `(N, D, ...)`; `sample_weight` is `(N,)` or one weight per element."""
        self.accumulate({"moments": batch_moments(preds, target, self.num_outputs, sample_weight)})

    @property
    def seen(self) -> Tensor:
        """Moments of everything seen."""
        return known_moments(self.moments)
