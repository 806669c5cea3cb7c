"""Spearman's and Kendall's correlation against pairs counted one by one; scipy stands in its own file."""

from __future__ import annotations

import math
from itertools import combinations
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch

import lit_metrics as lm
import lit_metrics.functional as F
from lit_metrics.functional.regression.kendall import count_inversions

if TYPE_CHECKING:
    from collections.abc import Callable


def draw(n: int, kinds: int, seed: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    g = torch.Generator().manual_seed(seed)
    return torch.randint(kinds, (n,), generator=g), torch.randint(kinds, (n,), generator=g).float()


@pytest.mark.parametrize("n", [0, 1, 2, 3, 7, 8, 9, 33])
def test_inversions_equal_a_double_loop(n: int) -> None:
    for seed in range(5):
        g = torch.Generator().manual_seed(seed)
        values = torch.randint(max(n, 1), (n,), generator=g)
        weights = torch.randint(4, (n,), generator=g)
        pairs = [(i, j) for i, j in combinations(range(n), 2) if values[i] > values[j]]
        assert count_inversions(values, torch.ones_like(weights)) == len(pairs)
        assert count_inversions(values, weights) == sum(int(weights[i] * weights[j]) for i, j in pairs)


def signs(x: torch.Tensor) -> Any:
    return np.array([np.sign(float(x[i] - x[j])) for i, j in combinations(range(len(x)), 2)])


@pytest.mark.parametrize("kinds", [2, 4, 100])
def test_the_three_variants_equal_their_definitions(kinds: int) -> None:
    x, y = draw(14, kinds)
    s, r, n = signs(x), signs(y), 14
    m = min(len(x.unique()), len(y.unique()))
    expected = {
        "a": np.sum(s * r) / (n * (n - 1) / 2),
        "b": np.sum(s * r) / math.sqrt(np.sum(s != 0) * np.sum(r != 0)),
        "c": np.sum(s * r) / (n * n * (m - 1) / m / 2),
    }
    for variant, value in expected.items():
        metric = lm.KendallRankCorrCoef(variant)  # type: ignore[arg-type]
        metric.update(x[:3], y[:3])
        metric.update(x[3:], y[3:])
        assert float(metric.compute()) == pytest.approx(value, rel=1e-13)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "fn",
    [
        F.spearman_corrcoef,
        F.kendall_rank_corrcoef,
        lambda p, t, **k: F.kendall_rank_corrcoef(p, t, "a", t_test=True, **k)[0],
        lambda p, t, **k: F.kendall_rank_corrcoef(p, t, "c", t_test=True, **k)[1],
    ],
)
def test_integer_weights_repeat_samples_and_zero_leaves_them_out(fn: Callable[..., Any]) -> None:
    for seed in range(5):
        x, y = draw(12, 4, seed)
        x[0] = 99
        w = torch.randint(4, (12,), generator=torch.Generator().manual_seed(seed))
        w[0] = 0
        expected = float(fn(x.repeat_interleave(w), y.repeat_interleave(w)))
        assert float(fn(x, y, sample_weight=w)) == pytest.approx(expected, rel=1e-11)


def test_weighted_and_plain_batches_mix() -> None:
    x, y = draw(12, 4)
    for metric in (lm.SpearmanCorrCoef(), lm.KendallRankCorrCoef()):
        metric.update(x[:6], y[:6])
        metric.update(x[6:], y[6:], torch.full((6,), 2.0))
        many = torch.cat([torch.arange(6), torch.arange(6, 12), torch.arange(6, 12)])
        once = metric.clone()
        once.reset()
        once.update(x[many], y[many])
        assert float(metric.compute()) == pytest.approx(float(once.compute()), rel=1e-12)


@pytest.mark.parametrize("fn", [F.spearman_corrcoef, F.kendall_rank_corrcoef])
def test_constant_input_nan_and_nothing_are_nan(fn: Callable[..., Any]) -> None:
    assert fn([1.0, 1.0, 1.0], [1.0, 2.0, 3.0]).isnan()
    assert fn([1.0, math.nan, 3.0], [1.0, 2.0, 3.0]).isnan()
    assert fn([], []).isnan()
    assert fn([1.0], [1.0]).isnan()


def test_nothing_seen_is_nan_with_a_warning() -> None:
    for metric in (lm.SpearmanCorrCoef(), lm.KendallRankCorrCoef()):
        with pytest.warns(UserWarning, match="no data was seen"):
            assert metric.compute().isnan()  # type: ignore[union-attr]


def test_extreme_p_values_do_not_round_to_zero_and_directions_add_to_one() -> None:
    x = torch.arange(100)
    p_values = {
        alternative: float(F.kendall_rank_corrcoef(x, x, t_test=True, alternative=alternative)[1])  # type: ignore[arg-type]
        for alternative in ("two-sided", "less", "greater")
    }
    assert 0 < p_values["two-sided"] < 1e-30
    assert p_values["two-sided"] == pytest.approx(2 * p_values["greater"], rel=1e-9)
    assert p_values["less"] + p_values["greater"] == pytest.approx(1)


def test_both_share_their_samples_in_a_collection() -> None:
    x, y = draw(12, 4)
    together = lm.MetricCollection([lm.SpearmanCorrCoef(), lm.KendallRankCorrCoef()])
    together.update(x, y)
    assert len({id(metric.store) for metric in together.values()}) == 1
    assert together.compute() == {
        "SpearmanCorrCoef": F.spearman_corrcoef(x, y),
        "KendallRankCorrCoef": F.kendall_rank_corrcoef(x, y),
    }


def test_integers_beyond_float32_keep_their_order() -> None:
    x = torch.tensor([2**24, 2**24 + 1, 2**24 + 2])
    assert F.spearman_corrcoef(x, [1, 2, 3]) == 1
    assert F.kendall_rank_corrcoef(x, [1, 2, 3]) == 1


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"variant": "d"}, "variant must be"),
        ({"t_test": 1}, "t_test must be"),
        ({"t_test": True, "alternative": "more"}, "alternative must be"),
        ({"t_test": True, "alternative": None}, "alternative must be"),
    ],
)
def test_wrong_arguments_are_refused(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        lm.KendallRankCorrCoef(**arguments)
    with pytest.raises(ValueError, match=message):
        F.kendall_rank_corrcoef([1.0, 2.0], [1.0, 2.0], **arguments)


def test_wrong_shapes_are_refused_and_leave_the_state() -> None:
    metric = lm.SpearmanCorrCoef()
    metric.update([1.0, 2.0, 3.0], [1.0, 3.0, 2.0])
    for preds, target in (((4, 2), (4, 2)), ((4,), (3,)), ((2, 2, 2), (2, 2, 2))):
        with pytest.raises(ValueError, match="preds and target must have"):
            metric.update(torch.rand(preds), torch.rand(target))
    assert float(metric.compute()) == pytest.approx(0.5)
