"""Trials: short trainings on copies, after which everything is as it was."""

import copy
import gc
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import fields
from typing import Any

import torch
from torch.utils.data import DataLoader

from lit_accelerators import isolate_rng
from lit_core.callbacks.base import Callback
from lit_core.datamodule import LightningDataModule
from lit_core.hooks import overrides
from lit_core.module import LightningModule
from lit_core.optimizers import parse_optimizers
from lit_core.run import INTERRUPT
from lit_core.trainer import Trainer

_OFF: dict[str, Any] = {
    "logger": False,
    "enable_checkpointing": False,
    "enable_progress_bar": False,
    "enable_model_summary": False,
    "num_sanity_val_steps": 0,
    "fast_dev_run": False,
    "barebones": False,
    "max_epochs": -1,
    "min_epochs": None,
    "min_steps": None,
    "max_time": None,
    "val_check_interval": 1.0,
    "check_val_every_n_epoch": 1,
    "profiler": None,
    "auto_lr_find": False,
    "auto_scale_batch_size": False,
}
"""What a trial is without."""

_OUT_OF_MEMORY = ("out of memory", "can't allocate memory", "not enough memory", "CUBLAS_STATUS_ALLOC_FAILED")


def run_trial(
    trainer: Trainer,
    module: LightningModule,
    datamodule: LightningDataModule | None,
    loaders: Any,
    watch: Callback,
    **settings: Any,
) -> None:
    """Train copies with the settings of ``trainer``, changed by ``settings``; only ``watch`` sees it.

    Args:
        trainer: whose settings; it is not used otherwise.
        module: trained as it is: hand in a :func:`copy_of`.
        datamodule: as ``module``.
        loaders: training batches, where no hook gives them.
        watch: the callback of the trial.
        settings: arguments of the Trainer.

    Raises:
        KeyboardInterrupt: if the trial was interrupted.
    """
    trial = make_trial(trainer, watch, limit_val_batches=0, **settings)
    with isolate_rng(), same_generators(loaders):
        trial.fit(module, loaders, datamodule=datamodule)
    check_interrupt(trial)


def make_trial(trainer: Trainer, watch: Callback, **settings: Any) -> Trainer:
    """A Trainer with the settings of ``trainer``, changed by ``settings``, that writes nothing; ``watch`` sees it."""
    return Trainer(**{**_settings(trainer), **_OFF, **settings, "callbacks": [watch, _NoStandstill()]})


def check_interrupt(trial: Trainer) -> None:
    """Go on with an interrupt that ended a trial in order.

    Raises:
        KeyboardInterrupt: if there was one.
    """
    if trial.stop_reason == INTERRUPT:
        raise KeyboardInterrupt


class _NoStandstill(Callback):
    """Ends a training that makes no updates: it counts them, and would go on for ever."""

    exclusive = True

    def on_train_epoch_end(self, trainer: Trainer, module: LightningModule) -> None:
        """Look at the first epoch."""
        if trainer.global_step == 0:
            trainer.stop("an epoch passed without an update")


def copy_of(module: LightningModule) -> LightningModule:
    """A copy for a trial: without a Trainer, callbacks and learning-rate schedulers of its own."""
    copied = copy.deepcopy(module)
    configure = copied.configure_optimizers
    copied.__dict__.update(
        configure_callbacks=list, configure_optimizers=lambda: parse_optimizers(configure()).optimizers
    )
    return copied


def check_alone(trainer: Trainer, what: str) -> None:
    """Refuse several processes.

    Raises:
        ValueError: saying what to do.
    """
    if trainer.world_size > 1:
        raise ValueError(
            f"{what} runs in one process, and this Trainer uses {trainer.world_size}: tune with Trainer(devices=1), "
            "then train with the value found."
        )


def makes_loader(model: LightningModule, datamodule: LightningDataModule | None) -> bool:
    """Whether a hook gives the training batches."""
    if datamodule is not None and overrides(datamodule, "train_dataloader", LightningDataModule):
        return True
    return overrides(model, "train_dataloader", LightningModule)


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an error says that there was not enough memory, of a device or of the host."""
    if isinstance(error, (MemoryError, torch.OutOfMemoryError)):
        return True
    return isinstance(error, RuntimeError) and any(text in str(error) for text in _OUT_OF_MEMORY)


def free_memory() -> None:
    """Give back what a trial that failed held."""
    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()


def holders_of(name: str, owners: Sequence[Any]) -> list[Any]:
    """The objects among ``owners`` that have the attribute, and the hyperparameters that have the key."""
    found: list[Any] = []
    for owner in owners:
        if hasattr(owner, name):
            found.append(owner)
        if name in owner.hparams:
            found.append(owner.hparams)
    return found


def read(holders: Sequence[Any], name: str) -> Any:
    """The value that the first holder has."""
    first = holders[0]
    return first[name] if isinstance(first, Mapping) else getattr(first, name)


def assign(holders: Sequence[Any], name: str, value: Any) -> None:
    """Give all holders the value: what the user asked for by name."""
    for holder in holders:
        if isinstance(holder, dict):
            holder[name] = value
        else:
            holder.__setattr__(name, value)


def _settings(trainer: Trainer) -> dict[str, Any]:
    """The arguments that would make such a Trainer; objects that hold a state are copied."""
    config = trainer.settings
    given = {field.name: getattr(config, field.name) for field in fields(config)}
    kept = ("logger", "callbacks")  # replaced in a trial
    return {name: value if name in kept else copy.deepcopy(value) for name, value in given.items()}


@contextmanager
def same_generators(loaders: Any) -> Iterator[None]:
    """Inside, generators that a DataLoader or its sampler was given may be drawn from; then they are as before."""
    several = loaders.values() if isinstance(loaders, Mapping) else loaders
    found = list(several) if isinstance(loaders, (Mapping, list, tuple)) else [loaders]
    owners = [*found, *(loader.sampler for loader in found if isinstance(loader, DataLoader))]
    generators = [g for owner in owners if isinstance(g := getattr(owner, "generator", None), torch.Generator)]
    states = [generator.get_state() for generator in generators]
    try:
        yield
    finally:
        for generator, state in zip(generators, states, strict=True):
            generator.set_state(state)
