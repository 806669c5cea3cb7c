"""NVIDIA (and ROCm) GPUs."""

from collections.abc import Sequence

import torch

from lit_accelerators.devices._parse import choose_indices
from lit_accelerators.devices.base import Accelerator


class CUDAAccelerator(Accelerator):
    """GPUs that torch reaches as ``"cuda"``."""

    name = "cuda"
    # gloo for what lives on the CPU (objects, flags), so that it never waits for the GPU's queue.
    process_group_backend = "cpu:gloo,cuda:nccl"

    @classmethod
    def is_available(cls) -> bool:
        """Whether at least one GPU is visible."""
        return torch.cuda.is_available() and torch.cuda.device_count() > 0

    def device_count(self) -> int:
        """Visible GPUs (``CUDA_VISIBLE_DEVICES`` narrows them)."""
        return torch.cuda.device_count()

    def parse_devices(self, devices: int | str | Sequence[int]) -> list[int]:
        """Indices of GPUs; ``"auto"`` is all of them."""
        return choose_indices(devices, count=self.device_count(), kind=self.name)

    def device(self, index: int) -> torch.device:
        """The GPU with this index."""
        return torch.device("cuda", index)

    def setup_device(self, device: torch.device) -> None:
        """Make ``device`` the current GPU of this process."""
        if device.type != "cuda":
            raise ValueError(f"The CUDA accelerator cannot set up {device}; use accelerator={device.type!r}.")
        torch.cuda.set_device(device)

    def device_stats(self, device: torch.device) -> dict[str, float]:
        """Bytes: ``memory_total``, ``memory_available``, ``memory_allocated``, ``memory_reserved``, ``memory_peak``."""
        available, total = torch.cuda.mem_get_info(device)
        return {
            "memory_total": float(total),
            "memory_available": float(available),
            "memory_allocated": float(torch.cuda.memory_allocated(device)),
            "memory_reserved": float(torch.cuda.memory_reserved(device)),
            "memory_peak": float(torch.cuda.max_memory_allocated(device)),
        }
