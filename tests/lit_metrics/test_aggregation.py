"""Aggregation against numpy and math.fsum."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch

import lit_metrics as lm

NAN = math.nan
ALL = [lm.SumMetric, lm.MeanMetric, lm.MaxMetric, lm.MinMetric, lm.CatMetric]


def test_sum_counts_on_past_two_to_the_24() -> None:
    metric = lm.SumMetric()
    metric.update(2.0**24)
    for _ in range(1000):
        metric.update(torch.tensor(1.0))
    assert metric.compute() == 2**24 + 1000


def test_mean_weight_counts_on_past_two_to_the_24() -> None:
    metric = lm.MeanMetric()
    metric.update(0.0, 2.0**24)
    for _ in range(100):
        metric.update(1.0)
    assert metric.compute() == 100 / (2**24 + 100)


def test_half_precision_values_do_not_overflow() -> None:
    values = torch.full((70_000,), 3.0, dtype=torch.float16)
    for kind, expected in ((lm.SumMetric, 210_000), (lm.MeanMetric, 3)):
        metric = kind()
        metric.update(values)
        assert metric.compute() == expected


def test_values_with_a_large_offset_keep_their_digits() -> None:
    values = [1e6 + i * 1e-3 for i in range(1000)]
    metric = lm.SumMetric()
    for value in values:
        metric.update(value)
    assert float(metric.compute()) == pytest.approx(math.fsum(values), rel=1e-15)


@pytest.mark.parametrize("strategy", ["warn", "ignore", "disable", "error", 0.0])
def test_weights_are_used_under_every_nan_strategy(strategy: Any) -> None:
    values, weights = [1.0, 2.0, 6.0], [1.0, 0.0, 3.0]
    metric = lm.MeanMetric(nan_strategy=strategy)
    metric.update(values, weights)
    assert metric.compute() == np.average(values, weights=weights)


def test_zeros_are_values() -> None:
    metric = lm.MeanMetric(nan_strategy="ignore")
    metric.update([0.0, 4.0])
    assert metric.compute() == 2


@pytest.mark.filterwarnings("ignore:value holds NaN")
@pytest.mark.parametrize(
    ("kind", "left_out", "replaced"),
    [(lm.SumMetric, 4, 14), (lm.MeanMetric, 2, 14 / 3), (lm.MaxMetric, 3, 10), (lm.MinMetric, 1, 1)],
)
def test_nan_strategies(kind: type[lm.Metric], left_out: float, replaced: float) -> None:
    values = torch.tensor([1.0, NAN, 3.0])
    for strategy in ("ignore", "warn"):
        assert kind(nan_strategy=strategy)(values) == left_out
    assert float(kind(nan_strategy=10.0)(values)) == pytest.approx(replaced)
    assert math.isnan(kind(nan_strategy="disable")(values))


@pytest.mark.parametrize("kind", ALL)
def test_nan_is_warned_of_by_default_and_refused_on_demand(kind: type[lm.Metric]) -> None:
    with pytest.warns(UserWarning, match="value holds NaN"):
        kind().update([1.0, NAN])
    strict = kind(nan_strategy="error")
    strict.update([1.0])
    before = strict.compute()
    with pytest.raises(ValueError, match="NaN"):
        strict.update([2.0, NAN])
    assert torch.equal(strict.compute(), before)


def test_weight_of_a_left_out_value_is_left_out_too() -> None:
    metric = lm.MeanMetric(nan_strategy="ignore")
    metric.update([2.0, NAN, 4.0], [1.0, 100.0, 3.0])
    assert metric.compute() == 3.5


@pytest.mark.filterwarnings("ignore:.*is nan")
@pytest.mark.parametrize("kind", [lm.MeanMetric, lm.MaxMetric, lm.MinMetric])
def test_nothing_but_left_out_values_is_nan(kind: type[lm.Metric]) -> None:
    metric = kind(nan_strategy="ignore")
    metric.update([NAN, NAN])
    metric.update([])
    assert math.isnan(metric.compute())


def test_sum_of_nothing_is_zero_and_cat_of_nothing_is_empty() -> None:
    assert lm.SumMetric().compute() == 0
    assert lm.CatMetric().compute().shape == (0,)


def test_infinities_are_values() -> None:
    metric = lm.MaxMetric()
    metric.update(-math.inf)
    assert metric.compute() == -math.inf


@pytest.mark.parametrize("kind", ALL)
def test_nan_noted_on_an_accelerator_is_reported_by_compute(kind: type[lm.Metric]) -> None:
    state = {"nans": torch.tensor(2)}
    for strategy, expectation in (
        ("error", pytest.raises(ValueError, match="2 values were NaN")),
        ("warn", pytest.warns(UserWarning, match="2 values were NaN")),
    ):
        metric = kind(nan_strategy=strategy)
        metric.update([1.0])
        metric.merge_state({**kind().metric_state, **state})
        with expectation:
            metric.compute()


def test_cat_keeps_order_and_dtype() -> None:
    metric = lm.CatMetric()
    metric.update(3)
    metric.update(np.array([[1, 2], [5, 4]]))
    assert metric.compute().tolist() == [3, 1, 2, 5, 4]
    assert metric.compute().dtype == torch.int64


@pytest.mark.parametrize("strategy", ["skip", None, True, [1.0]])
def test_unknown_nan_strategies_are_refused(strategy: Any) -> None:
    with pytest.raises(ValueError, match="nan_strategy must be"):
        lm.SumMetric(nan_strategy=strategy)


def test_weights_that_do_not_fit_and_values_that_are_no_numbers_are_refused() -> None:
    with pytest.raises(ValueError, match="weight must broadcast"):
        lm.MeanMetric().update([1.0, 2.0], [1.0, 2.0, 3.0])
    with pytest.raises(TypeError, match="value must be"):
        lm.SumMetric().update("three")
    with pytest.raises(TypeError, match="real numbers"):
        lm.SumMetric().update(torch.tensor(1j))


@pytest.mark.parametrize(
    "value",
    [
        [1.0, 2.0, 6.0],
        (1.0, 2.0, 6.0),
        np.array([1.0, 2.0, 6.0]),
        np.array([[1], [2], [6]]),
        np.float32([1, 0, 2, 0, 6])[::2],
        [torch.tensor(1.0), torch.tensor(2.0), torch.tensor(6.0)],
    ],
)
@pytest.mark.parametrize(
    ("kind", "expected"), [(lm.SumMetric, 9), (lm.MeanMetric, 3), (lm.MaxMetric, 6), (lm.MinMetric, 1)]
)
def test_arrays_lists_and_tuples_are_values(kind: type[lm.Metric], expected: float, value: Any) -> None:
    assert kind()(value) == expected


@pytest.mark.parametrize("value", [3, 3.0, True, np.float32(3), np.int64(3), np.array(3), torch.tensor(3)])
@pytest.mark.parametrize("kind", [*ALL, lm.RunningMean, lm.RunningSum])
def test_single_numbers_of_any_kind_are_values(kind: type[lm.Metric], value: Any) -> None:
    metric = kind()
    metric.update(value)
    assert metric.compute() == value


@pytest.mark.parametrize("kind", ALL)
@pytest.mark.parametrize("strategy", ["ignore", "disable", 10.0])
def test_an_accelerator_gives_the_values_of_the_host(
    kind: type[lm.Metric], strategy: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    values = torch.tensor([1.0, NAN, 3.0])
    expected = kind(nan_strategy=strategy)(values)
    monkeypatch.setattr("lit_metrics.functional.aggregation.checks_are_free", lambda tensor: False)
    torch.testing.assert_close(kind(nan_strategy=strategy)(values), expected, equal_nan=True)


@pytest.mark.parametrize(("kind", "reduce"), [(lm.RunningMean, np.mean), (lm.RunningSum, np.sum)])
@pytest.mark.parametrize("window", [1, 3, 5])
def test_running_values_are_those_of_the_last_updates(kind: Any, reduce: Any, window: int) -> None:
    rng = np.random.default_rng(0)
    batches = [rng.normal(size=rng.integers(1, 4)) for _ in range(9)]
    metric = kind(window=window)
    for i, batch in enumerate(batches):
        assert float(metric(batch)) == pytest.approx(reduce(batch))
        last = np.concatenate(batches[max(0, i + 1 - window) : i + 1])
        assert float(metric.compute()) == pytest.approx(reduce(last), rel=1e-12)
