"""Extremes of the values that compute gave."""

from __future__ import annotations

import math

import pytest

import lit_metrics as lm


def numbers(value: dict[str, object]) -> dict[str, float]:
    return {name: float(entry) for name, entry in value.items()}  # type: ignore[arg-type]


def test_extremes_are_those_of_computed_values() -> None:
    metric = lm.MinMaxMetric(lm.MeanMetric())
    seen = []
    for value in (3.0, 1.0, 8.0, 0.0):
        metric.update(value)
        seen.append(numbers(metric.compute()))
    means = [3, 2, 4, 3]
    assert [s["raw"] for s in seen] == means
    assert [s["min"] for s in seen] == [3, 2, 2, 2]
    assert [s["max"] for s in seen] == [3, 3, 4, 4]


def test_values_of_batches_leave_the_extremes_and_the_value_alone() -> None:
    metric = lm.MinMaxMetric(lm.MeanMetric())
    assert numbers(metric(10.0)) == {"raw": 10, "max": 10, "min": 10}
    assert numbers(metric(0.0)) == {"raw": 0, "max": 0, "min": 0}
    assert numbers(metric.compute()) == {"raw": 5, "max": 5, "min": 5}


def test_reset_forgets_the_extremes() -> None:
    metric = lm.MinMaxMetric(lm.MeanMetric())
    metric.update(10.0)
    metric.compute()
    metric.reset()
    metric.update(2.0)
    assert numbers(metric.compute()) == {"raw": 2, "max": 2, "min": 2}


def test_undefined_values_are_no_extremes() -> None:
    metric = lm.MinMaxMetric(lm.MeanMetric())
    with pytest.warns(UserWarning, match="is nan"):
        assert math.isnan(metric.compute()["max"])
    metric.update(2.0)
    assert numbers(metric.compute()) == {"raw": 2, "max": 2, "min": 2}


def test_extremes_keep_the_dtype_of_the_value() -> None:
    metric = lm.MinMaxMetric(lm.MeanMetric())
    metric.update(2.0)
    assert len({entry.dtype for entry in metric.compute().values()}) == 1


def test_metrics_with_several_values_are_refused() -> None:
    metric = lm.MinMaxMetric(lm.MeanSquaredError(num_outputs=2))
    metric.update([[1.0, 2.0]], [[1.0, 2.0]])
    with pytest.raises(ValueError, match="single number"):
        metric.compute()
    with pytest.raises(TypeError, match="base_metric must be a Metric"):
        lm.MinMaxMetric("accuracy")
