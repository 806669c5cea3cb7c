"""Cosine similarity of rows."""

from __future__ import annotations

from typing import Any

from lit_metrics.functional.regression._scores import ScoreReduction
from lit_metrics.functional.regression.cosine_similarity import cosines
from lit_metrics.regression._scores import ScoreMetric


class CosineSimilarity(ScoreMetric):
    """Cosine between rows, by default summed over rows; see `lit_metrics.functional.cosine_similarity`.

    Arguments: see there and `Metric`.

    Example:
        >>> from lit_metrics import CosineSimilarity
        >>> metric = CosineSimilarity("mean")
        >>> metric.update([[3.0, 4.0], [1.0, 0.0]], [[4.0, 3.0], [0.0, 2.0]])
        >>> metric.compute()
        tensor(0.4800, dtype=torch.float64)
    """

    higher_is_better = True
    is_differentiable = True

    def __init__(self, reduction: ScoreReduction = "sum", **kwargs: Any) -> None:
        super().__init__(reduction=reduction, **kwargs)

    def update(self, preds: Any, target: Any, sample_weight: Any = None) -> None:
        """Takes in `(N, D)` rows; `sample_weight` is `(N,)`."""
        self.take(cosines(preds, target), sample_weight)
