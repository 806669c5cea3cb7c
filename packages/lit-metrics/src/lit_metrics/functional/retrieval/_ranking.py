"""Documents of many queries in the order of their scores, and what each query's order is worth.

Only the order of scores matters, never their values. Documents of equal score have no order: every value is the mean
over all orders of the ties, in closed form, and so does not depend on the order of the inputs.

Shape suffixes: _d documents, _q queries, _t groups of tied documents of one query.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TypeAlias

import torch
from torch import Tensor

Values: TypeAlias = tuple[Tensor, Tensor]
"""The value of each query, and which queries are empty: without what the metric looks for."""


@dataclass(frozen=True)
class Ranking:
    """Documents sorted by query, then by falling score.

    Attributes:
        query_d: Query of each document, counted from 0.
        place_d: Place in its query, counted from 0.
        tie_d: Group of ties of each document.
        target_d: Relevance of each document, float64.
        sizes_q: Number of documents.
        query_t: Query of each group.
        start_t: Place of the group's first document.
        size_t: Number of documents in it.
        gain_t: Sum of their relevance.
    """

    query_d: Tensor
    place_d: Tensor
    tie_d: Tensor
    target_d: Tensor
    sizes_q: Tensor
    query_t: Tensor
    start_t: Tensor
    size_t: Tensor
    gain_t: Tensor

    @cached_property
    def total_q(self) -> Tensor:
        """Relevance in all."""
        return self.per_query(self.gain_t, self.query_t)

    @cached_property
    def before_t(self) -> Tensor:
        """Relevance ranked above the group."""
        return self.above(self.gain_t)

    @cached_property
    def expected_d(self) -> Tensor:
        """Relevance expected at each place: the mean of those tied there."""
        return (self.gain_t / self.size_t)[self.tie_d]

    @cached_property
    def first_d(self) -> Tensor:
        """Probability that the first relevant document stands at each place."""
        leading_d = ((self.before_t == 0) & (self.gain_t > 0))[self.tie_d]
        chance_d = leading_d.double()
        tied = (leading_d & (self.size_t > 1)[self.tie_d]).nonzero().squeeze(1)
        tie = self.tie_d[tied]
        n, r = self.size_t[tie].double(), self.gain_t[tie]
        rest = n - (self.place_d[tied] - self.start_t[tie]) - 1
        # The other r - 1 relevant ones stand among the rest of the group.
        chance = (_log_choose(rest, r - 1) - _log_choose(n, r)).exp()
        chance_d[tied] = torch.where(rest >= r - 1, chance, 0.0)
        return chance_d

    def above(self, values_t: Tensor) -> Tensor:
        """Returns for every group the sum over the groups of its query that are ranked above it."""
        sums = values_t.cumsum(0) - values_t
        first_t = torch.ones_like(self.query_t, dtype=torch.bool)
        first_t[1:] = self.query_t[1:] != self.query_t[:-1]
        return sums - sums[first_t][self.query_t]

    def per_query(self, values: Tensor, query: Tensor) -> Tensor:
        """Returns the sum of values of each query, float64."""
        return torch.zeros(len(self.sizes_q), dtype=torch.float64, device=values.device).index_add_(
            0, query, values.double()
        )

    def top_sum(self, values_d: Tensor, top_k: int | Tensor | None) -> Tensor:
        """Returns the sum of values at the first `top_k` places of each query."""
        if top_k is not None:
            k_d = top_k[self.query_d] if isinstance(top_k, Tensor) else top_k
            values_d = torch.where(self.place_d < k_d, values_d, 0.0)
        return self.per_query(values_d, self.query_d)

    def cut(self, top_k: int | None) -> Iterator[tuple[Tensor, Ranking]]:
        """Yields what the first `top_k` places may hold of binary relevance, and each query's probability of it.

        Outcomes differ in how many relevant documents of a group that the cut divides are within it.
        """
        if top_k is None:
            yield torch.ones_like(self.total_q), self
            return
        keep_d, keep_t = self.place_d < top_k, self.start_t < top_k
        size_t = (top_k - self.start_t).minimum(self.size_t)[keep_t].double()
        n, r, query_t = self.size_t[keep_t].double(), self.gain_t[keep_t], self.query_t[keep_t]
        divided = (size_t < n) & (r > 0)
        kept = replace(
            self,
            query_d=self.query_d[keep_d],
            place_d=self.place_d[keep_d],
            tie_d=(keep_t.cumsum(0) - 1)[self.tie_d[keep_d]],
            target_d=self.target_d[keep_d],
            sizes_q=self.sizes_q.clamp(max=top_k),
            query_t=query_t,
            start_t=self.start_t[keep_t],
            size_t=size_t,
            gain_t=r,
        )
        most = int(torch.where(divided, r.minimum(size_t), 0.0).max()) if len(r) else 0
        for hits in range(most + 1):
            possible = (hits <= r) & (hits <= size_t) & (size_t - hits <= n - r)
            chance = (
                _log_choose(r, torch.full_like(r, hits)) + _log_choose(n - r, size_t - hits) - _log_choose(n, size_t)
            )
            chance = torch.where(possible, chance.exp(), 0.0)
            probability_q = torch.full_like(self.total_q, float(hits == 0))
            probability_q[query_t[divided]] = chance[divided]
            yield probability_q, replace(kept, gain_t=torch.where(divided, float(hits), r))


def _log_choose(n: Tensor, k: Tensor) -> Tensor:
    return torch.lgamma(n + 1.0) - torch.lgamma(k + 1.0) - torch.lgamma(n - k + 1.0)


def rank(preds: Tensor, target: Tensor, indexes: Tensor) -> Ranking:
    """Returns the ranking of documents `(D,)` with scores, relevance and query numbers."""
    order, query_d, sizes_q = _by_query_then_score(preds, indexes)
    score_d, target_d = preds[order], target[order].double()
    turn_d = torch.zeros_like(query_d, dtype=torch.bool)  # where another query, or another score, begins
    turn_d[1:] = (query_d[1:] != query_d[:-1]) | (score_d[1:] != score_d[:-1])
    tie_d = turn_d.cumsum(0)
    size_t = torch.bincount(tie_d)
    begin_q, begin_t = sizes_q.cumsum(0) - sizes_q, size_t.cumsum(0) - size_t
    query_t = query_d[begin_t]
    return Ranking(
        query_d=query_d,
        place_d=torch.arange(len(order), device=order.device) - begin_q[query_d],
        tie_d=tie_d,
        target_d=target_d,
        sizes_q=sizes_q,
        query_t=query_t,
        start_t=begin_t - begin_q[query_t],
        size_t=size_t,
        gain_t=torch.zeros(len(size_t), dtype=torch.float64, device=order.device).index_add_(0, tie_d, target_d),
    )


def _by_query_then_score(scores: Tensor, indexes: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Returns the stable order by rising query number, then falling score; queries in that order, and their sizes."""
    place_d = torch.arange(len(indexes), device=indexes.device)
    mixed = bool((indexes[1:] < indexes[:-1]).any())
    order = indexes.argsort(stable=True) if mixed else place_d
    index_d = indexes[order] if mixed else indexes
    turn_d = torch.zeros_like(index_d, dtype=torch.bool)
    turn_d[1:] = index_d[1:] != index_d[:-1]
    query_d = turn_d.cumsum(0)
    sizes_q = torch.bincount(query_d)
    longest = int(sizes_q.max()) if len(sizes_q) else 0
    if len(sizes_q) * longest > 4 * len(order):  # a few long queries: a table of all would be mostly blank
        order = scores.argsort(descending=True, stable=True)
        return order[indexes[order].argsort(stable=True)], query_d, sizes_q
    begin_d = (sizes_q.cumsum(0) - sizes_q)[query_d]
    table = scores[order] if mixed else scores
    full = len(sizes_q) * longest == len(order)
    if not full:
        cell_d = query_d * longest + place_d - begin_d
        blank = scores.new_full((len(sizes_q) * longest,), -torch.inf)  # blanks stay behind, the order is stable
        table = blank.index_copy_(0, cell_d, table)
    within = table.view(len(sizes_q), longest).argsort(dim=1, descending=True, stable=True).view(-1)
    rank_d = begin_d + (within if full else within[cell_d])
    return order[rank_d] if mixed else rank_d, query_d, sizes_q


def reciprocal_ranks(ranking: Ranking, top_k: int | None = None) -> Values:
    """Returns one over the place of the first relevant document; 0 if there is none."""
    return ranking.top_sum(ranking.first_d / (ranking.place_d + 1), top_k), ranking.total_q == 0


def hit_rates(ranking: Ranking, top_k: int | None = None) -> Values:
    """Returns whether a relevant document is at the top."""
    return ranking.top_sum(ranking.first_d, top_k).clamp(max=1.0), ranking.total_q == 0


def precisions(ranking: Ranking, top_k: int | None = None, adaptive_k: bool = False) -> Values:
    """Returns the share of relevant documents among the first `top_k` places, be they filled or not."""
    places = ranking.sizes_q
    if top_k is not None:
        places = places.clamp(max=top_k) if adaptive_k else torch.full_like(places, top_k)
    return ranking.top_sum(ranking.expected_d, top_k) / places, ranking.total_q == 0


def recalls(ranking: Ranking, top_k: int | None = None) -> Values:
    """Returns the share of the relevant documents that is at the top."""
    return ranking.top_sum(ranking.expected_d, top_k) / ranking.total_q, ranking.total_q == 0


def fall_outs(ranking: Ranking, top_k: int | None = None) -> Values:
    """Returns the share of the irrelevant documents that is at the top; empty are queries without any."""
    irrelevant_q = ranking.sizes_q - ranking.total_q
    return ranking.top_sum(1 - ranking.expected_d, top_k) / irrelevant_q, irrelevant_q == 0


def r_precisions(ranking: Ranking) -> Values:
    """Returns the precision at as many places as there are relevant documents."""
    return ranking.top_sum(ranking.expected_d, ranking.total_q) / ranking.total_q, ranking.total_q == 0


def gains(ranking: Ranking, top_k: int | None = None) -> Values:
    """Returns the discounted cumulative gain, as a share of that of the best order."""
    discount_d = 1 / (ranking.place_d + 2.0).double().log2()
    best, _, _ = _by_query_then_score(ranking.target_d, ranking.query_d)
    ideal_q = ranking.top_sum(ranking.target_d[best] * discount_d, top_k)
    return ranking.top_sum(ranking.expected_d * discount_d, top_k) / ideal_q, ranking.total_q == 0


def average_precisions(ranking: Ranking, top_k: int | None = None) -> Values:
    """Returns the mean precision at the places of relevant documents, of those at the top; 0 if none is there."""
    empty_q = ranking.total_q == 0
    values_q = _mean_over(ranking.cut(top_k), _average_precision)
    return torch.where(empty_q, torch.nan, values_q), empty_q


def _average_precision(ranking: Ranking) -> Tensor:
    found_d = ranking.before_t[ranking.tie_d] + 1
    if len(ranking.size_t) < len(ranking.place_d):
        # Given that a place of a group is taken by a relevant document, each earlier place of it is with this chance.
        others_t = (ranking.gain_t - 1).clamp(min=0) / (ranking.size_t.double() - 1).clamp(min=1)
        found_d += (ranking.place_d - ranking.start_t[ranking.tie_d]) * others_t[ranking.tie_d]
    precision_q = ranking.per_query(ranking.expected_d * found_d / (ranking.place_d + 1), ranking.query_d)
    return precision_q / ranking.total_q.clamp(min=1)


def areas(ranking: Ranking, top_k: int | None = None, max_fpr: float | None = None) -> Values:
    """Returns the area under the ROC curve of the documents at the top; empty are those without both kinds."""
    values_q = _mean_over(ranking.cut(top_k), lambda outcome: _area(outcome, max_fpr))
    return values_q, values_q.isnan()


def _area(ranking: Ranking, max_fpr: float | None) -> Tensor:
    negative_t = ranking.size_t - ranking.gain_t
    negative_q = ranking.sizes_q - ranking.total_q
    width_t = negative_t
    if max_fpr is not None:
        width_t = (max_fpr * negative_q[ranking.query_t] - ranking.above(negative_t)).clamp(min=0).minimum(negative_t)
    height_t = ranking.before_t + ranking.gain_t * width_t / negative_t.clamp(min=1) / 2
    area_q = ranking.per_query(width_t * height_t, ranking.query_t) / (ranking.total_q * negative_q)
    if max_fpr is None or max_fpr == 1:
        return area_q
    chance = max_fpr**2 / 2
    return (1 + (area_q - chance) / (max_fpr - chance)) / 2


def _mean_over(outcomes: Iterator[tuple[Tensor, Ranking]], value: Callable[[Ranking], Tensor]) -> Tensor:
    """Returns the mean value over outcomes, of those where it is defined."""
    total_q = weight_q = torch.zeros(())
    for probability_q, outcome in outcomes:
        values_q = value(outcome)
        defined_q = ~values_q.isnan()
        total_q = total_q.to(values_q) + torch.where(defined_q, probability_q * values_q, 0.0)
        weight_q = weight_q.to(values_q) + torch.where(defined_q, probability_q, 0.0)
    return total_q / weight_q


def curves(ranking: Ranking, max_k: int | None = None, adaptive_k: bool = False) -> tuple[Tensor, Tensor, Tensor]:
    """Returns precision and recall at 1 to `max_k` places, `(Q, max_k)` each, and which queries are empty."""
    longest = int(ranking.sizes_q.max()) if len(ranking.sizes_q) else 0
    length = longest if max_k is None else max_k
    found = torch.zeros(len(ranking.sizes_q), length, dtype=torch.float64, device=ranking.place_d.device)
    inside_d = ranking.place_d < length
    found[ranking.query_d[inside_d], ranking.place_d[inside_d]] = ranking.expected_d[inside_d]
    found = found.cumsum(1)
    places = torch.arange(1, length + 1, device=found.device).expand_as(found)
    if adaptive_k:
        places = places.minimum(ranking.sizes_q[:, None])
    return found / places, found / ranking.total_q[:, None], ranking.total_q == 0
