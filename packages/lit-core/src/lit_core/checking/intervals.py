"""Intervals that never come round."""

import math
from collections.abc import Iterator, Sequence

from lit_core.callbacks.base import Callback
from lit_core.callbacks.early_stopping import EarlyStopping
from lit_core.callbacks.model_checkpoint import ModelCheckpoint
from lit_core.checking.findings import Finding
from lit_core.checking.watch import Facts
from lit_core.config import TrainerConfig

_OF_CALLBACKS = {
    "every_n_train_steps": "updates",
    "every_n_steps": "updates",
    "update_every_n_steps": "updates",
    "every_n_epochs": "epochs",
    "unfreeze_backbone_at_epoch": "epochs",
}
"""Attributes of callbacks that are intervals, and in what they count."""


def never_fire(facts: Facts, config: TrainerConfig, callbacks: Sequence[Callback], *, logs: bool) -> Iterator[Finding]:
    """Settings that count further than training goes.

    Args:
        facts: how long training is.
        config: of the Trainer.
        callbacks: all of them.
        logs: whether there is a logger.
    """
    totals = {"updates": facts.updates, "epochs": facts.epochs}
    if config.max_epochs is None and config.max_steps == -1 and config.max_time is None:
        yield Finding("warning", f"nothing says how long to train: {facts.epochs:g} epochs", "give max_epochs")
    every = config.log_every_n_steps
    if logs and every > facts.updates:
        yield _beyond(f"log_every_n_steps={every}", facts.updates, "updates", "no step value is logged")
    for callback in callbacks:
        for name, unit in _OF_CALLBACKS.items():
            value = getattr(callback, name, None)
            if isinstance(value, int) and value > totals[unit] - (name.endswith("at_epoch")):
                yield _beyond(
                    f"{type(callback).__name__}({name}={value})", totals[unit], unit, "it never comes to that"
                )
    for scheduler in facts.configured.schedulers:
        unit = "epochs" if scheduler.interval == "epoch" else "updates"
        if scheduler.monitor is None and scheduler.frequency > totals[unit]:
            name = scheduler.name or type(scheduler.scheduler).__name__
            yield _beyond(f"{name}(frequency={scheduler.frequency})", totals[unit], unit, "it never steps")
    yield from _accumulation(facts, config)
    yield from _validation(facts, config, callbacks)


def _beyond(setting: str, total: float, unit: str, so: str) -> Finding:
    return Finding("warning", f"{setting}, but training has {total:g} {unit}: {so}", f"at most {total:g}")


def _accumulation(facts: Facts, config: TrainerConfig) -> Iterator[Finding]:
    given = config.accumulate_grad_batches
    for first, size in given.items() if isinstance(given, dict) else [(0, given)]:
        if first >= facts.epochs:
            yield _beyond(
                f"accumulate_grad_batches={given} from epoch {first}", facts.epochs, "epochs", "it never holds"
            )
        elif size > facts.batches:
            yield Finding(
                "warning",
                f"accumulate_grad_batches={size}, but an epoch has {facts.batches:g} batches: one update an epoch",
                f"at most {facts.batches:g}",
            )


def _validation(facts: Facts, config: TrainerConfig, callbacks: Sequence[Callback]) -> Iterator[Finding]:
    interval, every = config.val_check_interval, config.check_val_every_n_epoch
    rounds = validations(facts, config)
    if facts.validates and rounds == 0:
        if every is not None and isinstance(interval, int) and interval > facts.batches:
            yield Finding(
                "error",
                f"val_check_interval={interval}, but an epoch has {facts.batches:g} batches: fit refuses to start",
                "a smaller number, or check_val_every_n_epoch=None to count across epochs",
            )
        else:
            what = f"val_check_interval={interval}, check_val_every_n_epoch={every}: there is no validation in "
            what += f"{facts.epochs:g} epochs of {facts.batches:g} batches"
            yield Finding("warning", what, "smaller numbers")
    for callback in callbacks:
        looks = max(rounds, facts.epochs)
        if isinstance(callback, EarlyStopping) and callback.patience > looks:
            yield _beyond(f"EarlyStopping(patience={callback.patience})", looks, "looks at it", "it never stops early")
        if isinstance(callback, ModelCheckpoint) and callback.save_on_train_epoch_end is False and not rounds:
            yield Finding(
                "warning",
                "ModelCheckpoint(save_on_train_epoch_end=False) saves after validations, and there is none",
                "leave it out",
            )


def validations(facts: Facts, config: TrainerConfig) -> float:
    """How often training validates; infinity where nobody knows."""
    if not facts.validates:
        return 0
    interval, every = config.val_check_interval, config.check_val_every_n_epoch
    if config.validation_seconds is not None:
        return math.inf
    batches = min(facts.epochs * facts.batches, facts.updates * config.accumulate_at(0))
    if every is None:
        return batches // int(interval)
    rounds: float = 1
    if interval != 1.0 or isinstance(interval, int):
        rounds = facts.batches // (interval if isinstance(interval, int) else max(1, int(facts.batches * interval)))
    return rounds * (facts.epochs // every)
