"""How long a run takes, and a limit to it."""

import time
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Literal

from lit_core.callbacks.base import Callback
from lit_core.durations import seconds
from lit_core.module import LightningModule

if TYPE_CHECKING:
    from lit_core.trainer import Trainer

TimedStage = Literal["train", "validate", "test", "predict", "sanity_check"]


class _Watch:
    """A stopwatch: time of earlier runs, and of this one so far."""

    def __init__(self, offset: float = 0.0) -> None:
        self.offset = offset
        self.began: float | None = None
        self.ended: float | None = None

    def start(self) -> None:
        self.offset = self.elapsed()
        self.began, self.ended = time.monotonic(), None

    def stop(self) -> None:
        if self.began is not None and self.ended is None:
            self.ended = time.monotonic()

    def elapsed(self) -> float:
        if self.began is None:
            return self.offset
        return self.offset + (self.ended if self.ended is not None else time.monotonic()) - self.began


class Timer(Callback):
    """Measure the time of every stage, and stop training when it has trained long enough.

    Training time includes validation inside training, and goes on over resumed runs.

    Args:
        duration: training time at most: ``"00:12:00:00"`` (days, hours, minutes, seconds), ``"90min"``, a timedelta, or
            a dict of its arguments; None only measures.
        interval: look at the clock after each ``"step"`` or each ``"epoch"``.
        verbose: print when time is up.

    Example:
        >>> from lit_core.callbacks import Timer
        >>> timer = Timer("01:12:00:00")
        >>> timer.time_remaining(), timer.time_elapsed()
        (129600.0, 0.0)

    Raises:
        ValueError: for a duration or an interval that is none.
    """

    phase = "decide"

    def __init__(
        self,
        duration: str | timedelta | dict[str, float] | None = None,
        interval: Literal["step", "epoch"] = "step",
        verbose: bool = True,
    ) -> None:
        if interval not in ("step", "epoch"):
            raise ValueError(f"interval is 'step' or 'epoch', got {interval!r}.")
        self.duration_s = None if duration is None else seconds("duration", duration)
        self.interval = interval
        self.verbose = verbose
        self._watches: dict[str, _Watch] = {}

    def _watch(self, stage: str) -> _Watch:
        return self._watches.setdefault(stage, _Watch())

    def start_time(self, stage: TimedStage = "train") -> float | None:
        """When the stage began last, on the clock of ``time.monotonic``; None if it did not."""
        return self._watch(stage).began

    def end_time(self, stage: TimedStage = "train") -> float | None:
        """When the stage ended, on the same clock; None while it runs."""
        return self._watch(stage).ended

    def time_elapsed(self, stage: TimedStage = "train") -> float:
        """Seconds that the stage has taken so far, over all its runs."""
        return self._watch(stage).elapsed()

    def time_remaining(self, stage: TimedStage = "train") -> float | None:
        """Seconds left of the duration; None without one."""
        return None if self.duration_s is None else self.duration_s - self.time_elapsed(stage)

    def _check(self, trainer: "Trainer") -> None:
        if self.duration_s is None or self.time_elapsed() < self.duration_s or trainer.should_stop:
            return
        reason = f"Timer: {self.time_elapsed():.1f} s of training, {self.duration_s:g} s allowed"
        trainer.stop(reason)
        if self.verbose:
            trainer.print(reason)

    def on_train_start(self, trainer: "Trainer", module: LightningModule) -> None:
        """Start the watch; a resumed run may have no time left."""
        self._watch("train").start()
        self._check(trainer)

    def on_train_batch_end(
        self, trainer: "Trainer", module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Look at the clock."""
        if self.interval == "step":
            self._check(trainer)

    def on_train_epoch_end(self, trainer: "Trainer", module: LightningModule) -> None:
        """Look at the clock."""
        self._check(trainer)

    def on_train_end(self, trainer: "Trainer", module: LightningModule) -> None:
        """Stop the watch."""
        self._watch("train").stop()

    def on_validation_start(self, trainer: "Trainer", module: LightningModule) -> None:
        """Start the watch."""
        self._watch("sanity_check" if trainer.sanity_checking else "validate").start()

    def on_validation_end(self, trainer: "Trainer", module: LightningModule) -> None:
        """Stop the watch."""
        self._watch("sanity_check" if trainer.sanity_checking else "validate").stop()

    def on_test_start(self, trainer: "Trainer", module: LightningModule) -> None:
        """Start the watch."""
        self._watch("test").start()

    def on_test_end(self, trainer: "Trainer", module: LightningModule) -> None:
        """Stop the watch."""
        self._watch("test").stop()

    def on_predict_start(self, trainer: "Trainer", module: LightningModule) -> None:
        """Start the watch."""
        self._watch("predict").start()

    def on_predict_end(self, trainer: "Trainer", module: LightningModule) -> None:
        """Stop the watch."""
        self._watch("predict").stop()

    def on_exception(self, trainer: "Trainer", module: LightningModule, exception: BaseException) -> None:
        """Stop all watches."""
        for watch in self._watches.values():
            watch.stop()

    def state_dict(self) -> dict[str, Any]:
        """Seconds by stage."""
        return {"time_elapsed": {stage: watch.elapsed() for stage, watch in self._watches.items()}}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on counting from there."""
        self._watches = {stage: _Watch(elapsed) for stage, elapsed in state_dict["time_elapsed"].items()}
