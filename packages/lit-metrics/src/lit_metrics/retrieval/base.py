"""What all retrieval metrics share: documents of many queries, kept, and one value per query."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable
from typing import Any, ClassVar, Literal, TypeAlias

import torch
from torch import Tensor

from lit_metrics._inputs import as_tensor, as_weights, checks_are_free
from lit_metrics.functional.retrieval._checks import as_documents, require_top_k, require_values, require_weights
from lit_metrics.functional.retrieval._ranking import Ranking, Values, rank
from lit_metrics.metric import Metric

EmptyAction: TypeAlias = Literal["error", "skip", "neg", "pos"]
Aggregation: TypeAlias = Literal["mean", "median", "min", "max"] | Callable[..., Any]


class QueryMetric(Metric):
    """Keeps scores, relevance and query numbers of all documents: a query may be spread over batches and processes.

    Metrics of one collection share the documents and their order.

    Args:
        empty_target_action: What a query counts as that has nothing to find: `"neg"` 0, `"pos"` 1, `"skip"` not at all,
            `"error"` raises in `compute`.
        ignore_index: Documents of this relevance are left out; any integer.
        aggregation: How the queries' values become one: `"mean"`, `"median"` (the lower one of two), `"min"`, `"max"`
            or a function of the values and `dim`.
        kwargs: Arguments of `Metric`.

    Raises:
        ValueError: If an option is out of its range.
    """

    is_differentiable = False
    pure_update = True
    weight_is_repetition = False
    graded: ClassVar[bool] = False
    """Whether relevance may be any gain of at least 0."""

    indexes: list[Tensor]
    preds: list[Tensor]
    target: list[Tensor]
    weights: list[Tensor]

    def __init__(
        self, empty_target_action: EmptyAction, ignore_index: int | None, aggregation: Aggregation, **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        if empty_target_action not in ("error", "skip", "neg", "pos"):
            raise ValueError(
                f"empty_target_action must be 'error', 'skip', 'neg' or 'pos', got {empty_target_action!r}"
            )
        if ignore_index is not None and (not isinstance(ignore_index, int) or isinstance(ignore_index, bool)):
            raise ValueError(f"ignore_index must be an integer or None, got {ignore_index!r}")
        if not callable(aggregation) and aggregation not in ("mean", "median", "min", "max"):
            raise ValueError(f"aggregation must be 'mean', 'median', 'min', 'max' or a function, got {aggregation!r}")
        self.empty_target_action = empty_target_action
        self.ignore_index = ignore_index
        self.aggregation = aggregation
        for name in ("indexes", "preds", "target", "weights"):
            self.add_state(name, [], dist_reduce_fx="cat")

    @property
    def group_key(self) -> Any:
        """Equal for all metrics that keep the same documents."""
        return ("retrieval", self.graded, self.ignore_index)

    def update(self, preds: Any, target: Any, indexes: Any, sample_weight: Any = None) -> None:
        """Takes in documents.

        Args:
            preds: Scores, of any shape.
            target: Relevance, the same shape.
            indexes: Query of each document, integers of the same shape.
            sample_weight: Weight of each document's query, of the same shape; a query's is the mean of its documents'.
        """
        preds, target = as_documents(preds, target, self.graded, self.ignore_index)
        indexes = as_tensor(indexes, "indexes")
        if indexes.shape != preds.shape:
            raise ValueError(f"indexes must have the shape of preds, {tuple(preds.shape)}, got {tuple(indexes.shape)}")
        if indexes.is_floating_point() or indexes.is_complex() or indexes.dtype == torch.bool:
            raise TypeError(f"indexes must hold integers, got {indexes.dtype}")
        # Unit weights are one byte seen many times: an unweighted list costs no memory until it is concatenated.
        weights = torch.ones((), dtype=torch.bool, device=preds.device).expand(preds.numel())
        if sample_weight is not None:
            weights = as_weights(sample_weight, preds.shape, preds.device).reshape(-1).clone()
            if checks_are_free(weights):
                require_weights(weights)
        self.accumulate(
            {
                "indexes": indexes.to(torch.long, copy=True).reshape(-1),
                "preds": preds.clone().reshape(-1),
                "target": target.clone().reshape(-1),
                "weights": weights,
            }
        )

    def check_state(self) -> None:
        """Raises for invalid scores and relevance that an accelerator keeps."""
        if self.preds and self.device.type != "meta":
            require_values(torch.cat(self.preds), torch.cat(self.target), self.graded, self.ignore_index)
            require_weights(torch.cat(self.weights))

    def ranking(self) -> Ranking:
        """Returns all documents in order; sorted once for all metrics that share them."""
        ranking: Ranking = self.store.reading(self._rank)[0]
        return ranking

    def _rank(self) -> tuple[Ranking, Tensor | None]:
        """Returns the ranking and the weight of every query, if there are any weights."""
        none = torch.zeros(0, device=self.device)
        preds, target = torch.cat([none, *self.preds]), torch.cat([none, *self.target])
        indexes, weights = torch.cat([none.long(), *self.indexes]), torch.cat([none.bool(), *self.weights])
        if self.ignore_index is not None:
            kept = target != self.ignore_index
            preds, target, indexes, weights = preds[kept], target[kept], indexes[kept], weights[kept]
        ranking = rank(preds, target, indexes)
        if weights.dtype == torch.bool:
            return ranking, None
        query_d = indexes.unique(return_inverse=True)[1]  # sorted, so numbered as in the ranking
        return ranking, ranking.per_query(weights, query_d) / ranking.sizes_q

    def combine(self, values: Tensor, empty_q: Tensor) -> Tensor:
        """Returns one value of those of all queries, after `empty_target_action`; nan without any."""
        weights: Tensor | None = self.store.reading(self._rank)[1]
        values = self._without_empty(values, empty_q)
        if weights is not None:
            weights = weights[~empty_q] if self.empty_target_action == "skip" else weights
            values, weights = values[weights > 0], weights[weights > 0]
        if not len(values):
            return torch.full(values.shape[1:], torch.nan, dtype=values.dtype, device=values.device)
        if weights is None or self.aggregation in ("min", "max"):
            return self._aggregate(values)
        if self.aggregation != "mean":
            raise ValueError(f"aggregation={self.aggregation!r} has no meaning with sample_weight; use 'mean'")
        return (values * weights.reshape(-1, *[1] * (values.ndim - 1))).sum(0) / weights.sum()

    def _without_empty(self, values: Tensor, empty_q: Tensor) -> Tensor:
        if self.empty_target_action == "skip":
            return values[~empty_q]
        if self.empty_target_action == "error":
            if bool(empty_q.any()):
                raise ValueError(
                    f"{int(empty_q.sum())} of {len(empty_q)} queries have nothing to find; choose another"
                    " empty_target_action to count or skip them"
                )
            return values
        filling = 1.0 if self.empty_target_action == "pos" else 0.0
        return torch.where(empty_q.reshape(-1, *[1] * (values.ndim - 1)), filling, values)

    def _aggregate(self, values: Tensor) -> Tensor:
        if callable(self.aggregation):
            return torch.as_tensor(self.aggregation(values, dim=0))
        if self.aggregation == "mean":
            return values.mean(0)
        if self.aggregation == "median":
            return values.median(0).values
        return values.amin(0) if self.aggregation == "min" else values.amax(0)


class RetrievalMetric(QueryMetric):
    """A retrieval metric with one value for each query; a subclass implements `query_values`.

    Args:
        empty_target_action: What a query counts as that has nothing to find.
        ignore_index: Documents of this relevance are left out.
        top_k: Number of places that count; all if `None`.
        aggregation: How the queries' values become one.
        kwargs: Arguments of `Metric`.

    Raises:
        ValueError: If an option is out of its range.
    """

    def __init__(
        self,
        empty_target_action: EmptyAction = "neg",
        ignore_index: int | None = None,
        top_k: int | None = None,
        aggregation: Aggregation = "mean",
        **kwargs: Any,
    ) -> None:
        super().__init__(empty_target_action, ignore_index, aggregation, **kwargs)
        require_top_k(top_k)
        self.top_k = top_k

    def compute(self) -> Tensor:
        """Returns the aggregate of the queries' values; nan if there are none."""
        return self.combine(*self.query_values(self.ranking()))

    @abstractmethod
    def query_values(self, ranking: Ranking) -> Values:
        """Returns the value of each query, and which queries are empty."""
