"""Mean average precision: golden values, hand-made cases, merging of processes and bad input."""

from __future__ import annotations

import math
import multiprocessing
import warnings
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch
import torch.distributed as dist

import lit_metrics as lm
import lit_metrics.functional as F
from tests.lit_metrics.detection.scenes import scene

if TYPE_CHECKING:
    from pathlib import Path

NAMES = ["map", "map_50", "map_75", "map_small", "map_medium", "map_large"]
NAMES += ["mar_1", "mar_10", "mar_100", "mar_small", "mar_medium", "mar_large"]
NAN = math.nan
# Printed by pycocotools 2.0.11 for scene(5, masks=True), its -1 as nan; pooled: with one class for all objects.
GOLDEN = {
    ("bbox", "macro"): (
        [0.479070407, 0.7791529153, 0.5283278328, 0.3672442244, 0.9, NAN],
        [0.4416666667, 0.5888888889, 0.5888888889, 0.5555555556, 0.9, NAN],
    ),
    ("bbox", "micro"): (
        [0.4526337098, 0.8452380952, 0.4654938708, 0.413818772, 0.9, NAN],
        [0.1583333333, 0.6166666667, 0.6166666667, 0.5909090909, 0.9, NAN],
    ),
    ("segm", "macro"): (
        [0.5055051338, 0.7791529153, 0.4746974697, 0.4383663366, 0.8, NAN],
        [0.4861111111, 0.65, 0.65, 0.6833333333, 0.8, NAN],
    ),
    ("segm", "micro"): (
        [0.4790927097, 0.8452380952, 0.3201045105, 0.4409502296, 0.8, NAN],
        [0.1666666667, 0.6416666667, 0.6416666667, 0.6272727273, 0.8, NAN],
    ),
}


def square(x: float, side: float = 10.0) -> list[float]:
    return [x, 0.0, x + side, side]


def value(preds: Any, target: Any, **options: Any) -> dict[str, Any]:
    return F.mean_average_precision(preds, target, **options)


@pytest.mark.parametrize(("iou_type", "average"), GOLDEN)
def test_summary_equals_golden_values(iou_type: Any, average: Any) -> None:
    preds, target = scene(5, masks=True)
    metric = lm.MeanAveragePrecision(iou_type=iou_type, average=average)
    metric.update(preds[:2], target[:2])
    metric.update(preds[2:], target[2:])
    got = metric.compute()
    np.testing.assert_allclose(
        [float(got[name]) for name in NAMES], np.concatenate(GOLDEN[iou_type, average]), atol=1e-9
    )
    assert got["classes"].tolist() == [0, 1, 2]


@pytest.mark.parametrize("average", ["macro", "micro"])
def test_classes_have_their_own_values_whatever_the_average(average: Any) -> None:
    got = value(*scene(5), class_metrics=True, average=average)
    np.testing.assert_allclose(got["map_per_class"].numpy(), [0.68547855, 0.46262376, 0.28910891], atol=1e-8)
    assert got["mar_100_per_class"].shape == (3,)
    assert math.isnan(value(*scene(5), average=average)["map_per_class"])


def test_both_geometries_together_equal_each_alone() -> None:
    preds, target = scene(5, masks=True)
    both = value(preds, target, iou_type=("bbox", "segm"))
    for kind in ("bbox", "segm"):
        alone = value(preds, target, iou_type=kind)
        for name in NAMES:
            torch.testing.assert_close(both[f"{kind}_{name}"], alone[name], rtol=0, atol=0, equal_nan=True)


def test_box_formats_describe_the_same_boxes() -> None:
    preds, target = scene(5)
    for box_format in ("xywh", "cxcywh"):
        other = []
        for images in (preds, target):
            low, high = zip(*(image["boxes"].split(2, 1) for image in images), strict=True)
            place = [(a + b) / 2 if box_format == "cxcywh" else a for a, b in zip(low, high, strict=True)]
            boxes = [torch.cat([p, b - a], 1) for p, a, b in zip(place, low, high, strict=True)]
            other.append([{**image, "boxes": b} for image, b in zip(images, boxes, strict=True)])
        got = value(*other, box_format=box_format)
        np.testing.assert_allclose(
            [float(got[name]) for name in NAMES], np.concatenate(GOLDEN["bbox", "macro"]), atol=1e-9
        )


def test_a_second_detection_of_one_object_is_false() -> None:
    preds = [{"boxes": [square(0), square(0), square(100)], "scores": [0.9, 0.8, 0.7], "labels": [1, 1, 1]}]
    target = [{"boxes": [square(0), square(100)], "labels": [1, 1]}]
    got = value(preds, target)
    # Precision 1 up to recall 0.5 (51 of 101 points), then 2 of 3.
    assert float(got["map"]) == pytest.approx((51 + 50 * 2 / 3) / 101)
    assert float(got["mar_1"]) == pytest.approx(0.5)
    assert float(got["mar_100"]) == pytest.approx(1.0)


def test_a_crowd_takes_any_number_of_detections_which_do_not_count() -> None:
    preds = [{"boxes": [square(0), square(1), square(200)], "scores": [0.9, 0.8, 0.7], "labels": [0, 0, 0]}]
    target = [{"boxes": [[0.0, 0, 60, 60], square(200)], "labels": [0, 0], "iscrowd": [1, 0]}]
    assert float(value(preds, target)["map"]) == pytest.approx(1.0)


def test_given_areas_decide_about_the_size_and_missing_ones_are_measured() -> None:
    preds = [{"boxes": [square(0)], "scores": [0.9], "labels": [0]}]
    for area, name in ((0, "small"), (2000.0, "medium"), (10000.0, "large")):
        got = value(preds, [{"boxes": [square(0)], "labels": [0], "area": [area]}])
        defined = [size for size in ("small", "medium", "large") if not math.isnan(got[f"map_{size}"])]
        assert defined == [name]


def test_the_largest_number_of_detections_decides_about_map() -> None:
    preds, target = scene(5)
    got = value(preds, target, max_detection_thresholds=[3, 1, 2])
    # Of pycocotools 2.0.11, precision[..., -1] for maxDets [1, 2, 3].
    expected = [0.479070407, 0.4416666667, 0.5888888889, 0.5888888889]
    np.testing.assert_allclose([float(got[n]) for n in ("map", "mar_1", "mar_2", "mar_3")], expected, atol=1e-9)
    assert "mar_3_per_class" in got
    best = value(preds, target, max_detection_thresholds=[1])
    assert float(best["map"]) < float(got["map"])


def test_own_thresholds_are_used() -> None:
    preds = [{"boxes": [[0.0, 0, 10, 6]], "scores": [0.9], "labels": [0]}]
    target = [{"boxes": [square(0)], "labels": [0]}]
    assert float(value(preds, target, iou_thresholds=[0.5, 0.6, 0.7])["map"]) == pytest.approx(2 / 3)
    got = value(preds, target, iou_thresholds=[0.55])
    assert float(got["map"]) == pytest.approx(1.0)
    assert math.isnan(got["map_50"])
    assert value(preds, target, rec_thresholds=[0.0, 1.0], extended_summary=True)["precision"].shape[1] == 2


def test_extended_summary_tells_overlaps_by_image_and_class() -> None:
    preds = [
        {"boxes": [], "scores": [], "labels": []},
        {"boxes": [square(5), square(0)], "scores": [0.2, 0.9], "labels": [4, 4]},
    ]
    target = [{"boxes": [square(0)], "labels": [2]}, {"boxes": [square(0)], "labels": [4]}]
    metric = lm.MeanAveragePrecision(extended_summary=True)
    metric.update(preds, target)
    metric.update(preds[1:], target[1:])
    got = metric.compute()
    assert set(got["ious"]) == {(0, 2), (1, 4), (2, 4)}
    assert got["ious"][0, 2].shape == (0, 1)
    assert got["ious"][2, 4].flatten().tolist() == pytest.approx([1.0, 50 / 150])
    assert got["precision"].shape == (10, 101, 2, 4, 3)
    assert got["recall"].shape == (10, 2, 4, 3)
    assert float(got["scores"][0, 0, 1, 0, 2]) == 0.9


def test_images_without_objects_or_detections_count() -> None:
    nothing: dict[str, Any] = {"boxes": [], "labels": []}
    one = {"boxes": [square(0)], "labels": [0]}
    missed = value([{**nothing, "scores": []}], [one])
    assert missed["map"] == missed["mar_100"] == 0
    invented = value([{**one, "scores": [0.5]}], [nothing])
    assert math.isnan(invented["map"])
    assert invented["classes"].tolist() == [0]
    assert math.isnan(value([], [])["map"])
    assert lm.MeanAveragePrecision().compute()["classes"].numel() == 0


def test_a_false_detection_in_an_image_without_objects_costs_precision() -> None:
    one = {"boxes": [square(0)], "labels": [0]}
    nothing: dict[str, Any] = {"boxes": [], "labels": []}
    got = value([{**one, "scores": [0.5]}, {**one, "scores": [0.9]}], [one, nothing])
    assert float(got["map"]) == pytest.approx(0.5)


def test_the_state_holds_flat_tensors_and_no_boxes() -> None:
    metric = lm.MeanAveragePrecision()
    preds, target = scene(5)
    metric.update(preds, target)
    found = sum(len(image["scores"]) for image in preds)
    shapes = {name: [tuple(t.shape) for t in value] for name, value in metric.metric_state.items()}
    assert shapes["bbox_detections"] == [(found, 3)]
    assert shapes["bbox_matches"] == [(found, 40)]


def _process(rank: int, folder: Path) -> None:
    torch.set_num_threads(1)
    dist.init_process_group("gloo", init_method=f"file://{folder}/store", rank=rank, world_size=3)
    preds, target = scene(5, masks=True)
    metric = lm.MeanAveragePrecision(iou_type=("bbox", "segm"), class_metrics=True, extended_summary=True)
    overlap = lm.IntersectionOverUnion(class_metrics=True)
    share = {0: slice(0, 2), 1: slice(0, 0), 2: slice(2, 6)}[rank]
    for i in range(*share.indices(6)):
        metric.update(preds[i : i + 1], target[i : i + 1])
        overlap.update(preds[i : i + 1], target[i : i + 1])
    torch.save({**metric.compute(), **overlap.compute()}, folder / f"{rank}.pt")
    dist.destroy_process_group()


def test_three_processes_of_which_one_has_no_image_give_the_value_of_one(tmp_path: Path) -> None:
    context = multiprocessing.get_context("fork")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # 3.12: fork beside threads; the children only use gloo
        processes = [context.Process(target=_process, args=(rank, tmp_path)) for rank in range(3)]
        for process in processes:
            process.start()
    for process in processes:
        process.join(60)
    assert [process.exitcode for process in processes] == [0, 0, 0]
    preds, target = scene(5, masks=True)
    alone = value(preds, target, iou_type=("bbox", "segm"), class_metrics=True, extended_summary=True)
    overlap = lm.IntersectionOverUnion(class_metrics=True)
    overlap.update(preds, target)
    for rank in range(3):
        got = torch.load(tmp_path / f"{rank}.pt", weights_only=False)
        torch.testing.assert_close(got, {**alone, **overlap.compute()}, rtol=1e-12, atol=1e-12, equal_nan=True)


BOXES = {"boxes": [square(0)], "labels": [0]}


@pytest.mark.parametrize(
    ("preds", "target", "error"),
    [
        (BOXES, [BOXES], TypeError),
        ([{**BOXES, "scores": [0.5]}], [], ValueError),
        ([BOXES], [BOXES], ValueError),
        ([{**BOXES, "scores": [0.5, 0.6]}], [BOXES], ValueError),
        ([{**BOXES, "scores": [NAN]}], [BOXES], ValueError),
        ([{**BOXES, "scores": [0.5]}], [{"labels": [0]}], ValueError),
        ([{**BOXES, "scores": [0.5]}], [{**BOXES, "labels": [0, 1]}], ValueError),
        ([{**BOXES, "scores": [0.5]}], [{**BOXES, "iscrowd": [0, 1]}], ValueError),
        ([{**BOXES, "scores": [0.5]}], [{**BOXES, "area": [0.0, 1.0]}], ValueError),
        ([{**BOXES, "scores": [0.5], "labels": [0.5]}], [BOXES], TypeError),
        ([{**BOXES, "scores": [0.5], "boxes": [[1.0]]}], [BOXES], ValueError),
    ],
)
def test_bad_images_raise_and_leave_the_state(preds: Any, target: Any, error: type[Exception]) -> None:
    metric = lm.MeanAveragePrecision()
    metric.update([{**BOXES, "scores": [0.5]}], [BOXES])
    with pytest.raises(error):
        metric.update(preds, target)
    assert metric.update_count == 1
    assert float(metric.compute()["map"]) == pytest.approx(1.0)


def test_masks_of_one_image_must_have_one_size() -> None:
    masks = torch.ones(1, 4, 4, dtype=torch.bool)
    preds = [{"masks": masks, "scores": [0.5], "labels": [0]}]
    with pytest.raises(ValueError, match="one size"):
        value(preds, [{"masks": torch.ones(1, 4, 5, dtype=torch.bool), "labels": [0]}], iou_type="segm")
    with pytest.raises(ValueError, match="height, width"):
        value(preds, [{"masks": masks[0], "labels": [0]}], iou_type="segm")


@pytest.mark.parametrize(
    "options",
    [
        {"box_format": "yxyx"},
        {"iou_type": "keypoints"},
        {"iou_type": ()},
        {"iou_thresholds": [1.5]},
        {"rec_thresholds": []},
        {"max_detection_thresholds": [0]},
        {"max_detection_thresholds": [1.5]},
        {"class_metrics": 1},
        {"extended_summary": "yes"},
        {"average": "weighted"},
    ],
)
def test_bad_arguments_raise(options: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=next(iter(options))):
        lm.MeanAveragePrecision(**options)
