"""Metrics whose parts hold the state: resets, failures, checkpoints, copies and merging reach every part."""

from __future__ import annotations

import pickle
from typing import TYPE_CHECKING, Any

import pytest
import torch
from torch import Tensor

import lit_metrics as lm

if TYPE_CHECKING:
    from collections.abc import Callable


def double(value: Any) -> Any:
    return 2 * torch.as_tensor(value)


def tracked() -> lm.MetricTracker:
    tracker = lm.MetricTracker(lm.MeanSquaredError())
    tracker.increment()
    return tracker


def expression() -> lm.Metric:
    return lm.MeanSquaredError() + lm.LambdaInputTransformer(lm.MeanSquaredError(squared=False), double)


PAIR = (torch.tensor([[1.0, 2.0], [3.0, 5.0]]), torch.tensor([[1.0, 4.0], [4.0, 4.0]]))
OTHER = (torch.tensor([[0.0, 1.0]]), torch.tensor([[3.0, 1.0]]))
TASKS = tuple({"a": value[:, 0], "b": value[:, 1]} for value in PAIR)
OTHER_TASKS = tuple({"a": value[:, 0], "b": value[:, 1]} for value in OTHER)


def multitask() -> lm.Metric:
    both = lm.MetricCollection({"x": lm.MeanSquaredError(), "y": lm.MeanSquaredError(squared=False)})
    return lm.MultitaskWrapper({"a": lm.MeanSquaredError(), "b": both})


CASES: dict[str, tuple[Callable[[], Any], Any, Any]] = {
    "classwise": (lambda: lm.ClasswiseWrapper(lm.MeanSquaredError(num_outputs=2)), PAIR, OTHER),
    "min max": (lambda: lm.MinMaxMetric(lm.MeanSquaredError()), PAIR, OTHER),
    "multioutput": (lambda: lm.MultioutputWrapper(lm.MeanSquaredError(), 2), PAIR, OTHER),
    "multitask": (multitask, TASKS, OTHER_TASKS),
    "transformer": (lambda: lm.LambdaInputTransformer(lm.MeanSquaredError(), double, double), PAIR, OTHER),
    "tracker": (tracked, PAIR, OTHER),
    "expression": (expression, PAIR, OTHER),
    "nested": (lambda: lm.MinMaxMetric(expression()), PAIR, OTHER),
    "around a ring": (lambda: lm.MinMaxMetric(lm.Running(lm.MeanSquaredError(), 1)), PAIR, OTHER),
}
"""How to make it, and two batches that give different values."""


def flat(value: Any) -> Any:
    """Returns a value as nested lists and dicts of numbers."""
    if isinstance(value, dict):
        return {key: flat(entry) for key, entry in value.items()}
    return pytest.approx(value.tolist(), rel=1e-12, nan_ok=True)


def plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: plain(entry) for key, entry in value.items()}
    return value.tolist()


def fed(make: Callable[[], Any], *batches: Any) -> Any:
    metric = make()
    for batch in batches:
        metric.update(*batch)
    return metric


@pytest.mark.parametrize("case", CASES)
@pytest.mark.filterwarnings("ignore:.*is nan")
def test_reset_leaves_nothing_of_what_was_seen(case: str) -> None:
    make, first, second = CASES[case]
    metric = fed(make, first)
    metric.compute()
    metric.reset()
    assert metric.update_count == 0
    assert not metric.update_called
    metric.update(*second)
    assert plain(metric.compute()) == flat(fed(make, second).compute())


@pytest.mark.parametrize("case", CASES)
def test_saved_copied_and_pickled_metrics_go_on_where_the_first_one_was(case: str) -> None:
    make, first, second = CASES[case]
    metric = fed(make, first)
    metric.persistent(True)
    loaded = make()
    loaded.persistent(True)
    loaded.load_state_dict(metric.state_dict())
    twins = [loaded, pickle.loads(pickle.dumps(metric)), metric.clone()]
    expected = flat(fed(make, first, second).compute())
    for twin in twins:
        assert twin.update_count == 1
        twin.update(*second)
        assert plain(twin.compute()) == expected
    assert plain(metric.compute()) == flat(fed(make, first).compute())


@pytest.mark.parametrize("case", sorted(set(CASES) - {"around a ring"}))
def test_merging_is_seeing_both(case: str) -> None:
    make, first, second = CASES[case]
    metric = fed(make, first)
    metric.merge_state(fed(make, second))
    assert metric.update_count == 2
    assert plain(metric.compute()) == flat(fed(make, first, second).compute())


@pytest.mark.parametrize("case", CASES)
def test_forward_gives_the_value_of_the_batch_alone(case: str) -> None:
    make, first, second = CASES[case]
    metric = fed(make, first)
    assert plain(metric(*second)) == flat(fed(make, second).compute())
    assert metric.update_count == 2
    assert plain(metric.compute()) == flat(fed(make, first, second).compute())


@pytest.mark.parametrize("case", CASES)
def test_states_move_with_the_metric(case: str) -> None:
    make, first, _ = CASES[case]
    metric = fed(make, first).to("meta")
    assert metric.metric_state
    for value in metric.metric_state.values():
        assert isinstance(value, Tensor)
        assert value.device.type == "meta"


class Refuses(lm.SumMetric):
    """Fails on demand, after others were fed."""

    def update(self, value: Any, target: Any) -> None:
        if float(torch.as_tensor(value).sum()) > 5:
            raise ValueError("too much")
        super().update(value)


@pytest.mark.parametrize("feed", ["update", "forward"])
def test_a_batch_that_one_part_refuses_leaves_no_trace_in_the_others(feed: str) -> None:
    metric = lm.MultitaskWrapper({"a": lm.MeanSquaredError(), "b": Refuses()})
    metric.update({"a": [1.0], "b": [4.0]}, {"a": [3.0], "b": [0.0]})
    before = plain(metric.compute())
    with pytest.raises(ValueError, match="too much"):
        getattr(metric, feed)({"a": [1.0], "b": [6.0]}, {"a": [9.0], "b": [0.0]})
    assert plain(metric.compute()) == before == {"a": 4.0, "b": 4.0}
    metric.update({"a": [3.0], "b": [1.0]}, {"a": [3.0], "b": [0.0]})
    assert plain(metric.compute()) == {"a": 2.0, "b": 5.0}


def test_compute_on_step_false_returns_nothing_and_still_takes_in_the_batch() -> None:
    metric = lm.MinMaxMetric(lm.MeanSquaredError(), compute_on_step=False)
    assert metric([1.0], [3.0]) is None
    assert metric.compute()["raw"] == 4


def test_two_metrics_of_different_parts_do_not_merge() -> None:
    with pytest.raises(TypeError, match="made of the same metrics"):
        lm.MinMaxMetric(lm.MeanSquaredError()).merge_state(lm.MinMaxMetric(lm.MeanMetric()))
