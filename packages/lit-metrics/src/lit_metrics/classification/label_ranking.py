"""How well scores order the labels of each sample."""

from __future__ import annotations

from abc import abstractmethod
from typing import Any

import torch
from torch import Tensor

from lit_metrics._inputs import Validation
from lit_metrics.functional.classification.label_ranking import (
    COVERAGE,
    INVALID,
    LOSS,
    PRECISION,
    label_ranking_state,
    label_ranking_value,
)
from lit_metrics.metric import Metric


class LabelRankingMetric(Metric):
    """Sums what all label ranking metrics need; a collection of them ranks once.

    Args:
        num_labels: Number of labels.
        ignore_index: Labels with this target are left out of their sample's ranking.
        validate_args: Whether values are checked.
        kwargs: Arguments of `Metric`.

    Raises:
        ValueError: If `num_labels` is not a positive integer.
    """

    is_differentiable = False
    pure_update = True

    measures: Tensor
    total: Tensor

    def __init__(
        self, num_labels: int, ignore_index: int | None = None, validate_args: Validation = True, **kwargs: Any
    ) -> None:
        super().__init__(validate_args=validate_args, **kwargs)
        if not isinstance(num_labels, int) or isinstance(num_labels, bool) or num_labels < 1:
            raise ValueError(f"num_labels must be a positive integer, got {num_labels!r}")
        self.num_labels = num_labels
        self.ignore_index = ignore_index
        self.add_state("measures", torch.zeros(3, dtype=torch.float64), dist_reduce_fx="sum")
        self.add_state("total", torch.zeros((), dtype=torch.long), dist_reduce_fx="sum")

    @property
    def group_key(self) -> Any:
        """Equal for all metrics that rank the same labels."""
        return ("label_ranking", self.num_labels, self.ignore_index)

    def update(self, preds: Any, target: Any, sample_weight: Any = None) -> None:
        """Takes in one batch; `sample_weight` is `(N,)`."""
        options = (self.ignore_index, bool(self.validate_args), sample_weight)
        self.accumulate(label_ranking_state(self.num_labels, preds, target, *options))

    def check_state(self) -> None:
        """Raises for invalid labels and scores that an accelerator took in."""
        if not self.measures.is_meta and bool(self.measures.isnan().any()):
            raise ValueError(INVALID)

    def compute(self) -> Tensor:
        """Returns the mean over samples; nan if nothing was seen."""
        return label_ranking_value(self.measures, self.total, self.which)

    @property
    @abstractmethod
    def which(self) -> int:
        """Which of the sums is this metric's."""


class MultilabelCoverageError(LabelRankingMetric):
    """Mean number of labels to take to have all relevant ones; see `lit_metrics.functional.multilabel_coverage_error`.

    Example:
        >>> from lit_metrics import MultilabelCoverageError
        >>> MultilabelCoverageError(num_labels=3)([[0.75, 0.5, 0.1], [0.1, 0.8, 0.3]], [[1, 0, 0], [0, 0, 1]])
        tensor(1.5000, dtype=torch.float64)
    """

    higher_is_better = False

    @property
    def which(self) -> int:
        """Coverage."""
        return COVERAGE


class MultilabelRankingAveragePrecision(LabelRankingMetric):
    """Label ranking average precision; see `lit_metrics.functional.multilabel_ranking_average_precision`.

    Example:
        >>> from lit_metrics import MultilabelRankingAveragePrecision
        >>> MultilabelRankingAveragePrecision(num_labels=3)([[0.75, 0.5, 0.1], [0.1, 0.8, 0.3]], [[1, 0, 0], [0, 0, 1]])
        tensor(0.7500, dtype=torch.float64)
    """

    higher_is_better = True

    @property
    def which(self) -> int:
        """Average precision."""
        return PRECISION


class MultilabelRankingLoss(LabelRankingMetric):
    """Share of label pairs in the wrong order; see `lit_metrics.functional.multilabel_ranking_loss`.

    Example:
        >>> from lit_metrics import MultilabelRankingLoss
        >>> MultilabelRankingLoss(num_labels=3)([[0.75, 0.5, 0.1], [0.1, 0.8, 0.3]], [[1, 0, 0], [0, 0, 1]])
        tensor(0.2500, dtype=torch.float64)
    """

    higher_is_better = False

    @property
    def which(self) -> int:
        """Ranking loss."""
        return LOSS
