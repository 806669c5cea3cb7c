"""The whole check."""

import copy
from collections.abc import Iterator, Sequence
from typing import Any

from lit_core.callbacks.base import Callback
from lit_core.checking.findings import Finding, FitReport
from lit_core.checking.intervals import never_fire
from lit_core.checking.monitors import unlogged
from lit_core.checking.schedules import finding_of
from lit_core.checking.state import export, hyperparameters, parameters, storage
from lit_core.checking.trial import try_stages
from lit_core.checking.watch import Facts
from lit_core.datamodule import LightningDataModule
from lit_core.hooks import check_hook_names
from lit_core.lifecycle import check_module, check_written
from lit_core.module import LightningModule
from lit_core.resolve import join_callbacks
from lit_core.trainer import Trainer


def check(
    trainer: Trainer,
    module: LightningModule,
    train_dataloaders: Any = None,
    val_dataloaders: Any = None,
    datamodule: LightningDataModule | None = None,
) -> FitReport:
    """Find out what ``trainer.fit`` with these arguments would run into; see :meth:`lit_core.Trainer.check`.

    It runs in process 0; in others of a run that was started already it finds nothing.
    """
    if isinstance(train_dataloaders, LightningDataModule):
        train_dataloaders, datamodule = None, train_dataloaders
    name = type(module).__name__
    if not trainer.is_global_zero:
        return FitReport(name, [])
    try:
        check_written(check_module(module), "fit")
        if datamodule is not None:
            check_hook_names(datamodule, LightningDataModule)
        callbacks = join_callbacks(trainer.callbacks, copy.copy(module).configure_callbacks())
    except (TypeError, ValueError) as error:
        return FitReport(name, [Finding("error", str(error), cause=error)])
    facts = Facts()
    found: list[Finding] = []
    if isinstance(train_dataloaders, Iterator) or isinstance(val_dataloaders, Iterator):
        found.append(Finding("warning", "the data can be read only once: no step was tried", "give an iterable"))
    else:
        facts, found = try_stages(trainer, module, train_dataloaders, val_dataloaders, datamodule)
    found += _of_the_steps(trainer, facts, callbacks)
    found += _of_what_is_kept(trainer, module, datamodule, facts, callbacks)
    return FitReport(name, found)


def _of_the_steps(trainer: Trainer, facts: Facts, callbacks: Sequence[Callback]) -> Iterator[Finding]:
    if not facts.trained:
        return
    epochs = f"{facts.epochs:g} epoch" + "s" * (facts.epochs != 1)
    yield Finding("info", f"training has {facts.batches:g} batches an epoch, {facts.updates:g} updates in {epochs}")
    yield from unlogged(facts, callbacks)
    yield from never_fire(facts, trainer.settings, callbacks, logs=bool(trainer.loggers))
    yield from map(finding_of, facts.curves)
    yield from parameters(facts, trainer.strategy.precision.name)


def _of_what_is_kept(
    trainer: Trainer,
    module: LightningModule,
    datamodule: LightningDataModule | None,
    facts: Facts,
    callbacks: Sequence[Callback],
) -> Iterator[Finding]:
    yield from hyperparameters(module)
    if datamodule is not None:
        yield from hyperparameters(datamodule)
    if facts.trained:
        yield from storage(facts, callbacks, trainer.default_root_dir)
    yield from export(module)
