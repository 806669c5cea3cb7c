"""`validate_args`: at once, in compute, or never; one word on every metric."""

from __future__ import annotations

import inspect
from typing import Any

import pytest
import torch
from torch import Tensor

import lit_metrics as lm

SCORES = torch.tensor([[0.7, 0.2, 0.1], [0.1, 0.8, 0.1]])
GOOD, BAD = torch.tensor([0, 2]), torch.tensor([0, 3])
METRICS = [
    getattr(lm, name)
    for name in lm.__all__
    if isinstance(getattr(lm, name), type) and issubclass(getattr(lm, name), lm.Metric)
]


@pytest.mark.parametrize("kind", METRICS, ids=lambda kind: kind.__name__)
def test_every_metric_takes_validate_args(kind: type[lm.Metric]) -> None:
    if kind is lm.CompositionalMetric or kind.__module__.startswith("lit_metrics.wrappers."):
        pytest.skip("its parts check what they are given")
    parameters = inspect.signature(kind.__init__).parameters.values()
    assert any(p.name == "validate_args" or p.kind is inspect.Parameter.VAR_KEYWORD for p in parameters)


def test_checks_at_once_by_default_and_state_is_unchanged() -> None:
    metric = lm.MulticlassAccuracy(3, average="micro")
    metric.update(SCORES, GOOD)
    with pytest.raises(ValueError, match=r"target must hold labels in \[0, 2\]"):
        metric.update(SCORES, BAD)
    assert float(metric.compute()) == 0.5
    assert metric.update_count == 1


def test_deferred_takes_the_batch_in_and_raises_with_the_reason_until_reset() -> None:
    metric = lm.MulticlassAccuracy(3, average="micro", validate_args="deferred")
    metric.update(SCORES, BAD)
    metric.update(SCORES, GOOD)
    assert metric.update_count == 2
    for _ in range(2):
        with pytest.raises(ValueError, match=r"target must hold labels in \[0, 2\]"):
            metric.compute()
    metric.reset()
    metric.update(SCORES, GOOD)
    assert float(metric.compute()) == 0.5


def test_deferred_checks_of_shapes_and_types_are_not_deferred() -> None:
    metric = lm.MulticlassAccuracy(3, validate_args="deferred")
    with pytest.raises(ValueError, match="preds must be scores"):
        metric.update(SCORES, GOOD[:1])
    with pytest.raises(TypeError, match="integer labels"):
        metric.update(SCORES, GOOD.float())


def test_off_never_raises_for_values() -> None:
    metric = lm.MulticlassAccuracy(3, average="micro", validate_args=False)
    metric.update(SCORES, BAD)
    metric.compute()
    ranks = lm.RetrievalMRR(validate_args=False)
    ranks.update(torch.tensor([0.1, torch.nan]), torch.tensor([0, 1]), torch.tensor([0, 0]))
    ranks.compute()


def test_forward_of_a_deferred_metric_returns_and_compute_raises() -> None:
    metric = lm.BinaryAUROC(validate_args="deferred")
    metric(torch.tensor([0.1, 0.9, torch.nan]), torch.tensor([0, 1, 1]))
    with pytest.raises(ValueError, match="without NaN"):
        metric.compute()


def test_a_collection_does_not_share_the_state_of_metrics_that_check_differently() -> None:
    strict = lm.MulticlassAccuracy(3, average="micro")
    loose = lm.MulticlassRecall(3, average="micro", validate_args="deferred")
    assert lm.MetricCollection([strict, loose]).groups == [["MulticlassAccuracy"], ["MulticlassRecall"]]


def test_another_word_is_refused() -> None:
    with pytest.raises(ValueError, match="validate_args must be True, False or 'deferred', got 'later'"):
        lm.MeanSquaredError(validate_args="later")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="validate_args must be"):
        lm.BinaryAccuracy(validate_args="later")  # type: ignore[arg-type]


@pytest.mark.parametrize("kind", [lm.PanopticQuality, lm.ModifiedPanopticQuality])
def test_unknown_categories_of_panoptic_predictions_are_refused_now_or_in_compute(kind: Any) -> None:
    good = torch.tensor([[[1, 0], [1, 0], [1, 1], [7, 0]]])
    bad = good.clone()
    bad[0, 0, 0] = 5
    with pytest.raises(ValueError, match="categories of things and stuffs only"):
        kind({1}, {7}).update(bad, good)
    metric = kind({1}, {7}, validate_args="deferred")
    metric.update(good, bad)  # unknown targets are void
    metric.compute()
    metric.update(bad, good)
    with pytest.raises(ValueError, match="1 pixels of preds had a category"):
        metric.compute()


class Signed(lm.Metric):
    """A metric of somebody else, which looks at values by itself."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.add_state("total", torch.tensor(0.0), "sum")

    def update(self, x: Tensor) -> None:
        self.total += x.sum()

    def check_state(self) -> None:
        if self.total < 0:
            raise ValueError("negative")

    def compute(self) -> Tensor:
        return self.total


def test_a_metric_of_ones_own_checks_in_check_state_unless_told_not_to() -> None:
    for mode in (True, "deferred"):
        metric = Signed(validate_args=mode)
        metric.update(torch.tensor([-1.0]))
        with pytest.raises(ValueError, match="negative"):
            metric.compute()
    metric = Signed(validate_args=False)
    metric.update(torch.tensor([-1.0]))
    assert float(metric.compute()) == -1.0
