"""A state as a flat dict of tensors and a tree of plain values, and back."""

from collections import Counter, OrderedDict
from typing import Any

import torch
from torch import Tensor

TREE = "lit_checkpoint.tree"
"""Key of the tree among those of the tensors."""


class _Missing:
    """Stands where a tensor is not wanted."""


def flatten(state: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """Take the tensors out of ``state``.

    Returns:
        A plain dict that says where they stood, for :func:`unflatten`, and the tensors by the names of their places
        joined by dots. A tensor that stands in several places is there once.

    Example:
        >>> tree, tensors = flatten({"model": {"weight": torch.ones(2)}, "steps": (1, torch.zeros(3))})
        >>> tensors
        {'model.weight': tensor([1., 1.]), 'steps.1': tensor([0., 0., 0.])}
        >>> unflatten(tree, tensors)
        {'model': {'weight': tensor([1., 1.])}, 'steps': (1, tensor([0., 0., 0.]))}
    """
    tensors: dict[str, Tensor] = {}
    places: dict[int, int] = {}

    def walk(value: Any, path: str) -> Any:
        if isinstance(value, Tensor):
            if id(value) not in places:
                places[id(value)] = len(places)
                name, number = path, 0
                while name in tensors or name == TREE:
                    number += 1
                    name = f"{path}#{number}"
                tensors[name] = value.detach()
            return torch.tensor(places[id(value)])  # no tensor of the state is left, so these stand for them
        kind = type(value)
        if kind in {dict, OrderedDict, Counter}:
            made: Any = kind()
            for key, item in value.items():
                made[key] = walk(item, f"{path}.{key}" if path else str(key))
            if kind is not dict:
                vars(made).update(vars(value))
            return made
        if kind in {list, tuple}:
            return kind([walk(item, f"{path}.{i}" if path else str(i)) for i, item in enumerate(value)])
        return value

    tree = walk(state, "")
    return {"format": 1, "keys": list(tensors), "tree": tree}, tensors


def unflatten(tree: dict[str, Any], tensors: dict[str, Tensor]) -> Any:
    """Put tensors back; places whose tensor is not among ``tensors`` are left out, ``None`` in a list or tuple."""
    keys = tree["keys"]

    def build(value: Any) -> Any:
        if isinstance(value, Tensor):
            return tensors.get(keys[int(value)], _Missing)
        kind = type(value)
        if kind in {dict, OrderedDict, Counter}:
            made: Any = kind()
            for key, item in value.items():
                built = build(item)
                if built is not _Missing:
                    made[key] = built
            if kind is not dict:
                vars(made).update(vars(value))
            return made
        if kind in {list, tuple}:
            return kind([None if (built := build(item)) is _Missing else built for item in value])
        return value

    return build(tree["tree"])
