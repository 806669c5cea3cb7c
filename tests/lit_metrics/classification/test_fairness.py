"""Rates of groups: values by hand, empty groups, bad groups."""

from __future__ import annotations

import math

import pytest
import torch

import lit_metrics as lm
import lit_metrics.functional as F

PREDS, TARGET, GROUPS = [0.9, 0.2, 0.6, 0.7, 0.1], [1, 0, 0, 1, 1], [0, 1, 0, 1, 1]


def test_rates_by_hand() -> None:
    rates = F.binary_groups_stat_rates(PREDS, TARGET, GROUPS, 2)
    assert rates["group_0"].tolist() == [0.5, 0.5, 0, 0]
    assert rates["group_1"].tolist() == pytest.approx([1 / 3, 0, 1 / 3, 1 / 3])


def test_ratios_by_hand() -> None:
    both = F.binary_fairness(PREDS, TARGET, GROUPS)
    assert {name: float(value) for name, value in both.items()} == {"DP_1_0": pytest.approx(1 / 3), "EO_1_0": 0.5}
    assert F.demographic_parity(PREDS, GROUPS) == {"DP_1_0": both["DP_1_0"]}
    assert F.equal_opportunity(PREDS, TARGET, GROUPS) == {"EO_1_0": both["EO_1_0"]}


def test_a_group_without_samples_is_nan_and_not_compared() -> None:
    metric = lm.BinaryGroupStatRates(3)
    metric.update(PREDS, TARGET, GROUPS)
    assert metric.compute()["group_2"].isnan().all()
    fair = lm.BinaryFairness(3)
    fair.update(PREDS, TARGET, GROUPS)
    assert set(fair.compute()) == {"DP_1_0", "EO_1_0"}


def test_no_positive_prediction_anywhere_is_undefined() -> None:
    (value,) = F.demographic_parity([0.1, 0.2], [0, 1]).values()
    assert math.isnan(value)


def test_rates_and_ratios_share_their_counts() -> None:
    collection = lm.MetricCollection([lm.BinaryGroupStatRates(2), lm.BinaryFairness(2)])
    assert len(collection.groups) == 1
    collection.update(PREDS, TARGET, GROUPS)
    assert set(collection.compute()) == {"group_0", "group_1", "DP_1_0", "EO_1_0"}


def test_weights_are_repetition() -> None:
    times = torch.tensor([2, 0, 1, 3, 1])
    index = torch.arange(5).repeat_interleave(times)
    inputs = [torch.tensor(x) for x in (PREDS, TARGET, GROUPS)]
    got = F.binary_groups_stat_rates(*inputs, 2, sample_weight=times)
    expected = F.binary_groups_stat_rates(*(x[index] for x in inputs), 2)
    for name, value in expected.items():
        torch.testing.assert_close(got[name], value)


@pytest.mark.parametrize("groups", [[0, 1, 2, 0, 1], [0, -1, 0, 0, 1], [0, 1], [0.0, 1.0, 0.0, 1.0, 1.0]])
def test_bad_groups_are_refused(groups: list[float]) -> None:
    metric = lm.BinaryFairness(2)
    with pytest.raises(ValueError, match="groups must"):
        metric.update(PREDS, TARGET, groups)
    assert metric.update_count == 0
