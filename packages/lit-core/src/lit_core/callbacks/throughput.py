"""How fast training goes."""

import time
from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from lit_core.callbacks._rows import check_interval, is_due, write_row
from lit_core.callbacks.base import Callback
from lit_core.module import LightningModule

if TYPE_CHECKING:
    from lit_core.trainer import Trainer


class ThroughputMonitor(Callback):
    """Log batches, samples and items per second over the last batches, of all processes and of one.

    Keys are ``train/batches_per_sec``, ``train/samples_per_sec`` (over all processes) and
    ``train/device/batches_per_sec``, ``train/device/samples_per_sec`` (of one); with ``length_fn`` also
    ``items_per_sec``; where the module has an attribute ``flops_per_batch``, ``train/device/flops_per_sec``, and with
    ``available_flops`` its share ``train/device/mfu``. Time spent in validation is not counted. The device is not
    waited for: over a window the host goes as fast as the device does.

    Args:
        batch_size_fn: samples in a batch of this process; by default those that the Trainer counts.
        length_fn: items (tokens, pixels) in a batch of this process.
        window_size: batches to look back on.
        separator: between the parts of a key.
        available_flops: floating-point operations that one device can do in a second.
        every_n_steps: updates between rows; the Trainer's ``log_every_n_steps`` by default.

    Example:
        >>> from lit_core.callbacks import ThroughputMonitor
        >>> ThroughputMonitor(length_fn=lambda batch: batch["tokens"].numel()).window_size
        100

    Raises:
        ValueError: for a window below 2 or an interval below 1.
    """

    def __init__(
        self,
        batch_size_fn: Callable[[Any], int] | None = None,
        length_fn: Callable[[Any], int] | None = None,
        window_size: int = 100,
        separator: str = "/",
        available_flops: float | None = None,
        every_n_steps: int | None = None,
    ) -> None:
        if window_size < 2:
            raise ValueError(f"window_size must be at least 2 batches, got {window_size}.")
        self.batch_size_fn = batch_size_fn
        self.length_fn = length_fn
        self.window_size = window_size
        self.separator = separator
        self.available_flops = available_flops
        self.every_n_steps = check_interval("every_n_steps", every_n_steps)
        self.rates: dict[str, float] = {}
        """What was written last."""

        self._window: deque[tuple[float, int, float, int]] = deque(maxlen=window_size + 1)
        self._samples = self._items = 0
        self._written = -1
        self._paused, self._pause_began = 0.0, 0.0

    def on_train_start(self, trainer: "Trainer", module: LightningModule) -> None:
        """Rates count from here."""
        self._window.clear()
        self._samples = self._items = 0
        self._paused, self._written = 0.0, trainer.global_step
        self._note(trainer)

    def on_validation_start(self, trainer: "Trainer", module: LightningModule) -> None:
        """Training stands still."""
        self._pause_began = time.perf_counter()

    def on_validation_end(self, trainer: "Trainer", module: LightningModule) -> None:
        """Training goes on."""
        self._paused += time.perf_counter() - self._pause_began

    def on_train_batch_end(
        self, trainer: "Trainer", module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Count the batch, and write a row if it is time."""
        if self.batch_size_fn is not None:
            self._samples += self.batch_size_fn(batch)
        if self.length_fn is not None:
            self._items += self.length_fn(batch)
        self._note(trainer)
        if is_due(trainer, self.every_n_steps) and trainer.global_step != self._written:
            self._written = trainer.global_step
            self.rates = self._measure(trainer, module)
            write_row(trainer, self.rates)

    def _note(self, trainer: "Trainer") -> None:
        """Remember where the counts stood when."""
        progress, world_size = trainer.progress, trainer.world_size
        samples = self._samples if self.batch_size_fn is not None else progress.samples / world_size
        self._window.append((time.perf_counter() - self._paused, progress.batches, samples, self._items))

    def _measure(self, trainer: "Trainer", module: LightningModule) -> dict[str, float]:
        first, last = self._window[0], self._window[-1]
        elapsed = max(last[0] - first[0], 1e-9)
        batches = (last[1] - first[1]) / elapsed
        device = {"batches_per_sec": batches}
        if last[2]:  # samples are counted
            device["samples_per_sec"] = (last[2] - first[2]) / elapsed
        if self.length_fn is not None:
            device["items_per_sec"] = (last[3] - first[3]) / elapsed
        together = {name: rate * trainer.world_size for name, rate in device.items()}
        flops = getattr(module, "flops_per_batch", None)
        if flops is not None:
            device["flops_per_sec"] = flops * batches
            if self.available_flops is not None:
                device["mfu"] = flops * batches / self.available_flops
        sep = self.separator
        return {f"train{sep}{name}": rate for name, rate in together.items()} | {
            f"train{sep}device{sep}{name}": rate for name, rate in device.items()
        }
