"""The number format of the tensors in a batch."""

from collections.abc import Mapping
from dataclasses import fields, is_dataclass, replace
from typing import Any

import torch
from torch import Tensor
from torch.utils import _pytree as pytree


def to_dtype(batch: Any, dtype: torch.dtype) -> Any:
    """The same pytree with its floating-point tensors in ``dtype``; all else (integers, complex numbers) as it was.

    Mappings, named tuples and dataclasses that are no nodes of torch's pytree are gone through too.
    """

    def convert(leaf: Any) -> Any:
        if isinstance(leaf, Tensor):
            return leaf.to(dtype) if leaf.is_floating_point() else leaf
        if isinstance(leaf, Mapping):
            return _rebuild(leaf, {key: pytree.tree_map(convert, value) for key, value in leaf.items()})
        if isinstance(leaf, tuple) and hasattr(leaf, "_fields"):
            return type(leaf)(*(pytree.tree_map(convert, value) for value in leaf))
        if is_dataclass(leaf) and not isinstance(leaf, type):
            values = {f.name: pytree.tree_map(convert, getattr(leaf, f.name)) for f in fields(leaf) if f.init}
            return replace(leaf, **values)
        return leaf

    return pytree.tree_map(convert, batch)


def _rebuild(original: Mapping[Any, Any], converted: dict[Any, Any]) -> Any:
    try:
        return type(original)(converted)  # type: ignore[call-arg]
    except TypeError:
        return converted
