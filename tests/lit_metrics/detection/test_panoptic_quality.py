"""Panoptic quality: golden values, hand-made segments, void and bad input."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch

import lit_metrics as lm
import lit_metrics.functional as F

KNOWN: dict[str, Any] = {"things": {0, 1}, "stuffs": {6, 7}}
PREDS = torch.tensor(
    [
        [
            [[6, 0], [0, 0], [6, 0], [6, 0]],
            [[0, 0], [0, 0], [6, 0], [0, 1]],
            [[0, 0], [0, 0], [6, 0], [0, 1]],
            [[0, 0], [7, 0], [6, 0], [1, 0]],
            [[0, 0], [7, 0], [7, 0], [7, 0]],
        ]
    ]
)
TARGET = torch.tensor(
    [
        [
            [[6, 0], [0, 1], [6, 0], [0, 1]],
            [[0, 1], [0, 1], [6, 0], [0, 1]],
            [[0, 1], [0, 1], [6, 0], [1, 0]],
            [[0, 1], [7, 0], [1, 0], [1, 0]],
            [[0, 1], [7, 0], [7, 0], [7, 0]],
        ]
    ]
)
# Of torchmetrics 1.9.0: quality, segmentation quality, recognition quality of 0, 1, 6, 7.
GOLDEN = [[0.5185, 0.7778, 0.6667], [0.0, 0.0, 0.0], [0.6667, 0.6667, 1.0], [1.0, 1.0, 1.0]]


def test_quality_and_its_factors_equal_golden_values() -> None:
    table = F.panoptic_quality(PREDS, TARGET, **KNOWN, return_sq_and_rq=True, return_per_class=True)
    np.testing.assert_allclose(table.numpy(), GOLDEN, atol=1e-4)
    by_class = F.panoptic_quality(PREDS, TARGET, **KNOWN, return_per_class=True)
    np.testing.assert_array_equal(by_class.numpy(), table[:, 0][None].numpy())
    means = F.panoptic_quality(PREDS, TARGET, **KNOWN, return_sq_and_rq=True)
    np.testing.assert_allclose(means.numpy(), [0.5463, 0.6111, 0.6667], atol=1e-4)
    assert float(F.panoptic_quality(PREDS, TARGET, **KNOWN)) == pytest.approx(float(means[0]))


def test_stuff_counts_its_overlap_in_the_modified_quality() -> None:
    preds = torch.tensor([[[0, 0], [0, 1], [6, 0], [7, 0], [0, 2], [1, 0]]])
    target = torch.tensor([[[0, 1], [0, 0], [6, 0], [7, 0], [6, 0], [255, 0]]])
    # Things 0: two matches and one false positive; stuff 6: IoU 1 / 2; stuff 7: 1; thing 1 lies in void.
    assert float(F.panoptic_quality(preds, target, **KNOWN)) == pytest.approx((0.8 + 0 + 1) / 3)
    assert float(F.modified_panoptic_quality(preds, target, **KNOWN)) == pytest.approx((0.8 + 0.5 + 1) / 3)


def test_an_absent_category_is_nan_by_class_and_left_out_of_the_mean() -> None:
    more: dict[str, Any] = {"things": {0, 1}, "stuffs": {6, 7, 9}}
    by_class = F.panoptic_quality(PREDS, TARGET, **more, return_per_class=True)
    assert by_class.isnan().tolist() == [[False, False, False, False, True]]
    assert F.panoptic_quality(PREDS, TARGET, **more) == F.panoptic_quality(PREDS, TARGET, **KNOWN)


def test_void_on_the_other_side_is_no_error() -> None:
    target = TARGET.clone()
    target[0, :2] = torch.tensor([42, 3])
    table = F.panoptic_quality(PREDS, target, **KNOWN, return_sq_and_rq=True, return_per_class=True)
    # Of torchmetrics 1.9.0.
    expected = [[0.6667, 1.0, 0.6667], [0.0, 0.0, 0.0], [0.0, 0.0, 0.0], [1.0, 1.0, 1.0]]
    np.testing.assert_allclose(table.numpy(), expected, atol=1e-4)


def test_unknown_predictions_raise_or_are_void() -> None:
    preds = PREDS.clone()
    preds[0, 0, 0] = torch.tensor([42, 3])
    with pytest.raises(ValueError, match=r"categories of things and stuffs only, got \[42\]"):
        F.panoptic_quality(preds, TARGET, **KNOWN)
    # Of torchmetrics 1.9.0.
    value = F.panoptic_quality(preds, TARGET, **KNOWN, allow_unknown_preds_category=True)
    assert float(value) == pytest.approx(0.5296, abs=1e-4)


def test_instances_of_two_images_are_not_one() -> None:
    images = torch.cat([PREDS, PREDS.flip(1)]), torch.cat([TARGET, TARGET.flip(1)])
    torch.testing.assert_close(F.panoptic_quality(*images, **KNOWN), F.panoptic_quality(PREDS, TARGET, **KNOWN))


def test_names_of_instances_do_not_matter() -> None:
    renamed = PREDS.clone()
    renamed[..., 1] = 10**12 - 7 * renamed[..., 1]
    assert F.panoptic_quality(renamed, TARGET, **KNOWN) == F.panoptic_quality(PREDS, TARGET, **KNOWN)


@pytest.mark.parametrize("make", [lm.PanopticQuality, lm.ModifiedPanopticQuality])
def test_without_segments_the_value_is_nan_with_a_warning(make: Any) -> None:
    with pytest.warns(UserWarning, match="no data was seen"):
        assert math.isnan(make(**KNOWN).compute())


@pytest.mark.parametrize(
    ("preds", "target", "error"),
    [
        (PREDS, TARGET[:, :2], ValueError),
        (PREDS[..., :1], TARGET[..., :1], ValueError),
        (PREDS[0, 0], TARGET[0, 0], ValueError),
        (PREDS.double(), TARGET.double(), TypeError),
    ],
)
def test_bad_segmentations_raise(preds: torch.Tensor, target: torch.Tensor, error: type[Exception]) -> None:
    metric = lm.PanopticQuality(**KNOWN)
    with pytest.raises(error, match=r"preds|target"):
        metric.update(preds, target)
    assert metric.update_count == 0


@pytest.mark.parametrize(
    ("things", "stuffs", "error"),
    [({0}, {0, 1}, ValueError), ((), (), ValueError), ({"car"}, {1}, TypeError), ({0}, {1.0}, TypeError)],
)
def test_bad_categories_raise(things: Any, stuffs: Any, error: type[Exception]) -> None:
    with pytest.raises(error, match=r"things|stuffs"):
        lm.PanopticQuality(things, stuffs)
