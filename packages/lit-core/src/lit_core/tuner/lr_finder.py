"""What a sweep over learning rates found."""

import math
from typing import Any, Literal

from torch import Tensor

from lit_core.callbacks.base import Callback
from lit_core.loops.automatic import loss_of
from lit_core.module import LightningModule
from lit_core.trainer import Trainer

Mode = Literal["exponential", "linear"]

_BETA = 0.98
"""Weight of the past in the running mean of the loss."""


class LRFinder:
    """The losses of a sweep over learning rates.

    Args:
        results: ``"lr"`` and ``"loss"`` (running mean), one value per update.
        mode: ``"exponential"`` or ``"linear"``: how the rates are spaced.

    Example:
        >>> found = LRFinder({"lr": [1e-4, 1e-3, 1e-2, 1e-1], "loss": [4.0, 3.9, 1.0, 0.95]}, mode="exponential")
        >>> found.suggestion(skip_begin=0, skip_end=0)
        0.001
    """

    def __init__(self, results: dict[str, list[float]], mode: Mode) -> None:
        self.results = results
        self.mode = mode

    def suggestion(self, skip_begin: int = 10, skip_end: int = 1) -> float | None:
        """The learning rate at which the loss falls fastest; None if there are too few losses.

        The slope is that between losses a twentieth of the sweep to either side, over the logarithm of the rate where
        rates were spaced exponentially.

        Args:
            skip_begin: losses left out at the begin, where the mean is of few batches.
            skip_end: losses left out at the end, where training diverges.
        """
        end = len(self.results["loss"]) - skip_end
        rates, losses = self.results["lr"][skip_begin:end], self.results["loss"][skip_begin:end]
        if len(losses) < 3:
            return None
        x = [math.log(rate) for rate in rates] if self.mode == "exponential" else rates
        reach = max(1, len(losses) // 20)  # a slope between neighbours would be the noise of one batch
        middle = range(reach, len(losses) - reach)
        slope = {i: (losses[i + reach] - losses[i - reach]) / (x[i + reach] - x[i - reach]) for i in middle}
        return rates[min(slope, key=slope.__getitem__)]

    def plot(self, suggest: bool = False, ax: Any = None) -> Any:
        """Draw loss over learning rate; returns the matplotlib figure.

        Args:
            suggest: mark the suggestion.
            ax: axes to draw on; new ones by default.

        Raises:
            ModuleNotFoundError: if matplotlib is not installed (the extra ``lit-core[plot]``).
        """
        if ax is None:
            try:
                from matplotlib.figure import Figure
            except ModuleNotFoundError as error:
                raise ModuleNotFoundError("LRFinder.plot needs 'matplotlib': install the extra lit-core[plot].") from (
                    error
                )
            ax = Figure().add_subplot()
        ax.plot(self.results["lr"], self.results["loss"])
        if self.mode == "exponential":
            ax.set_xscale("log")
        ax.set_xlabel("learning rate")
        ax.set_ylabel("loss")
        best = self.suggestion() if suggest else None
        if best is not None:
            ax.plot(best, self.results["loss"][self.results["lr"].index(best)], "o", color="red")
        return ax.get_figure()


def spaced(low: float, high: float, number: int, mode: Mode) -> list[float]:
    """``number`` learning rates from ``low`` to ``high``, both included."""
    parts = [i / (number - 1) for i in range(number)]
    if mode == "linear":
        return [low + (high - low) * part for part in parts]
    return [low * (high / low) ** part for part in parts]


class Sweep(Callback):
    """Gives each update the next learning rate and notes the loss.

    Args:
        rates: one per update.
        threshold: stop where the running mean of the loss is this many times the smallest; None to go on.
    """

    def __init__(self, rates: list[float], threshold: float | None) -> None:
        self._rates, self._threshold = rates, threshold
        self._group: list[float] = []
        self._mean = 0.0
        self._updates = 0
        self.results: dict[str, list[float]] = {"lr": [], "loss": []}

    def on_train_start(self, trainer: Trainer, module: LightningModule) -> None:
        """Refuse what has no single learning rate."""
        if len(trainer.optimizers) != 1:
            raise ValueError(
                f"{type(module).__name__} has {len(trainer.optimizers)} optimizers; lr_find sets the learning rate of "
                "one: find that of each with the others left out."
            )

    def on_train_batch_start(self, trainer: Trainer, module: LightningModule, batch: Any, batch_idx: int) -> None:
        """Set the rate of this update."""
        rate = self._rates[min(trainer.global_step, len(self._rates) - 1)]
        for group in trainer.optimizers[0].param_groups:
            if isinstance(group["lr"], Tensor):
                group["lr"].fill_(rate)
            else:
                group["lr"] = rate

    def on_train_batch_end(
        self, trainer: Trainer, module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Note the loss of the update: the mean over its batches."""
        loss = loss_of(outputs)
        if loss is not None:
            self._group.append(float(loss))
        if trainer.global_step == self._updates:
            return
        self._updates = trainer.global_step
        if not self._group:
            return
        value, self._group = sum(self._group) / len(self._group), []
        if not math.isfinite(value):
            trainer.stop(f"the loss is {value}")
            return
        losses = self.results["loss"]
        self._mean = _BETA * self._mean + (1 - _BETA) * value
        losses.append(self._mean / (1 - _BETA ** (len(losses) + 1)))
        self.results["lr"].append(self._rates[self._updates - 1])
        best = min(losses)
        if self._threshold is not None and losses[-1] > best + (self._threshold - 1) * abs(best):
            trainer.stop("the loss diverged")
