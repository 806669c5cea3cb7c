"""TPUs and other devices of XLA."""

import importlib
from collections.abc import Sequence
from importlib.util import find_spec
from typing import Any

import torch

from lit_accelerators.devices._parse import choose_indices
from lit_accelerators.devices.base import Accelerator


class XLAAccelerator(Accelerator):
    """The TPU cores that torch reaches as ``"xla"`` by the package ``torch_xla``, which is imported only here.

    XLA collects operations until it is told to run them: strategies do so (``torch_xla.sync()``) before each step of
    training or evaluation, so that each is a graph of its own and equal graphs are compiled once. What the last one
    left runs when it is read. Start the processes of several cores with ``torch_xla.launch``.

    Example:
        >>> XLAAccelerator.is_available() == (XLAAccelerator().device_count() > 0)
        True
    """

    name = "tpu"
    process_group_backend = "xla"

    @classmethod
    def is_available(cls) -> bool:
        """Whether ``torch_xla`` can be imported and finds a TPU."""
        if find_spec("torch_xla") is None:
            return False
        try:
            return bool(_runtime().device_type() == "TPU")
        except ImportError:  # built for another torch
            return False

    def device_count(self) -> int:
        """Cores of this host."""
        return int(_runtime().local_device_count()) if self.is_available() else 0

    def parse_devices(self, devices: int | str | Sequence[int]) -> list[int]:
        """Indices of cores; ``"auto"`` is all of them."""
        return choose_indices(devices, count=self.device_count(), kind=self.name)

    def device(self, index: int) -> torch.device:
        """The core with this index; where each process sees one core only, that one."""
        sees_all = _runtime().addressable_device_count() > 1
        return torch.device("xla", index if sees_all else 0)

    def setup_device(self, device: torch.device) -> None:
        """Check that ``device`` is one of XLA."""
        if device.type != "xla":
            raise ValueError(f"The TPU accelerator cannot set up {device}; use accelerator={device.type!r}.")

    @staticmethod
    def before_step() -> None:
        """Run what was collected since the last step."""
        importlib.import_module("torch_xla").sync()

    def device_stats(self, device: torch.device) -> dict[str, float]:
        """Bytes: ``memory_total``, ``memory_allocated``."""
        found = importlib.import_module("torch_xla.core.xla_model").get_memory_info(device)
        return {"memory_total": float(found["bytes_limit"]), "memory_allocated": float(found["bytes_used"])}


def _runtime() -> Any:
    return importlib.import_module("torch_xla.runtime")
