"""Dispersion of clusters: closed forms, edges and bad input."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch

import lit_metrics as lm
import lit_metrics.functional as F

NAMES = ["calinski_harabasz_score", "davies_bouldin_score", "dunn_index"]
SQUARES = [[0.0, 0.0], [0.0, 2.0], [6.0, 0.0], [6.0, 2.0]]


def test_two_pairs_of_points_have_closed_forms() -> None:
    # Radius 1, centroids 6 apart: B = 4 * 9, W = 4 * 1, N = 4, K = 2.
    labels = [4, 4, 9, 9]
    assert F.calinski_harabasz_score(SQUARES, labels) == 36 / 4 * 2
    assert float(F.davies_bouldin_score(SQUARES, labels)) == pytest.approx(2 / 6)
    assert F.dunn_index(SQUARES, labels) == 6
    assert F.dunn_index([[0.0, 0.0], [2.0, 2.0], [5.0, 5.0], [7.0, 7.0]], labels, p=1) == 10 / 2
    assert F.dunn_index([[0.0, 0.0], [2.0, 2.0], [5.0, 5.0], [7.0, 7.0]], labels, p=math.inf) == 5 / 1


@pytest.mark.parametrize("name", NAMES)
def test_a_far_offset_costs_no_digits(name: str) -> None:
    g = torch.Generator().manual_seed(0)
    x, c = torch.randint(-50, 50, (40, 2), generator=g).double(), torch.arange(40) % 3
    score = getattr(F, name)
    assert float(score(x + 2.0**40, c)) == pytest.approx(float(score(x, c)), rel=1e-5)
    assert float(score(x + 1e6, c)) == pytest.approx(float(score(x, c)), rel=1e-12)


@pytest.mark.parametrize("name", NAMES)
def test_one_cluster_is_undefined(name: str) -> None:
    assert math.isnan(getattr(F, name)(SQUARES, [1, 1, 1, 1]))


@pytest.mark.parametrize("name", NAMES[:2])
def test_every_point_alone_is_undefined(name: str) -> None:
    assert math.isnan(getattr(F, name)(SQUARES, [0, 1, 2, 3]))


def test_points_on_their_centroids_are_perfect() -> None:
    points, labels = [[0.0], [0.0], [1.0], [1.0]], [0, 0, 1, 1]
    assert F.calinski_harabasz_score(points, labels) == math.inf
    assert F.davies_bouldin_score(points, labels) == 0
    assert F.dunn_index(points, labels) == math.inf


@pytest.mark.parametrize(
    ("data", "labels", "error"),
    [
        ([1.0, 2.0], [0, 1], ValueError),
        ([[1.0], [2.0]], [0, 1, 1], ValueError),
        ([[1.0], [2.0]], [[0], [1]], ValueError),
        ([[1.0], [2.0]], [0.0, 1.0], TypeError),
        (torch.ones(2, 1, dtype=torch.complex64), [0, 1], TypeError),
    ],
)
@pytest.mark.parametrize("make", [lm.CalinskiHarabaszScore, lm.DaviesBouldinScore, lm.DunnIndex])
def test_bad_points_raise(make: Any, data: Any, labels: Any, error: type[Exception]) -> None:
    with pytest.raises(error):
        make().update(data, labels)
