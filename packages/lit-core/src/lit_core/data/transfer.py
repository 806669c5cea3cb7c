"""Batches on their way to the device."""

from collections.abc import Callable, Iterable, Iterator, Mapping
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


class Transfer:
    """Brings batches to the device, with the hooks that the user wrote.

    Args:
        strategy: whose device and precision they are for.
        module: may have the hooks.
        datamodule: may have them too; then they go before the module's.
    """

    def __init__(self, strategy: Strategy, module: LightningModule, datamodule: LightningDataModule | None) -> None:
        self._device = strategy.device
        self._before = _owner("on_before_batch_transfer", module, datamodule)
        self._move = _owner("transfer_batch_to_device", module, datamodule)
        self._after = _owner("on_after_batch_transfer", module, datamodule)
        self._convert = strategy.precision.convert_batch if strategy.precision.converts_batch else None

    @property
    def is_needed(self) -> bool:
        """Whether there is anything to be done."""
        changes = (self._convert, self._before, self._move, self._after)
        return self._device.type != "cpu" or any(change is not None for change in changes)

    @property
    def can_overlap(self) -> bool:
        """Whether batches may be copied while the device computes; hooks might draw random numbers out of turn."""
        return self._device.type == "cuda" and self._before is self._move is self._after is None

    def __call__(self, batch: Any, dataloader_idx: int) -> Any:
        """The batch on the device."""
        if self._before is not None:
            batch = self._before(batch, dataloader_idx)
        batch = move(batch, self._device) if self._move is None else self._move(batch, self._device, dataloader_idx)
        if self._convert is not None:
            batch = self._convert(batch)
        return batch if self._after is None else self._after(batch, dataloader_idx)

    def ahead(self, batches: Iterable[tuple[int, Any]], transfer: Callable[[Any], Any]) -> Iterator[tuple[int, Any]]:
        """Batches brought by ``transfer``, each while the step before works, on a stream of its own.

        A copy begins when the steps launched so far are done. So it cannot take memory that one of them still reads,
        and it runs beside the step that is launched next.
        """
        side = torch.cuda.Stream(self._device) if self._device.type == "cuda" else None

        def fetch() -> tuple[int, Any] | None:
            found = next(source, None)
            if found is None or side is None:
                return found if found is None else (found[0], transfer(found[1]))
            side.wait_stream(torch.cuda.current_stream(self._device))
            with torch.cuda.stream(side):
                return found[0], transfer(found[1])

        source = iter(batches)
        ready = fetch()
        while ready is not None:
            if side is not None:
                torch.cuda.current_stream(self._device).wait_stream(side)
            now, ready = ready, fetch()
            yield now


def _owner(name: str, module: LightningModule, datamodule: LightningDataModule | None) -> Callable[..., Any] | None:
    """The hook's implementation: the datamodule's, else the module's, else None."""
    owners: list[tuple[object, type]] = [(datamodule, LightningDataModule), (module, LightningModule)]
    for owner, base in owners:
        if owner is not None and overrides(owner, name, base):
            found: Callable[..., Any] = getattr(owner, name)
            return found
    return None
