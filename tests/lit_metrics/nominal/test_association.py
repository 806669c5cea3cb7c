"""Coefficients of association: closed forms, NaN, edges and bad input; test_association_scipy.py has the reference."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch

import lit_metrics as lm
import lit_metrics.functional as F

NAMES = ["cramers_v", "tschuprows_t", "pearsons_contingency_coefficient", "theils_u"]
METRICS = [lm.CramersV, lm.TschuprowsT, lm.PearsonsContingencyCoefficient, lm.TheilsU]


def test_bias_correction_equals_the_formula_of_bergsma() -> None:
    # Counts [[20, 10], [5, 15]]: chi2 = 50 (20 * 15 - 10 * 5)^2 / (30 * 20 * 25 * 25) = 25 / 3.
    p, t = [0] * 30 + [1] * 20, [0] * 20 + [1] * 10 + [0] * 5 + [1] * 15
    phi, size = 25 / 3 / 50 - 1 / 49, 2 - 1 / 49
    expected = math.sqrt(phi / (size - 1))
    for confmat_dtype in (torch.long, torch.float64):
        metric = lm.CramersV(2)
        metric.update(torch.tensor(p, dtype=confmat_dtype), torch.tensor(t, dtype=confmat_dtype))
        assert float(metric.compute()) == pytest.approx(expected, rel=1e-12)
    assert float(F.tschuprows_t(p, t)) == pytest.approx(expected, rel=1e-12)


def test_a_function_of_the_other_variable_is_told_by_it() -> None:
    fine, coarse = [0, 1, 2, 3] * 3, [0, 0, 1, 1] * 3
    assert F.theils_u(coarse, fine) == 1
    assert float(F.theils_u(fine, coarse)) == pytest.approx(0.5)
    matrix = F.theils_u_matrix(torch.tensor([coarse, fine]).T)
    assert matrix[0, 1] == 1
    assert float(matrix[1, 0]) == pytest.approx(0.5)


@pytest.mark.parametrize("name", NAMES)
def test_independent_variables_score_zero(name: str) -> None:
    assert float(getattr(F, name)([0, 0, 1, 1] * 5, [0, 1, 0, 1] * 5)) == pytest.approx(0.0, abs=1e-12)


@pytest.mark.parametrize("name", ["cramers_v", "tschuprows_t"])
def test_equal_variables_score_one(name: str) -> None:
    assert float(getattr(F, name)([5, 7, 9] * 4, [1, 2, 0] * 4)) == pytest.approx(1.0)


@pytest.mark.parametrize("name", ["cramers_v", "tschuprows_t", "theils_u"])
def test_one_value_only_is_undefined(name: str) -> None:
    assert math.isnan(getattr(F, name)([1, 1, 1, 1], [0, 1, 0, 1]))


@pytest.mark.parametrize("make", METRICS)
def test_without_samples_the_value_is_nan_with_a_warning(make: Any) -> None:
    with pytest.warns(UserWarning, match="no data was seen"):
        assert math.isnan(make(3).compute())


@pytest.mark.parametrize("name", NAMES)
def test_nan_is_dropped_with_its_pair_or_replaced(name: str) -> None:
    coefficient, nan = getattr(F, name), math.nan
    p, t = [0.0, nan, 1.0, 2.0, 2.0, 0.0, 1.0], [1.0, 0.0, nan, 2.0, 2.0, 1.0, 0.0]
    kept_p, kept_t = [0, 2, 2, 0, 1], [1, 2, 2, 1, 0]
    torch.testing.assert_close(coefficient(p, t, nan_strategy="drop"), coefficient(kept_p, kept_t))
    filled_p, filled_t = [0, 4, 1, 2, 2, 0, 1], [1, 0, 4, 2, 2, 1, 0]
    torch.testing.assert_close(coefficient(p, t, nan_replace_value=4), coefficient(filled_p, filled_t))


@pytest.mark.parametrize("make", METRICS)
def test_metric_treats_nan_as_the_function(make: Any) -> None:
    p, t = torch.tensor([0.0, math.nan, 1.0, 2.0, 2.0]), torch.tensor([1.0, 0.0, math.nan, 2.0, 2.0])
    for options in ({"nan_strategy": "drop"}, {"nan_replace_value": 1}):
        one, other = make(3, **options), make(3, **options)
        one.update(p, t)
        keep = ~(p.isnan() | t.isnan())
        if "nan_strategy" in options:
            other.update(p[keep], t[keep])
        else:
            other.update(p.nan_to_num(1.0), t.nan_to_num(1.0))
        assert torch.equal(one.confmat, other.confmat)


def test_scores_count_as_the_category_of_the_largest() -> None:
    g = torch.Generator().manual_seed(0)
    p, t = torch.rand(30, 4, generator=g), torch.rand(30, 4, generator=g)
    assert F.cramers_v(p, t) == F.cramers_v(p.argmax(1), t.argmax(1))
    assert F.cramers_v(p, t.argmax(1)) == F.cramers_v(p.argmax(1), t.argmax(1))


@pytest.mark.parametrize(
    ("preds", "target"),
    [([0, 1], [0, 1, 1]), ([0.5, 1.0], [0, 1]), ([[[0]]], [[[0]]]), ([0, 3], [0, 1]), ([0, -1], [0, 1])],
)
@pytest.mark.parametrize("make", METRICS)
def test_bad_categories_raise(make: Any, preds: Any, target: Any) -> None:
    metric = make(3)
    with pytest.raises(ValueError, match="must"):
        metric.update(preds, target)
    assert metric.update_count == 0


@pytest.mark.parametrize(
    "options", [{"nan_strategy": "omit"}, {"nan_replace_value": None}, {"nan_replace_value": "0"}, {"num_classes": 0}]
)
def test_bad_arguments_raise(options: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=next(iter(options))):
        lm.TheilsU(**{"num_classes": 3, **options})


def test_matrix_must_have_two_dimensions() -> None:
    with pytest.raises(ValueError, match="matrix"):
        F.cramers_v_matrix([0, 1, 2])
