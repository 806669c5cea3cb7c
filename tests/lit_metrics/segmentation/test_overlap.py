"""Dice and IoU: values of hand-counted regions, formats, absent classes and bad input."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch

import lit_metrics as lm
import lit_metrics.functional as F

# One row of six pixels: class 0 overlaps in 2 of 3 and 3, class 1 in 0 of 2 and 2, class 2 in 1 of 1 and 1.
PREDS = torch.tensor([[[0, 0, 0, 1, 1, 2]]])
TARGET = torch.tensor([[[0, 0, 1, 0, 3, 2]]])
DICE = [2 * 2 / (3 + 3), 0.0, 1.0, 0.0]
METRICS = [lm.DiceScore, lm.GeneralizedDiceScore, lm.MeanIoU]


def one_hot(labels: torch.Tensor, classes: int) -> torch.Tensor:
    return torch.nn.functional.one_hot(labels, classes).movedim(-1, 1)


@pytest.mark.parametrize("aggregation_level", ["samplewise", "global"])
@pytest.mark.parametrize(
    ("average", "expected"),
    [
        ("none", DICE),
        ("macro", np.mean(DICE)),
        ("micro", 2 * 3 / 12),
        ("weighted", (3 * DICE[0] + 1 * 0 + 1 * 1 + 1 * 0) / 6),
    ],
)
def test_dice_of_hand_counted_regions(average: Any, expected: Any, aggregation_level: Any) -> None:
    value = F.dice_score(PREDS, TARGET, 4, average=average, input_format="index", aggregation_level=aggregation_level)
    np.testing.assert_allclose(value.squeeze(0).numpy(), expected, rtol=1e-12)


def test_iou_of_hand_counted_regions() -> None:
    value = F.mean_iou(PREDS, TARGET, 5, per_class=True, input_format="index")
    np.testing.assert_allclose(value[0].numpy(), [2 / 4, 0, 1, 0, math.nan], rtol=1e-12)
    assert float(F.mean_iou(PREDS, TARGET, 5, input_format="index")) == pytest.approx(1.5 / 4)
    assert float(F.mean_iou(PREDS, TARGET, 5, False, input_format="index")) == pytest.approx(1 / 3)


@pytest.mark.parametrize(
    ("weight_type", "weights"), [("square", [1 / 9, 1, 1, 1]), ("simple", [1 / 3, 1, 1, 1]), ("linear", [1] * 4)]
)
def test_generalized_dice_weights_classes_by_their_size(weight_type: Any, weights: list[float]) -> None:
    overlap, sizes = np.array([2, 0, 1, 0]), np.array([6, 3, 2, 1])
    expected = 2 * np.dot(weights, overlap) / np.dot(weights, sizes)
    value = F.generalized_dice_score(PREDS, TARGET, 4, weight_type=weight_type, input_format="index")
    assert float(value) == pytest.approx(expected, rel=1e-12)


def test_generalized_dice_of_a_sample_does_not_depend_on_its_batch() -> None:
    p, t = torch.tensor([[[0, 0, 1, 1, 2, 2]]]), torch.tensor([[[0, 0, 0, 1, 1, 1]]])
    other = torch.tensor([[[0, 0, 0, 1, 2, 1]]])
    alone = F.generalized_dice_score(p, t, 3, input_format="index")
    both = F.generalized_dice_score(torch.cat([p, p]), torch.cat([t, other]), 3, input_format="index")
    assert both[0] == alone[0]
    assert float(alone[0]) == pytest.approx(0.6)  # class 2 is absent: 2 (2 + 1) / (5 + 5), both weights 1 / 9


@pytest.mark.parametrize("name", ["dice_score", "generalized_dice_score", "mean_iou"])
def test_all_formats_of_one_segmentation_give_one_value(name: str) -> None:
    g = torch.Generator().manual_seed(0)
    p, t = torch.randint(3, (2, 4, 5), generator=g), torch.randint(3, (2, 4, 5), generator=g)
    score = getattr(F, name)
    expected = score(p, t, 3, input_format="index")
    p_hot, t_hot = one_hot(p, 3), one_hot(t, 3)
    torch.testing.assert_close(score(p_hot, t_hot, 3), expected)
    torch.testing.assert_close(score(p_hot.bool(), t_hot.int(), 3), expected)
    torch.testing.assert_close(score(p_hot + torch.rand(2, 3, 4, 5, generator=g) / 2, t_hot, 3), expected)
    for a, b in ((p, t_hot), (p_hot, t)):
        torch.testing.assert_close(score(a, b, 3, input_format="mixed"), expected)


def test_masks_may_overlap() -> None:
    p = torch.tensor([[[[1, 1, 0]], [[1, 0, 0]]]])
    t = torch.tensor([[[[1, 0, 0]], [[1, 0, 1]]]])
    np.testing.assert_allclose(F.dice_score(p, t, 2, average="none").numpy(), [[2 / 3, 2 / 3]])


def test_volumes_are_segmentations_too() -> None:
    g = torch.Generator().manual_seed(0)
    p, t = torch.randint(3, (2, 3, 4, 5), generator=g), torch.randint(3, (2, 3, 4, 5), generator=g)
    flat = F.mean_iou(p.flatten(1), t.flatten(1), 3, input_format="index")
    assert torch.equal(F.mean_iou(p, t, 3, input_format="index"), flat)


@pytest.mark.parametrize("make", METRICS)
def test_samples_without_the_classes_are_left_out_of_the_mean(make: Any) -> None:
    metric, other = (make(4, include_background=False, input_format="index") for _ in range(2))
    metric.update(PREDS, TARGET)
    metric.update(torch.zeros_like(PREDS), torch.zeros_like(TARGET))
    other.update(PREDS, TARGET)
    assert metric.compute() == other.compute()


@pytest.mark.parametrize("make", METRICS)
def test_nothing_to_find_is_nan_with_a_warning(make: Any) -> None:
    metric = make(2, include_background=False, input_format="index")
    metric.update(torch.zeros(1, 2, 2, dtype=torch.long), torch.zeros(1, 2, 2, dtype=torch.long))
    with pytest.warns(UserWarning, match="undefined"):
        assert math.isnan(metric.compute())


def test_mean_iou_equals_torchmetrics_1_9_0_where_it_marks_no_class_as_absent() -> None:
    g = torch.Generator().manual_seed(3)
    p, t = torch.randint(3, (3, 6, 6), generator=g), torch.randint(3, (3, 6, 6), generator=g)
    got = F.mean_iou(p, t, 3, input_format="index")
    torch.testing.assert_close(got, torch.tensor([0.24185465, 0.22098176, 0.1937799]).double(), rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize(
    ("preds", "target", "options", "error"),
    [
        (torch.zeros(1, 3, 4), torch.zeros(1, 3, 5), {}, ValueError),
        (torch.zeros(1, 2, 4), torch.zeros(1, 2, 4), {}, ValueError),
        (torch.zeros(1, 3), torch.zeros(1, 3), {}, ValueError),
        (torch.full((1, 3, 4), 2), torch.zeros(1, 3, 4).long(), {}, ValueError),
        (torch.full((1, 4), 3), torch.zeros(1, 4).long(), {"input_format": "index"}, ValueError),
        (torch.zeros(1, 4).long(), torch.full((1, 4), -1), {"input_format": "index"}, ValueError),
        (torch.zeros(1, 4), torch.zeros(1, 4).long(), {"input_format": "index"}, TypeError),
        (torch.zeros(1, 3, 4), torch.zeros(1, 3, 4), {"input_format": "mixed"}, ValueError),
    ],
)
@pytest.mark.parametrize("make", METRICS)
def test_bad_segmentations_raise(
    make: Any, preds: torch.Tensor, target: torch.Tensor, options: dict[str, Any], error: type[Exception]
) -> None:
    metric = make(3, **options)
    with pytest.raises(error, match=r"preds|target"):
        metric.update(preds, target)
    assert metric.update_count == 0


@pytest.mark.parametrize(
    ("make", "options"),
    [
        (lm.DiceScore, {"num_classes": 0}),
        (lm.DiceScore, {"num_classes": None}),
        (lm.DiceScore, {"average": "mean"}),
        (lm.DiceScore, {"aggregation_level": "sample"}),
        (lm.DiceScore, {"input_format": "onehot"}),
        (lm.DiceScore, {"include_background": 1}),
        (lm.GeneralizedDiceScore, {"weight_type": "cubic"}),
        (lm.MeanIoU, {"num_classes": -1}),
    ],
)
def test_bad_arguments_raise(make: Any, options: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=next(iter(options))):
        make(**{"num_classes": 3, **options})


def test_num_classes_is_needed_for_indices() -> None:
    with pytest.raises(ValueError, match="num_classes"):
        F.mean_iou(PREDS, TARGET, input_format="index")
