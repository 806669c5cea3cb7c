"""Learning rates foretold, against training."""

import math
from typing import Any

import pytest
import torch
from torch.optim.lr_scheduler import ExponentialLR, LambdaLR, OneCycleLR

from lit_core.checking.schedules import Curve, curve_of, finding_of
from lit_core.optimizers import SchedulerConfig
from tests.lit_core.tiny import Regression, loader, trainer


def optimizer() -> torch.optim.Optimizer:
    return torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=1.0)


class Scheduled(Regression):
    def __init__(self, interval: str = "step", frequency: int = 1) -> None:
        super().__init__()
        self.interval, self.frequency = interval, frequency
        self.rates: list[float] = []

    def configure_optimizers(self) -> Any:
        optimizer = torch.optim.SGD(self.parameters(), lr=0.1)
        scheduler = ExponentialLR(optimizer, 0.9)
        settings = {"scheduler": scheduler, "interval": self.interval, "frequency": self.frequency}
        return {"optimizer": optimizer, "lr_scheduler": settings}

    def training_step(self, batch: Any, batch_idx: int) -> Any:
        self.rates.append(self.trainer.optimizers[0].param_groups[0]["lr"])
        return super().training_step(batch, batch_idx)


@pytest.mark.parametrize(("interval", "frequency"), [("step", 1), ("step", 2), ("epoch", 1), ("epoch", 2)])
def test_the_rates_are_those_that_training_has(interval: str, frequency: int) -> None:
    run, module = trainer(max_epochs=8), Scheduled(interval, frequency)
    report = run.check(module, loader(8, 2))  # 4 batches an epoch
    run.fit(module, loader(8, 2))

    rates = [*module.rates, run.optimizers[0].param_groups[0]["lr"]]
    (text,) = [finding.what for finding in report.findings if "ExponentialLR" in finding.what]
    expected = [f"{rates[index]:.3g}" for index in (0, 8, 16, 32)]
    words = text.replace(",", " ").split()
    assert [words[words.index("is") + 1], *(words[words.index("at", i) - 1] for i in _ats(words)[1:])] == expected


def _ats(words: list[str]) -> list[int]:
    return [index for index, word in enumerate(words) if word == "at"]


def test_a_scheduler_is_left_as_it_was() -> None:
    scheduler = LambdaLR(optimizer(), lambda step: 0.5**step)

    curve = curve_of(SchedulerConfig(scheduler), 8, math.inf, automatic=True)

    assert curve.rates == (1.0, 0.5**2, 0.5**4, 0.5**8)
    assert scheduler.optimizer.param_groups[0]["lr"] == 1.0
    assert scheduler.last_epoch == 0


def test_one_that_ends_before_training_is_an_error() -> None:
    config = SchedulerConfig(OneCycleLR(optimizer(), max_lr=1.0, total_steps=10), interval="step")

    assert curve_of(config, 1, 10, automatic=True).rates is not None
    finding = finding_of(curve_of(config, 1, 12, automatic=True))

    assert finding.severity == "error"
    assert "ends 2 steps before training does" in finding.what


@pytest.mark.parametrize(
    ("curve", "severity"),
    [
        (Curve("S", (1.0, 0.5, 0.25, 0.0)), "info"),
        (Curve("S", (1.0, 0.5, -0.25, 0.0)), "warning"),
        (Curve("S", (1.0, math.nan, 0.25, 0.0)), "warning"),
        (Curve("S", unknown="it follows 'x'"), "info"),
    ],
)
def test_a_rate_below_zero_or_none_is_a_warning(curve: Curve, severity: str) -> None:
    assert finding_of(curve).severity == severity


@pytest.mark.parametrize(
    ("settings", "updates", "automatic", "why"),
    [
        ({"interval": "step"}, 10, False, "training_step decides"),
        ({"interval": "step"}, math.inf, True, "how long"),
        ({"interval": "step"}, 10**7, True, "more than are tried"),
        ({"monitor": "x"}, 10, True, "follows 'x'"),
    ],
)
def test_what_nobody_knows_is_said(settings: Any, updates: float, automatic: bool, why: str) -> None:
    config = SchedulerConfig(LambdaLR(optimizer(), lambda step: 1.0), **settings)

    assert why in curve_of(config, 10, updates, automatic=automatic).unknown
