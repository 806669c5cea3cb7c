"""Inputs of an export, and which of their axes are free."""

from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import Tensor, nn

from lit_core.data.transfer import move


def example_arguments(module: nn.Module, given: Any) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """Positional and keyword arguments of a call: what was given, else ``module.example_input_array``.

    Raises:
        ValueError: if there is neither.
    """
    sample = given if given is not None else getattr(module, "example_input_array", None)
    if sample is None:
        raise ValueError(
            f"Exporting {type(module).__name__} needs an input: give one, or set self.example_input_array in __init__."
        )
    device = next((tensor.device for tensor in (*module.parameters(), *module.buffers())), torch.device("cpu"))
    sample = move(sample, device)
    if isinstance(sample, dict):
        return (), sample
    return (tuple(sample) if isinstance(sample, (list, tuple)) else (sample,)), {}


def free_batch(args: tuple[Any, ...], named: dict[str, Any]) -> tuple[tuple[Any, ...], dict[str, Any], Any]:
    """The same arguments, and their shapes with a free batch axis in the form that ``torch.export`` takes.

    The batch size is the first dimension of the first tensor; that axis is free in every tensor that shares it. A
    batch of one is repeated, because an axis of one is taken for a constant.
    """
    size = next((tensor.shape[0] for tensor in (*_tensors(args), *_tensors(named)) if tensor.ndim), None)

    def is_batch(tensor: Tensor) -> bool:
        return tensor.ndim > 0 and tensor.shape[0] == size

    def shape(leaf: Any) -> Any:
        return {0: torch.export.Dim.DYNAMIC} if isinstance(leaf, Tensor) and is_batch(leaf) else None

    def doubled(leaf: Any) -> Any:
        return torch.cat([leaf, leaf]) if isinstance(leaf, Tensor) and is_batch(leaf) else leaf

    shapes = _mapped(named, shape) if named else _mapped(args, shape)
    if size == 1:
        args, named = _mapped(args, doubled), _mapped(named, doubled)
    return args, named, shapes


def _tensors(value: Any) -> Iterator[Tensor]:
    if isinstance(value, Tensor):
        yield value
    elif isinstance(value, (dict, list, tuple)):
        for item in value.values() if isinstance(value, dict) else value:
            yield from _tensors(item)


def _mapped(value: Any, function: Callable[[Any], Any]) -> Any:
    if isinstance(value, dict):
        return {key: _mapped(item, function) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        items = [_mapped(item, function) for item in value]
        return type(value)(*items) if hasattr(value, "_fields") else type(value)(items)
    return function(value)
