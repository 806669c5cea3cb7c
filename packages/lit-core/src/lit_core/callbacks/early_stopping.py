"""Stop when a quantity no longer improves."""

import math
from typing import TYPE_CHECKING, Any, Literal

from lit_core.callbacks.base import Callback
from lit_core.module import LightningModule

if TYPE_CHECKING:
    from lit_core.trainer import Trainer


class EarlyStopping(Callback):
    """Ask training to stop when the monitored quantity has not improved for ``patience`` new values.

    A value counts once, when it is new: after a validation or at the end of a training epoch, whichever logged it.

    Args:
        monitor: key given to ``self.log``.
        min_delta: an improvement is more than this, in the unit of the quantity.
        patience: new values without improvement after which to stop.
        verbose: print when it improves and when it stops.
        mode: ``"min"`` or ``"max"``: which direction is better.
        strict: raise if the quantity was not logged; otherwise do nothing then.
        check_finite: stop when it becomes NaN or infinite.
        stopping_threshold: stop at once when it is better than this.
        divergence_threshold: stop at once when it is worse than this.

    Example:
        >>> from lit_core.callbacks import EarlyStopping
        >>> EarlyStopping("val_loss", patience=2, mode="min").patience
        2

    Raises:
        ValueError: for a mode that is neither, or a negative patience.
    """

    phase = "decide"

    def __init__(
        self,
        monitor: str,
        min_delta: float = 0.0,
        patience: int = 3,
        verbose: bool = False,
        mode: Literal["min", "max"] = "min",
        strict: bool = True,
        check_finite: bool = True,
        stopping_threshold: float | None = None,
        divergence_threshold: float | None = None,
    ) -> None:
        if mode not in ("min", "max"):
            raise ValueError(f"mode is 'min' or 'max', got {mode!r}.")
        if patience < 0:
            raise ValueError(f"patience must be >= 0, got {patience}.")
        self.monitor = monitor
        self.min_delta = abs(min_delta)
        self.patience = patience
        self.verbose = verbose
        self.mode = mode
        self.strict = strict
        self.check_finite = check_finite
        self.stopping_threshold = stopping_threshold
        self.divergence_threshold = divergence_threshold
        self.best_score = math.inf if mode == "min" else -math.inf
        self.wait_count = 0
        self.stopped_epoch = 0
        self.stopping_reason: str | None = None
        self._seen = 0

    @property
    def state_key(self) -> str:
        """One per monitored quantity."""
        return f"EarlyStopping(monitor={self.monitor!r}, mode={self.mode!r})"

    def setup(self, trainer: "Trainer", module: LightningModule, stage: str) -> None:
        """Values of an earlier run are not new."""
        self._seen = trainer.metric_version(self.monitor)

    def on_train_start(self, trainer: "Trainer", module: LightningModule) -> None:
        """A run that was stopped and is resumed stays stopped, unless it is given more patience."""
        if self.stopping_reason is not None and self.wait_count >= max(1, self.patience):
            trainer.stop(f"EarlyStopping: {self.stopping_reason}")

    def on_validation_end(self, trainer: "Trainer", module: LightningModule) -> None:
        """Look at what validation logged."""
        if not trainer.sanity_checking and trainer.stage == "fit":
            self._check(trainer)

    def on_train_epoch_end(self, trainer: "Trainer", module: LightningModule) -> None:
        """Look at what training logged; by now the quantity must have been logged once."""
        if self.strict and self.monitor not in trainer.callback_metrics and not trainer.validates_later:
            raise RuntimeError(
                f"EarlyStopping watches {self.monitor!r}, which was not logged; logged are "
                f"{sorted(trainer.callback_metrics)}. Log it, or pass strict=False."
            )
        self._check(trainer)

    def _check(self, trainer: "Trainer") -> None:
        version = trainer.metric_version(self.monitor)
        if version == self._seen:
            return
        self._seen = version
        score = float(trainer.callback_metrics[self.monitor])
        reason = self._judge(score)
        if reason is not None:
            self.stopped_epoch = trainer.current_epoch
            self.stopping_reason = reason
            trainer.stop(f"EarlyStopping: {reason}")
        if self.verbose and (reason is not None or self.wait_count == 0):
            trainer.print(f"EarlyStopping: {reason or f'{self.monitor} improved to {score:.6g}'}")

    def _judge(self, score: float) -> str | None:
        """Take a new value in; returns why to stop, if so."""
        better = self._better
        if self.check_finite and not math.isfinite(score):
            return f"{self.monitor} is {score}"
        if self.stopping_threshold is not None and better(score, self.stopping_threshold):
            return f"{self.monitor}={score:.6g} passed the threshold {self.stopping_threshold}"
        if self.divergence_threshold is not None and better(self.divergence_threshold, score):
            return f"{self.monitor}={score:.6g} diverged past {self.divergence_threshold}"
        margin = self.min_delta if self.mode == "max" else -self.min_delta
        if better(score, self.best_score + margin if math.isfinite(self.best_score) else self.best_score):
            self.best_score = score
            self.wait_count = 0
            return None
        self.wait_count += 1
        if self.wait_count >= self.patience:
            return f"{self.monitor} did not improve on {self.best_score:.6g} for {self.wait_count} checks"
        return None

    def _better(self, a: float, b: float) -> bool:
        return a < b if self.mode == "min" else a > b

    def state_dict(self) -> dict[str, Any]:
        """Best value and how long ago it was."""
        return {
            "best_score": self.best_score,
            "wait_count": self.wait_count,
            "stopped_epoch": self.stopped_epoch,
            "stopping_reason": self.stopping_reason,
            "patience": self.patience,
        }

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on waiting where it stopped; ``patience`` stays what the constructor said."""
        self.best_score = state_dict["best_score"]
        self.wait_count = state_dict["wait_count"]
        self.stopped_epoch = state_dict["stopped_epoch"]
        self.stopping_reason = state_dict["stopping_reason"]
