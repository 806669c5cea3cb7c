"""What learning rates will be."""

import math
from dataclasses import dataclass

from torch.optim.lr_scheduler import OneCycleLR

from lit_core.checking.findings import Finding
from lit_core.loops.schedulers import preview
from lit_core.optimizers import SchedulerConfig

_MOST_STEPS = 100_000
"""Steps of a scheduler that are tried at most: more would take seconds."""


@dataclass(frozen=True)
class Curve:
    """The rate of the first parameter group at 0, 25, 50 and 100% of training, or why nobody knows.

    Args:
        name: of the scheduler.
        rates: the four; None where nobody knows.
        unknown: why.
        missing: steps that training would make after the scheduler's last.
    """

    name: str
    rates: tuple[float, float, float, float] | None = None
    unknown: str = ""
    missing: int = 0


def curve_of(config: SchedulerConfig, epochs: float, updates: float, *, automatic: bool) -> Curve:
    """Step a scheduler as often as training will, and put it back.

    Args:
        config: the scheduler, which has not stepped yet.
        epochs: of the whole training.
        updates: of the whole training.
        automatic: whether the Trainer steps it.
    """
    scheduler = config.scheduler
    name = config.name or type(scheduler).__name__
    steps = (epochs if config.interval == "epoch" else updates) // config.frequency
    if not automatic:
        return Curve(name, unknown="training_step decides when it steps")
    if config.monitor is not None:
        return Curve(name, unknown=f"it follows {config.monitor!r}")
    if not math.isfinite(steps):
        return Curve(name, unknown="nobody knows how long training is")
    if steps > _MOST_STEPS:
        return Curve(name, unknown=f"it has {steps:g} steps, more than are tried here")
    if isinstance(scheduler, OneCycleLR) and steps > scheduler.total_steps:
        return Curve(name, missing=int(steps) - scheduler.total_steps)
    try:
        return Curve(name, preview(scheduler, int(steps)))
    except Exception as error:
        return Curve(name, unknown=f"{type(error).__name__}: {error}")


def finding_of(curve: Curve) -> Finding:
    """A curve as a row of the table."""
    if curve.missing:
        return Finding(
            "error",
            f"{curve.name} ends {curve.missing} steps before training does, and then raises an error",
            "total_steps=trainer.estimated_stepping_batches, with 'interval': 'step'",
        )
    if curve.rates is None:
        return Finding("info", f"the learning rate of {curve.name} cannot be foretold: {curve.unknown}")
    start, quarter, half, end = curve.rates
    return Finding(
        "warning" if not all(math.isfinite(rate) and rate >= 0 for rate in curve.rates) else "info",
        f"{curve.name}: the learning rate is {start:.3g} at the start, {quarter:.3g} at 25%, {half:.3g} at 50% and "
        f"{end:.3g} at the end",
    )
