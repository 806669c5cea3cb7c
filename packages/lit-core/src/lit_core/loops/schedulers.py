"""When learning-rate schedulers step."""

import copy
import math
import warnings
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from typing import Any

from torch.optim.lr_scheduler import CyclicLR, OneCycleLR

from lit_core.hooks import overrides
from lit_core.loops.groups import estimated_updates
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


def warn_of_intervals(run: Run) -> None:
    """Warn of schedulers made for updates that are stepped by epochs, and say what the learning rate will be."""
    epochs, batches = run.config.last_epoch, run.num_batches
    updates = estimated_updates(run.config, run.optimizers.configs, batches)
    if epochs == math.inf or updates == math.inf:
        return
    for config in run.optimizers.schedulers if run.automatic_optimization else ():
        length = _length(config.scheduler)
        per_step = isinstance(config.scheduler, (OneCycleLR, CyclicLR)) or (length is not None and length <= updates)
        if config.interval != "epoch" or length is None or length <= epochs or not per_step:
            continue
        curve = preview(config.scheduler, int(epochs) // config.frequency)
        warnings.warn(
            f"{type(config.scheduler).__name__} is made for {length} steps, but interval 'epoch' steps it only "
            f"{epochs:g} times ({updates:g} updates): the learning rate will be {curve[0]:.3g} at the start, "
            f"{curve[2]:.3g} half way and {curve[3]:.3g} at the end. To step it after every update: "
            "{'scheduler': scheduler, 'interval': 'step'} in configure_optimizers.",
            stacklevel=2,
        )


def preview(scheduler: Any, steps: int) -> tuple[float, float, float, float]:
    """Learning rate of the first parameter group at the start, after a quarter, half and all of ``steps`` steps.

    The scheduler is stepped and put back as it was; parameters are not touched.

    Example:
        >>> import torch
        >>> optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=1.0)
        >>> preview(torch.optim.lr_scheduler.ExponentialLR(optimizer, 0.5), 4)
        (1.0, 0.5, 0.25, 0.0625)
    """
    groups = scheduler.optimizer.param_groups
    state = copy.deepcopy(scheduler.state_dict())
    settings = [{key: copy.copy(value) for key, value in group.items() if key != "params"} for group in groups]
    seen = [float(groups[0]["lr"])]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for _ in range(steps):
            scheduler.step()
            seen.append(float(groups[0]["lr"]))
    scheduler.load_state_dict(state)
    for group, before in zip(groups, settings, strict=True):
        group.update(before)
    return seen[0], seen[(steps + 3) // 4], seen[(steps + 1) // 2], seen[-1]


def _length(scheduler: Any) -> int | None:
    """Steps after which a scheduler has run its course, where it says so."""
    if isinstance(scheduler, CyclicLR):
        return int(scheduler.total_size)
    return next((getattr(scheduler, n) for n in ("total_steps", "total_iters", "T_max") if hasattr(scheduler, n)), None)
