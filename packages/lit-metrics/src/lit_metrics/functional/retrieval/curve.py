"""Precision and recall of a query at growing numbers of places."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from lit_metrics.functional.retrieval._checks import rank_rows, require_flag, require_top_k
from lit_metrics.functional.retrieval._ranking import curves


def retrieval_precision_recall_curve(
    preds: Any, target: Any, max_k: int | None = None, adaptive_k: bool = False
) -> tuple[Tensor, Tensor, Tensor]:
    """Precision and recall among the first 1, 2, ..., `max_k` documents.

    Args:
        preds: `(N,)` scores of a query's documents, or `(Q, N)`; ties count as the mean over their orders.
        target: The same shape, relevance 0 or 1.
        max_k: Largest number of places; that of the documents if `None`.
        adaptive_k: Whether places beyond the last document are left out of the precision.

    Returns:
        Precision, recall (nan if no document is relevant) and the numbers of places, `(max_k,)` each.

    Raises:
        ValueError: If the shapes differ, a score is NaN, or a value or option is out of its range.

    Example:
        >>> from lit_metrics.functional import retrieval_precision_recall_curve
        >>> precision, recall, places = retrieval_precision_recall_curve([0.2, 0.3, 0.5], [1, 0, 1], max_k=2)
        >>> precision, recall, places
        (tensor([1.0000, 0.5000], dtype=torch.float64), tensor([0.5000, 0.5000], dtype=torch.float64), tensor([1, 2]))
    """
    require_top_k(max_k, "max_k")
    require_flag(adaptive_k, "adaptive_k")
    ranking = rank_rows(preds, target)
    precision, recall, _ = curves(ranking, max_k, adaptive_k)
    places = torch.arange(1, precision.shape[1] + 1, device=precision.device)
    if adaptive_k and len(ranking.sizes_q):
        places = places.clamp(max=int(ranking.sizes_q.max()))
    return precision.mean(0), recall.mean(0), places
