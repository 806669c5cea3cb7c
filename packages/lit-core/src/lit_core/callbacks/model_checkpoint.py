"""Save checkpoints while training, and keep the right ones."""

import os
import warnings
from contextlib import ExitStack
from datetime import timedelta
from os import PathLike
from typing import TYPE_CHECKING, Any, Literal

from lit_checkpoint import BackgroundSaver, CheckpointIO, CheckpointManager, Every
from lit_core.callbacks.base import Callback
from lit_core.durations import seconds
from lit_core.joint_io import among_writers, io_beside_training, saves_together
from lit_core.module import LightningModule

if TYPE_CHECKING:
    from collections.abc import Callable

    from lit_core.trainer import Trainer

_ASKS_PER_INTERVAL = 20


class ModelCheckpoint(Callback):
    """Save at the end of epochs (or by updates, or time); keep the best by a logged quantity, and the last.

    Which files stay is decided by :class:`lit_checkpoint.CheckpointManager`; this callback says when. It runs after all
    other callbacks of an event, so that what it saves is the state that training goes on from. With validation inside
    an epoch (``val_check_interval``) it also saves after each that measured the quantity.

    A checkpoint is compared by ``monitor`` only if the quantity was measured with the weights that it holds: after the
    same batch. Otherwise it can be the last, never the best. NaN is never the best.

    Args:
        dirpath: folder or URL; by default ``checkpoints`` in the folder of the first logger, or in
            ``default_root_dir``.
        filename: template such as ``"{epoch}-{val_loss:.3f}"``; ``{epoch}-{step}`` by default.
        monitor: key given to ``self.log``; without one the newest is the best.
        verbose: print the path of every checkpoint.
        save_last: keep the newest too, however good it is. ``"link"`` is the same: ``last`` is a file that names it.
        save_top_k: how many of the best to keep; -1 all, 0 none.
        save_weights_only: leave out what only resuming needs.
        mode: ``"min"`` or ``"max"``: which direction of the quantity is better. ``"auto"`` is the older spelling of
            ``"max"`` for names with ``acc`` and those that begin with ``fmeasure``, and of ``"min"`` for all others.
        auto_insert_metric_name: whether ``{epoch}`` becomes ``epoch=3`` in a file name, or ``3`` alone.
        every_n_train_steps: save when ``global_step`` is a multiple of this, instead of at the end of epochs.
        train_time_interval: save whenever this much time has passed, instead of at the end of epochs: a timedelta,
            ``"30min"``, ``"00:01:30:00"``, or a dict of a timedelta's arguments. Process 0's clock decides for all.
        every_n_epochs: save at the end of every so many epochs.
        save_on_train_epoch_end: True saves at the end of training epochs only, False after validations only; by default
            at both.
        save_on_exception: save where training stood when an exception ended it, as
            :class:`~lit_core.callbacks.OnExceptionCheckpoint` does.
        enable_version_counter: number a name that is taken (``-v1``); False writes over it.
        filepath: older spelling of ``dirpath`` and ``filename`` in one.
        period: older spelling of ``every_n_epochs``.
        prefix: older way to begin the file names.
        background: write in a thread while training goes on; only the copy of the state to the host is waited for. One
            save at a time; the next waits for it. What goes wrong is raised at the next batch (with several processes,
            in all at the same, once they have told each other), and ``fit`` ends after the last save has. It takes
            memory of the host for one copy of the state's tensors in process 0, or, where all processes write together,
            of the parts that it holds in each.

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
        save_last: bool | Literal["link"] = True,
        save_top_k: int = 1,
        save_weights_only: bool = False,
        mode: Literal["min", "max", "auto"] = "min",
        auto_insert_metric_name: bool = True,
        every_n_train_steps: int | None = None,
        train_time_interval: timedelta | str | dict[str, float] | None = None,
        every_n_epochs: int | None = None,
        save_on_train_epoch_end: bool | None = None,
        save_on_exception: bool = False,
        enable_version_counter: bool = True,
        *,
        filepath: str | PathLike[str] | None = None,
        period: int | None = None,
        prefix: str = "",
        background: bool = False,
    ) -> None:
        if filepath is not None:
            dirpath, filename = _split(filepath, dirpath, filename)
        if period is not None:
            every_n_epochs = _renamed("period", period, "every_n_epochs", every_n_epochs)
        if prefix:
            filename = f"{prefix}-{filename or '{epoch}-{step}'}"
        _check_triggers(every_n_train_steps, train_time_interval, every_n_epochs)
        self.dirpath = None if dirpath is None else os.fspath(dirpath)
        self.filename = filename
        self.monitor = monitor
        self.verbose = verbose
        self.save_last = bool(save_last)
        self.save_top_k = save_top_k
        self.save_weights_only = save_weights_only
        self.mode: Literal["min", "max"] = _direction(mode, monitor)
        self.auto_insert_metric_name = auto_insert_metric_name
        self.every_n_train_steps = every_n_train_steps
        self.train_time_interval_s = (
            None if train_time_interval is None else seconds("train_time_interval", train_time_interval)
        )
        self.every_n_epochs = every_n_epochs
        self.save_on_train_epoch_end = save_on_train_epoch_end
        self.save_on_exception = save_on_exception
        self.enable_version_counter = enable_version_counter
        self.background = background
        self.best_model_path = ""
        self.best_model_score: float | None = None
        self.last_model_path = ""
        self.best_k_models: dict[str, float | None] = {}
        self.current_score: float | None = None
        self._manager: CheckpointManager | None = None
        self._saver: BackgroundSaver | None = None
        self._beside = ExitStack()
        self._failure: Exception | None = None
        self._restored: dict[str, Any] | None = None
        self._elsewhere: tuple[str, float | None] | None = None
        self._seen = 0
        self._measured_at = -1
        self._due_at = -1
        self._saved_at = -1
        self._scored: bool | None = None
        self._steps: Every | None = None
        self._clock: Every | None = None
        self._ask_at = 0

    @property
    def state_key(self) -> str:
        """One per monitored quantity and trigger."""
        triggers = {
            "every_n_train_steps": self.every_n_train_steps,
            "train_time_interval_s": self.train_time_interval_s,
            "every_n_epochs": self.every_n_epochs if self.every_n_epochs != 1 else None,
        }
        given = "".join(f", {name}={value}" for name, value in triggers.items() if value is not None)
        return f"ModelCheckpoint(monitor={self.monitor!r}, mode={self.mode!r}{given})"

    @property
    def kth_best_model_path(self) -> str:
        """The worst of the best that are kept."""
        return next(reversed(self.best_k_models), "")

    @property
    def kth_value(self) -> float | None:
        """Its score."""
        return self.best_k_models.get(self.kth_best_model_path)

    def listens_to(self, event: str) -> bool:
        """Not to the end of each batch, where a checkpoint can be due at the end of an epoch only."""
        if event != "on_train_batch_end" or type(self).on_train_batch_end is not ModelCheckpoint.on_train_batch_end:
            return True
        by_batch = (self.monitor, self.every_n_train_steps, self.train_time_interval_s)
        return self.background or any(setting is not None for setting in by_batch)

    def setup(self, trainer: "Trainer", module: LightningModule, stage: str) -> None:
        """Open the folder; values of an earlier run are not new."""
        if stage != "fit":
            return
        if self.dirpath is None:
            self.dirpath = f"{(trainer.log_dir or trainer.default_root_dir).rstrip('/')}/checkpoints"
        io = trainer.checkpoint_io
        if self.background:
            self._beside = ExitStack()
            io = self._beside.enter_context(io_beside_training(trainer))
        if trainer.is_global_zero or saves_together(trainer):
            self._manager = self._make_manager(io, save_last=self.save_last)
            self._saver = BackgroundSaver(self._manager.save) if self.background else None
        self._scored = self._elsewhere = None
        self._measured_at = self._due_at = self._saved_at = -1

    def _make_manager(self, io: CheckpointIO, *, save_last: bool) -> CheckpointManager:
        assert self.dirpath is not None
        return CheckpointManager(
            self.dirpath,
            filename=self.filename,
            monitor=self.monitor,
            mode=self.mode,
            save_top_k=self.save_top_k,
            save_last=save_last,
            io=io,
            auto_insert_metric_name=self.auto_insert_metric_name,
            enable_version_counter=self.enable_version_counter,
        )

    def on_train_start(self, trainer: "Trainer", module: LightningModule) -> None:
        """Take up the checkpoints of the run that is resumed; intervals go on from where training stands."""
        restored, self._restored = self._restored, None
        if restored is not None:
            self._publish(among_writers(trainer, lambda: self._take_up(restored)))
        self._seen = trainer.metric_version(self.monitor) if self.monitor else 0
        self._steps = self._clock = None
        if self.every_n_train_steps is not None:
            self._steps = Every(steps=self.every_n_train_steps)
            self._steps.due(step=trainer.global_step)
        if self.train_time_interval_s is not None:
            self._clock = Every(seconds=self.train_time_interval_s)
            self._ask_at = trainer.progress.batches + 1

    def _take_up(self, restored: dict[str, Any]) -> Any:
        manager = self._manager
        assert manager is not None
        manager.load_state_dict(restored)
        path, score = self.best_model_path, self.best_model_score
        known = {os.path.basename(kept) for kept in manager.best_k}  # noqa: PTH119 - paths may be URLs
        if path and os.path.basename(path) not in known and ("://" in path or os.path.exists(path)):  # noqa: PTH110, PTH119
            self._elsewhere = path, score
        return self._facts()

    def on_train_batch_end(
        self, trainer: "Trainer", module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Save when ``global_step`` has come to a multiple, or the time is up."""
        if self._saver is not None:
            self._poll(trainer, self._saver)
        self._look(trainer)
        due = self._steps is not None and trainer.global_step > 0 and self._steps.due(step=trainer.global_step)
        if self._clock is not None and trainer.progress.batches >= self._ask_at:
            due = self._ask_the_time(trainer, self._clock)
        if due:
            self._due_at = trainer.progress.batches
            self._save(trainer)

    def _poll(self, trainer: "Trainer", saver: BackgroundSaver) -> None:
        """Raise what went wrong in the background; where others would wait for this process, stop all of them."""
        try:
            saver.poll()
        except Exception as error:
            if trainer.world_size == 1:
                raise
            self._failure = error
            trainer.stop("a checkpoint could not be saved", urgent=True)

    def _raise_failure(self) -> None:
        failure, self._failure = self._failure, None
        if failure is not None:
            raise failure

    def _ask_the_time(self, trainer: "Trainer", clock: Every) -> bool:
        """Let process 0's clock decide, and say when to ask again: not at every batch, since asking is a message."""
        progress = trainer.progress
        due, self._ask_at = trainer.broadcast(
            (
                clock.due(step=progress.global_step),
                progress.batches + _batches_in((self.train_time_interval_s or 0.0) / _ASKS_PER_INTERVAL, progress),
            )
        )
        return bool(due)

    def on_validation_end(self, trainer: "Trainer", module: LightningModule) -> None:
        """Save after a validation that measured the quantity, or (if told so) after every validation that is due."""
        if trainer.stage != "fit" or trainer.sanity_checking:
            return
        self._look(trainer)
        measured = self._is_measured(trainer)
        if self._by_epochs and self.save_on_train_epoch_end is False:
            if (trainer.current_epoch + 1) % (self.every_n_epochs or 1) == 0:
                self._save(trainer)
            return
        inside = self._by_epochs and not trainer.is_last_batch and self.every_n_epochs in (None, 1)
        # A checkpoint by steps or time whose quantity was measured only now is saved again, with its score.
        late = self._due_at == trainer.progress.batches
        if measured and (late or (inside and self.save_on_train_epoch_end is None)):
            self._save(trainer)

    def on_train_epoch_end(self, trainer: "Trainer", module: LightningModule) -> None:
        """Save at the end of an epoch, also of one that was cut short."""
        cut_short = trainer.progress.point != "epoch"
        missing = self.monitor is not None and self.monitor not in trainer.callback_metrics
        stopped = cut_short and trainer.stop_reason is not None
        if missing and not stopped and not trainer.validates_later:
            raise RuntimeError(
                f"ModelCheckpoint watches {self.monitor!r}, which was not logged; logged are "
                f"{sorted(trainer.callback_metrics)}. Log it with self.log({self.monitor!r}, ...)."
            )
        self._look(trainer)
        at_end = self._by_epochs and self.save_on_train_epoch_end is not False
        due = at_end and (trainer.current_epoch + 1) % (self.every_n_epochs or 1) == 0
        if due or (cut_short and not self._is_saved(trainer)):
            self._save(trainer)

    def on_train_end(self, trainer: "Trainer", module: LightningModule) -> None:
        """Wait for the save under way."""
        if self.background:
            self._publish(among_writers(trainer, self._finish))
        if self._scored is False and self.save_top_k != 0 and trainer.stop_reason is None:
            warnings.warn(
                f"ModelCheckpoint(monitor={self.monitor!r}) saved, but never after a batch at which that was "
                "measured, so no checkpoint could be the best. Let the intervals of saving and of validation meet.",
                stacklevel=2,
            )

    def on_exception(self, trainer: "Trainer", module: LightningModule, exception: BaseException) -> None:
        """Finish the save under way, and save where training stood, if told so."""
        try:
            self._finish()
        except Exception as error:
            if error is not exception:
                warnings.warn(f"The checkpoint that was being written failed as well: {error!r}", stacklevel=2)
        if self.save_on_exception and self.dirpath is not None:
            from lit_core.callbacks.on_exception_checkpoint import OnExceptionCheckpoint

            OnExceptionCheckpoint(self.dirpath).on_exception(trainer, module, exception)

    def can_resume(self, trainer: "Trainer") -> bool:
        """Whether this callback's newest checkpoint is one from which training goes on here."""
        return self.save_last and not self.save_weights_only and self._is_saved(trainer)

    def secure(self, trainer: "Trainer") -> None:
        """Make sure that a run that is being taken away can be resumed from here, whatever the settings say.

        Call it in every process at a safe point. It saves unless a checkpoint of this point is there already.
        """
        if self.can_resume(trainer):
            if self.background:
                self._publish(among_writers(trainer, self._finish))
            return
        state = trainer.dump_checkpoint()
        among_writers(trainer, lambda: self._keep_last(trainer.checkpoint_io))
        self._publish(among_writers(trainer, lambda: self._write(trainer, state, None)))
        self._note_saved(trainer)

    def _keep_last(self, io: CheckpointIO) -> None:
        """From here on keep the newest, whatever the settings say, and wait for it."""
        self._finish()
        self._manager = self._make_manager(io, save_last=True)

    @property
    def _by_epochs(self) -> bool:
        return self.every_n_train_steps is None and self.train_time_interval_s is None

    def _look(self, trainer: "Trainer") -> None:
        """Note whether the quantity was measured at this batch."""
        if self.monitor is None:
            return
        version = trainer.metric_version(self.monitor)
        if version != self._seen:
            self._seen, self._measured_at = version, trainer.progress.batches

    def _is_measured(self, trainer: "Trainer") -> bool:
        return self.monitor is not None and self._measured_at == trainer.progress.batches

    def _is_saved(self, trainer: "Trainer") -> bool:
        return self._saved_at == trainer.progress.batches

    def _note_saved(self, trainer: "Trainer") -> None:
        self._saved_at = trainer.progress.batches

    def _save(self, trainer: "Trainer") -> None:
        """Let process 0 decide, all processes give their state, and those write that do."""
        measured = self._is_measured(trainer)
        metrics = None
        if self.monitor is None or measured:
            metrics = {key: float(value) for key, value in trainer.callback_metrics.items()}
        if self.monitor is not None:
            self._scored = self._scored or measured
            if metrics is not None:
                self.current_score = metrics[self.monitor]
        self._publish(among_writers(trainer, self._settle))
        if not among_writers(trainer, lambda: self._manager is not None and self._manager.wants(metrics)):
            return
        state = trainer.dump_checkpoint(weights_only=self.save_weights_only)
        facts = among_writers(trainer, lambda: self._write(trainer, state, metrics))
        self._note_saved(trainer)
        if facts is not None:
            self._publish(facts)
        if self.verbose:
            where = facts["path"] if facts is not None else f"global_step {trainer.global_step}, in the background"
            trainer.print(f"ModelCheckpoint: saved {where}")

    def _settle(self) -> Any:
        """Where checkpoints are written: wait for the save under way."""
        self._raise_failure()
        if self._saver is not None:
            self._saver.wait()
        return self._facts()

    def _write(self, trainer: "Trainer", state: dict[str, Any], metrics: dict[str, float] | None) -> Any:
        """Where checkpoints are written: save, or begin to; what is known afterwards."""
        manager, saver = self._manager, self._saver
        assert manager is not None
        save: Callable[..., str | None] = manager.save if saver is None else saver.save
        path = save(state, step=trainer.global_step, epoch=trainer.current_epoch, metrics=metrics)
        return self._facts(path) if saver is None else None

    def _finish(self) -> Any:
        """Wait for the save under way, and give back its memory and where its threads meet."""
        saver, self._saver = self._saver, None
        with self._beside:
            if saver is not None:
                saver.close()
        self._raise_failure()
        return self._facts()

    def _facts(self, path: str | None = None) -> Any:
        manager = self._manager
        if manager is None:
            return None
        best = manager.best_path or "", manager.best_score
        if self._elsewhere is not None and self._is_better(self._elsewhere[1], best[1]):
            best = self._elsewhere
        return {"path": path, "best": best, "last": manager.last_path or "", "best_k": manager.best_k}

    def _is_better(self, score: float | None, than: float | None) -> bool:
        if score is None or than is None:
            return than is None and self.monitor is not None
        return score < than if self.mode == "min" else score > than

    def _publish(self, facts: Any) -> None:
        """What process 0 knows, in every process."""
        if facts is not None:
            self.best_model_path, self.best_model_score = facts["best"]
            self.last_model_path, self.best_k_models = facts["last"], facts["best_k"]

    def state_dict(self) -> dict[str, Any]:
        """What is kept, and how good it was."""
        return {
            "monitor": self.monitor,
            "best_model_path": self.best_model_path,
            "best_model_score": self.best_model_score,
            "last_model_path": self.last_model_path,
            "best_k_models": dict(self.best_k_models),
            "current_score": self.current_score,
            "measured_at": self._measured_at,
            "manager": self._manager.state_dict() if self._manager is not None else None,
        }

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on from what an earlier run kept."""
        self.best_model_path = state_dict["best_model_path"]
        self.best_model_score = state_dict["best_model_score"]
        self.last_model_path = state_dict["last_model_path"]
        self.best_k_models = dict(state_dict["best_k_models"])
        self.current_score = state_dict["current_score"]
        self._measured_at = state_dict["measured_at"]
        self._restored = state_dict["manager"]

    def __getstate__(self) -> dict[str, Any]:
        """Without the thread that saves: it stays in its process."""
        return {**self.__dict__, "_saver": None, "_beside": ExitStack()}


def _check_triggers(steps: int | None, interval: Any, epochs: int | None) -> None:
    given = {"every_n_train_steps": steps, "train_time_interval": interval, "every_n_epochs": epochs}
    names = [name for name, value in given.items() if value is not None]
    if len(names) > 1:
        raise ValueError(
            f"Give {' or '.join(names)}, not both: with one callback nobody could tell which of them a checkpoint that "
            "is kept or removed belongs to. For several, use several ModelCheckpoints."
        )
    for name, value in (("every_n_train_steps", steps), ("every_n_epochs", epochs)):
        if value is not None and value < 1:
            raise ValueError(f"{name} must be at least 1, got {value}.")


def _batches_in(time_s: float, progress: Any) -> int:
    """About how many batches such a time has, at the mean pace of training; one at least."""
    return max(1, int(time_s * progress.batches / max(progress.read_timer(), 1e-9)))


def _direction(mode: str, monitor: str | None) -> Literal["min", "max"]:
    if mode == "auto":
        larger = monitor is not None and ("acc" in monitor or monitor.startswith("fmeasure"))
        mode = "max" if larger else "min"
        warnings.warn(
            f"ModelCheckpoint(mode='auto') is the older spelling of mode={mode!r} for {monitor!r}: write that.",
            DeprecationWarning,
            stacklevel=3,
        )
    if mode == "min":
        return "min"
    if mode == "max":
        return "max"
    raise ValueError(f"mode is 'min' or 'max', got {mode!r}.")


def _renamed(old: str, value: Any, new: str, given: Any) -> Any:
    if given is not None:
        raise ValueError(f"{old} is the older spelling of {new}: give {new} alone.")
    warnings.warn(f"ModelCheckpoint({old}=...) is the older spelling of {new}.", DeprecationWarning, stacklevel=3)
    return value


def _split(filepath: str | PathLike[str], dirpath: Any, filename: Any) -> tuple[str | None, str | None]:
    """Folder and name that 1.0's one argument means."""
    path = os.fspath(filepath)
    _renamed("filepath", path, "dirpath and filename", dirpath if dirpath is not None else filename)
    if path.endswith("/") or ("://" not in path and os.path.isdir(path)):  # noqa: PTH112 - may be a URL
        return path.rstrip("/") or "/", None
    folder, name = os.path.split(path)
    return folder or None, name or None
