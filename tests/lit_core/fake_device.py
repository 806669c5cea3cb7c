"""Tensors that say they are on an accelerator, on a machine that has none, and count what the host reads of them."""

from __future__ import annotations

from typing import Any

import torch
from torch.utils import _pytree as pytree


class OnDevice(torch.Tensor):
    """Computes on the CPU, says ``meta``, which for logging is a device like any other."""

    reads = 0
    held: torch.Tensor

    @staticmethod
    def __new__(cls, held: torch.Tensor) -> OnDevice:
        made: OnDevice = torch.Tensor._make_wrapper_subclass(
            cls, held.shape, dtype=held.dtype, device="meta", requires_grad=held.requires_grad
        )
        return made

    def __init__(self, held: torch.Tensor) -> None:
        self.held = held.detach()

    @classmethod
    def __torch_dispatch__(cls, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        moved = func is torch.ops.aten._to_copy.default and "device" in (kwargs or {})
        if moved or func is torch.ops.aten._local_scalar_dense.default:
            OnDevice.reads += 1
        args, kwargs = pytree.tree_map_only(cls, lambda x: x.held, (args, kwargs or {}))
        return pytree.tree_map_only(torch.Tensor, cls, func(*args, **kwargs))

    def tolist(self) -> Any:
        OnDevice.reads += 1
        return self.held.tolist()


def count_reads() -> int:
    """Reads since the last call."""
    reads, OnDevice.reads = OnDevice.reads, 0
    return reads
