"""The CPU, one process per "device"."""

import os
from collections.abc import Sequence

import torch

from lit_accelerators.devices._parse import parse_count_or_indices
from lit_accelerators.devices._process import cpu_clock, peak_memory, resident_memory
from lit_accelerators.devices.base import Accelerator


class CPUAccelerator(Accelerator):
    """The CPU. ``devices=N`` means N processes, so that distributed code runs on a laptop.

    Example:
        >>> cpu = CPUAccelerator()
        >>> cpu.parse_devices(2)
        [0, 1]
        >>> cpu.parse_devices("auto")
        [0]
        >>> cpu.device(1)
        device(type='cpu')
    """

    name = "cpu"
    process_group_backend = "gloo"

    @classmethod
    def is_available(cls) -> bool:
        """Always."""
        return True

    def device_count(self) -> int:
        """CPU cores that this process may use."""
        affinity = getattr(os, "sched_getaffinity", None)  # Linux only
        return len(affinity(0)) if affinity is not None else os.cpu_count() or 1

    def parse_devices(self, devices: int | str | Sequence[int]) -> list[int]:
        """Indices of that many processes; ``"auto"`` is one."""
        chosen = parse_count_or_indices(devices)
        if chosen is None:
            return [0]
        if isinstance(chosen, list) or chosen == -1:
            raise ValueError(
                f"devices={devices!r} with accelerator='cpu': CPU processes have no indices and no natural number. "
                "Write how many processes to run, for example devices=2."
            )
        return list(range(chosen))

    def device(self, index: int) -> torch.device:
        """The CPU, whatever the index."""
        return torch.device("cpu")

    def setup_device(self, device: torch.device) -> None:
        """Check that ``device`` is the CPU."""
        if device.type != "cpu":
            raise ValueError(f"The CPU accelerator cannot set up {device}; use accelerator={device.type!r}.")

    def device_stats(self, device: torch.device) -> dict[str, float]:
        """Of the machine and of this process.

        ``memory_total`` and ``memory_available`` of the machine and ``process_memory`` and ``process_memory_peak`` of
        this process in bytes; ``load`` of the machine per core over the last minute; ``process_cpu_percent``, CPU time
        of this process by wall time since this was last asked, 100 for one core. Values that the system does not tell
        are absent.
        """
        told = {"process_memory": resident_memory(), "process_memory_peak": peak_memory()}
        stats = {name: value for name, value in told.items() if value is not None}
        stats["process_cpu_percent"] = cpu_clock(os.getpid()).percent()
        if hasattr(os, "sysconf"):
            names = os.sysconf_names
            if {"SC_PAGE_SIZE", "SC_PHYS_PAGES", "SC_AVPHYS_PAGES"} <= set(names):
                page = os.sysconf("SC_PAGE_SIZE")
                stats["memory_total"] = float(page * os.sysconf("SC_PHYS_PAGES"))
                stats["memory_available"] = float(page * os.sysconf("SC_AVPHYS_PAGES"))
        if hasattr(os, "getloadavg"):
            stats["load"] = os.getloadavg()[0] / self.device_count()
        return stats
