"""Weights of queries."""

from __future__ import annotations

from typing import Any

import pytest
import torch

import lit_metrics as lm

PREDS, TARGET, QUERIES = [0.9, 0.1, 0.2, 0.8, 0.7, 0.6], [1, 0, 1, 0, 0, 1], [0, 0, 1, 1, 2, 2]
RECIPROCAL = torch.tensor([1.0, 0.5, 0.5], dtype=torch.float64)


def test_a_query_counts_as_often_as_its_weight_says_and_not_at_all_with_0() -> None:
    metric = lm.RetrievalMRR()
    metric.update(PREDS, TARGET, QUERIES, sample_weight=[3, 3, 0, 0, 1, 1])
    torch.testing.assert_close(metric.compute(), (3 * RECIPROCAL[0] + RECIPROCAL[2]) / 4)


def test_smallest_and_largest_value_only_leave_out_queries_of_weight_0() -> None:
    for aggregation, expected in (("min", 1.0), ("max", 1.0)):
        metric = lm.RetrievalMRR(aggregation=aggregation)  # type: ignore[arg-type]
        metric.update(PREDS, TARGET, QUERIES, sample_weight=[2, 2, 0, 0, 0, 0])
        assert float(metric.compute()) == expected


def test_an_aggregation_without_a_weighted_form_is_refused() -> None:
    metric = lm.RetrievalMRR(aggregation="median")
    metric.update(PREDS, TARGET, QUERIES, sample_weight=[1, 1, 2, 2, 1, 1])
    with pytest.raises(ValueError, match="aggregation='median' has no meaning with sample_weight"):
        metric.compute()


def test_weighted_and_plain_batches_mix() -> None:
    metric = lm.RetrievalMRR()
    metric.update(PREDS[:2], TARGET[:2], QUERIES[:2], sample_weight=[3, 3])
    metric.update(PREDS[2:], TARGET[2:], QUERIES[2:])
    torch.testing.assert_close(metric.compute(), (3 * RECIPROCAL[0] + RECIPROCAL[1] + RECIPROCAL[2]) / 5)


def test_skipped_queries_take_their_weight_with_them() -> None:
    metric = lm.RetrievalMRR(empty_target_action="skip")
    metric.update([*PREDS, 0.5], [*TARGET, 0], [*QUERIES, 3], sample_weight=[1, 1, 1, 1, 1, 1, 100])
    torch.testing.assert_close(metric.compute(), RECIPROCAL.mean())


def test_negative_weights_are_refused() -> None:
    metric = lm.RetrievalMRR()
    with pytest.raises(ValueError, match="weights of at least 0"):
        metric.update(PREDS, TARGET, QUERIES, sample_weight=[1, 1, -1, -1, 1, 1])
    assert metric.update_count == 0


@pytest.mark.parametrize("mode", [True, "deferred"])
def test_groups_of_documents_are_ranked_apart_also_where_weights_would_stand_for_absence(mode: Any) -> None:
    metric = lm.ByGroup(lm.RetrievalMRR(), num_groups=2, validate_args=mode)
    group = torch.tensor([0, 1, 0, 1, 0, 1])
    metric.update(torch.tensor(PREDS), torch.tensor(TARGET), torch.tensor(QUERIES), group=group)
    expected = []
    for g in (0, 1):
        alone = lm.RetrievalMRR()
        alone.update(*(torch.tensor(x)[group == g] for x in (PREDS, TARGET, QUERIES)))
        expected.append(alone.compute())
    torch.testing.assert_close(metric.compute(), torch.stack(expected))
