"""What every metric does with its inputs: conversion, shape checks, and which checks cost nothing."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any, Literal, TypeAlias

import numpy as np
import torch
from torch import Tensor
from torch.compiler import is_compiling

Validation: TypeAlias = bool | Literal["deferred"]
"""When values are checked: `True` at once where that is free, `"deferred"` in `compute` only, `False` never."""


def as_tensor(value: Any, name: str) -> Tensor:
    """Returns `value` as a tensor; tensors pass through, arrays keep their memory where that is possible.

    Args:
        value: Tensor, numpy array, number or (nested) list of numbers.
        name: Argument name for the error message.

    Raises:
        TypeError: If `value` is none of these.
    """
    if isinstance(value, Tensor):
        return value
    if isinstance(value, np.ndarray) and (not value.flags.writeable or min(value.strides, default=0) < 0):
        value = value.copy()  # torch has no read-only tensors and no negative strides
    if isinstance(value, float):
        return torch.tensor(value, dtype=torch.float64)
    try:
        if isinstance(value, (list, tuple)) and not any(isinstance(v, Tensor) for v in value):
            value = np.asarray(value)  # floats in Python are float64; torch alone would round them
        return torch.as_tensor(value)
    except (TypeError, ValueError, RuntimeError) as error:
        raise TypeError(f"{name} must be a tensor, an array or numbers, got {type(value).__name__}: {error}") from error


class _Reading(threading.local):
    allowed = True

    @contextmanager
    def held_back(self) -> Iterator[None]:
        before, self.allowed = self.allowed, False
        try:
            yield
        finally:
            self.allowed = before


_READING = _Reading()


def deferred_checks() -> AbstractContextManager[None]:
    """Holds back checks of values, so that updates note what is invalid as they do on an accelerator."""
    return _READING.held_back()


def checks_are_free(tensor: Tensor) -> bool:
    """Returns whether reading values of `tensor` stalls nothing, and nobody asked for checks to wait.

    Only host memory is read without a stall, and not under `torch.compile`.
    """
    return tensor.is_cpu and _READING.allowed and not is_compiling()


def require_same_shape(preds: Tensor, target: Tensor) -> None:
    """Raises a `ValueError` unless both have one shape."""
    if preds.shape != target.shape:
        raise ValueError(
            f"preds and target must have the same shape, got {tuple(preds.shape)} and {tuple(target.shape)}"
        )


def as_weights(sample_weight: Any, shape: torch.Size, device: torch.device) -> Tensor:
    """Returns weights in float64, expanded from one per sample (first dimension) to one per element of `shape`.

    Raises:
        ValueError: If the weights are neither of `shape` nor of its first dimensions.
    """
    weights = as_tensor(sample_weight, "sample_weight").to(device=device, dtype=torch.float64)
    if weights.shape != shape[: weights.ndim]:
        raise ValueError(
            f"sample_weight must have one weight per sample or per element, {tuple(shape[:1])} or {tuple(shape)},"
            f" got {tuple(weights.shape)}"
        )
    return weights.reshape(weights.shape + (1,) * (len(shape) - weights.ndim)).expand(shape)


def to_float(value: Tensor) -> Tensor:
    """Returns `value` as float32 or float64: half precision goes up, integers become float64."""
    if value.dtype in (torch.float32, torch.float64):
        return value
    return value.float() if value.is_floating_point() else value.double()
