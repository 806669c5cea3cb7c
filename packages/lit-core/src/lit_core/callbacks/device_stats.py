"""Log what the device does."""

import os
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from lit_core.callbacks._rows import check_interval, is_due, write_row
from lit_core.callbacks.base import Callback
from lit_core.module import LightningModule

if TYPE_CHECKING:
    from lit_core.trainer import Trainer

_CUDA = (
    "allocated_bytes.all.current",
    "allocated_bytes.all.peak",
    "reserved_bytes.all.current",
    "reserved_bytes.all.peak",
    "inactive_split_bytes.all.current",
    "num_alloc_retries",
    "num_ooms",
)


class DeviceStatsMonitor(Callback):
    """Log memory of the device, and memory and load of the CPU, of process 0 while training.

    Keys are ``DeviceStatsMonitor/{name}``: on CUDA the counters of ``torch.cuda.memory_stats``, on Apple GPUs allocated
    memory, for the CPU ``cpu_percent`` (of this process since the last row; 100 is one core), ``cpu_load_percent`` (of
    the machine, over the last minute) and ``cpu_memory_bytes`` (of this process). All are counters of the host: the
    device is not waited for.

    Args:
        cpu_stats: log those of the CPU; by default only where training runs on the CPU.
        every_n_steps: updates between rows; the Trainer's ``log_every_n_steps`` by default.

    Example:
        >>> from lit_core.callbacks import DeviceStatsMonitor
        >>> DeviceStatsMonitor(cpu_stats=True).cpu_stats
        True

    Raises:
        ValueError: for an interval below 1.
    """

    def __init__(self, cpu_stats: bool | None = None, every_n_steps: int | None = None) -> None:
        self.cpu_stats = cpu_stats
        self.every_n_steps = check_interval("every_n_steps", every_n_steps)
        self._written = -1
        self._clocks = (0.0, 0.0)

    def on_train_start(self, trainer: "Trainer", module: LightningModule) -> None:
        """Load counts from here."""
        self._written, self._clocks = trainer.global_step, (time.monotonic(), time.process_time())

    def on_train_batch_end(
        self, trainer: "Trainer", module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Write a row, if it is time."""
        if not is_due(trainer, self.every_n_steps) or trainer.global_step == self._written:
            return
        self._written = trainer.global_step
        device = module.device
        stats = device_stats(device)
        if self.cpu_stats or (self.cpu_stats is None and device.type == "cpu"):
            stats |= self._cpu()
        write_row(trainer, {f"DeviceStatsMonitor/{name}": value for name, value in stats.items()})

    def _cpu(self) -> dict[str, float]:
        wall, used = time.monotonic(), time.process_time()
        (wall_before, used_before), self._clocks = self._clocks, (wall, used)
        stats = {"cpu_percent": 100.0 * (used - used_before) / max(wall - wall_before, 1e-9)}
        if hasattr(os, "getloadavg"):
            stats["cpu_load_percent"] = 100.0 * os.getloadavg()[0] / (os.cpu_count() or 1)
        memory = _resident_bytes()
        return stats if memory is None else {**stats, "cpu_memory_bytes": memory}


def device_stats(device: torch.device) -> dict[str, float]:
    """Counters of an accelerator's memory, by name; none for the CPU.

    Example:
        >>> device_stats(torch.device("cpu"))
        {}
    """
    if device.type == "cuda":
        stats = torch.cuda.memory_stats(device)
        return {name: float(stats.get(name, 0)) for name in _CUDA}
    if device.type == "mps":
        return {
            "allocated_bytes.all.current": float(torch.mps.current_allocated_memory()),
            "reserved_bytes.all.current": float(torch.mps.driver_allocated_memory()),
        }
    return {}


def _resident_bytes() -> float | None:
    """Memory of this process now (where ``/proc`` tells), or at most so far; None where neither is known."""
    statm = Path("/proc/self/statm")
    if statm.exists():
        return float(statm.read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    try:
        import resource
    except ImportError:
        return None
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return float(most if sys.platform == "darwin" else most * 1024)
