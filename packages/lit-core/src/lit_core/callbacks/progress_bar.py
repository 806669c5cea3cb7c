"""One line that says how far a run has come."""

import math
import sys
import time
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any, TextIO

from lit_core.callbacks._displays import Display, Lines, TqdmBar, draws
from lit_core.callbacks.base import Callback
from lit_core.module import LightningModule

if TYPE_CHECKING:
    from lit_core.trainer import Trainer

_NAMES = {"validate": "Validating", "test": "Testing", "predict": "Predicting"}


class ProgressBar(Callback):
    """A bar in a terminal or notebook; a plain line now and then where output goes to a file.

    Refreshed by time, not by batch: what it shows is read from the device at most ten times a second.

    Args:
        refresh_s: seconds between refreshes of the bar.
        line_s: seconds between lines where there is no terminal.
        stream: where to write; standard error by default.
        refresh_rate: batches between refreshes at least; 0 shows nothing.
        leave: leave the bar of each epoch where it is; otherwise that of the next takes its place.
        bar: makes what is drawn in a terminal or notebook, of the stream.

    Example:
        >>> from lit_core.callbacks import ProgressBar
        >>> ProgressBar(line_s=60).line_s
        60

        Show other values than those that were logged with ``prog_bar=True``:

        >>> class WithRate(ProgressBar):
        ...     def get_metrics(self, trainer, module):
        ...         return {**super().get_metrics(trainer, module), "lr": trainer.optimizers[0].param_groups[0]["lr"]}

    Raises:
        ValueError: for a negative refresh_rate.
    """

    def __init__(
        self,
        refresh_s: float = 0.1,
        line_s: float = 10.0,
        stream: TextIO | None = None,
        *,
        refresh_rate: int = 1,
        leave: bool = True,
        bar: Callable[[TextIO], Display] = TqdmBar,
    ) -> None:
        if refresh_rate < 0:
            raise ValueError(f"refresh_rate is a number of batches, 0 to show nothing; got {refresh_rate}.")
        self.refresh_s = refresh_s
        self.line_s = line_s
        self.refresh_rate = refresh_rate
        self.leave = leave
        self._given_stream = stream
        self._make_bar = bar
        self._display: Display | None = None
        self._interval = refresh_s
        self._next = math.inf
        self._last_line = -math.inf
        self._began = (0.0, 0)
        self._rate = 0.0
        self._paused = 0.0
        self._evaluated = 0

    @property
    def stream(self) -> TextIO:
        """Where to write."""
        return self._given_stream or sys.stderr

    def get_metrics(self, trainer: "Trainer", module: LightningModule) -> dict[str, Any]:
        """What is shown beside the bar, by name: what was logged with ``prog_bar=True``; override it to change that."""
        return module.get_progress_bar_dict()

    def _open(self, trainer: "Trainer", label: str, total: float, done: int = 0) -> None:
        if not trainer.is_global_zero or not self.refresh_rate:
            return
        now = time.monotonic()
        bar = draws(self.stream)
        if self._display is None:
            self._display = self._make_bar(self.stream) if bar else Lines(self.stream)
        self._display.open(label, total, done)
        self._began = (now, done)
        self._interval = self.refresh_s if bar else self.line_s
        self._next = 0.0 if bar else now + self.line_s

    def _show(
        self, trainer: "Trainer", module: LightningModule, done: int, inner: tuple[int, float] | None = None
    ) -> None:
        if self._display is None:
            return
        values = self.get_metrics(trainer, module)
        now, (began, first) = time.monotonic(), self._began
        if inner is None:
            self._rate = (done - first) / max(now - began, 1e-9)
        self._display.show(done, self._rate, values, inner)
        self._last_line = now
        self._next = now + self._interval

    def _close(self) -> None:
        if self._display is not None:
            self._display.close()
            self._display = None
        self._next = math.inf

    # Training ---------------------------------------------------------------------------------------------------------

    def on_train_epoch_start(self, trainer: "Trainer", module: LightningModule) -> None:
        """Begin a bar for the epoch."""
        last = trainer.max_epochs
        of = f"/{int(last)}" if math.isfinite(last) else ""
        label = f"Epoch {trainer.current_epoch + 1}{of}"
        self._open(trainer, label, trainer.num_training_batches, trainer.progress.batch)

    def on_train_batch_end(
        self, trainer: "Trainer", module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Refresh, if it is time."""
        if time.monotonic() >= self._next and (batch_idx + 1) % self.refresh_rate == 0:
            self._show(trainer, module, batch_idx + 1)

    def on_train_epoch_end(self, trainer: "Trainer", module: LightningModule) -> None:
        """Show the epoch's values and leave the bar there; as lines, at most one a second and the last."""
        last = trainer.current_epoch + 1 >= trainer.max_epochs or trainer.should_stop
        if last or not isinstance(self._display, Lines) or time.monotonic() >= self._last_line + 1.0:
            self._show(trainer, module, trainer.progress.batch)
        if self.leave:
            self._close()

    def on_train_end(self, trainer: "Trainer", module: LightningModule) -> None:
        """Leave the last bar there."""
        self._close()

    # Evaluation and prediction ----------------------------------------------------------------------------------------

    def on_validation_start(self, trainer: "Trainer", module: LightningModule) -> None:
        """Inside training it is a part of the epoch's bar; alone, validation has its own."""
        self._evaluated, self._paused = 0, time.monotonic()
        if trainer.stage != "fit":
            self._open(trainer, _NAMES[trainer.stage], trainer.num_evaluation_batches)

    def on_validation_batch_end(
        self,
        trainer: "Trainer",
        module: LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        """Refresh, if it is time."""
        self._evaluated += 1
        if time.monotonic() < self._next or self._evaluated % self.refresh_rate:
            return
        if trainer.stage != "fit":
            self._show(trainer, module, self._evaluated)
        elif not trainer.sanity_checking:
            self._show(trainer, module, trainer.progress.batch, (self._evaluated, trainer.num_evaluation_batches))

    def on_validation_end(self, trainer: "Trainer", module: LightningModule) -> None:
        """Close a line of its own; inside training, the rate is that of training."""
        if trainer.stage != "fit":
            self._show(trainer, module, self._evaluated)
            self._close()
        else:
            began, first = self._began
            self._began = (began + time.monotonic() - self._paused, first)

    on_test_start = on_validation_start
    on_test_batch_end = on_validation_batch_end
    on_test_end = on_validation_end
    on_predict_start = on_validation_start
    on_predict_batch_end = on_validation_batch_end
    on_predict_end = on_validation_end

    def on_exception(self, trainer: "Trainer", module: LightningModule, exception: BaseException) -> None:
        """Leave the terminal in order."""
        self._close()

    def __getstate__(self) -> dict[str, Any]:
        """A copy in another process has no bar yet."""
        return {**self.__dict__, "_display": None, "_next": math.inf}


class TQDMProgressBar(ProgressBar):
    """The :class:`~lit_core.ProgressBar` under the name and with the arguments of PyTorch Lightning 2.x.

    Args:
        refresh_rate: batches between refreshes at least, of which there are at most ten a second; 0 shows nothing.
        process_position: lines that the bar stands below the first.
        leave: leave the bar of each epoch where it is; otherwise that of the next takes its place.

    Example:
        >>> from lit_core.callbacks import TQDMProgressBar
        >>> TQDMProgressBar(refresh_rate=20).refresh_rate
        20

    Raises:
        ValueError: for a negative refresh_rate.
    """

    def __init__(self, refresh_rate: int = 1, process_position: int = 0, leave: bool = False) -> None:
        super().__init__(refresh_rate=refresh_rate, leave=leave, bar=partial(TqdmBar, position=process_position))
