"""Retrieval metrics of single queries: how well scores order documents by relevance.

Each takes the scores and relevance of one query's documents, `(N,)`, or of one query in each row, `(Q, N)`, and then
returns the mean over queries. Scores may be any numbers, for only their order matters. Tied documents have no order:
the value is the mean over all orders of the ties, so that it does not depend on the order of the inputs.
"""

from __future__ import annotations

from typing import Any

from torch import Tensor

from lit_metrics.functional.retrieval import _ranking
from lit_metrics.functional.retrieval._checks import rank_rows, require_flag, require_share, require_top_k


def retrieval_reciprocal_rank(preds: Any, target: Any, top_k: int | None = None) -> Tensor:
    """Reciprocal rank: one over the place of the first relevant document.

    Args:
        preds: `(N,)` scores of a query's documents, or `(Q, N)`; ties count as the mean over their orders.
        target: The same shape, relevance 0 or 1.
        top_k: Number of places that count; all if `None`.

    Returns:
        Value in [0, 1], float64; 0 if none of the first `top_k` is relevant.

    Raises:
        ValueError: If the shapes differ, a score is NaN, or a value or option is out of its range.

    Example:
        >>> from lit_metrics.functional import retrieval_reciprocal_rank
        >>> retrieval_reciprocal_rank([0.2, 0.3, 0.5], [0, 1, 0])
        tensor(0.5000, dtype=torch.float64)
    """
    require_top_k(top_k)
    return _ranking.reciprocal_ranks(rank_rows(preds, target), top_k)[0].mean()


def retrieval_average_precision(preds: Any, target: Any, top_k: int | None = None) -> Tensor:
    """Average precision: the mean of the precision at the places of the relevant documents.

    With `top_k`, the mean over the relevant documents among the first `top_k`.

    Arguments and errors: see `retrieval_reciprocal_rank`.

    Returns:
        Value in [0, 1], float64; 0 if none of the first `top_k` is relevant, nan if no document is.

    Example:
        >>> from lit_metrics.functional import retrieval_average_precision
        >>> retrieval_average_precision([0.2, 0.3, 0.5], [1, 0, 1])
        tensor(0.8333, dtype=torch.float64)
    """
    require_top_k(top_k)
    return _ranking.average_precisions(rank_rows(preds, target), top_k)[0].mean()


def retrieval_precision(preds: Any, target: Any, top_k: int | None = None, adaptive_k: bool = False) -> Tensor:
    """Precision: the share of relevant documents among the first `top_k`.

    Args:
        preds: `(N,)` scores of a query's documents, or `(Q, N)`; ties count as the mean over their orders.
        target: The same shape, relevance 0 or 1.
        top_k: Number of places that count; all if `None`.
        adaptive_k: Whether a query with fewer than `top_k` documents is divided by their number instead of `top_k`.

    Returns:
        Value in [0, 1], float64.

    Raises:
        ValueError: If the shapes differ, a score is NaN, or a value or option is out of its range.

    Example:
        >>> from lit_metrics.functional import retrieval_precision
        >>> retrieval_precision([0.2, 0.3, 0.5], [1, 0, 1], top_k=2)
        tensor(0.5000, dtype=torch.float64)
    """
    require_top_k(top_k)
    require_flag(adaptive_k, "adaptive_k")
    return _ranking.precisions(rank_rows(preds, target), top_k, adaptive_k)[0].mean()


def retrieval_recall(preds: Any, target: Any, top_k: int | None = None) -> Tensor:
    """Recall: the share of the relevant documents that is among the first `top_k`.

    Arguments and errors: see `retrieval_reciprocal_rank`.

    Returns:
        Value in [0, 1], float64; nan if no document is relevant.

    Example:
        >>> from lit_metrics.functional import retrieval_recall
        >>> retrieval_recall([0.2, 0.3, 0.5], [1, 0, 1], top_k=2)
        tensor(0.5000, dtype=torch.float64)
    """
    require_top_k(top_k)
    return _ranking.recalls(rank_rows(preds, target), top_k)[0].mean()


def retrieval_hit_rate(preds: Any, target: Any, top_k: int | None = None) -> Tensor:
    """Hit rate: whether one of the first `top_k` documents is relevant.

    Arguments and errors: see `retrieval_reciprocal_rank`.

    Returns:
        0 or 1, float64; for ties a probability.

    Example:
        >>> from lit_metrics.functional import retrieval_hit_rate
        >>> retrieval_hit_rate([0.2, 0.3, 0.5], [1, 0, 1], top_k=2)
        tensor(1., dtype=torch.float64)
    """
    require_top_k(top_k)
    return _ranking.hit_rates(rank_rows(preds, target), top_k)[0].mean()


def retrieval_fall_out(preds: Any, target: Any, top_k: int | None = None) -> Tensor:
    """Fall-out: the share of the irrelevant documents that is among the first `top_k`.

    Arguments and errors: see `retrieval_reciprocal_rank`.

    Returns:
        Value in [0, 1], float64, less is better; nan if every document is relevant.

    Example:
        >>> from lit_metrics.functional import retrieval_fall_out
        >>> retrieval_fall_out([0.2, 0.3, 0.5], [1, 0, 1], top_k=2)
        tensor(1., dtype=torch.float64)
    """
    require_top_k(top_k)
    return _ranking.fall_outs(rank_rows(preds, target), top_k)[0].mean()


def retrieval_r_precision(preds: Any, target: Any) -> Tensor:
    """R-precision: the precision at as many places as there are relevant documents.

    Arguments and errors: see `retrieval_reciprocal_rank`.

    Returns:
        Value in [0, 1], float64; nan if no document is relevant.

    Example:
        >>> from lit_metrics.functional import retrieval_r_precision
        >>> retrieval_r_precision([0.2, 0.3, 0.5], [1, 0, 1])
        tensor(0.5000, dtype=torch.float64)
    """
    return _ranking.r_precisions(rank_rows(preds, target))[0].mean()


def retrieval_normalized_dcg(preds: Any, target: Any, top_k: int | None = None) -> Tensor:
    """Normalised discounted cumulative gain: `sum_i gain_i / log2(i + 1)`, divided by that of the best order.

    Järvelin and Kekäläinen, "Cumulated gain-based evaluation of IR techniques", 2002; equals scikit-learn's
    `ndcg_score` with `ignore_ties=False`.

    Args:
        preds: `(N,)` scores of a query's documents, or `(Q, N)`; ties count as the mean over their orders.
        target: The same shape, gains of at least 0.
        top_k: Number of places that count; all if `None`.

    Returns:
        Value in [0, 1], float64; nan if all gains are 0.

    Raises:
        ValueError: If the shapes differ, a score is NaN, or a value or option is out of its range.

    Example:
        >>> from lit_metrics.functional import retrieval_normalized_dcg
        >>> retrieval_normalized_dcg([0.1, 0.2, 0.3, 4, 70], [10, 0, 0, 1, 5])
        tensor(0.6957, dtype=torch.float64)
    """
    require_top_k(top_k)
    return _ranking.gains(rank_rows(preds, target, graded=True), top_k)[0].mean()


def retrieval_auroc(preds: Any, target: Any, top_k: int | None = None, max_fpr: float | None = None) -> Tensor:
    """Area under the ROC curve of a query: the chance that a relevant document is above an irrelevant one.

    Args:
        preds: `(N,)` scores of a query's documents, or `(Q, N)`; ties count as the mean over their orders.
        target: The same shape, relevance 0 or 1.
        top_k: Number of places that count; all if `None`.
        max_fpr: The area up to this rate of false positives, standardised so that chance is 0.5 (McClish, 1989).

    Returns:
        Value in [0, 1], float64; nan if the first `top_k` are all relevant or all irrelevant.

    Raises:
        ValueError: If the shapes differ, a score is NaN, or a value or option is out of its range.

    Example:
        >>> from lit_metrics.functional import retrieval_auroc
        >>> retrieval_auroc([0.2, 0.3, 0.5], [1, 0, 1])
        tensor(0.5000, dtype=torch.float64)
    """
    require_top_k(top_k)
    if max_fpr is not None:
        require_share(max_fpr, "max_fpr")
    return _ranking.areas(rank_rows(preds, target), top_k, max_fpr)[0].mean()
