"""Fleiss' kappa: the worked example of the literature, edges and bad input."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch

import lit_metrics as lm
import lit_metrics.functional as F

# Fourteen raters, ten subjects, five categories; kappa 0.210, published widely as a worked example.
TABLE = [
    [0, 0, 0, 0, 14],
    [0, 2, 6, 4, 2],
    [0, 0, 3, 5, 6],
    [0, 3, 9, 2, 0],
    [2, 2, 8, 1, 1],
    [7, 7, 0, 0, 0],
    [3, 2, 6, 3, 0],
    [2, 5, 3, 2, 2],
    [6, 5, 2, 1, 0],
    [0, 2, 2, 3, 7],
]


def test_the_worked_example_gives_0_21() -> None:
    assert float(F.fleiss_kappa(TABLE)) == pytest.approx(0.20993070442195522, rel=1e-12)
    metric = lm.FleissKappa()
    metric.update(TABLE[:3])
    metric.update(TABLE[3:])
    assert float(metric.compute()) == pytest.approx(0.20993070442195522, rel=1e-12)


def test_probabilities_count_as_the_category_of_the_largest() -> None:
    g = torch.Generator().manual_seed(0)
    scores = torch.rand(10, 3, 5, generator=g)
    counts = torch.nn.functional.one_hot(scores.argmax(1), 3).sum(1)
    assert F.fleiss_kappa(scores, mode="probs") == F.fleiss_kappa(counts)


def test_perfect_agreement_on_several_categories_is_one() -> None:
    assert F.fleiss_kappa([[4, 0], [0, 4], [4, 0]]) == 1


@pytest.mark.parametrize("ratings", [[[3, 0], [3, 0]], [[1, 0], [0, 1]]])
def test_one_category_or_one_rater_is_undefined(ratings: Any) -> None:
    assert math.isnan(F.fleiss_kappa(ratings))


def test_without_samples_the_value_is_nan_with_a_warning() -> None:
    with pytest.warns(UserWarning, match="no data was seen"):
        assert math.isnan(lm.FleissKappa().compute())
    assert math.isnan(F.fleiss_kappa(torch.empty(0, 3, dtype=torch.long)))


def test_samples_with_different_numbers_of_raters_raise_also_across_batches() -> None:
    with pytest.raises(ValueError, match="same number of raters, got from 2 to 3"):
        F.fleiss_kappa([[3, 0], [1, 1]])
    metric = lm.FleissKappa()
    metric.update([[3, 0]])
    metric.update([[1, 1]])
    with pytest.raises(ValueError, match="same number of raters"):
        metric.compute()


@pytest.mark.parametrize(
    ("ratings", "mode"),
    [
        ([[1.0, 2.0]], "counts"),
        ([1, 2], "counts"),
        ([[[1, 2]]], "probs"),
        ([[0.5, 0.5]], "probs"),
        ([[1, -1]], "counts"),
    ],
)
def test_ratings_that_do_not_fit_the_mode_raise(ratings: Any, mode: Any) -> None:
    with pytest.raises(ValueError, match="ratings must"):
        F.fleiss_kappa(ratings, mode)


def test_unknown_mode_raises() -> None:
    with pytest.raises(ValueError, match="mode"):
        lm.FleissKappa("votes")  # type: ignore[arg-type]
