"""The GPU of Apple silicon."""

from collections.abc import Sequence

import torch

from lit_accelerators.devices._parse import choose_indices
from lit_accelerators.devices.base import Accelerator


class MPSAccelerator(Accelerator):
    """The one GPU that torch reaches as ``"mps"``; it cannot be used by several processes together."""

    name = "mps"
    process_group_backend = "gloo"

    @classmethod
    def is_available(cls) -> bool:
        """Whether torch was built for it and the system has it."""
        return torch.backends.mps.is_available()

    def device_count(self) -> int:
        """One where it is available."""
        return 1 if self.is_available() else 0

    def parse_devices(self, devices: int | str | Sequence[int]) -> list[int]:
        """Always ``[0]``."""
        return choose_indices(devices, count=self.device_count(), kind=self.name)

    def device(self, index: int) -> torch.device:
        """The GPU."""
        return torch.device("mps", index)

    def setup_device(self, device: torch.device) -> None:
        """Check that ``device`` is the GPU."""
        if device.type != "mps":
            raise ValueError(f"The MPS accelerator cannot set up {device}; use accelerator={device.type!r}.")

    def device_stats(self, device: torch.device) -> dict[str, float]:
        """Bytes: ``memory_allocated``, ``memory_reserved``."""
        return {
            "memory_allocated": float(torch.mps.current_allocated_memory()),
            "memory_reserved": float(torch.mps.driver_allocated_memory()),
        }
