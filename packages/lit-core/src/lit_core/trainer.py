"""Trainer: runs a LightningModule on the hardware at hand."""

import atexit
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import replace
from datetime import timedelta
from os import PathLike
from typing import TYPE_CHECKING, Any

import torch

from lit_core import checkpoint as checkpoints
from lit_core import lifecycle, preemption
from lit_core.callbacks.base import Callback
from lit_core.callbacks.gradient_accumulation import take_scheduling
from lit_core.config import Limit, TrainerConfig
from lit_core.config import barebones as bare_settings
from lit_core.data.batch_size import find_batch_size
from lit_core.data.transfer import Transfer
from lit_core.datamodule import LightningDataModule
from lit_core.hooks import HookTable, announce
from lit_core.legacy import merge_legacy
from lit_core.lifecycle import Sources
from lit_core.logging.collector import Collector
from lit_core.logging.report import Report
from lit_core.loops import evaluate, predict, train
from lit_core.loops.schedulers import warn_of_intervals
from lit_core.modes import torch_settings
from lit_core.module import LightningModule
from lit_core.processes import Outcome, bring_back, in_process_zero, take_over
from lit_core.progress import Progress
from lit_core.readings import TrainerReadings
from lit_core.resolve import (
    given_io,
    join_callbacks,
    resolve_callbacks,
    resolve_io,
    resolve_loggers,
    resolve_root,
    resolve_strategy,
)
from lit_core.restarts import Attempts
from lit_core.run import Run, Stage, StopSignal
from lit_core.run_record import recorded
from lit_loggers import Logger

if TYPE_CHECKING:
    from lit_core.checking import FitReport


class Trainer(TrainerReadings):
    """Runs a :class:`LightningModule`: the same code on a laptop and on many devices.

    Args:
        accelerator: ``"auto"``, ``"cpu"``, ``"cuda"`` (``"gpu"``), ``"mps"``, or an object.
        strategy: ``"auto"``, ``"single_device"``, ``"ddp"``, ``"ddp_spawn"``, ``"ddp_fork"``, or an object.
        devices: how many or which, per node; ``"auto"`` takes all accelerators, one CPU process.
        num_nodes: machines in the run.
        precision: ``"32-true"`` or ``"bf16-mixed"``.
        logger: True (TensorBoard), False, a name (``"csv"``), a logger, or several.
        callbacks: one or several callbacks; a progress bar and a checkpoint of the last epoch are added.
        fast_dev_run: run one batch (or this many) of everything, writing nothing.
        max_epochs: epochs at most; 1000 if neither epochs nor steps are limited; -1 for no limit.
        min_epochs: epochs before which nobody can stop training early.
        max_steps: updates at most (``global_step``); -1 for no limit.
        min_steps: updates before which nobody can stop training early.
        max_time: training time at most, over all resumed runs: ``"00:12:00:00"`` (days, hours, minutes, seconds),
            ``"90min"``, a timedelta or a dict of its arguments. No validation or save is cut short.
        limit_train_batches: batches per epoch (int) or fraction of them (float).
        limit_val_batches: as above, of every validation loader.
        limit_test_batches: as above, of every test loader.
        limit_predict_batches: as above, of every prediction loader.
        overfit_batches: train and validate on this many batches (int) or this fraction (float), unshuffled; 0 for off.
        val_check_interval: validate every so many training batches (int), this fraction of the epoch (float), or when
            this much training time has passed (a duration as for ``max_time``).
        check_val_every_n_epoch: validate in every so many epochs; None counts batches across epochs.
        num_sanity_val_steps: validation batches to try before training; -1 for all.
        log_every_n_steps: updates between rows of step values.
        enable_checkpointing: whether to save a checkpoint of the last epoch.
        enable_progress_bar: whether to show how far it has come.
        accumulate_grad_batches: batches that make one update, or a dict from the epoch from which on it holds to such
            numbers; a short last group is weighted by its real size.
        gradient_clip_val: bound of the gradients before an update.
        gradient_clip_algorithm: ``"norm"`` (total) or ``"value"`` (each element).
        automatic_optimization: False leaves backward and step to ``training_step`` (also an attribute of the module).
        truncated_bptt_steps: time steps after which batches of sequences are cut, each part an update (also an
            attribute of the module).
        inference_mode: evaluate under ``torch.inference_mode`` (True) or ``torch.no_grad``.
        use_distributed_sampler: own the order of plain DataLoaders: exact resume, and data dealt to processes.
        reload_dataloaders_every_n_epochs: ask the dataloader hooks again every so many epochs; 0 for never.
        prepare_data_per_node: call ``prepare_data`` once per node, or (False) once in all.
        deterministic: have torch use deterministic algorithms only (True), or warn where there are none (``"warn"``).
        benchmark: let cuDNN choose the fastest algorithms; torch's setting if None.
        detect_anomaly: let autograd find the operation that made a NaN; slow.
        barebones: turn off everything that is not training, to measure its overhead.
        plugins: one or several parts to use in place of those that words choose: a ``Precision``, a
            ``ClusterEnvironment``, a ``CheckpointIO``.
        profiler: ``"simple"``, ``"advanced"``, ``"pytorch"`` or a ``Profiler``: where the time goes.
        enable_model_summary: show a table of the module's layers before training; by default where there is a bar.
        auto_lr_find: let :meth:`tune` find the learning rate (True, or the name of the attribute that holds it).
        auto_scale_batch_size: let :meth:`tune` find the largest batch (True for ``"power"``, or ``"binsearch"``).
        default_root_dir: folder or URL for everything written; the working folder by default.
        legacy: older spellings (``gpus``, ``checkpoint_callback``, ...), translated with a warning.

    Raises:
        ValueError: for settings that make no sense, naming the argument, the value and what is possible.
        TypeError: for unknown arguments, naming the nearest.

    Example:
        >>> from lit_core import Trainer
        >>> trainer = Trainer(max_epochs=3, accelerator="cpu", logger=False)
        >>> trainer.max_epochs
        3
    """

    def __init__(
        self,
        *,
        accelerator: Any = "auto",
        strategy: Any = "auto",
        devices: Any = "auto",
        num_nodes: int = 1,
        precision: Any = "32-true",
        logger: Any = True,
        callbacks: Any = None,
        fast_dev_run: int | bool = False,
        max_epochs: int | None = None,
        min_epochs: int | None = None,
        max_steps: int = -1,
        min_steps: int | None = None,
        max_time: str | timedelta | dict[str, float] | None = None,
        limit_train_batches: Limit = None,
        limit_val_batches: Limit = None,
        limit_test_batches: Limit = None,
        limit_predict_batches: Limit = None,
        overfit_batches: int | float = 0,
        val_check_interval: int | float | str | timedelta | dict[str, float] = 1.0,
        check_val_every_n_epoch: int | None = 1,
        num_sanity_val_steps: int = 2,
        log_every_n_steps: int = 50,
        enable_checkpointing: bool = True,
        enable_progress_bar: bool = True,
        accumulate_grad_batches: int | dict[int, int] = 1,
        gradient_clip_val: float | None = None,
        gradient_clip_algorithm: str = "norm",
        automatic_optimization: bool | None = None,
        truncated_bptt_steps: int | None = None,
        inference_mode: bool = True,
        use_distributed_sampler: bool = True,
        reload_dataloaders_every_n_epochs: int = 0,
        prepare_data_per_node: bool = True,
        deterministic: bool | str = False,
        benchmark: bool | None = None,
        detect_anomaly: bool = False,
        barebones: bool = False,
        plugins: Any = None,
        profiler: Any = None,
        enable_model_summary: bool | None = None,
        auto_lr_find: bool | str = False,
        auto_scale_batch_size: bool | str = False,
        default_root_dir: str | PathLike[str] | None = None,
        **legacy: Any,
    ) -> None:
        given = {name: value for name, value in locals().items() if name not in ("self", "legacy")}
        given = take_scheduling(merge_legacy(given, legacy))
        self._resume_from = given.pop("resume_from_checkpoint", None)
        self._config = TrainerConfig(**(bare_settings(given) if barebones else given))
        self._root = resolve_root(self._config)
        self._strategy = resolve_strategy(self._config)
        self._loggers = resolve_loggers(self._config, self._root)
        self._callbacks = resolve_callbacks(self._config)
        self._io = resolve_io(self._config, self._strategy)
        self._progress = Progress()
        self._stop = StopSignal()
        self._seed: int | None = None
        self._run: Run | None = None
        self._module: LightningModule | None = None
        self._datamodule: LightningDataModule | None = None
        self._log_dir: str | None = None
        self._goes_on = False
        self._given = Sources()
        announce(self, self._callbacks)

    # What it does -----------------------------------------------------------------------------------------------------

    def fit(
        self,
        model: LightningModule,
        train_dataloaders: Any = None,
        val_dataloaders: Any = None,
        datamodule: LightningDataModule | None = None,
        ckpt_path: str | PathLike[str] | None = None,
    ) -> None:
        """Train ``model``.

        Args:
            model: the module.
            train_dataloaders: a DataLoader or another iterable of batches.
            val_dataloaders: one or a list of them.
            datamodule: where data comes from instead.
            ckpt_path: go on exactly from there: a path, ``"last"`` or ``"best"``. Processes that torchrun starts
                again go on from the newest checkpoint of this run, whatever this says.
        """
        lifecycle.check_written(lifecycle.check_module(model), "fit")
        self._start("fit", model, Sources(train=train_dataloaders, val=val_dataloaders), datamodule, ckpt_path)

    def validate(
        self,
        model: LightningModule | None = None,
        dataloaders: Any = None,
        ckpt_path: str | PathLike[str] | None = None,
        verbose: bool = True,
        datamodule: LightningDataModule | None = None,
    ) -> list[dict[str, float]]:
        """Run the validation loop once; returns what was logged, one dict per loader.

        Args:
            model: the module; by default the one fitted last.
            dataloaders: one or a list of loaders.
            ckpt_path: weights to load first: a path, ``"last"`` or ``"best"``.
            verbose: print the results.
            datamodule: where data comes from instead.
        """
        return self._evaluate("validate", model, Sources(val=dataloaders), ckpt_path, verbose, datamodule)

    def test(
        self,
        model: LightningModule | None = None,
        dataloaders: Any = None,
        ckpt_path: str | PathLike[str] | None = None,
        verbose: bool = True,
        datamodule: LightningDataModule | None = None,
    ) -> list[dict[str, float]]:
        """Run the test loop once; as :meth:`validate`."""
        return self._evaluate("test", model, Sources(test=dataloaders), ckpt_path, verbose, datamodule)

    def predict(
        self,
        model: LightningModule | None = None,
        dataloaders: Any = None,
        datamodule: LightningDataModule | None = None,
        return_predictions: bool = True,
        ckpt_path: str | PathLike[str] | None = None,
    ) -> list[Any]:
        """Predict every batch; returns the predictions by batch (by loader, where there are several).

        Args:
            model: the module; by default the one fitted last.
            dataloaders: one or a list of loaders.
            datamodule: where data comes from instead.
            return_predictions: False where a callback writes them and they would not fit in memory.
            ckpt_path: weights to load first.
        """
        sources, module = Sources(predict=dataloaders), self._module_or(model)
        return list(self._start("predict", module, sources, datamodule, ckpt_path, keep=return_predictions))

    def tune(
        self, model: LightningModule, train_dataloaders: Any = None, datamodule: LightningDataModule | None = None
    ) -> None:
        """Find the batch size, then the learning rate, as ``auto_scale_batch_size`` and ``auto_lr_find`` say."""
        from lit_core.tuner import Tuner

        tuner, config = Tuner(self), self._config
        if config.auto_scale_batch_size:
            if train_dataloaders is not None and not isinstance(train_dataloaders, LightningDataModule):
                raise ValueError(
                    "auto_scale_batch_size sets the batch size of a module or datamodule, not of a DataLoader that is "
                    "passed: for that give Trainer(callbacks=[BatchSizeFinder()]), which fit then uses."
                )
            chosen: Any = config.auto_scale_batch_size
            tuner.scale_batch_size(model, train_dataloaders, datamodule, mode="power" if chosen is True else chosen)
        if config.auto_lr_find:
            name = "" if config.auto_lr_find is True else config.auto_lr_find
            tuner.lr_find(model, train_dataloaders, datamodule, attr_name=name)

    def check(
        self,
        model: LightningModule,
        train_dataloaders: Any = None,
        val_dataloaders: Any = None,
        datamodule: LightningDataModule | None = None,
        *,
        strict: bool = False,
    ) -> "FitReport":
        """Find out, in seconds, what :meth:`fit` with these arguments would run into; print it as a table.

        One step of each stage runs on copies, in one process, without callbacks and loggers: model, optimizers, random
        states and Trainer stay as they are. Looked at are: hooks and arguments, keys that somebody watches and nobody
        logs, intervals that never come round, the learning rate from start to end, parameters without gradient,
        hyperparameters, room for checkpoints, and the export where there is an ``example_input_array``.

        Args:
            model: as of :meth:`fit`.
            train_dataloaders: as of :meth:`fit`.
            val_dataloaders: as of :meth:`fit`.
            datamodule: as of :meth:`fit`.
            strict: raise if there is an error, as ``report.raise_if_failed()`` does.

        Returns:
            What was found: ``report.ok``, ``report.findings``.

        Raises:
            RuntimeError: if there is an error and ``strict`` is True.
        """
        from lit_core.checking import check

        report = check(self, model, train_dataloaders, val_dataloaders, datamodule)
        if report.findings:
            self.print(report)
        if strict:
            report.raise_if_failed()
        return report

    def stop(self, reason: str, *, urgent: bool = False) -> None:
        """Ask training to stop at the next safe point, once its minimum of epochs and steps is reached.

        Args:
            reason: why.
            urgent: with several processes, not only when rows are due: after a batch that depends on the machine.
        """
        self._stop.ask(reason, urgent=urgent)

    def train_on(self, loader: Any) -> None:
        """Let the ``fit`` that begins train on another loader than it was given; for the ``setup`` of callbacks."""
        self._given = replace(self._given, train=loader)

    def save_checkpoint(self, filepath: str | PathLike[str], weights_only: bool = False) -> None:
        """Save where training stands; call it in every process.

        Args:
            filepath: file or URL.
            weights_only: leave out what only resuming needs.
        """
        checkpoints.write(self._running, self.dump_checkpoint(weights_only=weights_only), filepath, self._io)

    def dump_checkpoint(self, *, weights_only: bool = False) -> dict[str, Any]:
        """What :meth:`save_checkpoint` saves; call it in every process."""
        run = self._running
        with run.times.inside("checkpoint"):
            return checkpoints.dump(run, self._callbacks, seed=self._seed or 0, weights_only=weights_only)

    def print(self, *args: Any, **kwargs: Any) -> None:
        """Print in process 0 only, above the progress bar."""
        if self.is_global_zero:
            from tqdm import tqdm

            tqdm.write(kwargs.pop("sep", " ").join(map(str, args)), **kwargs)

    def broadcast(self, value: Any) -> Any:
        """The ``value`` of process 0, in every process."""
        collectives = self._strategy.collectives
        return collectives.broadcast(value)

    def write_in_process_zero(self, function: Callable[[], Any]) -> Any:
        """Call ``function`` in process 0 and return its result in every process; a failure is raised everywhere."""
        run = self._run
        with nullcontext() if run is None else run.times.inside("checkpoint"):
            return in_process_zero(self._strategy, function)

    # How it does it ---------------------------------------------------------------------------------------------------

    def _evaluate(
        self,
        stage: Stage,
        model: LightningModule | None,
        sources: Sources,
        ckpt_path: str | PathLike[str] | None,
        verbose: bool,
        datamodule: LightningDataModule | None,
    ) -> list[dict[str, float]]:
        module = self._module_or(model)
        lifecycle.check_written(module, stage)
        results: list[dict[str, float]] = self._start(stage, module, sources, datamodule, ckpt_path)
        if verbose:
            for index, values in enumerate(results):
                title = f"Trainer.{stage}" + (f", loader {index}" if len(results) > 1 else "")
                self.print(lifecycle.table(title, values))
        return results

    def _module_or(self, model: LightningModule | None) -> LightningModule:
        module = self._module if model is None else model
        if module is None:
            raise ValueError("There is no model: pass one, or fit one with this Trainer first.")
        return lifecycle.check_module(module)

    def _start(
        self,
        stage: Stage,
        module: LightningModule,
        sources: Sources,
        datamodule: LightningDataModule | None,
        ckpt_path: str | PathLike[str] | None,
        *,
        keep: bool = True,
    ) -> Any:
        """Run a stage in every process, and bring back what other processes changed."""
        if sources.datamodule is not None:
            sources, datamodule = Sources(), sources.datamodule
        self._module = module
        self._datamodule = datamodule if datamodule is not None else self._datamodule
        if ckpt_path is None and stage == "fit":
            ckpt_path = self._resume_from
        path = lifecycle.choose_checkpoint(stage, ckpt_path, self._callbacks, self._root)
        self._goes_on = ckpt_path is not None
        self._stop = StopSignal()
        self._seed = lifecycle.order_seed() if self._seed is None else self._seed
        launcher = self._strategy.launcher
        if launcher.returns_to_caller:
            result = launcher.launch(self._run_in_process, stage, module, sources, path, keep).result
            preemption.leave(self._stop, first=self.is_global_zero)
            return result
        self._log_dir = self._find_log_dir()
        with preemption.passing_on(stage):
            outcome: Outcome = launcher.launch(self._run_in_process, stage, module, sources, path, keep)
        take_over(outcome, module, self._strategy.precision, self._progress, self._callbacks, self._stop)
        run = self._run = self._prepare("fit", module)
        run.report.load_state_dict(outcome.report)
        run.times.take_over(outcome.times)
        preemption.leave(self._stop, first=self.is_global_zero)
        return outcome.result

    def _run_in_process(
        self, stage: Stage, module: LightningModule, sources: Sources, path: str | None, keep: bool
    ) -> Outcome:
        """The life of a run in one process."""
        strategy, run = self._strategy, None
        status = "failed"
        try:
            strategy.setup_environment()
            if strategy.world_size > 1 and strategy.launcher.returns_to_caller:
                atexit.register(strategy.teardown)
            run = self._run = self._prepare(stage, module)
            with preemption.interruptible(self._stop, stage), torch_settings(self._config):
                result = self._run_stage(run, sources, path, keep)
            status = "interrupted" if self._stop.interrupted else "success"
            outcome = bring_back(run, result, self._callbacks)
        except BaseException as exception:
            lifecycle.explain(exception, run)
            if run is not None:
                run.hooks.end("on_exception", exception)
            strategy.teardown()
            raise
        finally:
            module.detach_logging()
            self._close_loggers(stage, status)
        if not strategy.launcher.returns_to_caller:
            strategy.teardown()
        return outcome

    def _close_loggers(self, stage: Stage, status: str) -> None:
        """After ``fit`` or a failure rows are complete; after the other stages more may follow."""
        for logger in self._loggers if self.is_global_zero else ():
            if stage == "fit" or status == "failed":
                logger.finalize(status)
            else:
                logger.flush()

    def _prepare(self, stage: Stage, module: LightningModule) -> Run:
        """Resolve everything once."""
        strategy = self._strategy
        callbacks = self._callbacks = join_callbacks(self._callbacks, module.configure_callbacks())
        collector = Collector(module, strategy.data_collectives, find_batch_size, speaks=strategy.speaks_for_samples)
        self._log_dir = self.broadcast(self._log_dir or self._find_log_dir()) if strategy.world_size > 1 else None
        outputs: list[Any] = []
        past = {"dataloader_idx": lambda: 0, "outputs": lambda: outputs}
        return Run(
            stage=stage,
            config=self._config,
            module=module,
            datamodule=self._datamodule,
            strategy=strategy,
            progress=self._progress,
            hooks=HookTable(self, module, LightningModule, callbacks, Callback, collector.enter, past),
            epoch_outputs=outputs if lifecycle.keeps_outputs(module, callbacks) else None,
            collector=collector,
            report=Report(collector, self._loggers if strategy.is_global_zero else (), self._progress),
            stop=self._stop,
        )

    def _run_stage(self, run: Run, sources: Sources, path: str | None, keep: bool) -> Any:
        """Set up, restore, run the loop of the stage, tear down."""
        module, strategy = run.module, run.strategy
        self._given = sources
        self._seed, path = self.broadcast((self._seed, path))
        attempts = Attempts(strategy) if run.stage == "fit" else None
        if attempts is not None:
            path = attempts.newest(given_io(self._config)) or path
        saved = None if path is None else checkpoints.read(path, given_io(self._config), sharded=strategy.sharded_state)
        if saved is not None and run.stage == "fit":
            checkpoints.check_format(saved, path or "")
            self._seed = saved["loops"]["order_seed"]
        module.attach(self, run.collector.log)
        lifecycle.setup_data_and_model(run)
        if attempts is not None:
            attempts.note(self._callbacks, self._loggers)
        repeated = attempts.left_rows(self._loggers) if attempts is not None else []
        if saved is not None:
            run.hooks.start("on_load_checkpoint", saved)
        strategy.setup_module(module)
        if saved is not None:
            checkpoints.load_weights(module, saved, strict=module.strict_loading, strategy=strategy)
        lifecycle.load_data(run, self._given, self._seed or 0)
        run.take_transfer(Transfer(strategy, module, run.datamodule))
        result: Any = None
        if run.stage == "fit":
            self._fit(run, saved, repeated)
        elif run.stage == "predict":
            result = predict.run(run, run.evaluated, keep=keep)
        else:
            values = evaluate.run(run, run.stage, run.evaluated)
            result = lifecycle.results_by_loader(values, len(run.evaluated))
        lifecycle.tear_down(run)
        return result

    def _fit(self, run: Run, saved: dict[str, Any] | None, repeated: list[Logger]) -> None:
        lifecycle.configure_optimizers(run)
        warn_of_intervals(run)
        run.hooks.start("on_fit_start")
        lifecycle.log_hyperparameters(run, self._loggers)
        if saved is not None:
            checkpoints.restore(run, saved, self._callbacks)
            run.report.rewind()
        elif not run.progress.batches:  # there is no checkpoint yet, but perhaps rows
            run.report.rewind(None if self._goes_on else repeated)
        began = run.progress.batches
        if not run.config.dev_batches:
            run.secure_by(lambda: preemption.secure(self, began))
        run.module.train()
        with recorded(self, run.module, self._seed or 0), torch.enable_grad():
            train.run(run)
        run.hooks.end("on_fit_end")

    def __getstate__(self) -> dict[str, Any]:
        """Settings and progress: what a run holds stays in its process."""
        return {**self.__dict__, "_run": None, "_module": None, "_given": Sources()}
