"""Label ranking: only order matters, and edges have agreed values."""

from __future__ import annotations

import math

import pytest
import torch

import lit_metrics as lm
import lit_metrics.functional as F

FUNCTIONS = [F.multilabel_coverage_error, F.multilabel_ranking_average_precision, F.multilabel_ranking_loss]


def draw() -> tuple[torch.Tensor, torch.Tensor]:
    g = torch.Generator().manual_seed(0)
    return torch.rand(9, 5, generator=g).double(), torch.randint(2, (9, 5), generator=g)


@pytest.mark.parametrize("function", FUNCTIONS)
def test_only_the_order_of_scores_matters(function: object) -> None:
    assert callable(function)
    scores, target = draw()
    for moved in (scores - 100, scores.logit(), 98 + 0.001 * scores):
        assert function(moved, target, 5) == function(scores, target, 5)


def test_samples_with_no_or_only_relevant_labels() -> None:
    scores = [[0.3, 0.2, 0.1]]
    assert [float(f(scores, [[0, 0, 0]], 3)) for f in FUNCTIONS] == [0, 1, 0]
    assert [float(f(scores, [[1, 1, 1]], 3)) for f in FUNCTIONS] == [3, 1, 0]


def test_infinite_scores_rank_and_ties_count_against_the_prediction() -> None:
    scores = [[-math.inf, 0.5, -math.inf]]
    assert [float(f(scores, [[1, 0, 0]], 3)) for f in FUNCTIONS] == [3, pytest.approx(1 / 3), 1]
    assert [float(f(scores, [[0, 1, 0]], 3)) for f in FUNCTIONS] == [1, 1, 0]


@pytest.mark.parametrize("function", FUNCTIONS)
def test_ignored_labels_are_as_if_they_were_not_there(function: object) -> None:
    assert callable(function)
    scores, target = draw()
    masked = target.clone()
    masked[:, 2] = -1
    rest = [0, 1, 3, 4]
    assert function(scores, masked, 5, ignore_index=-1) == function(scores[:, rest], target[:, rest], 4)


def test_a_collection_of_all_three_ranks_once() -> None:
    kinds = (lm.MultilabelCoverageError, lm.MultilabelRankingAveragePrecision, lm.MultilabelRankingLoss)
    collection = lm.MetricCollection([kind(5) for kind in kinds])
    assert len(collection.groups) == 1
    scores, target = draw()
    collection.update(scores, target)
    assert list(collection.compute().values()) == [f(scores, target, 5) for f in FUNCTIONS]


@pytest.mark.parametrize(
    ("preds", "target", "error"),
    [
        ([[0.1, math.nan]], [[0, 1]], ValueError),
        ([[0.1, 0.2]], [[0, 2]], ValueError),
        ([[0.1, 0.2, 0.3]], [[0, 1, 1]], ValueError),
        ([[1, 0]], [[0, 1]], TypeError),
    ],
)
def test_bad_inputs_are_refused(preds: list[list[float]], target: list[list[int]], error: type[Exception]) -> None:
    metric = lm.MultilabelRankingLoss(2)
    with pytest.raises(error, match="must"):
        metric.update(preds, target)
    assert metric.update_count == 0
