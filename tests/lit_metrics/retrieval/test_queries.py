"""Retrieval metrics against plain loops over every order of ties."""

from __future__ import annotations

import itertools
import math
from typing import Any

import numpy as np
import pytest
import torch

import lit_metrics as lm
import lit_metrics.functional as F

NAN = math.nan


def reciprocal_rank(y: list[float], k: int) -> float:
    return next((1 / (i + 1) for i, v in enumerate(y[:k]) if v), 0.0)


def average_precision(y: list[float], k: int) -> float:
    if not sum(y):
        return NAN
    found = [sum(y[: i + 1]) / (i + 1) for i, v in enumerate(y[:k]) if v]
    return sum(found) / len(found) if found else 0.0


def precision(y: list[float], k: int) -> float:
    return sum(y[:k]) / k


def recall(y: list[float], k: int) -> float:
    return sum(y[:k]) / sum(y) if sum(y) else NAN


def hit_rate(y: list[float], k: int) -> float:
    return float(any(y[:k]))


def fall_out(y: list[float], k: int) -> float:
    return sum(1 - v for v in y[:k]) / (len(y) - sum(y)) if len(y) > sum(y) else NAN


def r_precision(y: list[float], k: int) -> float:
    return sum(y[: int(sum(y))]) / sum(y) if sum(y) else NAN


def normalized_dcg(y: list[float], k: int) -> float:
    def gain(values: list[float]) -> float:
        return sum(v / math.log2(i + 2) for i, v in enumerate(values[:k]))

    return gain(y) / gain(sorted(y, reverse=True)) if sum(y) else NAN


PLAIN: dict[str, Any] = {
    "retrieval_average_precision": average_precision,
    "retrieval_fall_out": fall_out,
    "retrieval_hit_rate": hit_rate,
    "retrieval_normalized_dcg": normalized_dcg,
    "retrieval_precision": precision,
    "retrieval_r_precision": r_precision,
    "retrieval_recall": recall,
    "retrieval_reciprocal_rank": reciprocal_rank,
}


def orders(scores: list[float], target: list[float]) -> list[list[float]]:
    """Every order of the documents in which scores do not rise."""
    places = itertools.permutations(range(len(scores)))
    return [[target[i] for i in p] for p in places if all(scores[a] >= scores[b] for a, b in itertools.pairwise(p))]


def cases(count: int, size: int, levels: int) -> list[tuple[list[float], list[float]]]:
    rng = np.random.default_rng(size * 10 + levels)
    return [
        ((rng.integers(levels, size=size) - 1.5).tolist(), rng.integers(2, size=size).astype(float).tolist())
        for _ in range(count)
    ]


def call(name: str, scores: Any, target: Any, k: int | None) -> torch.Tensor:
    value: torch.Tensor = getattr(F, name)(scores, target, **({} if name.endswith("r_precision") else {"top_k": k}))
    return value


@pytest.mark.parametrize("name", PLAIN)
@pytest.mark.parametrize("levels", [1, 2, 4, 99])
def test_value_is_the_mean_over_every_order_of_ties(name: str, levels: int) -> None:
    for scores, target in cases(5, 5, levels):
        for k in (1, 2, 4, 7, None):
            expected = np.mean([PLAIN[name](y, k or len(y)) for y in orders(scores, target)])
            got = float(call(name, scores, target, k))
            assert got == pytest.approx(expected, abs=1e-12, nan_ok=True), (scores, target, k)


def area(y: list[float], tied: list[float]) -> float:
    pairs = [(i, j) for i, a in enumerate(y) for j, b in enumerate(y) if a and not b]
    return np.mean([1.0 if tied[i] > tied[j] else 0.5 * (tied[i] == tied[j]) for i, j in pairs]) if pairs else NAN


@pytest.mark.parametrize("levels", [1, 2, 4])
def test_area_at_k_is_the_mean_over_orders_in_which_it_is_defined(levels: int) -> None:
    for scores, target in cases(5, 5, levels):
        ranked = sorted(scores, reverse=True)
        for k in (1, 2, 3, 4, 7, None):
            found = [area(y[:k], ranked[:k]) for y in orders(scores, target)]
            expected = np.nanmean(found) if not all(map(math.isnan, found)) else NAN
            assert float(F.retrieval_auroc(scores, target, top_k=k)) == pytest.approx(expected, abs=1e-12, nan_ok=True)


@pytest.mark.parametrize("name", [*PLAIN, "retrieval_auroc"])
def test_only_the_order_of_scores_matters(name: str) -> None:
    g = torch.Generator().manual_seed(0)
    scores, target = torch.randn(40, generator=g).double(), torch.randint(2, (40,), generator=g)
    expected = call(name, scores, target, 7)
    for other in (scores - 100, scores * 1e-3, scores.exp(), 98 + scores / 1e4):
        assert call(name, other, target, 7) == expected


@pytest.mark.parametrize("name", [*PLAIN, "retrieval_auroc"])
def test_ties_do_not_depend_on_the_order_of_documents(name: str) -> None:
    g = torch.Generator().manual_seed(0)
    scores, target = torch.randint(4, (30,), generator=g), torch.randint(2, (30,), generator=g)
    values = []
    for _ in range(4):
        order = torch.randperm(30, generator=g)
        values.append(float(call(name, scores[order], target[order], 9)))
    assert values == pytest.approx([values[0]] * 4, rel=1e-13)


def test_large_groups_of_ties_have_exact_chances() -> None:
    target = [1.0] * 3 + [0.0] * 997
    assert float(F.retrieval_hit_rate([0.0] * 1000, target, top_k=10)) == pytest.approx(
        1 - math.comb(997, 10) / math.comb(1000, 10), rel=1e-10
    )
    expected = sum(math.comb(1000 - i, 2) / math.comb(1000, 3) / i for i in range(1, 999))
    assert float(F.retrieval_reciprocal_rank([0.0] * 1000, target)) == pytest.approx(expected, rel=1e-10)


def test_rows_are_queries_and_their_values_are_averaged() -> None:
    g = torch.Generator().manual_seed(0)
    scores, gains = torch.randn(5, 8, generator=g), torch.randint(4, (5, 8), generator=g)
    expected = np.mean([float(F.retrieval_normalized_dcg(s, t)) for s, t in zip(scores, gains, strict=True)])
    assert float(F.retrieval_normalized_dcg(scores, gains)) == pytest.approx(expected, rel=1e-14)


@pytest.mark.parametrize("adaptive_k", [False, True])
def test_precision_beyond_the_last_document(adaptive_k: bool) -> None:
    value = F.retrieval_precision([3, 2], [1, 0], top_k=4, adaptive_k=adaptive_k)
    assert value == (0.5 if adaptive_k else 0.25)
    curve = F.retrieval_precision_recall_curve([3, 2], [1, 0], max_k=4, adaptive_k=adaptive_k)
    assert curve[0].tolist() == pytest.approx([1, 1 / 2, 1 / 2, 1 / 2] if adaptive_k else [1, 1 / 2, 1 / 3, 1 / 4])
    assert curve[1].tolist() == [1, 1, 1, 1]
    assert curve[2].tolist() == ([1, 2, 2, 2] if adaptive_k else [1, 2, 3, 4])


@pytest.mark.parametrize(
    ("name", "values"),
    [
        ("retrieval_average_precision", (NAN, 1)),
        ("retrieval_reciprocal_rank", (0, 1)),
        ("retrieval_precision", (0, 1)),
        ("retrieval_recall", (NAN, 1)),
        ("retrieval_hit_rate", (0, 1)),
        ("retrieval_fall_out", (1, NAN)),
        ("retrieval_r_precision", (NAN, 1)),
        ("retrieval_normalized_dcg", (NAN, 1)),
        ("retrieval_auroc", (NAN, NAN)),
    ],
)
def test_nothing_relevant_and_everything_relevant(name: str, values: tuple[float, float]) -> None:
    fn = getattr(F, name)
    got = [float(fn([3, 2, 1], [0, 0, 0])), float(fn([3, 2, 1], [1, 1, 1])), float(fn([], []))]
    assert got == pytest.approx([*values, NAN], nan_ok=True)


@pytest.mark.parametrize(
    ("name", "args", "message"),
    [
        ("retrieval_recall", ([1.0, 2.0], [1]), "same shape"),
        ("retrieval_recall", ([1.0, 2.0], [1, 2]), "target must hold relevance 0 or 1"),
        ("retrieval_normalized_dcg", ([1.0, 2.0], [1, -2]), "target must hold gains of at least 0"),
        ("retrieval_recall", ([1.0, NAN], [1, 0]), "preds must hold scores without NaN"),
        ("retrieval_recall", ([1.0, 2.0], [1, 0], 0), "top_k must be a positive integer"),
        ("retrieval_recall", ([1.0, 2.0], [1, 0], 1.5), "top_k must be a positive integer"),
        ("retrieval_precision", ([1.0, 2.0], [1, 0], 1, "yes"), "adaptive_k must be True or False"),
        ("retrieval_auroc", ([1.0, 2.0], [1, 0], None, 1.5), "max_fpr must be a number in"),
        ("retrieval_precision_recall_curve", ([1.0, 2.0], [1, 0], -1), "max_k must be a positive integer"),
        ("retrieval_recall", ([[[1.0]]], [[[1]]]), r"shape \(N,\)"),
    ],
)
def test_wrong_use_is_refused(name: str, args: tuple[Any, ...], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        getattr(F, name)(*args)


def test_a_query_may_be_spread_over_batches() -> None:
    metric = lm.RetrievalMAP()
    metric.update([0.5, 0.1], [1, 0], [7, 3])
    metric.update([0.9, 0.8], [0, 1], [7, 3])
    assert metric.compute() == (1 / 2 + 1) / 2


def test_queries_of_very_unequal_length_and_infinite_scores_are_sorted_alike() -> None:
    g = torch.Generator().manual_seed(0)
    scores, target = torch.randn(300, generator=g), torch.randint(2, (300,), generator=g)
    scores[::7] = -torch.inf
    indexes = torch.cat([torch.arange(50), torch.zeros(250, dtype=torch.long)])[torch.randperm(300, generator=g)]
    for kept in (indexes >= 0, indexes > 0):  # with the long query and without it: two ways to sort
        metric = lm.RetrievalNormalizedDCG()
        metric.update(scores[kept], target[kept], indexes[kept])
        each = [
            float(F.retrieval_normalized_dcg(scores[indexes == q], target[indexes == q]).nan_to_num())
            for q in indexes[kept].unique()
        ]
        assert float(metric.compute()) == pytest.approx(np.mean(each), rel=1e-13)


def test_metrics_of_one_collection_keep_and_sort_the_documents_once() -> None:
    five = lm.MetricCollection([lm.RetrievalMAP(), lm.RetrievalMRR(), lm.RetrievalRecall(top_k=1)])
    five.update([0.1, 0.2, 0.3], [1, 0, 1], [0, 0, 0])
    assert len({id(metric.store) for metric in five.values()}) == 1
    rankings = {id(metric.ranking()) for metric in five.values()}
    assert len(rankings) == 1
    assert {name: float(v) for name, v in five.compute().items()} == pytest.approx(
        {"RetrievalMAP": 5 / 6, "RetrievalMRR": 1, "RetrievalRecall": 0.5}
    )


def test_documents_of_the_ignored_relevance_are_left_out() -> None:
    metric = lm.RetrievalPrecision(top_k=1, ignore_index=-100)
    metric.update([0.9, 0.8, 0.7], [-100, 1, 0], [0, 0, 0])
    assert metric.compute() == 1
    with pytest.raises(ValueError, match="relevance 0 or 1"):
        metric.update([0.9], [-1], [0])


@pytest.mark.parametrize(("action", "value"), [("neg", 0.25), ("pos", 0.75), ("skip", 0.5)])
def test_a_query_without_relevant_documents_counts_as_said(action: Any, value: float) -> None:
    metric = lm.RetrievalMAP(action)
    metric.update([0.9, 0.8, 0.7], [0, 1, 0], [0, 0, 1])
    assert metric.compute() == value
    fall_out = lm.RetrievalFallOut(action, top_k=1)
    fall_out.update([0.9, 0.8, 0.7, 0.6], [1, 0, 0, 1], [0, 0, 1, 2])
    assert float(fall_out.compute()) == pytest.approx({"neg": 1 / 3, "pos": 2 / 3, "skip": 1 / 2}[action])


def test_an_empty_query_can_be_an_error_and_all_skipped_is_nan() -> None:
    metric = lm.RetrievalMRR("error")
    metric.update([0.9, 0.8], [0, 0], [0, 1])
    with pytest.raises(ValueError, match="2 of 2 queries have nothing to find"):
        metric.compute()
    skips = lm.RetrievalMRR("skip")
    skips.update([0.9, 0.8], [0, 0], [0, 1])
    with pytest.warns(UserWarning, match="nan"):
        assert math.isnan(skips.compute())


@pytest.mark.parametrize(("aggregation", "value"), [("mean", 2 / 3), ("median", 0.5), ("min", 0.5), ("max", 1.0)])
def test_aggregations_of_queries(aggregation: Any, value: float) -> None:
    metric = lm.RetrievalMRR(aggregation=aggregation)
    metric.update([2, 1, 2, 1, 2, 1], [1, 0, 0, 1, 0, 1], [0, 0, 1, 1, 2, 2])
    assert float(metric.compute()) == pytest.approx(value)


def test_an_own_aggregation_gets_the_values_and_the_dimension() -> None:
    metric = lm.RetrievalMRR(aggregation=lambda values, dim: values.prod(dim))
    metric.update([2, 1, 2, 1], [0, 1, 0, 1], [0, 0, 1, 1])
    assert metric.compute() == 0.25


def test_curve_of_queries_of_unequal_length() -> None:
    metric = lm.RetrievalPrecisionRecallCurve()
    metric.update([3, 2, 1, 3], [0, 1, 1, 1], [0, 0, 0, 1])
    precision, recall, places = metric.compute()
    assert precision.tolist() == pytest.approx([1 / 2, (1 / 2 + 1 / 2) / 2, (2 / 3 + 1 / 3) / 2])
    assert recall.tolist() == [0.5, 0.75, 1.0]
    assert places.tolist() == [1, 2, 3]


@pytest.mark.parametrize(("least", "value", "place"), [(0.0, 1.0, 3), (0.6, 1.0, 3), (0.95, 0.5, 1)])
def test_recall_at_fixed_precision_is_read_from_the_mean_curve(least: float, value: float, place: int) -> None:
    metric = lm.RetrievalRecallAtFixedPrecision(least)
    metric.update([3, 2, 1], [1, 0, 1], [0, 0, 0])
    recall, best = metric.compute()
    assert (float(recall), int(best)) == (value, place)


def test_a_mean_precision_reaches_its_value_whatever_the_rounding() -> None:
    metric = lm.RetrievalRecallAtFixedPrecision(0.4)
    assert torch.tensor([0.1, 0.4, 0.7], dtype=torch.float64).mean() < 0.4
    target = torch.tensor([[1] + [0] * 9, [1] * 4 + [0] * 6, [1] * 7 + [0] * 3])
    metric.update(-torch.arange(10.0).expand(3, 10), target, torch.arange(3)[:, None].expand(3, 10))
    assert [float(v) for v in metric.compute()] == [1.0, 10.0]


def test_an_unreachable_precision_has_no_recall() -> None:
    metric = lm.RetrievalRecallAtFixedPrecision(0.9)
    metric.update([3, 2, 1], [0, 0, 1], [0, 0, 0])
    assert [float(v) for v in metric.compute()] == [0.0, 3.0]


@pytest.mark.parametrize(
    ("kwargs", "message"),
    [
        ({"empty_target_action": "zero"}, "empty_target_action must be"),
        ({"ignore_index": 0.5}, "ignore_index must be an integer"),
        ({"top_k": -1}, "top_k must be a positive integer"),
        ({"aggregation": "sum"}, "aggregation must be"),
    ],
)
def test_bad_options_are_refused(kwargs: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        lm.RetrievalMAP(**kwargs)


def test_indexes_are_integers_of_the_shape_of_scores() -> None:
    metric = lm.RetrievalMAP()
    with pytest.raises(TypeError, match="indexes must hold integers"):
        metric.update([0.1], [1], [0.0])
    with pytest.raises(ValueError, match="indexes must have the shape of preds"):
        metric.update([0.1], [1], [0, 1])
    assert metric.update_count == 0
