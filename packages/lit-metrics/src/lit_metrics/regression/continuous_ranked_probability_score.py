"""Continuous ranked probability score of ensembles."""

from __future__ import annotations

from typing import Any

from lit_metrics.functional.regression.continuous_ranked_probability_score import ranked_probability_scores
from lit_metrics.regression._scores import ScoreMetric


class ContinuousRankedProbabilityScore(ScoreMetric):
    """Mean score of ensembles; see `lit_metrics.functional.continuous_ranked_probability_score`.

    Example:
        >>> from lit_metrics import ContinuousRankedProbabilityScore
        >>> metric = ContinuousRankedProbabilityScore()
        >>> metric.update([[0.0, 2.0], [1.0, 1.0]], [1.0, 2.0])
        >>> metric.compute()
        tensor(0.7500, dtype=torch.float64)
    """

    higher_is_better = False
    is_differentiable = True

    def update(self, preds: Any, target: Any, sample_weight: Any = None) -> None:
        """Takes in `(N, M)` ensembles and `(N,)` targets; `sample_weight` is `(N,)`."""
        self.take(ranked_probability_scores(preds, target), sample_weight)
