"""Arithmetic between metrics."""

from __future__ import annotations

import pickle
from typing import Any

import pytest
import torch

import lit_metrics as lm


def both(a: float = 7.0, b: float = 2.0) -> tuple[lm.Metric, lm.Metric]:
    x, y = lm.SumMetric(), lm.SumMetric()
    x.update(a)
    y.update(b)
    return x, y


@pytest.mark.parametrize(
    ("build", "expected"),
    [
        (lambda x, y: x + y, 9),
        (lambda x, y: x - y, 5),
        (lambda x, y: 1 - x, -6),
        (lambda x, y: x * y, 14),
        (lambda x, y: x / y, 3.5),
        (lambda x, y: 14 / x, 2),
        (lambda x, y: x // y, 3),
        (lambda x, y: x % y, 1),
        (lambda x, y: x**y, 49),
        (lambda x, y: 2**x, 128),
        (lambda x, y: -x, -7),
        (lambda x, y: +(-x), -7),
        (lambda x, y: abs(-x), 7),
        (lambda x, y: x > y, True),
        (lambda x, y: x <= y, False),
    ],
)
def test_operators_are_ordinary_arithmetic_and_survive_pickling(build: Any, expected: float) -> None:
    expression = build(*both())
    assert expression.compute() == expected
    assert pickle.loads(pickle.dumps(expression)).compute() == expected


def test_negation_of_a_negative_value_is_positive() -> None:
    x, _ = both(-3.0)
    assert (-x).compute() == 3
    assert (+x).compute() == -3


def test_tensor_operands_move_with_the_expression() -> None:
    x, _ = both()
    expression = x * torch.tensor([1.0, 2.0])
    assert expression.compute().tolist() == [7, 14]
    assert expression.to("meta").metric_b.device.type == "meta"


def test_a_metric_used_twice_is_updated_once() -> None:
    x = lm.SumMetric()
    expression = (x + x) / (x * 1)
    expression.update(5.0)
    assert x.compute() == 5
    assert expression.compute() == 2
    assert expression(3.0) == 2
    assert x.compute() == 8


def test_value_follows_updates_of_the_operands() -> None:
    x, y = both()
    expression = x + y
    assert expression.compute() == 9
    x.update(1.0)
    assert expression.compute() == 10
    expression.reset()
    assert x.compute() == 0


def test_forward_gives_the_batch_value() -> None:
    spread = lm.MaxMetric() - lm.MinMetric()
    assert spread([1.0, 4.0]) == 3
    assert spread([2.0, 3.0]) == 1
    assert spread.compute() == 3


def test_indexing_gives_the_entry_and_a_metric_is_no_sequence() -> None:
    metric = lm.MulticlassAccuracy(2, average="none")
    second = metric[1]
    metric.update([0, 1, 1], [0, 1, 0])
    assert pickle.loads(pickle.dumps(second)).compute() == 1
    with pytest.raises(TypeError):
        iter(metric)


def test_merge_works_leaf_by_leaf() -> None:
    x, y = both()
    left, right = x + y, both()[0] + both()[1]
    left.merge_state(right)
    assert left.compute() == 18
    with pytest.raises(TypeError, match="made of the same metrics, got SumMetric"):
        left.merge_state(x)
