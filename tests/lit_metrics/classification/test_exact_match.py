"""Exact match: which elements make a sample, and which samples count."""

from __future__ import annotations

import math

import pytest
import torch

import lit_metrics as lm
import lit_metrics.functional as F


def test_one_wrong_element_makes_a_sample_wrong() -> None:
    preds, target = torch.tensor([[0, 1], [1, 1], [2, 2]]), torch.tensor([[0, 1], [0, 1], [2, 2]])
    assert F.multiclass_exact_match(preds, target, 3) == 2 / 3
    assert F.multiclass_exact_match(preds, target, 3, multidim_average="samplewise").tolist() == [1, 0, 1]
    scores = torch.nn.functional.one_hot(preds, 3).movedim(-1, 1).float()
    assert F.multiclass_exact_match(scores, target, 3) == 2 / 3


def test_positions_of_multilabel_samples_count_alone() -> None:
    g = torch.Generator().manual_seed(0)
    preds, target = torch.rand(4, 2, 5, generator=g), torch.randint(2, (4, 2, 5), generator=g)
    right = ((preds > 0.5) == target).all(1).double()
    assert F.multilabel_exact_match(preds, target, 2) == right.mean()
    got = F.multilabel_exact_match(preds, target, 2, multidim_average="samplewise")
    torch.testing.assert_close(got, right.mean(1))


def test_ignored_elements_cannot_be_wrong_and_ignored_samples_do_not_count() -> None:
    preds = torch.tensor([[0, 1], [1, 1], [1, 2]])
    target = torch.tensor([[0, -1], [0, -1], [-1, -1]])
    assert F.multiclass_exact_match(preds, target, 3, ignore_index=-1) == 0.5
    labels = torch.tensor([[1, 0], [1, 1]])
    assert F.multilabel_exact_match(labels, torch.tensor([[1, 7], [0, 7]]), 2, ignore_index=7) == 0.5
    assert math.isnan(F.multilabel_exact_match(labels, torch.full((2, 2), 7), 2, ignore_index=7))


def test_weights_are_repetition() -> None:
    preds, target = torch.tensor([[0, 1], [1, 1], [2, 2]]), torch.tensor([[0, 1], [0, 1], [2, 2]])
    got = F.multiclass_exact_match(preds, target, 3, sample_weight=[1, 3, 0])
    assert got == F.multiclass_exact_match(preds[[0, 1, 1, 1]], target[[0, 1, 1, 1]], 3) == 0.25


def test_invalid_values_are_refused_and_change_nothing() -> None:
    metric = lm.MultilabelExactMatch(2)
    for preds, target in (
        ([[0.1, 2.0]], [[0, 1]]),
        ([[0.1, 0.2]], [[0, 3]]),
        ([[0.1, 0.2, 0.3]], [[0, 1, 1]]),
        ([[0.1, 0.2]], [[0], [1]]),
    ):
        with pytest.raises(ValueError, match="must"):
            metric.update(preds, target)
    assert metric.update_count == 0
    with pytest.raises(ValueError, match="labels in"):
        F.multiclass_exact_match([[0, 1]], [[0, 5]], 3)


def test_what_an_accelerator_could_not_refuse_is_reported_by_compute() -> None:
    metric = lm.MulticlassExactMatch(3)
    metric.update([[0, 1]], [[0, 1]])
    state = metric.batch_state([[0, 1]], [[0, 1]])
    state.values["invalid"] = torch.tensor([1, 0])
    metric.merge_state(state)
    with pytest.raises(ValueError, match="target must hold"):
        metric.compute()
