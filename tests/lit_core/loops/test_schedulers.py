"""When learning-rate schedulers step, and with what."""

import re
from typing import Any

import pytest
import torch
from torch.optim.lr_scheduler import ReduceLROnPlateau, StepLR

from lit_core import Callback
from tests.lit_core.tiny import Regression, loader, trainer


class Scheduled(Regression):
    def __init__(self, **settings: Any) -> None:
        super().__init__()
        self.settings = settings
        self.rates: list[float] = []

    def configure_optimizers(self) -> Any:
        optimizer = torch.optim.SGD(self.parameters(), lr=1.0)
        scheduler: Any = StepLR(optimizer, 1, gamma=0.5)
        if "monitor" in self.settings:
            scheduler = ReduceLROnPlateau(optimizer, factor=0.5, patience=0)
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": scheduler, **self.settings}}

    def training_step(self, batch: Any, batch_idx: int) -> Any:
        self.rates.append(self.trainer.optimizers[0].param_groups[0]["lr"])
        return 0.0 * self.loss(batch)


@pytest.mark.parametrize(
    ("settings", "accumulate", "rates"),
    [
        ({}, 1, [1, 1, 1, 0.5, 0.5, 0.5]),
        ({"frequency": 2}, 1, [1, 1, 1, 1, 1, 1]),
        ({"interval": "step"}, 1, [1, 0.5, 0.25, 0.125, 0.0625, 0.03125]),
        ({"interval": "step", "frequency": 2}, 1, [1, 1, 0.5, 0.5, 0.25, 0.25]),
        ({"interval": "step"}, 2, [1, 1, 0.5, 0.25, 0.25, 0.125]),
    ],
)
def test_schedulers_step_at_their_interval_and_frequency(
    settings: dict[str, Any], accumulate: int, rates: list[float]
) -> None:
    module = Scheduled(**settings)
    trainer(max_epochs=2, accumulate_grad_batches=accumulate).fit(module, loader(6, 2))
    assert module.rates == rates


def test_an_epoch_that_is_cut_short_steps_no_epoch_scheduler() -> None:
    module = Scheduled()
    runner = trainer(max_epochs=-1, max_steps=5)
    runner.fit(module, loader(6, 2))
    assert runner.optimizers[0].param_groups[0]["lr"] == 0.5


class Watches(Scheduled):
    def __init__(self, values: list[float], **settings: Any) -> None:
        super().__init__(**settings)
        self.values = iter(values)

    def on_train_epoch_end(self) -> None:
        self.log("watched", next(self.values))


def test_a_plateau_scheduler_gets_the_value_logged_at_the_end_of_the_same_epoch() -> None:
    module = Watches([3.0, 2.0, 2.5, 1.0], monitor="watched")
    trainer(max_epochs=4).fit(module, loader(2, 2))
    assert module.rates == [1.0, 1.0, 1.0, 0.5]  # 2.5 is worse than 2.0


def test_a_value_that_was_not_logged_is_an_error_that_names_what_was() -> None:
    with pytest.raises(RuntimeError, match=r"'nothing'.*not logged.*watched"):
        trainer().fit(Watches([1.0], monitor="nothing"), loader())


def test_a_value_that_was_not_logged_skips_the_step_with_a_warning_if_not_strict() -> None:
    with pytest.warns(UserWarning, match=r"'nothing'.*skipped"):
        trainer().fit(Watches([1.0], monitor="nothing", strict=False), loader())


def test_own_lr_scheduler_step_gets_scheduler_and_value() -> None:
    calls: list[Any] = []

    class Own(Watches):
        def lr_scheduler_step(self, scheduler: Any, metric: Any) -> None:
            calls.append((type(scheduler).__name__, metric))

    module = Own([3.0, 4.0], monitor="watched")
    runner = trainer(max_epochs=2)
    runner.fit(module, loader(2, 2))
    assert calls == [("ReduceLROnPlateau", 3.0), ("ReduceLROnPlateau", 4.0)]
    assert runner.optimizers[0].param_groups[0]["lr"] == 1.0


def test_a_scheduler_of_an_optimizer_in_turns_counts_the_steps_of_its_own() -> None:
    class Turns(Regression):
        def training_step(self, batch: Any, batch_idx: int, optimizer_idx: int) -> Any:  # type: ignore[override]
            return 0.0 * self.loss(batch)

        def configure_optimizers(self) -> Any:
            optimizers = [torch.optim.SGD(part.parameters(), lr=1.0) for part in (self.net[0], self.net[3])]
            return [
                {
                    "optimizer": optimizer,
                    "frequency": frequency,
                    "lr_scheduler": {"scheduler": StepLR(optimizer, 1, gamma=0.5), "interval": "step", "frequency": 2},
                }
                for optimizer, frequency in zip(optimizers, (1, 2), strict=True)
            ]

    runner = trainer()
    runner.fit(Turns(), loader(12, 2))  # 0 1 1 0 1 1
    assert [o.param_groups[0]["lr"] for o in runner.optimizers] == [0.5, 0.25]


def test_in_manual_optimization_schedulers_step_when_the_user_steps_them() -> None:
    class Mine(Regression):
        def __init__(self) -> None:
            super().__init__()
            self.automatic_optimization = False

        def training_step(self, batch, batch_idx):
            optimizer = self.optimizers()
            optimizer.zero_grad()
            self.manual_backward(super().training_step(batch, batch_idx))
            optimizer.step()

        def on_train_epoch_end(self):
            if self.current_epoch == 1:
                self.lr_schedulers().step()

        def configure_optimizers(self):
            optimizer = torch.optim.SGD(self.parameters(), lr=0.1)
            return [optimizer], [torch.optim.lr_scheduler.StepLR(optimizer, 1, gamma=0.5)]

    module = Mine()
    run = trainer(max_epochs=3)
    run.fit(module, loader())
    assert run.optimizers[0].param_groups[0]["lr"] == 0.05


@pytest.mark.parametrize(
    ("make", "start"),
    [
        (lambda o: torch.optim.lr_scheduler.OneCycleLR(o, max_lr=1.0, total_steps=12), 0.04),
        (lambda o: torch.optim.lr_scheduler.LinearLR(o, start_factor=0.1, total_iters=8), 0.01),
        (lambda o: torch.optim.lr_scheduler.CosineAnnealingLR(o, T_max=12), 0.1),
    ],
)
def test_a_scheduler_of_updates_stepped_by_epochs_is_warned_of_with_the_rates_to_come(make: Any, start: float) -> None:
    class PerStep(Regression):
        def configure_optimizers(self) -> Any:
            optimizer = super().configure_optimizers()
            return [optimizer], [make(optimizer)]

    module = PerStep()
    rates: list[float] = []
    watch = LambdaWatch(lambda runner: rates.append(runner.optimizers[0].param_groups[0]["lr"]))
    runner = trainer(max_epochs=3, callbacks=[watch])
    with pytest.warns(UserWarning, match=f"will be {start:.3g} at the start.*'interval': 'step'") as caught:
        runner.fit(module, loader(8, 2))
    told = [float(x) for x in re.findall(r"([0-9.e-]+) (?:at the start|half way|at the end)", str(caught[0].message))]
    after = runner.optimizers[0].param_groups[0]["lr"]
    assert told == pytest.approx([rates[0], rates[2], after], rel=0.01)


@pytest.mark.parametrize(
    "make",
    [
        lambda o: {"scheduler": torch.optim.lr_scheduler.OneCycleLR(o, 1.0, total_steps=12), "interval": "step"},
        lambda o: torch.optim.lr_scheduler.CosineAnnealingLR(o, T_max=3),
        lambda o: torch.optim.lr_scheduler.CosineAnnealingLR(o, T_max=1000),
        lambda o: torch.optim.lr_scheduler.StepLR(o, 30),
    ],
)
def test_other_schedulers_are_not_warned_of(make: Any) -> None:
    class Fine(Regression):
        def configure_optimizers(self) -> Any:
            optimizer = super().configure_optimizers()
            return [optimizer], [make(optimizer)]

    trainer(max_epochs=3).fit(Fine(), loader(8, 2))


class LambdaWatch(Callback):
    """Calls a function at the beginning of every epoch."""

    def __init__(self, function: Any) -> None:
        self.function = function

    def on_train_epoch_start(self, trainer: Any, module: Any) -> None:
        self.function(trainer)
