"""Rows of the retrieval metrics; the references sort one query at a time. Ties have tests of their own."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import torch

import lit_metrics as lm
from tests.contracts.metric_rows.row import Row

if TYPE_CHECKING:
    from collections.abc import Callable


def documents(g: torch.Generator, n: int) -> tuple[Any, ...]:
    """Documents of four queries, each spread over all batches; scores of a grid, so that half precision is exact."""
    scores = (torch.randperm(64, generator=g)[:n] - 32) / 64 + n / 1024
    return scores, torch.randint(2, (n,), generator=g), torch.randint(4, (n,), generator=g)


def graded(g: torch.Generator, n: int) -> tuple[Any, ...]:
    scores, target, indexes = documents(g, n)
    return scores, target * torch.randint(4, (n,), generator=g), indexes


def mean_over_queries(value: Callable[[Any], float], empty: float = 0.0) -> Callable[..., float]:
    """The mean over queries of the value of the targets in order; `empty` where that is nan."""

    def reference(preds: torch.Tensor, target: torch.Tensor, indexes: torch.Tensor) -> float:
        values = []
        for query in indexes.unique():
            mine = indexes == query
            ordered = target[mine][preds[mine].argsort(descending=True)].double().numpy()
            with np.errstate(all="ignore"):
                values.append(value(ordered))
        return float(np.mean(np.nan_to_num(values, nan=empty)))

    return reference


def reciprocal_rank(y: Any) -> float:
    return float((y / np.arange(1, len(y) + 1)).max())


def average_precision(y: Any) -> float:
    return float((y * y.cumsum() / np.arange(1, len(y) + 1)).sum() / y.sum())


def discounted_gain(y: Any) -> float:
    discount = 1 / np.log2(np.arange(len(y)) + 2)
    return float((y * discount).sum() / (np.sort(y)[::-1] * discount).sum())


def area(y: Any) -> float:
    return float(((y == 0) * y.cumsum()).sum() / (y.sum() * (y == 0).sum()))


ROWS: dict[str, Row] = {
    "RetrievalAUROC": Row(lm.RetrievalAUROC, documents, mean_over_queries(area)),
    "RetrievalAUROC(top_k)": Row(lambda: lm.RetrievalAUROC(top_k=3), documents),
    "RetrievalFallOut": Row(
        lambda: lm.RetrievalFallOut(top_k=2),
        documents,
        mean_over_queries(lambda y: (y[:2] == 0).sum() / (y == 0).sum(), 1.0),
    ),
    "RetrievalHitRate": Row(
        lambda: lm.RetrievalHitRate(top_k=1), documents, mean_over_queries(lambda y: float(y[:1].any()))
    ),
    "RetrievalMAP": Row(lm.RetrievalMAP, documents, mean_over_queries(average_precision)),
    "RetrievalMAP(top_k)": Row(lambda: lm.RetrievalMAP(top_k=2), documents),
    "RetrievalMRR": Row(lm.RetrievalMRR, documents, mean_over_queries(reciprocal_rank)),
    "RetrievalNormalizedDCG": Row(lm.RetrievalNormalizedDCG, graded, mean_over_queries(discounted_gain)),
    "RetrievalPrecision": Row(
        lambda: lm.RetrievalPrecision(top_k=2), documents, mean_over_queries(lambda y: y[:2].sum() / 2)
    ),
    "RetrievalPrecisionRecallCurve": Row(lambda: lm.RetrievalPrecisionRecallCurve(max_k=3), documents),
    "RetrievalRPrecision": Row(
        lm.RetrievalRPrecision, documents, mean_over_queries(lambda y: y[: int(y.sum())].sum() / y.sum())
    ),
    "RetrievalRecall": Row(
        lambda: lm.RetrievalRecall(top_k=2), documents, mean_over_queries(lambda y: y[:2].sum() / y.sum())
    ),
    "RetrievalRecallAtFixedPrecision": Row(lambda: lm.RetrievalRecallAtFixedPrecision(0.3), documents),
}

REFERENCES = {
    "RetrievalMRR": reciprocal_rank,
    "RetrievalMAP": average_precision,
    "RetrievalNormalizedDCG": discounted_gain,
    "RetrievalPrecision": lambda y: y.sum() / len(y),
    "RetrievalHitRate": lambda y: float(y.any()),
    "RetrievalRecall": lambda y: 1.0,
    "RetrievalRPrecision": lambda y: y[: int(y.sum())].sum() / y.sum(),
}


def with_weights(
    make: Callable[[torch.Generator, int], tuple[Any, ...]],
) -> Callable[[torch.Generator, int], tuple[Any, ...]]:
    def data(g: torch.Generator, n: int) -> tuple[Any, ...]:
        preds, target, queries = make(g, n)
        return preds, target, queries, (1 + queries % 3) / 2

    return data


def weighted_mean_over_queries(value: Callable[[Any], float]) -> Callable[..., float]:
    def reference(p: torch.Tensor, t: torch.Tensor, queries: torch.Tensor, w: torch.Tensor) -> float:
        each = [(p[queries == q], t[queries == q], w[queries == q][0]) for q in queries.unique()]
        alone = mean_over_queries(value)
        values = [alone(scores, y, torch.zeros(len(y), dtype=torch.long)) for scores, y, _ in each]
        return float(np.average(values, weights=[float(weight) for _, _, weight in each]))

    return reference


for name, value in REFERENCES.items():
    ROWS[f"{name}(sample_weight)"] = Row(
        getattr(lm, name), with_weights(ROWS[name].data), weighted_mean_over_queries(value)
    )
for one_row in ROWS.values():
    one_row.bad = lambda p, t, *more: [(p * torch.nan, t, *more), (p, t - 9, *more)]
