"""What may stand in a checkpoint: tensors and plain values, which load without running code."""

import dataclasses
import enum
from collections import Counter, OrderedDict
from collections.abc import Iterable, Mapping
from os import PathLike
from typing import Any

import torch
from torch import Tensor
from torch.nn import Module, Parameter

LEAVES = frozenset(
    {
        type(None),
        bool,
        int,
        float,
        complex,
        str,
        bytes,
        bytearray,
        torch.Size,
        torch.device,
        torch.dtype,
    }
)
"""Types of values that stand for themselves."""
_SEQUENCES = frozenset({list, tuple, set})
_MAPPINGS = frozenset({dict, OrderedDict, Counter})
_TENSORS = frozenset({Tensor, Parameter})


class _AnyTensor:
    """Stands among the allowed types for every subclass of Tensor."""


class _RefusedError(Exception):
    """Carries a refused value up the tree; each level adds its key, so that the path is built only on failure."""

    def __init__(self, value: object) -> None:
        super().__init__()
        self.value = value
        self.keys: list[str] = []


def check_plain(state: object, *, any_tensor: bool = False) -> int:
    """Check that ``state`` loads with ``torch.load(weights_only=True)``, by type, without copying anything.

    Subclasses are refused as well, since unpickling one needs its class: a ``numpy.float64`` is a ``float`` that does
    not load safely. Classes allowed by ``torch.serialization.add_safe_globals`` pass.

    Args:
        state: Nested dicts, lists, tuples and sets of tensors and plain values.
        any_tensor: Whether tensors of other types than torch's own pass, such as those spread over processes.

    Returns:
        Bytes held by the tensors; storages that several tensors share count once.

    Raises:
        TypeError: Naming the place of the first refused value, its type, and what to store instead.

    Example:
        >>> import pathlib
        >>> check_plain({"weight": torch.zeros(2, 3), "epoch": 3})
        24
        >>> check_plain({"hyper_parameters": {"root": pathlib.PurePosixPath("/data")}})
        Traceback (most recent call last):
        ...
        TypeError: state.hyper_parameters.root is a pathlib.PurePosixPath, which cannot be loaded safely. Store \
str(value) instead.
    """
    storages: dict[int, int] = {}
    try:
        _walk(state, storages, _registered() | ({_AnyTensor} if any_tensor else set()))
    except _RefusedError as refused:
        place = "state" + "".join(reversed(refused.keys))
        kind = type(refused.value)
        name = f"{kind.__module__}.{kind.__qualname__}".removeprefix("builtins.")
        raise TypeError(
            f"{place} is a {name}, which cannot be loaded safely. Store {_instead(refused.value)} instead."
        ) from None
    except RecursionError:
        raise TypeError("The state contains itself or is nested too deeply to be saved; flatten it.") from None
    return sum(storages.values())


def _registered() -> frozenset[type]:
    allowed = (entry[0] if isinstance(entry, tuple) else entry for entry in torch.serialization.get_safe_globals())
    return frozenset(entry for entry in allowed if isinstance(entry, type))


def _walk(value: object, storages: dict[int, int], registered: frozenset[type]) -> None:
    kind = type(value)
    if kind in LEAVES:
        return
    if kind in _TENSORS:
        _count(value, storages)  # type: ignore[arg-type]
    elif kind in _MAPPINGS:
        _walk_mapping(value, storages, registered)  # type: ignore[arg-type]
    elif kind in _SEQUENCES:
        _walk_sequence(value, storages, registered)  # type: ignore[arg-type]
    elif kind not in registered and not (_AnyTensor in registered and isinstance(value, Tensor)):
        raise _RefusedError(value)


def _walk_mapping(mapping: Mapping[Any, Any], storages: dict[int, int], registered: frozenset[type]) -> None:
    for key, value in mapping.items():
        if type(key) is not str:
            try:
                _walk(key, storages, registered)
            except _RefusedError as refused:
                refused.keys.append(f".(key {key!r})")
                raise
        if type(value) in LEAVES:
            continue
        try:
            _walk(value, storages, registered)
        except _RefusedError as refused:
            plain = isinstance(key, str) and key.isidentifier()
            refused.keys.append(f".{key}" if plain else f"[{key!r}]")
            raise


def _walk_sequence(items: Iterable[Any], storages: dict[int, int], registered: frozenset[type]) -> None:
    # Long lists of numbers are common (orders of samples, states of generators): one pass at C speed.
    if LEAVES.issuperset(map(type, items)):
        return
    index = 0
    try:
        for index, value in enumerate(items):  # noqa: B007 - read where an error is caught
            _walk(value, storages, registered)
    except _RefusedError as refused:
        refused.keys.append(f"[{index}]")
        raise


def _count(tensor: Tensor, storages: dict[int, int]) -> None:
    try:
        storage = tensor.untyped_storage()
    except NotImplementedError:  # sparse and other layouts: small beside the rest, and they have no one storage
        return
    storages[storage.data_ptr()] = storage.nbytes()


def _instead(value: object) -> str:
    if isinstance(value, enum.Enum):
        return "value.value"
    if isinstance(value, PathLike):
        return "str(value)"
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return "dataclasses.asdict(value)"
    if isinstance(value, Module):
        return "value.state_dict()"
    if isinstance(value, tuple) and hasattr(value, "_asdict"):
        return "tuple(value) or value._asdict()"
    return _instead_by_type(value)


def _instead_by_type(value: object) -> str:
    kind = type(value)
    if kind.__module__.split(".")[0] == "numpy":
        return "value.item()" if hasattr(value, "item") and not hasattr(value, "__len__") else "torch.from_numpy(value)"
    for base in (bool, int, float, complex, str, bytes, bytearray, list, tuple, set, frozenset, dict):
        if isinstance(value, base):
            return f"{'set' if base is frozenset else base.__name__}(value)"
    if hasattr(value, "isoformat"):
        return "value.isoformat()"
    if isinstance(value, type) or callable(value):
        return "its import path as a string, and its arguments,"
    if hasattr(value, "state_dict"):
        return "value.state_dict()"
    return "a tensor or a plain value (dict, list, str, int, float, bool, None)"
