"""One line that says how far a run has come."""

import math
import sys
import time
from typing import TYPE_CHECKING, Any, TextIO

from tqdm.auto import tqdm

from lit_core.callbacks.base import Callback
from lit_core.module import LightningModule

if TYPE_CHECKING:
    from lit_core.trainer import Trainer

_FORMAT = "{desc} {percentage:3.0f}%|{bar}| {n_fmt}/{total_fmt} [{elapsed}<{remaining}, {rate_fmt}{postfix}]"
_NAMES = {"validate": "Validating", "test": "Testing", "predict": "Predicting"}


class ProgressBar(Callback):
    """A bar in a terminal or notebook; a plain line now and then where output goes to a file.

    Refreshed by time, not by batch: what it shows is read from the device at most ten times a second.

    Args:
        refresh_s: seconds between refreshes of the bar.
        line_s: seconds between lines where there is no terminal.
        stream: where to write; standard error by default.

    Example:
        >>> from lit_core.callbacks import ProgressBar
        >>> ProgressBar(line_s=60).line_s
        60
    """

    def __init__(self, refresh_s: float = 0.1, line_s: float = 10.0, stream: TextIO | None = None) -> None:
        self.refresh_s = refresh_s
        self.line_s = line_s
        self._given_stream = stream
        self._bar: Any = None
        self._next = 0.0
        self._last_line = -math.inf
        self._label = ""
        self._total: float = math.inf
        self._began = (0.0, 0)
        self._evaluated = 0

    @property
    def stream(self) -> TextIO:
        """Where to write."""
        return self._given_stream or sys.stderr

    def _open(self, trainer: "Trainer", label: str, total: float, done: int = 0) -> None:
        self._close()
        if not trainer.is_global_zero:
            self._next = math.inf
            return
        self._label, self._total, self._began = label, total, (time.monotonic(), done)
        if self.stream.isatty():
            self._bar = tqdm(
                desc=label,
                total=None if total == math.inf else int(total),
                initial=done,
                file=self.stream,
                mininterval=0.0,
                dynamic_ncols=True,
                bar_format=_FORMAT,
            )
            self._next = 0.0
        else:
            self._next = time.monotonic() + self.line_s

    def _show(self, trainer: "Trainer", done: int, *, note: str = "") -> None:
        values = "  ".join(f"{key}={value:.4g}" for key, value in trainer.progress_bar_metrics.items())
        text = "  ".join(part for part in (values, note) if part)
        now = time.monotonic()
        if self._bar is not None:
            self._bar.set_postfix_str(text, refresh=False)
            self._bar.update(done - self._bar.n)
            self._bar.refresh()
            self._next = now + self.refresh_s
            return
        began, first = self._began
        rate = (done - first) / max(now - began, 1e-9)
        self.stream.write(f"{self._label}  batch {done}/{_count(self._total)}  {rate:.1f} it/s  {text}".rstrip() + "\n")
        self.stream.flush()
        self._last_line = now
        self._next = now + self.line_s

    def _close(self) -> None:
        if self._bar is not None:
            self._bar.close()
            self._bar = None

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
        if time.monotonic() >= self._next:
            self._show(trainer, batch_idx + 1)

    def on_train_epoch_end(self, trainer: "Trainer", module: LightningModule) -> None:
        """Show the epoch's values and leave the bar there; as lines, at most one a second and the last."""
        last = trainer.current_epoch + 1 >= trainer.max_epochs or trainer.should_stop
        if trainer.is_global_zero and (self._bar is not None or last or time.monotonic() >= self._last_line + 1.0):
            self._show(trainer, trainer.progress.batch)
        self._close()

    # Evaluation and prediction ----------------------------------------------------------------------------------------

    def on_validation_start(self, trainer: "Trainer", module: LightningModule) -> None:
        """Inside training the line stays the epoch's; alone, validation has its own."""
        self._evaluated = 0
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
        if time.monotonic() < self._next:
            return
        if trainer.stage != "fit":
            self._show(trainer, self._evaluated)
        elif not trainer.sanity_checking:
            note = f"validating {self._evaluated}/{_count(trainer.num_evaluation_batches)}"
            self._show(trainer, trainer.progress.batch, note=note)

    def on_validation_end(self, trainer: "Trainer", module: LightningModule) -> None:
        """Close a line of its own."""
        if trainer.stage != "fit":
            if trainer.is_global_zero:
                self._show(trainer, self._evaluated)
            self._close()

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
        return {**self.__dict__, "_bar": None}


def _count(total: float) -> str:
    return "?" if total == math.inf else str(int(total))
