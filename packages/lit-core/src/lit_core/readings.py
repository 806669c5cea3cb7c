"""What users and callbacks read from a Trainer."""

from collections.abc import Iterator, Sequence
from typing import Any

from torch import Tensor
from torch.optim import Optimizer

from lit_accelerators import Strategy
from lit_checkpoint import CheckpointIO
from lit_core.callbacks.base import Callback
from lit_core.callbacks.early_stopping import EarlyStopping
from lit_core.callbacks.model_checkpoint import ModelCheckpoint
from lit_core.config import TrainerConfig
from lit_core.datamodule import LightningDataModule
from lit_core.lifecycle import Sources
from lit_core.logging.report import Report
from lit_core.loops.groups import estimated_updates
from lit_core.module import LightningModule
from lit_core.optimizers import LightningOptimizer, SchedulerConfig
from lit_core.progress import Progress
from lit_core.run import Run, Stage, StopSignal
from lit_loggers import Logger


class TrainerReadings:
    """The Trainer's attributes, read-only but for ``should_stop``; what a run has read while it runs and after."""

    _config: TrainerConfig
    _root: str
    _strategy: Strategy
    _io: CheckpointIO
    _loggers: list[Logger]
    _callbacks: list[Callback]
    _progress: Progress
    _stop: StopSignal
    _run: Run | None
    _module: LightningModule | None
    _datamodule: LightningDataModule | None
    _log_dir: str | None
    _given: Sources

    @property
    def settings(self) -> TrainerConfig:
        """What the Trainer was asked for, older spellings translated."""
        return self._config

    @property
    def log_every_n_steps(self) -> int:
        """Updates between rows of step values."""
        return self._config.log_every_n_steps

    @property
    def profiler(self) -> Any:
        """What measures where the time goes; None if nothing does."""
        return next((c.profiler for c in self._callbacks if hasattr(c, "profiler")), None)

    @property
    def train_dataloader(self) -> Any:
        """The training data of the run, as it was given or as the hook made it; None outside ``fit``.

        In ``setup``, before hooks made loaders, what was passed to ``fit``.
        """
        loader = self._running.train_loader
        return self._given.train if loader is None else loader.source

    @property
    def strategy(self) -> Strategy:
        """How the run uses devices and processes."""
        return self._strategy

    @property
    def checkpoint_io(self) -> CheckpointIO:
        """What reads and writes checkpoints; an object given as ``plugins=``, else single files."""
        return self._io

    @property
    def progress(self) -> Progress:
        """The clock; read it, do not write it."""
        return self._progress

    @property
    def current_epoch(self) -> int:
        """Index of the running epoch."""
        return self._progress.epoch

    @property
    def global_step(self) -> int:
        """Updates so far: +1 for each batch or accumulation group in which an optimizer stepped."""
        return self._progress.global_step

    @property
    def max_epochs(self) -> float:
        """Epochs at most; infinity for no limit."""
        return self._config.last_epoch

    @property
    def max_steps(self) -> float:
        """Updates at most; infinity for no limit."""
        return self._config.last_step

    @property
    def num_training_batches(self) -> float:
        """Batches of an epoch on this process, infinity where nobody knows."""
        return self._running.num_batches

    @property
    def num_evaluation_batches(self) -> float:
        """Batches of the loaders that are validated, tested or predicted, on this process."""
        return sum(loader.num_batches for loader in self._running.evaluated)

    def batch_indices(self, dataloader_idx: int = 0) -> Iterator[list[int]] | None:
        """Indices in the dataset of each batch of a loader that is evaluated, on this process, in their order.

        None where the order is the loader's own: a sampler of the user, an iterable.
        """
        order = self._running.evaluated[dataloader_idx].order
        return None if order is None else iter(order)

    @property
    def estimated_stepping_batches(self) -> float:
        """Updates that the whole training will make, for schedulers made in ``configure_optimizers``."""
        run = self._running
        return estimated_updates(self._config, run.optimizers.configs, run.num_batches)

    @property
    def is_last_batch(self) -> bool:
        """Whether the batch run last was the last of its epoch."""
        return self._progress.batch >= self._running.num_batches

    @property
    def validates_later(self) -> bool:
        """Whether a validation that this run will make has not been made yet."""
        return bool(self._running.val_loaders) and self._progress.validated_batches < 0

    @property
    def stage(self) -> Stage:
        """``"fit"``, ``"validate"``, ``"test"`` or ``"predict"``."""
        return self._running.stage

    @property
    def sanity_checking(self) -> bool:
        """Whether the validation that runs is the one before training."""
        return self._running.sanity_checking

    @property
    def should_stop(self) -> bool:
        """Whether training was asked to stop; set it True to ask."""
        return self._stop.reason is not None

    @should_stop.setter
    def should_stop(self, value: bool) -> None:
        if value:
            self._stop.ask("trainer.should_stop was set")
        else:
            self._stop.clear()

    @property
    def stop_reason(self) -> str | None:
        """Why training stopped before its limits; None if it did not."""
        return self._stop.reason

    @property
    def callback_metrics(self) -> dict[str, Tensor]:
        """Newest value of every logged key; epoch values in float64."""
        return self._report.callback_metrics

    @property
    def logged_metrics(self) -> dict[str, float]:
        """What the loggers were given last."""
        return self._report.logged_metrics

    @property
    def progress_bar_metrics(self) -> dict[str, float]:
        """What the progress bar shows."""
        return self._report.progress_bar_metrics

    @property
    def times(self) -> dict[str, float]:
        """Seconds of the last ``fit`` by what they were spent on: :data:`lit_core.times.PHASES`."""
        run = self._running
        return run.times.seconds

    @property
    def progress_bar_dict(self) -> dict[str, Any]:
        """What the module says that the progress bar shows; as 1.0 named it."""
        return {} if self._module is None else self._module.get_progress_bar_dict()

    def metric_version(self, key: str) -> int:
        """How often ``key`` got a new epoch or row value in this run."""
        return self._report.version(key)

    @property
    def optimizers(self) -> list[Optimizer]:
        """The optimizers, as ``configure_optimizers`` gave them."""
        run = self._running
        return run.optimizers.optimizers

    @property
    def wrapped_optimizers(self) -> Sequence[LightningOptimizer]:
        """The optimizers whose step runs under the run's precision."""
        return self._running.wrapped

    @property
    def lr_scheduler_configs(self) -> list[SchedulerConfig]:
        """The schedulers and when they step."""
        run = self._running
        return run.optimizers.schedulers

    @property
    def callbacks(self) -> list[Callback]:
        """All callbacks."""
        return self._callbacks

    @property
    def checkpoint_callback(self) -> ModelCheckpoint | None:
        """The first :class:`ModelCheckpoint`."""
        return next((c for c in self._callbacks if isinstance(c, ModelCheckpoint)), None)

    @property
    def early_stopping_callback(self) -> EarlyStopping | None:
        """The first :class:`EarlyStopping`."""
        return next((c for c in self._callbacks if isinstance(c, EarlyStopping)), None)

    @property
    def loggers(self) -> list[Logger]:
        """All loggers."""
        return self._loggers

    @property
    def logger(self) -> Logger | None:
        """The first logger."""
        return self._loggers[0] if self._loggers else None

    @property
    def log_dir(self) -> str | None:
        """Folder of the first logger that has one, the same in every process."""
        return self._log_dir or self._find_log_dir()

    @property
    def default_root_dir(self) -> str:
        """Folder or URL for everything written."""
        return self._root

    @property
    def lightning_module(self) -> LightningModule | None:
        """The module that runs or ran last."""
        return self._module

    @property
    def datamodule(self) -> LightningDataModule | None:
        """The datamodule that was given last."""
        return self._datamodule

    @property
    def is_global_zero(self) -> bool:
        """Whether this is the process that writes."""
        return self._strategy.is_global_zero

    @property
    def world_size(self) -> int:
        """Processes in the run."""
        return self._strategy.world_size

    @property
    def global_rank(self) -> int:
        """Of this process."""
        return self._strategy.global_rank

    @property
    def local_rank(self) -> int:
        """Of this process on its node."""
        return self._strategy.local_rank

    def _find_log_dir(self) -> str | None:
        return next((logger.log_dir for logger in self._loggers if logger.log_dir is not None), None)

    @property
    def _running(self) -> Run:
        if self._run is None:
            raise RuntimeError("The Trainer has not run yet: call fit, validate, test or predict first.")
        return self._run

    @property
    def _report(self) -> Report:
        return self._running.report
