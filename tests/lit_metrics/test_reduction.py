"""The reductions of the 1.0 API."""

from __future__ import annotations

import pytest
import torch

from lit_metrics.functional.reduction import class_reduce, reduce


def test_reduce() -> None:
    values = torch.tensor([1.0, 2.0, 6.0])
    assert reduce(values, "elementwise_mean") == 3
    assert reduce(values, "sum") == 9
    assert torch.equal(reduce(values, "none"), values)
    with pytest.raises(ValueError, match="reduction must be"):
        reduce(values, "mean")  # type: ignore[arg-type]


def test_class_reduce() -> None:
    num, den, weights = torch.tensor([1.0, 2.0, 0.0]), torch.tensor([2.0, 2.0, 0.0]), torch.tensor([3.0, 1.0, 0.0])
    assert class_reduce(num, den, weights, "micro") == 0.75
    assert class_reduce(num, den, weights, "macro") == 0.5
    assert class_reduce(num, den, weights, "weighted") == 0.625
    assert class_reduce(num, den, weights).tolist() == [0.5, 1, 0]
    with pytest.raises(ValueError, match="class_reduction must be"):
        class_reduce(num, den, weights, "mean")  # type: ignore[arg-type]
