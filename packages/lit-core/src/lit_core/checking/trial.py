"""One step of each stage, on copies."""

import copy
import traceback
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import fields
from typing import Any

from lit_accelerators import isolate_rng
from lit_core.checking.findings import Finding
from lit_core.checking.watch import Facts, Watch
from lit_core.datamodule import LightningDataModule
from lit_core.export._errors import is_users
from lit_core.hooks import overrides
from lit_core.module import LightningModule
from lit_core.optimizers import parse_optimizers
from lit_core.resolve import in_one_process
from lit_core.trainer import Trainer
from lit_core.tuner._trial import check_interrupt, free_memory, is_out_of_memory, make_trial, same_generators
from lit_loggers import Logger

_NEVER = 1 << 60


def try_stages(
    trainer: Trainer, module: LightningModule, train: Any, val: Any, datamodule: LightningDataModule | None
) -> tuple[Facts, list[Finding]]:
    """Run a step of training and validation, then of test and prediction if hooks give data for them.

    Module and datamodule are copied; callbacks and loggers do not run.

    Returns:
        What the steps showed, and what they warned of or failed with.

    Raises:
        KeyboardInterrupt: if it was interrupted.
    """
    watch = Watch()
    found: list[Finding] = []
    trial = make_trial(trainer, watch, **_settings(trainer))
    model, data = _copy_of(module, watch), copy.deepcopy(datamodule)

    def stage(name: str, *loaders: Any) -> None:
        with isolate_rng(), same_generators(train), same_generators(val), _noting_warnings(found):
            try:
                getattr(trial, name)(model, *loaders, datamodule=data)
            except Exception as error:
                found.append(_failure(trainer, name, error))
        check_interrupt(trial)

    stage("fit", train, val)
    if watch.facts.trained:
        if overrides(model, "test_step", LightningModule) and _has_data("test", model, data):
            stage("test")
        if _has_data("predict", model, data):
            stage("predict")
    free_memory()
    return watch.facts, found


def _settings(trainer: Trainer) -> dict[str, Any]:
    """Of the trial: the length of the real training, of which the first step is taken."""
    config = trainer.settings
    return {
        **(in_one_process(config, trainer.strategy) if trainer.world_size > 1 else {}),
        "logger": Deaf() if trainer.loggers else False,
        "max_epochs": config.max_epochs,
        "val_check_interval": 1,
        "limit_val_batches": 0 if config.limit_val_batches == 0 else 1,
        "limit_test_batches": 1,
        "limit_predict_batches": 1,
    }


def _copy_of(module: LightningModule, watch: Watch) -> LightningModule:
    """A copy without callbacks, whose schedulers never wait for a value that nobody logs."""
    copied = copy.deepcopy(module)
    configure = copied.configure_optimizers

    def configure_optimizers() -> Any:
        parsed = parse_optimizers(configure())
        watch.take(parsed)
        optimizers = [{f.name: getattr(config, f.name) for f in fields(config)} for config in parsed.configs]
        schedulers = [{f.name: getattr(config, f.name) for f in fields(config)} for config in parsed.schedulers]
        for scheduler in schedulers:
            del scheduler["optimizer_idx"]
            if scheduler["monitor"] is not None:
                scheduler["frequency"] = _NEVER
        return optimizers, schedulers

    copied.__dict__.update(configure_callbacks=list, configure_optimizers=configure_optimizers)
    return copied


def _has_data(stage: str, module: LightningModule, datamodule: LightningDataModule | None) -> bool:
    hook = f"{stage}_dataloader"
    from_datamodule = datamodule is not None and overrides(datamodule, hook, LightningDataModule)
    return from_datamodule or overrides(module, hook, LightningModule)


@contextmanager
def _noting_warnings(found: list[Finding]) -> Iterator[None]:
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        yield
    for warning in caught:
        finding = Finding("warning", " ".join(str(warning.message).split()))
        if issubclass(warning.category, (UserWarning, RuntimeWarning)) and finding not in found:
            found.append(finding)


def _failure(trainer: Trainer, stage: str, error: Exception) -> Finding:
    frames = [frame for frame in traceback.extract_tb(error.__traceback__) if is_users(frame.filename)]
    place = f" ({frames[-1].filename}:{frames[-1].lineno}, in {frames[-1].name})" if frames else ""
    message = next(iter(str(error).splitlines()), "")
    what = f"Trainer.{stage} fails: {type(error).__name__}: {message}{place}"
    if trainer.world_size > 1 and is_out_of_memory(error):
        return Finding("warning", what, "one process does not hold what several share: the step was not tried", error)
    return Finding("error", what, "Trainer(fast_dev_run=True) shows the whole traceback", error)


class Deaf(Logger):
    """Takes everything and keeps nothing: in a trial, a module finds a logger where a run has one."""

    name = "check"
    version = 0
    log_dir = None

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return Silence()

    def write(self, row: Any) -> None:
        """Nothing."""

    def log_hyperparams(self, params: Mapping[str, Any]) -> None:
        """Nothing."""

    def truncate(self, *args: Any, **kwargs: Any) -> None:
        """Nothing."""

    def flush(self) -> None:
        """Nothing."""

    def finalize(self, status: str = "success") -> None:
        """Nothing."""


class Silence:
    """Can be called, and has every attribute: what others have in ``logger.experiment``."""

    def __getattr__(self, name: str) -> "Silence":
        if name.startswith("__"):
            raise AttributeError(name)
        return self

    def __call__(self, *args: Any, **kwargs: Any) -> "Silence":
        """Nothing."""
        return self
