"""Minkowski distance between all predictions and all targets."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor

from lit_metrics.functional.regression.minkowski_distance import minkowski_state, minkowski_value, require_exponent
from lit_metrics.metric import Metric


class MinkowskiDistance(Metric):
    """Distance between all predictions and all targets seen; see `lit_metrics.functional.minkowski_distance`.

    Arguments and errors: see there and `Metric`.

    Example:
        >>> from lit_metrics import MinkowskiDistance
        >>> metric = MinkowskiDistance(p=2)
        >>> metric.update([0.0], [3.0])
        >>> metric.update([0.0], [4.0])
        >>> metric.compute()
        tensor(5., dtype=torch.float64)
    """

    higher_is_better = False
    is_differentiable = True
    pure_update = True

    powers: Tensor

    def __init__(self, p: float, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        require_exponent(p)
        self.p = p
        reduce = "max" if math.isinf(p) else "sum"
        self.add_state("powers", torch.zeros((), dtype=torch.float64), dist_reduce_fx=reduce)  # type: ignore[arg-type]

    def update(self, preds: Any, targets: Any, sample_weight: Any = None) -> None:
        """Takes in one batch; `sample_weight` is `(N,)` or one weight per element."""
        self.accumulate(minkowski_state(preds, targets, self.p, sample_weight))

    def compute(self) -> Tensor:
        """Returns the distance; nan if nothing was seen."""
        return minkowski_value(self.powers, self.p) if self.update_called else torch.full_like(self.powers, torch.nan)
