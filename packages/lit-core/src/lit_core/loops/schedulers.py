"""When learning-rate schedulers step."""

import warnings
from collections.abc import Collection, Iterator
from contextlib import contextmanager

from lit_core.hooks import overrides
from lit_core.module import LightningModule
from lit_core.optimizers import Interval, SchedulerConfig
from lit_core.run import Run


def step_schedulers(run: Run, interval: Interval, stepped: Collection[int] | None = None) -> None:
    """Step the schedulers of ``interval`` whose turn it is: after an update, or at the end of an epoch.

    Args:
        run: the run.
        interval: ``"step"`` or ``"epoch"``.
        stepped: indices of the optimizers that made the update; the schedulers of others wait.
    """
    for config in run.optimizers.schedulers:
        if config.interval != interval or (stepped is not None and config.optimizer_idx not in stepped):
            continue
        if _turn(run, config) % config.frequency == 0:
            with _without_false_alarm(run, config):
                _step(run, config)


def _turn(run: Run, config: SchedulerConfig) -> int:
    return run.progress.epoch + 1 if config.interval == "epoch" else _optimizer_steps(run, config)


def _optimizer_steps(run: Run, config: SchedulerConfig) -> int:
    return run.progress.optimizer_steps.get(run.optimizers.names[config.optimizer_idx], 0)


@contextmanager
def _without_false_alarm(run: Run, config: SchedulerConfig) -> Iterator[None]:
    """Quiet torch's warning that the optimizer never stepped where it did, before this run was resumed."""
    if config.interval == "step" or not _optimizer_steps(run, config):
        yield
        return
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", r"Detected call of `lr_scheduler\.step\(\)` before `optimizer\.step")
        yield


def _step(run: Run, config: SchedulerConfig) -> None:
    metric = None
    if config.monitor is not None:
        metrics = run.report.callback_metrics
        metric = metrics.get(config.monitor)
        if metric is None:
            message = (
                f"The scheduler {config.name or type(config.scheduler).__name__} watches {config.monitor!r}, which was "
                f"not logged; logged are {sorted(metrics)}."
            )
            if config.strict:
                raise RuntimeError(message + " Log it, change 'monitor', or set 'strict': False to skip such steps.")
            warnings.warn(message + " The step is skipped.", stacklevel=2)
            return
        metric = float(metric)  # type: ignore[assignment]
    if overrides(run.module, "lr_scheduler_step", LightningModule):
        run.module.lr_scheduler_step(config.scheduler, metric)
    elif config.reduce_on_plateau:
        config.scheduler.step(metric)
    else:
        config.scheduler.step()
