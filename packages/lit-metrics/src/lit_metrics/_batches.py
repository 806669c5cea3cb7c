"""What the conformance kit does with values and batches: cut, join, convert, overwrite, compare."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, TypeAlias

import numpy as np
import torch
from torch import Tensor

from lit_metrics.metric import Metric

Batch: TypeAlias = tuple[Any, ...]


@contextmanager
def expect_failure(what: str = "inputs of a wrong type") -> Iterator[None]:
    try:
        yield
    except (TypeError, ValueError, RuntimeError):
        return
    raise AssertionError(f"{what}: no TypeError, ValueError or RuntimeError")


def assert_same(got: Any, expected: Any, rtol: float, what: str) -> None:
    if isinstance(expected, dict):
        assert isinstance(got, dict), f"{what}: got {got}, expected {expected}"
        assert got.keys() == expected.keys(), f"{what}: got keys {set(got)}, expected {set(expected)}"
        for key in expected:
            assert_same(got[key], expected[key], rtol, f"{what}[{key!r}]")
    elif isinstance(expected, (list, tuple)):
        assert len(got) == len(expected), f"{what}: got {got}, expected {expected}"
        for i, (a, b) in enumerate(zip(got, expected, strict=True)):
            assert_same(a, b, rtol, f"{what}[{i}]")
    else:
        a, b = _as_float64(got), _as_float64(expected)
        fits = a.shape == b.shape and np.allclose(a, b, rtol=rtol, atol=rtol, equal_nan=True)
        assert fits, f"{what}: got {got}, expected {expected}"


def _as_float64(value: Any) -> np.ndarray[Any, Any]:
    return np.asarray(value.detach().double().cpu() if isinstance(value, Tensor) else value, dtype=np.float64)


def as_array(value: Any) -> Any:
    if isinstance(value, list) and all(isinstance(entry, str) for entry in value):
        return np.asarray(value)
    return value.numpy() if isinstance(value, Tensor) else value


def as_tuple(value: Any) -> Any:
    return tuple(as_tuple(entry) for entry in value) if isinstance(value, list) else value


def concatenate(parts: list[Any]) -> Any:
    if isinstance(parts[0], list):
        return [entry for part in parts for entry in part]
    return torch.cat(parts) if has_samples(parts[0]) else parts[0]


def has_samples(value: Any) -> bool:
    return isinstance(value, list) or (isinstance(value, Tensor) and value.ndim > 0)


def select(batch: Batch, index: slice | Tensor) -> Batch:
    return tuple(_entries(x, index) if has_samples(x) else x for x in batch)


def _entries(value: Any, index: slice | Tensor) -> Any:
    if isinstance(value, list) and isinstance(index, Tensor):
        return [value[i] for i in index.tolist()]
    return value[index]


def is_float(value: Any) -> bool:
    return isinstance(value, Tensor) and value.is_floating_point()


def dtype_of(value: Any) -> Any:
    return value.dtype if isinstance(value, Tensor) else list


def tensors(metric: Metric) -> Iterator[tuple[str, Tensor]]:
    for name, value in metric.metric_state.items():
        for tensor in value if isinstance(value, list) else [value]:
            yield name, tensor


def scribble(value: Any) -> None:
    if isinstance(value, Tensor):
        with torch.no_grad():
            value.zero_()
    elif isinstance(value, dict):
        for part in value.values():
            scribble(part)
    elif isinstance(value, (list, tuple)):
        for part in value:
            scribble(part)
        if isinstance(value, list):
            value.clear()
