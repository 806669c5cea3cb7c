"""Kullback-Leibler and Jensen-Shannon divergence."""

from __future__ import annotations

from typing import Any

from lit_metrics.functional.regression._scores import ScoreReduction
from lit_metrics.functional.regression.divergence import NEGATIVE, js_divergences, kl_divergences
from lit_metrics.regression._scores import RangedScoreMetric


class KLDivergence(RangedScoreMetric):
    """Kullback-Leibler divergence of rows; see `lit_metrics.functional.kl_divergence`.

    Arguments: see there and `Metric`.

    Example:
        >>> from lit_metrics import KLDivergence
        >>> metric = KLDivergence()
        >>> metric.update([[0.36, 0.48, 0.16]], [[1 / 3, 1 / 3, 1 / 3]])
        >>> metric.compute()
        tensor(0.0853, dtype=torch.float64)
    """

    higher_is_better = False
    is_differentiable = True
    wanted = NEGATIVE

    def __init__(self, log_prob: bool = False, reduction: ScoreReduction = "mean", **kwargs: Any) -> None:
        super().__init__(reduction=reduction, **kwargs)
        if not isinstance(log_prob, bool):
            raise TypeError(f"log_prob must be True or False, got {log_prob!r}")
        self.log_prob = log_prob

    def update(self, p: Any, q: Any, sample_weight: Any = None) -> None:
        """Takes in `(N, D)` probabilities; `sample_weight` is `(N,)`."""
        scores, invalid = kl_divergences(p, q, self.log_prob)
        self.take(scores, sample_weight, invalid=invalid)


class JensenShannonDivergence(RangedScoreMetric):
    """Jensen-Shannon divergence of rows; see `lit_metrics.functional.jensen_shannon_divergence`.

    Arguments: see there and `Metric`.

    Example:
        >>> from lit_metrics import JensenShannonDivergence
        >>> JensenShannonDivergence()([[1.0, 0.0]], [[0.0, 1.0]])
        tensor(0.6931, dtype=torch.float64)
    """

    higher_is_better = False
    is_differentiable = True
    wanted = NEGATIVE

    def __init__(self, log_prob: bool = False, reduction: ScoreReduction = "mean", **kwargs: Any) -> None:
        super().__init__(reduction=reduction, **kwargs)
        if not isinstance(log_prob, bool):
            raise TypeError(f"log_prob must be True or False, got {log_prob!r}")
        self.log_prob = log_prob

    def update(self, p: Any, q: Any, sample_weight: Any = None) -> None:
        """Takes in `(N, D)` probabilities; `sample_weight` is `(N,)`."""
        scores, invalid = js_divergences(p, q, self.log_prob)
        self.take(scores, sample_weight, invalid=invalid)
