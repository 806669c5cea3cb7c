"""Matthews correlation and kappa: closed forms, large counts, undefined cases."""

from __future__ import annotations

import math

import pytest
import torch

import lit_metrics as lm
import lit_metrics.functional as F


@pytest.mark.parametrize("scale", [1, 10**9, 4 * 10**9])
def test_counts_of_billions_do_not_overflow(scale: int) -> None:
    metric = lm.BinaryMatthewsCorrCoef()
    state = metric.batch_state([0], [0])
    tn, fp, fn, tp = (n * scale for n in (9, 1, 1, 4))
    state.values["counts"] = torch.tensor([[tn, fp], [fn, tp], [0, 0], [0, 0]])
    metric.merge_state(state)
    assert float(metric.compute()) == pytest.approx((9 * 4 - 1 * 1) / math.sqrt(5 * 5 * 10 * 10), rel=1e-12)


def test_rare_positives_among_many_keep_their_digits() -> None:
    metric = lm.BinaryMatthewsCorrCoef()
    state = metric.batch_state([0], [0])
    state.values["counts"] = torch.tensor([[10**12, 3], [1, 2], [0, 0], [0, 0]])
    metric.merge_state(state)
    expected = (10**12 * 2 - 3) / math.sqrt(5 * 3 * (10**12 + 3) * (10**12 + 1))
    assert float(metric.compute()) == pytest.approx(expected, rel=1e-14)


@pytest.mark.parametrize(("preds", "target"), [([0, 0], [0, 0]), ([0, 0], [0, 1]), ([0, 1], [1, 1])])
def test_one_class_on_either_side_leaves_the_correlation_undefined(preds: list[int], target: list[int]) -> None:
    assert math.isnan(F.binary_matthews_corrcoef(preds, target))
    assert math.isnan(F.multiclass_matthews_corrcoef(preds, target, 3))
    weights = [0.1, 0.3]  # sums of such weights do not cancel exactly
    assert math.isnan(F.multiclass_matthews_corrcoef(preds, target, 3, sample_weight=weights))


def test_kappa_is_undefined_only_if_chance_explains_everything() -> None:
    assert math.isnan(F.binary_cohen_kappa([1, 1], [1, 1]))
    assert F.binary_cohen_kappa([1, 1], [1, 0]) == 0
    assert F.multiclass_cohen_kappa([0, 1, 2], [1, 2, 0], 3, weights="quadratic") == -0.5


def test_perfect_and_opposite_predictions() -> None:
    target = torch.arange(6) % 2
    assert F.binary_matthews_corrcoef(target, target) == 1
    assert F.binary_matthews_corrcoef(1 - target, target) == -1
    assert F.binary_cohen_kappa(target, target) == 1
    assert F.binary_cohen_kappa(1 - target, target) == -1


def test_multilabel_correlation_is_that_of_all_elements() -> None:
    g = torch.Generator().manual_seed(0)
    preds, target = torch.randint(2, (9, 3), generator=g), torch.randint(2, (9, 3), generator=g)
    expected = F.binary_matthews_corrcoef(preds.flatten(), target.flatten())
    assert F.multilabel_matthews_corrcoef(preds, target, 3) == expected


def test_ignored_targets_are_left_out_of_weighted_kappa() -> None:
    preds, target = torch.tensor([0, 1, 2, 2, 1]), torch.tensor([0, 2, 2, -1, 1])
    kept = target >= 0
    expected = F.multiclass_cohen_kappa(preds[kept], target[kept], 3, "linear")
    assert F.multiclass_cohen_kappa(preds, target, 3, "linear", ignore_index=-1) == expected
