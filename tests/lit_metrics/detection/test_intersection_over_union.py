"""Overlap of boxes: golden values, formats, edges and bad input."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch

import lit_metrics as lm
import lit_metrics.functional as F

P = [[10.0, 10, 30, 40], [0, 0, 8, 5], [20, 15, 60, 35], [12, 8, 33, 41]]
T = [[12.0, 9, 31, 38], [50, 50, 70, 90], [22, 14, 55, 36]]
PREDS = [{"boxes": P, "labels": [0, 1, 2, 2]}]
TARGET = [{"boxes": T, "labels": [0, 1, 2]}]
# Printed by torchmetrics 1.9.0 with torchvision 0.28.0: matrix, mean of pairs (i, i), then the metric with its
# defaults, with respect_labels=False, and with iou_threshold=0.2 for classes 0 and 2.
GOLDEN = {
    "iou": (
        [
            [0.778979907, 0.0, 0.153043478],
            [0.0, 0.0, 0.0],
            [0.194518126, 0.0, 0.762124711],
            [0.795093795, 0.0, 0.205607477],
        ],
        0.513701539526898,
        [0.436678, 0.2407806, 0.5822374, 0.7789799, 0.4838661],
    ),
    "giou": (
        [
            [0.772835514, -0.708333333, 0.00489533],
            [-0.498302207, -0.866666667, -0.613131313],
            [0.007018126, -0.573333333, 0.74621562],
            [0.795093795, -0.68608074, 0.035064841],
        ],
        0.21746148925458966,
        [0.1718623, -0.1320604, 0.7595256, 0.7728355, 0.7462156],
    ),
    "diou": (
        [
            [0.775770207, -0.3625, 0.036034931],
            [-0.310706861, -0.591711538, -0.39261745],
            [0.084979175, -0.298461538, 0.761045057],
            [0.793786606, -0.344617367, 0.11838828],
        ],
        0.31503457506182375,
        [0.265873, 0.0224491, 0.7684076, 0.7757702, 0.7610451],
    ),
    "ciou": (
        [
            [0.775770204, -0.362539036, 0.031650742],
            [-0.316034608, -0.604967427, -0.392617572],
            [0.071164131, -0.322579443, 0.760884167],
            [0.793786581, -0.344635833, 0.112694871],
        ],
        0.31056231435176046,
        [0.2610955, 0.0168814, 0.7683272, 0.7757702, 0.7608842],
    ),
}
FUNCTIONS = {
    "iou": F.intersection_over_union,
    "giou": F.generalized_intersection_over_union,
    "diou": F.distance_intersection_over_union,
    "ciou": F.complete_intersection_over_union,
}
METRICS: dict[str, Any] = {
    "iou": lm.IntersectionOverUnion,
    "giou": lm.GeneralizedIntersectionOverUnion,
    "diou": lm.DistanceIntersectionOverUnion,
    "ciou": lm.CompleteIntersectionOverUnion,
}


@pytest.mark.parametrize("kind", GOLDEN)
def test_functions_equal_golden_values(kind: str) -> None:
    matrix, mean, _ = GOLDEN[kind]
    np.testing.assert_allclose(FUNCTIONS[kind](P, T, aggregate=False).numpy(), matrix, atol=1e-8)
    assert float(FUNCTIONS[kind](P[:3], T)) == pytest.approx(mean, abs=1e-8)


@pytest.mark.parametrize("kind", GOLDEN)
def test_metrics_equal_golden_values(kind: str) -> None:
    default, any_label, limited, class_0, class_2 = GOLDEN[kind][2]
    for options, expected in (({}, default), ({"respect_labels": False}, any_label)):
        metric = METRICS[kind](**options)
        metric.update(PREDS, TARGET)
        assert {k: float(v) for k, v in metric.compute().items()} == {kind: pytest.approx(expected, abs=1e-6)}
    metric = METRICS[kind](iou_threshold=0.2, class_metrics=True)
    metric.update(PREDS, TARGET)
    value = metric.compute()
    assert list(value) == [kind, f"{kind}/cl_0", f"{kind}/cl_1", f"{kind}/cl_2"]
    got = [float(value[key]) for key in (kind, f"{kind}/cl_0", f"{kind}/cl_2")]
    assert got == pytest.approx([limited, class_0, class_2], abs=1e-6)
    assert math.isnan(value[f"{kind}/cl_1"])


@pytest.mark.parametrize("kind", GOLDEN)
def test_box_formats_describe_the_same_boxes(kind: str) -> None:
    def convert(boxes: Any, box_format: str) -> torch.Tensor:
        low, high = torch.tensor(boxes).double().split(2, 1)
        return torch.cat([(low + high) / 2 if box_format == "cxcywh" else low, high - low], 1)

    expected = METRICS[kind]()
    expected.update(PREDS, TARGET)
    for box_format in ("xywh", "cxcywh"):
        metric = METRICS[kind](box_format=box_format)
        pair = [[{**x[0], "boxes": convert(x[0]["boxes"], box_format)}] for x in (PREDS, TARGET)]
        metric.update(*pair)
        torch.testing.assert_close(metric.compute(), expected.compute(), rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("kind", GOLDEN)
def test_equal_boxes_overlap_wholly_and_gradients_are_finite(kind: str) -> None:
    boxes = torch.tensor(P, dtype=torch.float64, requires_grad=True)
    value = FUNCTIONS[kind](boxes, torch.tensor(P))
    assert float(value.detach()) == pytest.approx(1.0)
    FUNCTIONS[kind](boxes[:3], torch.tensor(T)).backward()
    assert boxes.grad is not None
    assert bool(boxes.grad.isfinite().all())


@pytest.mark.parametrize("kind", GOLDEN)
def test_boxes_without_area_overlap_nothing(kind: str) -> None:
    point = [[5.0, 5.0, 5.0, 5.0]]
    assert not FUNCTIONS[kind](point, point, aggregate=False).isnan().any()
    assert F.intersection_over_union(point, [[0.0, 0.0, 10.0, 10.0]]) == 0


def test_values_below_the_threshold_are_replaced() -> None:
    matrix = F.intersection_over_union(P, T, iou_threshold=0.2, replacement_val=-7, aggregate=False)
    assert matrix[0].tolist() == [pytest.approx(0.778979907), -7, -7]


@pytest.mark.parametrize("kind", GOLDEN)
def test_no_boxes_are_undefined(kind: str) -> None:
    assert math.isnan(FUNCTIONS[kind](torch.empty(0, 4), torch.empty(0, 4)))
    assert FUNCTIONS[kind]([], T, aggregate=False).shape == (0, 3)
    metric = METRICS[kind]()
    metric.update([{"boxes": torch.empty(0, 4), "labels": torch.empty(0)}], TARGET)
    assert math.isnan(metric.compute()[kind])
    metric.update(PREDS, TARGET)
    assert float(metric.compute()[kind]) == pytest.approx(GOLDEN[kind][2][0], abs=1e-6)


@pytest.mark.parametrize(
    ("preds", "target", "error"),
    [
        (P, TARGET, TypeError),
        (PREDS, [], ValueError),
        ([{"boxes": P}], TARGET, ValueError),
        ([{"labels": [1]}], TARGET, ValueError),
        ([{"boxes": P, "labels": [0]}], TARGET, ValueError),
        ([{"boxes": P, "labels": [0.5] * 4}], TARGET, TypeError),
        ([{"boxes": [[1.0, 2.0]], "labels": [0]}], TARGET, ValueError),
    ],
)
def test_bad_images_raise_and_leave_the_state(preds: Any, target: Any, error: type[Exception]) -> None:
    metric = lm.IntersectionOverUnion()
    metric.update(PREDS, TARGET)
    with pytest.raises(error):
        metric.update(preds, target)
    assert metric.update_count == 1


@pytest.mark.parametrize("options", [{"box_format": "yxyx"}, {"class_metrics": 1}, {"respect_labels": None}])
def test_bad_arguments_raise(options: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=next(iter(options))):
        lm.IntersectionOverUnion(**options)
