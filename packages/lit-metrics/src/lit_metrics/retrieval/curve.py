"""Precision and recall of queries at growing numbers of places."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from lit_metrics.functional.retrieval._checks import require_flag, require_share, require_top_k
from lit_metrics.functional.retrieval._ranking import curves
from lit_metrics.retrieval.base import Aggregation, EmptyAction, QueryMetric


class _Curve(QueryMetric):
    """Precision and recall at 1 to `max_k` places, aggregated over queries."""

    higher_is_better = True

    def __init__(
        self,
        max_k: int | None,
        adaptive_k: bool,
        empty_target_action: EmptyAction,
        ignore_index: int | None,
        aggregation: Aggregation,
        **kwargs: Any,
    ) -> None:
        super().__init__(empty_target_action, ignore_index, aggregation, **kwargs)
        require_top_k(max_k, "max_k")
        require_flag(adaptive_k, "adaptive_k")
        self.max_k = max_k
        self.adaptive_k = adaptive_k

    def curve(self) -> tuple[Tensor, Tensor, Tensor]:
        """Returns precision, recall and numbers of places, `(max_k,)` each."""
        precision, recall, empty = curves(self.ranking(), self.max_k, self.adaptive_k)
        places = torch.arange(1, precision.shape[1] + 1, device=precision.device)
        precision, recall = (self.combine(values, empty) for values in (precision, recall))
        return precision, recall, places


class RetrievalPrecisionRecallCurve(_Curve):
    """Precision and recall at 1 to `max_k` places; see `lit_metrics.functional.retrieval_precision_recall_curve`.

    Arguments and errors: see there, `RetrievalMRR` and `Metric`.

    Example:
        >>> from lit_metrics import RetrievalPrecisionRecallCurve
        >>> metric = RetrievalPrecisionRecallCurve(max_k=2)
        >>> metric.update([0.2, 0.3, 0.5, 0.9, 0.1], [0, 1, 0, 0, 1], indexes=[0, 0, 0, 1, 1])
        >>> precision, recall, places = metric.compute()
        >>> precision, recall, places
        (tensor([0.0000, 0.5000], dtype=torch.float64), tensor([0., 1.], dtype=torch.float64), tensor([1, 2]))
    """

    def __init__(
        self,
        max_k: int | None = None,
        adaptive_k: bool = False,
        empty_target_action: EmptyAction = "neg",
        ignore_index: int | None = None,
        aggregation: Aggregation = "mean",
        **kwargs: Any,
    ) -> None:
        super().__init__(max_k, adaptive_k, empty_target_action, ignore_index, aggregation, **kwargs)

    def compute(self) -> tuple[Tensor, Tensor, Tensor]:
        """Returns precision, recall and the numbers of places; empty tensors if nothing was seen and no `max_k` set."""
        return self.curve()


class RetrievalRecallAtFixedPrecision(_Curve):
    """Highest mean recall at a number of places whose mean precision is high enough, and that number.

    Args:
        min_precision: Least precision, in [0, 1].
        max_k: Largest number of places; that of the longest query if `None`.
        adaptive_k: Whether places beyond a query's last document are left out of its precision.
        empty_target_action: What a query without relevant documents counts as; see `QueryMetric`.
        ignore_index: Documents of this relevance are left out.
        kwargs: Arguments of `Metric`.

    Raises:
        ValueError: If an option is out of its range.

    Example:
        >>> from lit_metrics import RetrievalRecallAtFixedPrecision
        >>> metric = RetrievalRecallAtFixedPrecision(min_precision=0.5)
        >>> metric.update([0.2, 0.3, 0.5, 0.9, 0.1], [0, 1, 0, 0, 1], indexes=[0, 0, 0, 1, 1])
        >>> metric.compute()
        (tensor(1., dtype=torch.float64), tensor(2))
    """

    def __init__(
        self,
        min_precision: float = 0.0,
        max_k: int | None = None,
        adaptive_k: bool = False,
        empty_target_action: EmptyAction = "neg",
        ignore_index: int | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(max_k, adaptive_k, empty_target_action, ignore_index, "mean", **kwargs)
        require_share(min_precision, "min_precision")
        self.min_precision = min_precision

    def compute(self) -> tuple[Tensor, Tensor]:
        """Returns the recall and the largest number of places that has it; 0 and `max_k` where precision is too low."""
        precision, recall, places = self.curve()
        if not len(places) or bool(recall.isnan().any()):
            return torch.tensor(torch.nan, dtype=torch.float64, device=self.device), torch.tensor(len(places))
        # A mean of exactly min_precision may come out a rounding below it.
        reached = torch.where(precision >= self.min_precision - 1e-12, recall, 0.0)
        best = reached.max()
        return best, torch.where(reached == best, places, 0).max()
