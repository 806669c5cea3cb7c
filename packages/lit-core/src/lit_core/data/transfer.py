"""Batches on their way to the device."""

from collections.abc import Callable, Mapping
from dataclasses import fields, is_dataclass, replace
from typing import Any

import torch
from torch import Tensor

from lit_accelerators import Strategy
from lit_core.datamodule import LightningDataModule
from lit_core.hooks import overrides
from lit_core.module import LightningModule


def move(data: Any, device: torch.device) -> Any:
    """The same data with its tensors on ``device``: any nesting of containers, and objects that have ``to``.

    Example:
        >>> import torch
        >>> move({"x": torch.zeros(2), "name": "a"}, torch.device("cpu"))
        {'x': tensor([0., 0.]), 'name': 'a'}
    """
    if isinstance(data, Tensor):
        return data.to(device, non_blocking=True)
    if isinstance(data, Mapping):
        moved = {key: move(value, device) for key, value in data.items()}
        return moved if type(data) is dict else _rebuild(data, moved)
    if isinstance(data, tuple) and hasattr(data, "_fields"):
        return type(data)(*(move(value, device) for value in data))
    if isinstance(data, (list, tuple)):
        return type(data)(move(value, device) for value in data)
    if is_dataclass(data) and not isinstance(data, type):
        return replace(data, **{f.name: move(getattr(data, f.name), device) for f in fields(data) if f.init})
    to = getattr(data, "to", None)
    return to(device) if callable(to) else data


def _rebuild(original: Any, moved: dict[Any, Any]) -> Any:
    try:
        return type(original)(moved)
    except TypeError:
        return moved


def make_transfer(
    strategy: Strategy, module: LightningModule, datamodule: LightningDataModule | None
) -> Callable[[Any, int], Any] | None:
    """The function ``(batch, dataloader_idx) -> batch`` that the loops call; None where nothing is to be done."""
    device = strategy.device
    before = _owner("on_before_batch_transfer", module, datamodule)
    own_move = _owner("transfer_batch_to_device", module, datamodule)
    after = _owner("on_after_batch_transfer", module, datamodule)
    convert = strategy.precision.convert_batch if strategy.precision.converts_batch else None
    if device.type == "cpu" and convert is None and before is own_move is after is None:
        return None

    def transfer(batch: Any, dataloader_idx: int) -> Any:
        if before is not None:
            batch = before(batch, dataloader_idx)
        batch = move(batch, device) if own_move is None else own_move(batch, device, dataloader_idx)
        if convert is not None:
            batch = convert(batch)
        return batch if after is None else after(batch, dataloader_idx)

    return transfer


def _owner(name: str, module: LightningModule, datamodule: LightningDataModule | None) -> Callable[..., Any] | None:
    """The hook's implementation: the datamodule's, else the module's, else None."""
    owners: list[tuple[object, type]] = [(datamodule, LightningDataModule), (module, LightningModule)]
    for owner, base in owners:
        if owner is not None and overrides(owner, name, base):
            found: Callable[..., Any] = getattr(owner, name)
            return found
    return None
