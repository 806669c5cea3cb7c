"""Inputs that are changed before a metric sees them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

import lit_metrics as lm


def test_both_inputs_are_transformed_and_the_rest_is_passed_on() -> None:
    metric = lm.LambdaInputTransformer(lm.MeanSquaredError(), lambda p: p + 1, lambda t: t * 2)
    preds, target, weight = torch.randn(6), torch.randn(6), torch.rand(6)
    expected = np.average((preds.double() + 1 - 2 * target.double()) ** 2, weights=weight)
    for value in (metric(preds, target, weight), metric(preds, target, sample_weight=weight), metric.compute()):
        assert float(value) == pytest.approx(expected, rel=1e-6)


def test_collections_are_transformed_once_for_all() -> None:
    calls = []

    def count(value: Any) -> Any:
        calls.append(1)
        return value

    collection = lm.MetricCollection({"a": lm.MeanSquaredError(), "b": lm.MeanSquaredError(squared=False)})
    metric = lm.LambdaInputTransformer(collection, count)
    assert metric([1.0], [3.0]) == {"a": 4, "b": 2}
    assert len(calls) == 1


@pytest.mark.parametrize("target", [[1, 2, 3, 4], np.array([1, 2, 3, 4]), torch.tensor([1.0, 2.0, 3.0, 4.0])])
def test_targets_above_the_threshold_are_one(target: Any) -> None:
    metric = lm.BinaryTargetTransformer(lm.MeanSquaredError(), threshold=2)
    assert metric([0.0, 0.0, 1.0, 1.0], target) == 0


def test_arguments_of_other_types_are_refused() -> None:
    with pytest.raises(TypeError, match="wrapped_metric"):
        lm.MetricInputTransformer(torch.nn.Linear(1, 1))
    with pytest.raises(TypeError, match="transform_target must be a function"):
        lm.LambdaInputTransformer(lm.MeanSquaredError(), transform_target=3)
    with pytest.raises(TypeError, match="threshold"):
        lm.BinaryTargetTransformer(lm.MeanSquaredError(), threshold="high")
    with pytest.raises(TypeError, match="predictions and targets"):
        lm.MetricInputTransformer(lm.MeanSquaredError()).update([1.0])
