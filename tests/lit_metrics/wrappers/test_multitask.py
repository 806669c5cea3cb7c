"""Metrics by task."""

from __future__ import annotations

from typing import Any

import pytest

import lit_metrics as lm

PREDS = {"a": [1.0, 2.0], "b": [3.0, 3.0]}
TARGET = {"a": [1.0, 4.0], "b": [3.0, 6.0]}


def make(**options: Any) -> lm.MultitaskWrapper:
    collection = lm.MetricCollection({"x": lm.MeanSquaredError(), "y": lm.MeanSquaredError()})
    return lm.MultitaskWrapper({"a": lm.MeanSquaredError(), "b": collection}, **options)


def test_each_task_gets_its_own_inputs() -> None:
    metric = make()
    for value in (metric(PREDS, TARGET), metric.compute()):
        assert value == {"a": 2, "b": {"x": 4.5, "y": 4.5}}


def test_further_arguments_may_be_by_task_or_for_all() -> None:
    metric = lm.MultitaskWrapper({"a": lm.MeanSquaredError(), "b": lm.MeanSquaredError()})
    assert metric(PREDS, TARGET, {"a": [1, 0], "b": [0, 1]}) == {"a": 0, "b": 9}
    assert metric(PREDS, TARGET, sample_weight=[1, 0]) == {"a": 0, "b": 0}


def test_names_have_prefix_and_postfix_and_a_copy_may_have_others() -> None:
    metric = make(prefix="p_", postfix="_q")
    assert list(metric(PREDS, TARGET)) == ["p_a_q", "p_b_q"]
    assert list(metric.keys()) == ["p_a_q", "p_b_x_q", "p_b_y_q"]
    assert list(metric.keys(flatten=False)) == ["p_a_q", "p_b_q"]
    assert len(list(metric.values())) == 3
    copy = metric.clone(prefix="other_")
    assert list(copy.compute()) == ["other_a_q", "other_b_q"]
    assert copy.compute()["other_a_q"] == 2
    assert list(metric.compute()) == ["p_a_q", "p_b_q"]


@pytest.mark.parametrize("preds", [{"a": [1.0]}, {"a": [1.0], "b": [1.0], "c": [1.0]}, [1.0]])
def test_inputs_of_other_tasks_are_refused(preds: Any) -> None:
    metric = make()
    with pytest.raises(ValueError, match="task_preds must be a dict"):
        metric.update(preds, TARGET)
    with pytest.raises(ValueError, match="task_targets must be a dict"):
        metric.update(PREDS, preds)
    assert metric.update_count == 0


@pytest.mark.parametrize(
    ("tasks", "options"), [({}, {}), ({"a": 3}, {}), ([], {}), ({"a": lm.SumMetric()}, {"prefix": 3})]
)
def test_what_is_no_metric_by_task_is_refused(tasks: Any, options: Any) -> None:
    with pytest.raises(TypeError, match=r"task_metrics|prefix"):
        lm.MultitaskWrapper(tasks, **options)
