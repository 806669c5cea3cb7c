"""The history of metrics over steps."""

from __future__ import annotations

import math
import pickle
from typing import Any

import pytest
import torch

import lit_metrics as lm

TARGET = [0.0, 0.0]
EPOCHS = ([2.0, 0.0], [1.0, 0.0], [3.0, 0.0])
ERRORS = [2.0, 0.5, 4.5]


def history(metric: Any, maximize: Any = None) -> lm.MetricTracker:
    tracker = lm.MetricTracker(metric, maximize)
    for preds in EPOCHS:
        tracker.increment()
        tracker.update(preds, TARGET)
    return tracker


def test_every_step_is_computed_from_its_own_data() -> None:
    tracker = history(lm.MeanSquaredError())
    assert tracker.compute_all().tolist() == ERRORS
    assert tracker.compute() == ERRORS[-1]
    assert tracker.n_steps == len(tracker) == 3


@pytest.mark.parametrize(("maximize", "best"), [(None, (0.5, 1)), (False, (0.5, 1)), (True, (4.5, 2))])
def test_best_step_follows_maximize_and_else_the_metric(maximize: Any, best: Any) -> None:
    tracker = history(lm.MeanSquaredError(), maximize)
    assert tracker.best_metric(return_step=True) == best
    assert tracker.best_metric() == best[0]


def test_steps_that_are_nan_are_never_the_best() -> None:
    tracker = lm.MetricTracker(lm.MeanMetric(nan_strategy="disable"), maximize=True)
    for value in (math.nan, 1.0, 3.0, math.nan):
        tracker.increment()
        tracker.update(value)
    with pytest.warns(UserWarning, match="is nan"):
        assert tracker.best_metric(return_step=True) == (3.0, 2)


def test_a_collection_has_a_best_step_for_each_metric() -> None:
    collection = lm.MetricCollection({"mse": lm.MeanSquaredError(), "rmse": lm.MeanSquaredError(squared=False)})
    tracker = history(collection, [False, True])
    assert tracker.best_metric(return_step=True) == (
        {"mse": 0.5, "rmse": pytest.approx(math.sqrt(4.5))},
        {"mse": 1, "rmse": 2},
    )
    assert {k: v.tolist() for k, v in tracker.compute_all().items()}["mse"] == ERRORS
    tracker.reset()
    tracker.update([1.0, 1.0], TARGET)
    assert tracker.compute_all()["mse"].tolist() == [2.0, 0.5, 1.0]


def test_reset_forgets_the_newest_step_only_and_reset_all_everything() -> None:
    tracker = history(lm.MeanSquaredError())
    tracker.reset()
    tracker.update([1.0, 1.0], TARGET)
    assert tracker.compute_all().tolist() == [2.0, 0.5, 1.0]
    tracker.reset_all()
    assert tracker.n_steps == 0
    tracker.increment()
    tracker.update([1.0, 1.0], TARGET)
    assert tracker.compute_all().tolist() == [1.0]


def test_a_new_step_starts_empty_though_the_metric_given_is_used_elsewhere() -> None:
    metric = lm.SumMetric()
    tracker = lm.MetricTracker(metric, maximize=True)
    metric.update(100.0)
    tracker.increment()
    tracker.update(1.0)
    assert tracker.compute() == 1


def test_a_saved_history_is_restored_with_all_its_steps() -> None:
    tracker = history(lm.MeanSquaredError())
    tracker.persistent(True)
    restored = lm.MetricTracker(lm.MeanSquaredError())
    restored.load_state_dict(tracker.state_dict())
    assert restored.compute_all().tolist() == ERRORS
    assert pickle.loads(pickle.dumps(tracker)).compute_all().tolist() == ERRORS


def test_steps_started_after_a_move_are_where_the_tracker_is() -> None:
    tracker = lm.MetricTracker(lm.MeanSquaredError()).to("meta")
    tracker.increment()
    assert all(value.device.type == "meta" for value in tracker.metric_state.values())


@pytest.mark.parametrize("use", ["compute", "compute_all", "best_metric"])
def test_use_before_the_first_step_is_refused(use: str) -> None:
    with pytest.raises(RuntimeError, match="increment"):
        getattr(lm.MetricTracker(lm.MeanSquaredError()), use)()
    with pytest.raises(RuntimeError, match="increment"):
        lm.MetricTracker(lm.MeanSquaredError()).update([1.0], [1.0])


def test_what_does_not_say_which_value_is_better_must_be_told() -> None:
    with pytest.raises(ValueError, match="maximize"):
        history(lm.MeanSquaredError() + 0).best_metric()
    with pytest.raises(ValueError, match="as many metrics"):
        lm.MetricTracker(lm.MetricCollection([lm.MeanSquaredError()]), [True, False])
    with pytest.raises(TypeError, match="Metric"):
        lm.MetricTracker(3)


def test_values_that_do_not_stack_come_as_a_list_without_a_best() -> None:
    tracker = lm.MetricTracker(lm.CatMetric(), maximize=True)
    for values in ([1.0], [2.0, 3.0]):
        tracker.increment()
        tracker.update(values)
    assert [value.tolist() for value in tracker.compute_all()] == [[1.0], [2.0, 3.0]]
    assert tracker.best_metric(return_step=True) == (None, None)
    assert torch.equal(tracker.compute(), torch.tensor([2.0, 3.0], dtype=torch.float64))
