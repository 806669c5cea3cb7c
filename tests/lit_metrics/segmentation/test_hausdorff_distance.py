"""Hausdorff distance: closed forms, edges and bad input; test_hausdorff_distance_scipy.py has the reference."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch

import lit_metrics as lm
import lit_metrics.functional as F


def mask(*boxes: tuple[slice, slice]) -> torch.Tensor:
    image = torch.zeros(12, 12, dtype=torch.bool)
    for rows, columns in boxes:
        image[rows, columns] = True
    return torch.stack([~image, image])[None]


A = mask((slice(2, 7), slice(2, 9)))
B = mask((slice(4, 10), slice(1, 6)), (slice(11, 12), slice(11, 12)))


@pytest.mark.parametrize(
    ("distance_metric", "directed", "spacing", "expected"),
    [  # of torchmetrics 1.9.0
        ("euclidean", False, None, 5.8309519),
        ("euclidean", True, None, 3.6055513),
        ("euclidean", False, [2.0, 0.5], 10.111874),
        ("euclidean", True, [2.0, 0.5], 4.2720019),
        ("chessboard", False, None, 5.0),
        ("chessboard", True, None, 3.0),
        ("chessboard", False, [2.0, 0.5], 10.0),
        ("taxicab", False, None, 8.0),
        ("taxicab", True, None, 5.0),
        ("taxicab", False, [2.0, 0.5], 11.5),
    ],
)
def test_distances_equal_golden_values(distance_metric: Any, directed: bool, spacing: Any, expected: float) -> None:
    value = F.hausdorff_distance(A, B, 2, distance_metric=distance_metric, directed=directed, spacing=spacing)
    assert value.shape == (1, 1)
    assert float(value) == pytest.approx(expected, rel=1e-6)


def test_background_is_a_class_if_asked() -> None:
    value = F.hausdorff_distance(A, B, 2, include_background=True)
    torch.testing.assert_close(value, torch.tensor([[3.0, 5.8309519]]).double(), rtol=1e-6, atol=1e-6)
    metric = lm.HausdorffDistance(2, include_background=True)
    metric.update(A, B)
    assert float(metric.compute()) == pytest.approx((3.0 + 5.8309519) / 2, rel=1e-6)


def test_a_class_that_only_one_has_is_infinitely_far_and_one_that_none_has_is_undefined() -> None:
    empty = mask()
    assert F.hausdorff_distance(A, empty, 2) == math.inf
    assert F.hausdorff_distance(empty, A, 2) == math.inf
    assert math.isnan(F.hausdorff_distance(empty, empty, 2))
    metric = lm.HausdorffDistance(2)
    metric.update(empty, empty)
    metric.update(A, A)
    assert metric.compute() == 0


def test_volumes_have_distances_too() -> None:
    p, t = torch.zeros(1, 5, 5, 5, dtype=torch.long), torch.zeros(1, 5, 5, 5, dtype=torch.long)
    p[0, 0, 0, 0] = t[0, 1, 2, 2] = 1
    assert F.hausdorff_distance(p, t, 2, input_format="index") == 3


@pytest.mark.parametrize(
    "options",
    [
        {"distance_metric": "cosine"},
        {"directed": 1},
        {"num_classes": 0},
        {"input_format": "onehot"},
        {"spacing": [1.0, 1.0, 1.0]},
    ],
)
def test_bad_arguments_raise(options: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=next(iter(options))):
        F.hausdorff_distance(A, B, **{"num_classes": 2, **options})
