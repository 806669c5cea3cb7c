"""Intervals that never come round: found, and not found where they do, against what training does."""

from collections.abc import Sequence
from typing import Any

import pytest
import torch

from lit_core import Callback, EarlyStopping, ModelCheckpoint
from lit_core.callbacks import BackboneFinetuning, GradientNormMonitor
from lit_core.checking import check
from lit_core.checking.intervals import never_fire, validations
from lit_core.checking.watch import Facts
from lit_core.config import TrainerConfig
from tests.lit_core.tiny import Regression, Rows, loader, trainer


def texts(facts: Facts, config: TrainerConfig, callbacks: Sequence[Callback] = (), *, logs: bool = True) -> list[str]:
    return [finding.what for finding in never_fire(facts, config, callbacks, logs=logs)]


FACTS = Facts(trained=True, epochs=3, batches=4, updates=12, validates=True)


def config(**settings: Any) -> TrainerConfig:
    return TrainerConfig(**{"max_epochs": 3, "log_every_n_steps": 12, **settings})


@pytest.mark.parametrize(
    ("settings", "fires", "never"),
    [
        ("log_every_n_steps", 12, 13),
        ("check_val_every_n_epoch", 3, 4),
        ("val_check_interval", 4, 5),
        ("accumulate_grad_batches", 4, 5),
        ("accumulate_grad_batches", {0: 2, 2: 1}, {0: 2, 3: 1}),
        ("max_epochs", 3, None),
    ],
)
def test_settings_of_the_trainer(settings: str, fires: Any, never: Any) -> None:
    assert texts(FACTS, config(**{settings: fires})) == []
    assert len(texts(FACTS, config(**{settings: never}))) == 1


@pytest.mark.parametrize(
    ("fires", "never"),
    [
        (ModelCheckpoint(every_n_train_steps=12), ModelCheckpoint(every_n_train_steps=13)),
        (ModelCheckpoint(every_n_epochs=3), ModelCheckpoint(every_n_epochs=4)),
        (GradientNormMonitor(every_n_steps=12), GradientNormMonitor(every_n_steps=13)),
        (BackboneFinetuning(2), BackboneFinetuning(3)),
        (EarlyStopping("x", patience=3), EarlyStopping("x", patience=4)),
    ],
)
def test_intervals_of_callbacks(fires: Callback, never: Callback) -> None:
    assert texts(FACTS, config(), [fires]) == []
    (text,) = texts(FACTS, config(), [never])
    assert text.startswith(type(never).__name__)


def test_rows_are_not_missed_where_nobody_writes_them() -> None:
    assert texts(FACTS, config(log_every_n_steps=50), logs=False) == []


def test_an_interval_that_fit_refuses_is_an_error() -> None:
    run = trainer(val_check_interval=5)

    report = check(run, Regression(), loader(8, 2), loader())

    assert ["val_check_interval=5" in finding.what for finding in report.of("error")] == [True]
    with pytest.raises(ValueError, match="val_check_interval=5"):
        run.fit(Regression(), loader(8, 2), loader())


class Counting(Regression):
    def __init__(self) -> None:
        super().__init__()
        self.validations = 0

    def on_validation_start(self) -> None:
        self.validations += 1


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"val_check_interval": 2},
        {"val_check_interval": 0.4},
        {"val_check_interval": 3},
        {"check_val_every_n_epoch": 2},
        {"check_val_every_n_epoch": None, "val_check_interval": 5},
        {"check_val_every_n_epoch": None, "val_check_interval": 25},
        {"val_check_interval": 5, "check_val_every_n_epoch": 6},
    ],
)
def test_validations_are_counted_as_training_makes_them(settings: Any) -> None:
    run, module = trainer(max_epochs=4, **settings), Counting()
    run.fit(module, loader(10, 2), loader())  # 5 batches an epoch
    facts = Facts(epochs=4, batches=5, updates=20, validates=True)

    assert validations(facts, run.settings) == module.validations
    found = [text for text in texts(facts, run.settings, logs=False) if "there is no validation" in text]
    assert len(found) == (module.validations == 0)


def test_a_scheduler_that_never_steps_is_found() -> None:
    class Rare(Regression):
        def configure_optimizers(self) -> Any:
            optimizer = torch.optim.SGD(self.parameters(), lr=self.lr)
            scheduler = torch.optim.lr_scheduler.StepLR(optimizer, 1)
            return {"optimizer": optimizer, "lr_scheduler": {"scheduler": scheduler, "frequency": 3}}

    for epochs, number in ((3, 0), (2, 1)):
        report = check(trainer(max_epochs=epochs, logger=Rows(), log_every_n_steps=1), Rare(), loader(), loader())
        assert len(report.of("warning")) == number, str(report)
