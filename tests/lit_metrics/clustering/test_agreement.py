"""Agreement of clusterings: properties, edges and bad input; test_agreement_sklearn.py has the reference."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch

import lit_metrics as lm
import lit_metrics.functional as F

SCORES = [
    "adjusted_mutual_info_score",
    "adjusted_rand_score",
    "completeness_score",
    "fowlkes_mallows_index",
    "homogeneity_score",
    "mutual_info_score",
    "normalized_mutual_info_score",
    "rand_score",
    "v_measure_score",
]
METRICS = [
    lm.AdjustedMutualInfoScore,
    lm.AdjustedRandScore,
    lm.CompletenessScore,
    lm.FowlkesMallowsIndex,
    lm.HomogeneityScore,
    lm.MutualInfoScore,
    lm.NormalizedMutualInfoScore,
    lm.RandScore,
    lm.VMeasureScore,
]


@pytest.mark.parametrize("name", SCORES)
def test_names_of_clusters_do_not_matter(name: str) -> None:
    g = torch.Generator().manual_seed(0)
    p, t = torch.randint(4, (50,), generator=g), torch.randint(3, (50,), generator=g)
    score = getattr(F, name)
    renamed = torch.tensor([7, -(2**62), 2**62, 0])[p]
    assert float(score(renamed, 5 - t)) == pytest.approx(float(score(p, t)), rel=1e-12)


@pytest.mark.parametrize("name", [n for n in SCORES if n != "mutual_info_score"])
def test_equal_clusterings_score_one(name: str) -> None:
    p = torch.tensor([0, 0, 1, 1, 2, 5, 5])
    assert float(getattr(F, name)(p, -p)) == pytest.approx(1.0)


@pytest.mark.parametrize("make", METRICS)
def test_without_samples_the_value_is_nan_with_a_warning(make: Any) -> None:
    with pytest.warns(UserWarning, match="no data was seen"):
        assert math.isnan(make().compute())


@pytest.mark.parametrize("name", SCORES)
def test_of_no_samples_is_nan(name: str) -> None:
    empty = torch.empty(0, dtype=torch.long)
    assert math.isnan(getattr(F, name)(empty, empty))


def test_host_batches_are_kept_as_one_row_for_each_pair_of_labels() -> None:
    metric = lm.RandScore()
    metric.update(torch.arange(10_000) % 3, torch.arange(10_000) % 2)
    assert sum(len(rows) for rows in metric.pairs) == 6


def test_metrics_of_one_table_share_it_in_a_collection() -> None:
    collection = lm.MetricCollection([make() for make in METRICS])
    collection.update([0, 0, 1, 1], [0, 0, 1, 2])
    values = collection.compute()
    for make in METRICS:
        metric = make()
        metric.update([0, 0, 1, 1], [0, 0, 1, 2])
        assert values[make.__name__] == metric.compute()
    assert len({id(metric.store) for metric in collection.values()}) == 1


@pytest.mark.parametrize(
    ("preds", "target", "error"),
    [
        ([0, 1], [0, 1, 1], ValueError),
        ([[0, 1]], [[0, 1]], ValueError),
        ([0.5, 1.0], [0, 1], TypeError),
        ([0, 1], [0.0, 1.0], TypeError),
        (["a"], ["b"], TypeError),
    ],
)
def test_bad_labels_raise_and_leave_the_state(preds: Any, target: Any, error: type[Exception]) -> None:
    metric = lm.AdjustedRandScore()
    metric.update([0, 0, 1], [0, 1, 1])
    before = metric.compute()
    with pytest.raises(error):
        metric.update(preds, target)
    assert metric.compute() == before
    assert metric.update_count == 1


@pytest.mark.parametrize("bad", ["mean", None, 1])
def test_unknown_averages_raise(bad: Any) -> None:
    with pytest.raises(ValueError, match="average_method"):
        lm.NormalizedMutualInfoScore(bad)
    with pytest.raises(ValueError, match="average_method"):
        F.adjusted_mutual_info_score([0], [0], bad)


@pytest.mark.parametrize("bad", [0, -1.0, True, "1"])
def test_beta_must_be_positive(bad: Any) -> None:
    with pytest.raises(ValueError, match="beta"):
        lm.VMeasureScore(bad)


@pytest.mark.parametrize("bad", [0, -1, 2.0, True])
def test_num_classes_must_be_positive(bad: Any) -> None:
    with pytest.raises(ValueError, match="num_classes"):
        lm.ClusterAccuracy(bad)


@pytest.mark.parametrize("bad", [-1, 2])
def test_cluster_labels_out_of_range_raise(bad: int) -> None:
    with pytest.raises(ValueError, match=r"preds must hold labels in \[0, 2\), got"):
        F.cluster_accuracy([0, bad], [0, 1], 2)
    with pytest.raises(ValueError, match="target must hold"):
        F.cluster_accuracy([0, 1], [0, bad], 2)
