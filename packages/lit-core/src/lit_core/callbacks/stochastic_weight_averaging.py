"""Averages of the weights over the last epochs, at a high constant learning rate."""

import math
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Literal

from torch import Tensor

from lit_core.callbacks._averages import AveragingCallback
from lit_core.module import LightningModule

if TYPE_CHECKING:
    from lit_core.trainer import Trainer


class StochasticWeightAveraging(AveragingCallback):
    """Average the weights of the last epochs, trained at a learning rate of their own.

    From ``swa_epoch_start`` on the learning rate goes from what it was to ``swa_lrs`` over ``annealing_epochs``, and
    stays there, whatever schedulers say; after each epoch the weights go into the average. Validation, checkpoints and
    the module after ``fit`` have the average. Buffers (the running statistics of batch normalisation) are averaged too,
    rather than measured again in one more epoch; to do that, call ``torch.optim.swa_utils.update_bn(loader, module)``.

    Args:
        swa_lrs: the learning rate to go to: one, or one for each parameter group.
        swa_epoch_start: index of the first epoch that counts (int), or a fraction of ``max_epochs`` (float).
        annealing_epochs: epochs that the way to ``swa_lrs`` takes.
        annealing_strategy: ``"cos"`` or ``"linear"``.
        avg_fn: average of ``(average, weights, number of averaged models)``; equally weighted by default.
        device: where the average is kept; None for the device of the module.

    Example:
        >>> from lit_core.callbacks import StochasticWeightAveraging
        >>> StochasticWeightAveraging(swa_lrs=0.05, swa_epoch_start=0.75).swa_epoch_start
        0.75

    Raises:
        ValueError: for settings that make no sense; at the start of ``fit`` for a fraction of unlimited epochs, or
            learning rates that do not fit the parameter groups.

    See Izmailov et al., "Averaging weights leads to wider optima and better generalization" (UAI 2018).
    """

    def __init__(
        self,
        swa_lrs: float | list[float],
        swa_epoch_start: int | float = 0.8,
        annealing_epochs: int = 10,
        annealing_strategy: Literal["cos", "linear"] = "cos",
        avg_fn: Callable[[Tensor, Tensor, Any], Tensor] | None = None,
        device: Any = "cpu",
    ) -> None:
        lrs = swa_lrs if isinstance(swa_lrs, list) else [swa_lrs]
        if not lrs or not all(isinstance(lr, (int, float)) and lr > 0 for lr in lrs):
            raise ValueError(f"swa_lrs must be a positive number or a list of them, got {swa_lrs!r}.")
        fraction = isinstance(swa_epoch_start, float)
        if (fraction and not 0 <= swa_epoch_start <= 1) or swa_epoch_start < 0:
            raise ValueError(
                f"swa_epoch_start is the index of an epoch (int) or a fraction of all in [0, 1] (float), got "
                f"{swa_epoch_start!r}."
            )
        if annealing_strategy not in ("cos", "linear"):
            raise ValueError(f"annealing_strategy is 'cos' or 'linear', got {annealing_strategy!r}.")
        if annealing_epochs < 0:
            raise ValueError(f"annealing_epochs must be at least 0, got {annealing_epochs}.")
        super().__init__(device, True, {} if avg_fn is None else {"avg_fn": avg_fn})
        self.swa_lrs = swa_lrs
        self.swa_epoch_start = swa_epoch_start
        self.annealing_epochs = annealing_epochs
        self.annealing_strategy = annealing_strategy
        self._start_lrs: list[list[float]] | None = None

    def _first_epoch(self, trainer: "Trainer") -> int:
        if not isinstance(self.swa_epoch_start, float):
            return self.swa_epoch_start
        if math.isinf(trainer.max_epochs):
            raise ValueError(
                f"swa_epoch_start={self.swa_epoch_start} is a fraction of max_epochs, which has no limit: give the "
                "index of an epoch (int)."
            )
        return int(trainer.max_epochs * self.swa_epoch_start)

    def on_train_epoch_start(self, trainer: "Trainer", module: LightningModule) -> None:
        """Remember where learning rates come from."""
        if trainer.current_epoch < self._first_epoch(trainer):
            return
        if self._start_lrs is None:
            self._start_lrs = [[float(g["lr"]) for g in optimizer.param_groups] for optimizer in trainer.optimizers]
        if not trainer.progress.batch:  # else a run goes on inside the epoch, with rates that are in the checkpoint
            self._set_lrs(trainer)

    def on_train_batch_start(self, trainer: "Trainer", module: LightningModule, batch: Any, batch_idx: int) -> None:
        """Undo what schedulers that step with updates did."""
        if self._start_lrs is not None:
            self._set_lrs(trainer)

    def _set_lrs(self, trainer: "Trainer") -> None:
        done = trainer.current_epoch - self._first_epoch(trainer)
        share = min(1.0, done / self.annealing_epochs) if self.annealing_epochs else 1.0
        if self.annealing_strategy == "cos":
            share = (1 - math.cos(math.pi * share)) / 2
        for optimizer, starts in zip(trainer.optimizers, self._start_lrs or (), strict=False):
            lrs = self.swa_lrs if isinstance(self.swa_lrs, list) else [self.swa_lrs] * len(optimizer.param_groups)
            if len(lrs) != len(optimizer.param_groups):
                raise ValueError(
                    f"swa_lrs has {len(lrs)} learning rates for {len(optimizer.param_groups)} parameter groups."
                )
            for group, lr, start in zip(optimizer.param_groups, lrs, starts, strict=True):
                group["lr"] = lr * share + start * (1 - share)

    def _wants_step(self, trainer: "Trainer", step_idx: int) -> bool:
        return False

    def _wants_epoch(self, trainer: "Trainer", epoch_idx: int) -> bool:
        return epoch_idx >= self._first_epoch(trainer)

    def _own_state(self) -> dict[str, Any]:
        return {"start_lrs": None if self._start_lrs is None else [list(lrs) for lrs in self._start_lrs]}

    def _load_own_state(self, state: dict[str, Any]) -> None:
        self._start_lrs = state["start_lrs"]
