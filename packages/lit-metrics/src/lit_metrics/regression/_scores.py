"""The class behind every regression metric that is a mean or sum of scores; a metric adds `update`."""

from __future__ import annotations

from abc import abstractmethod
from typing import Any

import torch
from torch import Tensor

from lit_metrics.functional.regression._scores import (
    ScoreReduction,
    require_num_outputs,
    require_score_reduction,
    score_sums,
    score_value,
)
from lit_metrics.metric import Metric


class ScoreMetric(Metric):
    """Sums scores in float64 and counts them; a subclass says in `update` what the scores are.

    Args:
        num_outputs: Number of outputs; with several, inputs are `(N, num_outputs)` and the value has one entry each.
        reduction: `"mean"`, `"sum"`, or `"none"` (also `None`) for the score of every sample.
        root: Whether the value is the square root of the mean.
        kwargs: Arguments of `Metric`.

    Raises:
        ValueError: If `num_outputs` is not a positive integer or `reduction` none of these.
    """

    pure_update = True

    sum_score: Tensor
    total: Tensor
    scores: list[Tensor]

    def __init__(
        self, *, num_outputs: int = 1, reduction: ScoreReduction = "mean", root: bool = False, **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        require_score_reduction(reduction)
        self.num_outputs = require_num_outputs(num_outputs)
        self.reduction = reduction
        self._root = root
        if reduction in ("none", None):
            self.add_state("scores", [], dist_reduce_fx="cat")
        else:
            shape = () if num_outputs == 1 else (num_outputs,)
            self.add_state("sum_score", torch.zeros(shape, dtype=torch.float64), dist_reduce_fx="sum")
            self.add_state("total", torch.zeros(shape, dtype=torch.long), dist_reduce_fx="sum")

    def take(self, scores: Tensor, sample_weight: Any, **counts: Tensor | int) -> None:
        """Takes in the scores of one batch, and what the subclass counts besides; for use in `update`."""
        self.accumulate(score_sums(scores, self.num_outputs, sample_weight, self.reduction) | counts)

    def compute(self) -> Tensor:
        """Returns the value of everything seen; nan (with `"none"`: nothing) if that is nothing."""
        if self.reduction in ("none", None):
            return torch.cat(self.scores) if self.scores else torch.zeros(0, dtype=torch.float64, device=self.device)
        return score_value(self.sum_score, self.total, self.reduction, self._root)


class RangedScoreMetric(ScoreMetric):
    """Means of scores that only values in some range have; arguments as in `ScoreMetric`."""

    invalid: Tensor

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.add_state("invalid", torch.tensor(0), dist_reduce_fx="sum")

    @property
    @abstractmethod
    def wanted(self) -> str:
        """What is said of values out of range."""

    def check_state(self) -> None:
        """Raises for values out of range that an accelerator counted."""
        if not self.invalid.is_meta and int(self.invalid):
            raise ValueError(f"{self.wanted}; {int(self.invalid)} were not")
