"""Retrieval metrics with one value for each query."""

from __future__ import annotations

from typing import Any

from lit_metrics.functional.retrieval import _ranking
from lit_metrics.functional.retrieval._checks import require_flag, require_share
from lit_metrics.functional.retrieval._ranking import Ranking, Values
from lit_metrics.retrieval.base import Aggregation, EmptyAction, RetrievalMetric


class RetrievalMRR(RetrievalMetric):
    """Mean reciprocal rank of the first relevant document; see `lit_metrics.functional.retrieval_reciprocal_rank`.

    Args:
        empty_target_action: What a query without relevant documents counts as; see `QueryMetric`.
        ignore_index: Documents of this relevance are left out.
        top_k: Number of places that count; all if `None`.
        aggregation: `"mean"`, `"median"`, `"min"`, `"max"` of the queries or a function.
        kwargs: Arguments of `Metric`.

    Raises:
        ValueError: If an option is out of its range.

    Example:
        >>> from lit_metrics import RetrievalMRR
        >>> metric = RetrievalMRR()
        >>> metric.update([0.2, 0.3, 0.5, 0.9, 0.1], [0, 1, 0, 0, 1], indexes=[0, 0, 0, 1, 1])
        >>> metric.compute()
        tensor(0.5000, dtype=torch.float64)
    """

    higher_is_better = True

    def query_values(self, ranking: Ranking) -> Values:
        """Returns each query's value."""
        return _ranking.reciprocal_ranks(ranking, self.top_k)


class RetrievalMAP(RetrievalMetric):
    """Mean average precision of queries; see `lit_metrics.functional.retrieval_average_precision`.

    Arguments and errors: see `RetrievalMRR`, there and `Metric`.

    Example:
        >>> from lit_metrics import RetrievalMAP
        >>> RetrievalMAP()([0.2, 0.3, 0.5, 0.9, 0.1], [0, 1, 0, 0, 1], indexes=[0, 0, 0, 1, 1])
        tensor(0.5000, dtype=torch.float64)
    """

    higher_is_better = True

    def query_values(self, ranking: Ranking) -> Values:
        """Returns each query's value."""
        return _ranking.average_precisions(ranking, self.top_k)


class RetrievalPrecision(RetrievalMetric):
    """Share of relevant documents at the top; see `lit_metrics.functional.retrieval_precision`.

    Arguments and errors: see `RetrievalMRR`, there and `Metric`.

    Example:
        >>> from lit_metrics import RetrievalPrecision
        >>> RetrievalPrecision(top_k=2)([0.2, 0.3, 0.5, 0.9, 0.1], [0, 1, 0, 0, 1], indexes=[0, 0, 0, 1, 1])
        tensor(0.5000, dtype=torch.float64)
    """

    higher_is_better = True

    def __init__(
        self,
        empty_target_action: EmptyAction = "neg",
        ignore_index: int | None = None,
        top_k: int | None = None,
        adaptive_k: bool = False,
        aggregation: Aggregation = "mean",
        **kwargs: Any,
    ) -> None:
        super().__init__(empty_target_action, ignore_index, top_k, aggregation, **kwargs)
        require_flag(adaptive_k, "adaptive_k")
        self.adaptive_k = adaptive_k

    def query_values(self, ranking: Ranking) -> Values:
        """Returns each query's value."""
        return _ranking.precisions(ranking, self.top_k, self.adaptive_k)


class RetrievalRecall(RetrievalMetric):
    """Share of the relevant documents that is at the top; see `lit_metrics.functional.retrieval_recall`.

    Arguments and errors: see `RetrievalMRR`, there and `Metric`.

    Example:
        >>> from lit_metrics import RetrievalRecall
        >>> RetrievalRecall(top_k=1)([0.2, 0.3, 0.5, 0.9, 0.1], [0, 1, 0, 1, 0], indexes=[0, 0, 0, 1, 1])
        tensor(0.5000, dtype=torch.float64)
    """

    higher_is_better = True

    def query_values(self, ranking: Ranking) -> Values:
        """Returns each query's value."""
        return _ranking.recalls(ranking, self.top_k)


class RetrievalHitRate(RetrievalMetric):
    """Share of queries with a relevant document at the top; see `lit_metrics.functional.retrieval_hit_rate`.

    Arguments and errors: see `RetrievalMRR`, there and `Metric`.

    Example:
        >>> from lit_metrics import RetrievalHitRate
        >>> RetrievalHitRate(top_k=1)([0.2, 0.3, 0.5, 0.9, 0.1], [0, 1, 0, 1, 0], indexes=[0, 0, 0, 1, 1])
        tensor(0.5000, dtype=torch.float64)
    """

    higher_is_better = True

    def query_values(self, ranking: Ranking) -> Values:
        """Returns each query's value."""
        return _ranking.hit_rates(ranking, self.top_k)


class RetrievalFallOut(RetrievalMetric):
    """Share of the irrelevant documents that is at the top; see `lit_metrics.functional.retrieval_fall_out`.

    Arguments and errors: see `RetrievalMRR`, there and `Metric`.

    Example:
        >>> from lit_metrics import RetrievalFallOut
        >>> RetrievalFallOut(top_k=1)([0.2, 0.3, 0.5, 0.9, 0.1], [0, 1, 0, 0, 1], indexes=[0, 0, 0, 1, 1])
        tensor(0.7500, dtype=torch.float64)
    """

    higher_is_better = False

    def __init__(
        self,
        empty_target_action: EmptyAction = "pos",
        ignore_index: int | None = None,
        top_k: int | None = None,
        aggregation: Aggregation = "mean",
        **kwargs: Any,
    ) -> None:
        super().__init__(empty_target_action, ignore_index, top_k, aggregation, **kwargs)

    def query_values(self, ranking: Ranking) -> Values:
        """Returns each query's value."""
        return _ranking.fall_outs(ranking, self.top_k)


class RetrievalRPrecision(RetrievalMetric):
    """Precision at as many places as there are relevant documents; see `lit_metrics.functional.retrieval_r_precision`.

    Arguments and errors: see `RetrievalMRR` and `Metric`.

    Example:
        >>> from lit_metrics import RetrievalRPrecision
        >>> RetrievalRPrecision()([0.2, 0.3, 0.5, 0.9, 0.1], [0, 1, 0, 0, 1], indexes=[0, 0, 0, 1, 1])
        tensor(0., dtype=torch.float64)
    """

    higher_is_better = True

    def __init__(
        self,
        empty_target_action: EmptyAction = "neg",
        ignore_index: int | None = None,
        aggregation: Aggregation = "mean",
        **kwargs: Any,
    ) -> None:
        super().__init__(empty_target_action, ignore_index, None, aggregation, **kwargs)

    def query_values(self, ranking: Ranking) -> Values:
        """Returns each query's value."""
        return _ranking.r_precisions(ranking)


class RetrievalNormalizedDCG(RetrievalMetric):
    """Normalised discounted cumulative gain of graded relevance; see `lit_metrics.functional.retrieval_normalized_dcg`.

    Arguments and errors: see `RetrievalMRR`, there and `Metric`.

    Example:
        >>> from lit_metrics import RetrievalNormalizedDCG
        >>> RetrievalNormalizedDCG()([0.2, 0.3, 0.5, 0.9, 0.1], [0, 3, 0, 0, 1], indexes=[0, 0, 0, 1, 1])
        tensor(0.6309, dtype=torch.float64)
    """

    higher_is_better = True
    graded = True

    def query_values(self, ranking: Ranking) -> Values:
        """Returns each query's value."""
        return _ranking.gains(ranking, self.top_k)


class RetrievalAUROC(RetrievalMetric):
    """Area under the ROC curve, of each query; see `lit_metrics.functional.retrieval_auroc`.

    Arguments and errors: see `RetrievalMRR`, there and `Metric`.

    Example:
        >>> from lit_metrics import RetrievalAUROC
        >>> RetrievalAUROC()([0.2, 0.3, 0.5, 0.9, 0.1], [0, 1, 0, 0, 1], indexes=[0, 0, 0, 1, 1])
        tensor(0.2500, dtype=torch.float64)
    """

    higher_is_better = True

    def __init__(
        self,
        empty_target_action: EmptyAction = "neg",
        ignore_index: int | None = None,
        top_k: int | None = None,
        max_fpr: float | None = None,
        aggregation: Aggregation = "mean",
        **kwargs: Any,
    ) -> None:
        super().__init__(empty_target_action, ignore_index, top_k, aggregation, **kwargs)
        if max_fpr is not None:
            require_share(max_fpr, "max_fpr")
        self.max_fpr = max_fpr

    def query_values(self, ranking: Ranking) -> Values:
        """Returns each query's value."""
        return _ranking.areas(ranking, self.top_k, self.max_fpr)
