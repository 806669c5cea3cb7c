"""Notice a loss that jumps, before it is trained on."""

import json
import math
from collections import deque
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from torch import Tensor
from torch.optim import Optimizer

from lit_core.callbacks.base import Callback
from lit_core.module import LightningModule

if TYPE_CHECKING:
    from lit_core.trainer import Trainer


class SpikeDetection(Callback):
    """Drop the update of a batch whose loss is far worse than that of the batches before, or not finite.

    The gradients of such an update are thrown away, so the weights stay what they were; the clock moves on. The loss is
    compared with the mean of the last ``window`` good ones, as it goes into the backward pass (divided by the batches
    of an accumulation group). The loss is read from the device before each backward pass, and with several processes
    averaged over them: this costs a wait per batch. It needs one optimizer and automatic optimization.

    Args:
        mode: ``"min"`` if a higher loss is worse, ``"max"`` if a lower one is.
        window: good losses that the mean is taken over.
        warmup: good losses before any is compared.
        atol: it is a spike only if worse by at least this; None for no such bound.
        rtol: it is a spike only if worse by at least this times the mean; None for no such bound.
        exclude_batches_path: JSON file to which every spike is written.
        finite_only: whether NaN and infinity are spikes.
        action: ``"terminate"`` also stops training at that batch, ``"exclude"`` goes on.

    Example:
        >>> from lit_core.callbacks import SpikeDetection
        >>> SpikeDetection(window=20, rtol=1.5, action="exclude").spikes
        []

    Raises:
        ValueError: for a mode or action that is none, or a window below 1.
    """

    phase = "decide"

    def __init__(
        self,
        mode: Literal["min", "max"] = "min",
        window: int = 10,
        warmup: int = 1,
        atol: float | None = None,
        rtol: float | None = 2.0,
        exclude_batches_path: str | PathLike[str] | None = None,
        finite_only: bool = True,
        action: Literal["exclude", "terminate"] = "terminate",
    ) -> None:
        if mode not in ("min", "max"):
            raise ValueError(f"mode is 'min' or 'max', got {mode!r}.")
        if action not in ("exclude", "terminate"):
            raise ValueError(f"action is 'exclude' or 'terminate', got {action!r}.")
        if window < 1:
            raise ValueError(f"window must be at least 1 batch, got {window}.")
        self.mode = mode
        self.window = window
        self.warmup = warmup
        self.atol = atol
        self.rtol = rtol
        self.exclude_batches_path = None if exclude_batches_path is None else Path(exclude_batches_path)
        self.finite_only = finite_only
        self.action = action
        self.spikes: list[dict[str, Any]] = []
        """Every spike: epoch, batch_idx, global_step, loss, and the mean that it was compared with."""

        self._good: deque[float] = deque(maxlen=window)
        self._seen = 0
        self._drop = False

    def on_fit_start(self, trainer: "Trainer", module: LightningModule) -> None:
        """Refuse where losses cannot be told apart, or are not seen."""
        self._drop = False
        if not module.automatic_optimization or len(trainer.optimizers) != 1:
            got = f"{len(trainer.optimizers)} optimizers" if module.automatic_optimization else "manual optimization"
            raise ValueError(f"SpikeDetection needs automatic optimization with one optimizer, got {got}.")

    def on_before_backward(self, trainer: "Trainer", module: LightningModule, loss: Tensor) -> None:
        """Compare the loss with those before."""
        mean_over_processes = loss.detach().float()
        if trainer.world_size > 1:
            collectives = trainer.strategy.collectives
            mean_over_processes = collectives.all_reduce(mean_over_processes.clone(), "mean")
        value = float(mean_over_processes)
        mean = math.fsum(self._good) / len(self._good) if self._good else math.nan
        if self._is_spike(value, mean):
            self._note(trainer, value, mean)
        elif math.isfinite(value):
            self._good.append(value)
            self._seen += 1

    def on_before_optimizer_step(self, trainer: "Trainer", module: LightningModule, optimizer: Optimizer) -> None:
        """Without gradients an optimizer changes nothing."""
        if self._drop:
            self._drop = False
            optimizer.zero_grad(set_to_none=True)

    def _is_spike(self, value: float, mean: float) -> bool:
        if not math.isfinite(value):
            return self.finite_only
        if self._seen < self.warmup or math.isnan(mean):
            return False
        worse = value - mean if self.mode == "min" else mean - value
        if worse <= 0:
            return False
        return (self.atol is None or worse >= self.atol) and (self.rtol is None or worse >= self.rtol * abs(mean))

    def _note(self, trainer: "Trainer", value: float, mean: float) -> None:
        """Drop the running update, remember it, and stop if told so."""
        self._drop = True
        where = {
            "epoch": trainer.current_epoch,
            "batch_idx": trainer.progress.batch,
            "global_step": trainer.global_step,
        }
        self.spikes.append({**where, "loss": value, "mean": mean})
        path = self.exclude_batches_path
        if path is not None and trainer.is_global_zero:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(json.dumps(self.spikes, indent=1) + "\n")
        message = (
            f"SpikeDetection: loss {value:.6g} in batch {where['batch_idx']} of epoch {where['epoch']}, after a mean "
            f"of {mean:.6g}; its update was dropped"
        )
        if self.action == "terminate":
            trainer.stop(message)
        else:
            trainer.print(message)

    def state_dict(self) -> dict[str, Any]:
        """The losses to compare with, and the spikes."""
        return {"good": list(self._good), "seen": self._seen, "spikes": [dict(spike) for spike in self.spikes]}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on comparing where it stopped."""
        self._good = deque(state_dict["good"], maxlen=self.window)
        self._seen = state_dict["seen"]
        self.spikes = [dict(spike) for spike in state_dict["spikes"]]
