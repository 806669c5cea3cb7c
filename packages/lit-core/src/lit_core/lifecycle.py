"""The steps of a run's life that are the same for every stage."""

import os
import warnings
from collections.abc import Iterable
from dataclasses import dataclass
from os import PathLike
from pathlib import Path
from typing import Any

import torch

from lit_checkpoint import resolve_checkpoint
from lit_core.callbacks.base import Callback
from lit_core.callbacks.model_checkpoint import ModelCheckpoint
from lit_core.data.combined import PreparedCombined, combined_loader, evaluation_loaders, prepare_combined
from lit_core.data.loaders import PreparedLoader, prepare_loader
from lit_core.datamodule import LightningDataModule
from lit_core.hooks import check_hook_names, overrides, takes
from lit_core.module import LightningModule
from lit_core.optimizers import LightningOptimizer, parse_optimizers
from lit_core.run import Run, Stage
from lit_loggers import Logger

_NEEDED = {
    "fit": ("training_step", "configure_optimizers"),
    "validate": ("validation_step",),
    "test": ("test_step",),
    "predict": (),
}


@dataclass
class Sources:
    """The loaders that a user passed, by stage; None where hooks give them."""

    train: Any = None
    val: Any = None
    test: Any = None
    predict: Any = None

    @property
    def datamodule(self) -> LightningDataModule | None:
        """A datamodule that was passed in the place of loaders."""
        first = next((s for s in (self.train, self.val, self.test, self.predict) if s is not None), None)
        return first if isinstance(first, LightningDataModule) else None


def check_module(module: Any) -> LightningModule:
    """Refuse what is no module, and methods that look like hooks and are none."""
    if not isinstance(module, LightningModule):
        raise TypeError(
            f"The Trainer runs a LightningModule, got {type(module).__name__}: derive your class from it, or train a "
            "plain nn.Module in a loop of your own with lit_accelerators.connect."
        )
    check_hook_names(module, LightningModule)
    return module


def check_written(module: LightningModule, stage: Stage) -> None:
    """Refuse a stage for which the module does not say what to do."""
    for name in _NEEDED[stage]:
        if not overrides(module, name, LightningModule):
            raise TypeError(f"{type(module).__name__} has no {name}, which Trainer.{stage} needs: write it.")


def keeps_outputs(module: LightningModule, callbacks: Iterable[Callback]) -> bool:
    """Whether what training steps return is asked for at the end of the epoch."""
    ends = (module.on_train_epoch_end, *(callback.on_train_epoch_end for callback in callbacks))
    return overrides(module, "training_epoch_end", LightningModule) or any(takes(end, "outputs") for end in ends)


def order_seed() -> int:
    """The seed that the order of samples follows from: that of torch's generator, which is not advanced."""
    return torch.initial_seed() & ((1 << 63) - 1)


def setup_data_and_model(run: Run) -> None:
    """Prepare data once per node, then set up data and model in every process."""
    owners: list[LightningDataModule | LightningModule] = [run.module]
    if run.datamodule is not None:
        check_hook_names(run.datamodule, LightningDataModule)
        owners.insert(0, run.datamodule)
    if (run.strategy.local_rank if run.config.prepare_data_per_node else run.strategy.global_rank) == 0:
        for owner in owners:
            owner.prepare_data()
    run.strategy.collectives.barrier()
    if run.datamodule is not None:
        run.datamodule.setup(run.stage)
    run.hooks.start("setup", run.stage)
    with run.strategy.precision.building():
        run.module.configure_model()


def tear_down(run: Run) -> None:
    """Release what was set up."""
    run.hooks.end("teardown", run.stage)
    if run.datamodule is not None:
        run.datamodule.teardown(run.stage)


def load_data(run: Run, sources: Sources, seed: int) -> None:
    """Make the loaders of the stage; those of hooks anew, later, if the Trainer was told so."""
    every = run.config.reload_dataloaders_every_n_epochs
    if run.stage == "fit" and every:
        run.reload_data(every, lambda: _load(run, sources, seed))
    _load(run, sources, seed)


def _load(run: Run, sources: Sources, seed: int) -> None:
    if run.stage == "fit":
        train = _source(run, "train", sources.train)
        if train is None:
            raise ValueError(
                "There is no training data: pass train_dataloaders or a datamodule to fit, or write train_dataloader "
                f"in {type(run.module).__name__}."
            )
        val: list[PreparedLoader] = []
        if overrides(run.module, "validation_step", LightningModule):
            val = [
                _prepare(run, "val", source, seed) for source in evaluation_loaders(_source(run, "val", sources.val))
            ]
        elif sources.val is not None:
            warnings.warn("Validation data was passed, but there is no validation_step: it is not used.", stacklevel=2)
        run.take_data(_prepare_training(run, train, seed), [loader for loader in val if loader.num_batches])
        return
    name = {"validate": "val", "test": "test", "predict": "predict"}[run.stage]
    given = evaluation_loaders(_source(run, name, getattr(sources, name)))
    if not given:
        raise ValueError(
            f"There is no data to {run.stage}: pass dataloaders or a datamodule, or write {name}_dataloader."
        )
    run.take_data(None, [_prepare(run, name, source, seed) for source in given])


def _source(run: Run, name: str, given: Any) -> Any:
    if given is not None:
        return given
    hook = f"{name}_dataloader"
    if run.datamodule is not None and overrides(run.datamodule, hook, LightningDataModule):
        return getattr(run.datamodule, hook)()
    return getattr(run.module, hook)() if overrides(run.module, hook, LightningModule) else None


def _prepare_training(run: Run, source: Any, seed: int) -> PreparedLoader | PreparedCombined:
    combined = combined_loader(source)
    if combined is None:
        return _prepare(run, "train", source, seed)
    return prepare_combined(combined, run.config.limit("train"), "train_dataloader", **_order(run, "train", seed))


def _prepare(run: Run, name: str, source: Any, seed: int) -> PreparedLoader:
    limit, training = run.config.limit(name), name == "train"
    return prepare_loader(source, limit, f"{name}_dataloader", training=training, **_order(run, name, seed))


def _order(run: Run, name: str, seed: int) -> dict[str, Any]:
    """What the order of a stage's samples depends on."""
    return {
        "seed": seed,
        "world_size": run.strategy.data_world_size,
        "rank": run.strategy.data_rank,
        "own": run.config.use_distributed_sampler,
        "shuffle": False if run.config.overfit_batches and name in ("train", "val") else None,
    }


def configure_optimizers(run: Run) -> None:
    """Ask the module for its optimizers, which it makes of parameters that are where they will stay."""
    parsed, precision = parse_optimizers(run.module.configure_optimizers()), run.strategy.precision
    for optimizer in parsed.optimizers:
        precision.check_optimizer(optimizer)
        precision.attach(optimizer)
    named = zip(parsed.optimizers, parsed.names, strict=True)
    run.take_optimizers(parsed, [LightningOptimizer(optimizer, precision, name) for optimizer, name in named])


def log_hyperparameters(run: Run, loggers: Iterable[Logger]) -> None:
    """Give the loggers the hyperparameters of module and datamodule."""
    hparams = run.module.logged_hparams | (run.datamodule.logged_hparams if run.datamodule is not None else {})
    if hparams and run.strategy.is_global_zero:
        for logger in loggers:
            logger.log_hyperparams(hparams)


def choose_checkpoint(
    stage: str, which: str | PathLike[str] | None, callbacks: list[Callback], root: str
) -> str | None:
    """Path of the checkpoint that ``ckpt_path`` means; None to begin anew: training may find no last one.

    Raises:
        FileNotFoundError: if there is no such checkpoint.
    """
    name = None if which is None else os.fspath(which)
    if name not in ("best", "last"):
        return name
    found = find_checkpoint(name, callbacks, root)
    if found is None and not (stage == "fit" and name == "last"):
        raise FileNotFoundError(f"ckpt_path={name!r}: this Trainer saved none, and there is none below {root}.")
    return found


def find_checkpoint(which: str, callbacks: list[Callback], root: str) -> str | None:
    """Path of the ``"best"`` or ``"last"`` checkpoint: of this Trainer's callbacks, else the newest below ``root``."""
    keepers = [callback for callback in callbacks if isinstance(callback, ModelCheckpoint)]
    for keeper in keepers:
        path = keeper.best_model_path if which == "best" else keeper.last_model_path
        if path:
            return path
    for keeper in keepers:
        if keeper.dirpath is not None:
            try:
                return resolve_checkpoint(keeper.dirpath, which)
            except FileNotFoundError:
                continue
    if "://" in root:
        return None
    pointers = sorted(Path(root).glob(f"**/checkpoints/{which}"), key=lambda path: path.stat().st_mtime)
    return resolve_checkpoint(pointers[-1].parent, which) if pointers else None


def explain(exception: BaseException, run: Run | None) -> None:
    """Add to an exception where in the run it happened."""
    if run is None or not hasattr(exception, "add_note"):
        return
    progress = run.progress
    where = f"epoch {progress.epoch}, batch {progress.batch}, global_step {progress.global_step}"
    rank = f", process {run.strategy.global_rank} of {run.strategy.world_size}" if run.strategy.world_size > 1 else ""
    exception.add_note(f"While running Trainer.{run.stage}: {where}{rank}.")


def results_by_loader(values: dict[str, float], num_loaders: int) -> list[dict[str, float]]:
    """What an evaluation logged, one dict per loader."""
    if num_loaders <= 1:
        return [values]
    results: list[dict[str, float]] = [{} for _ in range(num_loaders)]
    for key, value in values.items():
        name, _, index = key.rpartition("/dataloader_idx_")
        if name and index.isdigit():
            results[int(index)][key] = value
        else:
            for result in results:
                result[key] = value
    return results


def table(title: str, values: dict[str, float]) -> str:
    """Values by name as a small text table."""
    if not values:
        return f"{title}: nothing was logged"
    width = max(len(key) for key in values)
    return "\n".join([title, *(f"  {key:<{width}}  {value:.6g}" for key, value in values.items())])
