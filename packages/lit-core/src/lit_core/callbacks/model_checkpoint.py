"""Save checkpoints while training, and keep the right ones."""

import os
from os import PathLike
from typing import TYPE_CHECKING, Any, Literal

from lit_checkpoint import CheckpointManager
from lit_core.callbacks.base import Callback
from lit_core.module import LightningModule

if TYPE_CHECKING:
    from lit_core.trainer import Trainer


class ModelCheckpoint(Callback):
    """Save at the end of epochs (or every so many updates); keep the best by a logged quantity, and the last.

    Which files stay is decided by :class:`lit_checkpoint.CheckpointManager`; this callback says when. It runs after all
    other callbacks of an event, so that what it saves is the state that training goes on from. With validation inside
    an epoch (``val_check_interval``) it also saves after each, when the quantity is new.

    Args:
        dirpath: folder or URL; by default ``checkpoints`` in the folder of the first logger, or in
            ``default_root_dir``.
        filename: template such as ``"{epoch}-{val_loss:.3f}"``; ``{epoch}-{step}`` by default.
        monitor: key given to ``self.log``; without one the newest is the best.
        verbose: print the path of every checkpoint.
        save_last: keep the newest too, however good it is.
        save_top_k: how many of the best to keep; -1 all, 0 none.
        save_weights_only: leave out what only resuming needs.
        mode: ``"min"`` or ``"max"``: which direction of the quantity is better.
        every_n_train_steps: save when ``global_step`` is a multiple of this, instead of at the end of epochs.
        every_n_epochs: save at the end of every so many epochs.

    Example:
        >>> from lit_core.callbacks import ModelCheckpoint
        >>> ModelCheckpoint(monitor="val_loss", mode="min", save_top_k=2).monitor
        'val_loss'

    Raises:
        ValueError: for settings that contradict each other.
    """

    phase = "save"

    def __init__(
        self,
        dirpath: str | PathLike[str] | None = None,
        filename: str | None = None,
        monitor: str | None = None,
        verbose: bool = False,
        save_last: bool = True,
        save_top_k: int = 1,
        save_weights_only: bool = False,
        mode: Literal["min", "max"] = "min",
        every_n_train_steps: int | None = None,
        every_n_epochs: int | None = None,
    ) -> None:
        if every_n_train_steps is not None and every_n_epochs is not None:
            raise ValueError("Give every_n_train_steps or every_n_epochs, not both; for both use two ModelCheckpoints.")
        for name, value in (("every_n_train_steps", every_n_train_steps), ("every_n_epochs", every_n_epochs)):
            if value is not None and value < 1:
                raise ValueError(f"{name} must be at least 1, got {value}.")
        if mode not in ("min", "max"):
            raise ValueError(f"mode is 'min' or 'max', got {mode!r}.")
        self.dirpath = None if dirpath is None else os.fspath(dirpath)
        self.filename = filename
        self.monitor = monitor
        self.verbose = verbose
        self.save_last = save_last
        self.save_top_k = save_top_k
        self.save_weights_only = save_weights_only
        self.mode: Literal["min", "max"] = mode
        self.every_n_train_steps = every_n_train_steps
        self.every_n_epochs = every_n_epochs
        self.best_model_path = ""
        self.best_model_score: float | None = None
        self.last_model_path = ""
        self.best_k_models: dict[str, float | None] = {}
        self._manager: CheckpointManager | None = None
        self._restored: dict[str, Any] | None = None
        self._seen = 0
        self._saved_at: tuple[int, int] | None = None

    @property
    def state_key(self) -> str:
        """One per monitored quantity and trigger."""
        every = f", every_n_train_steps={self.every_n_train_steps}" if self.every_n_train_steps else ""
        return f"ModelCheckpoint(monitor={self.monitor!r}, mode={self.mode!r}{every})"

    def setup(self, trainer: "Trainer", module: LightningModule, stage: str) -> None:
        """Open the folder; values of an earlier run are not new."""
        if stage != "fit":
            return
        self._seen = trainer.metric_version(self.monitor) if self.monitor else 0
        if self.dirpath is None:
            self.dirpath = f"{(trainer.log_dir or trainer.default_root_dir).rstrip('/')}/checkpoints"
        if trainer.is_global_zero:
            self._manager = CheckpointManager(
                self.dirpath,
                filename=self.filename,
                monitor=self.monitor,
                mode=self.mode,
                save_top_k=self.save_top_k,
                save_last=self.save_last,
            )

    def on_train_start(self, trainer: "Trainer", module: LightningModule) -> None:
        """Take up the checkpoints of the run that is resumed."""
        if self._restored is not None and self._manager is not None:
            self._manager.load_state_dict(self._restored)
        self._restored = None

    def on_train_batch_end(
        self, trainer: "Trainer", module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Save when ``global_step`` has come to a multiple."""
        every, step = self.every_n_train_steps, trainer.global_step
        if every is not None and step and step % every == 0 and (self._saved_at is None or self._saved_at[0] != step):
            self._save(trainer)

    def on_validation_end(self, trainer: "Trainer", module: LightningModule) -> None:
        """Save after a validation inside an epoch, if it measured the quantity; at its end, the epoch's end saves."""
        inside = trainer.stage == "fit" and not trainer.sanity_checking and not trainer.is_last_batch
        if inside and self.every_n_train_steps is None and self.every_n_epochs in (None, 1) and self._is_new(trainer):
            self._save(trainer)

    def on_train_epoch_end(self, trainer: "Trainer", module: LightningModule) -> None:
        """Save at the end of an epoch, also of one that was cut short."""
        if self.monitor and self.monitor not in trainer.callback_metrics and not trainer.validates_later:
            raise RuntimeError(
                f"ModelCheckpoint watches {self.monitor!r}, which was not logged; logged are "
                f"{sorted(trainer.callback_metrics)}. Log it with self.log({self.monitor!r}, ...)."
            )
        cut_short = not trainer.is_last_batch
        due = self.every_n_train_steps is None and (trainer.current_epoch + 1) % (self.every_n_epochs or 1) == 0
        if due or (cut_short and self._saved_at != (trainer.global_step, trainer.current_epoch)):
            self._save(trainer)

    def _is_new(self, trainer: "Trainer") -> bool:
        return self.monitor is not None and trainer.metric_version(self.monitor) != self._seen

    def _save(self, trainer: "Trainer") -> None:
        """Let process 0 decide, all processes give their state, and process 0 write."""
        measured = self.monitor is None or self._is_new(trainer)
        metrics = {key: float(value) for key, value in trainer.callback_metrics.items()} if measured else None
        if self.monitor is not None:
            self._seen = trainer.metric_version(self.monitor)
        manager = self._manager
        if not trainer.broadcast(manager.wants(metrics) if manager is not None else None):
            return
        state = trainer.dump_checkpoint(weights_only=self.save_weights_only)

        def write() -> tuple[Any, ...] | None:
            if manager is None:
                return None
            path = manager.save(state, step=trainer.global_step, epoch=trainer.current_epoch, metrics=metrics)
            return path, manager.best_path, manager.best_score, manager.last_path, manager.best_k

        path, best, self.best_model_score, last, self.best_k_models = trainer.write_in_process_zero(write)
        self.best_model_path, self.last_model_path = best or "", last or ""
        self._saved_at = (trainer.global_step, trainer.current_epoch)
        if self.verbose:
            trainer.print(f"ModelCheckpoint: saved {path}")

    def state_dict(self) -> dict[str, Any]:
        """What is kept, and how good it was."""
        return {
            "monitor": self.monitor,
            "best_model_path": self.best_model_path,
            "best_model_score": self.best_model_score,
            "last_model_path": self.last_model_path,
            "best_k_models": dict(self.best_k_models),
            "saved_at": list(self._saved_at) if self._saved_at else None,
            "manager": self._manager.state_dict() if self._manager is not None else None,
        }

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on from what an earlier run kept."""
        self.best_model_path = state_dict["best_model_path"]
        self.best_model_score = state_dict["best_model_score"]
        self.last_model_path = state_dict["last_model_path"]
        self.best_k_models = dict(state_dict["best_k_models"])
        self._restored = state_dict["manager"]
        saved_at = state_dict["saved_at"]
        self._saved_at = (saved_at[0], saved_at[1]) if saved_at else None
