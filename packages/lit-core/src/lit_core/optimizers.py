"""Optimizers and schedulers as a run holds them: named, counted, with the user's settings checked once."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Literal

from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler, ReduceLROnPlateau

from lit_accelerators import Precision

Interval = Literal["epoch", "step"]

_OWN_KEYS = {"accumulate_grad_batches", "gradient_clip_val", "gradient_clip_algorithm"}
_DICT_KEYS = {"optimizer", "lr_scheduler", "monitor", "frequency", "name"} | _OWN_KEYS
_ZERO_GRAD = Optimizer.zero_grad
_SCHEDULER_KEYS = {"scheduler", "interval", "frequency", "monitor", "strict", "name", "reduce_on_plateau"}


class LightningOptimizer:
    """An optimizer whose ``step`` runs under the run's precision; everything else is the optimizer's own."""

    def __init__(self, optimizer: Optimizer, precision: Precision, name: str) -> None:
        self.optimizer = optimizer
        self.name = name
        self._precision = precision

    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """Step; the closure (forward and backward pass) runs first."""
        return self._precision.optimizer_step(self.optimizer, closure)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.optimizer, name)

    def __repr__(self) -> str:
        return f"LightningOptimizer({self.name!r}, {type(self.optimizer).__name__})"


@dataclass
class SchedulerConfig:
    """A learning-rate scheduler and when it steps."""

    scheduler: Any
    interval: Interval = "epoch"
    frequency: int = 1
    monitor: str | None = None
    strict: bool = True
    name: str | None = None
    reduce_on_plateau: bool = False
    optimizer_idx: int = 0

    def __post_init__(self) -> None:
        if self.interval not in ("epoch", "step"):
            raise ValueError(f"A scheduler's interval is 'epoch' or 'step', got {self.interval!r}.")
        if not isinstance(self.frequency, int) or self.frequency < 1:
            raise ValueError(f"A scheduler's frequency is a whole number >= 1, got {self.frequency!r}.")
        self.reduce_on_plateau = self.reduce_on_plateau or isinstance(self.scheduler, ReduceLROnPlateau)
        if self.reduce_on_plateau and self.monitor is None:
            raise ValueError(
                "ReduceLROnPlateau needs the key that it watches: "
                "{'scheduler': scheduler, 'monitor': 'val_loss'} in configure_optimizers."
            )


@dataclass
class OptimizerConfig:
    """An optimizer and when it steps; None where the Trainer's setting holds."""

    optimizer: Optimizer
    name: str
    frequency: int = 0
    accumulate_grad_batches: int | None = None
    gradient_clip_val: float | None = None
    gradient_clip_algorithm: str | None = None

    def __post_init__(self) -> None:
        for name, least in (("frequency", 0), ("accumulate_grad_batches", 1)):
            value = getattr(self, name)
            if value is not None and (isinstance(value, bool) or not isinstance(value, int) or value < least):
                raise ValueError(
                    f"{name} of the optimizer {self.name!r} must be a whole number >= {least}, got {value!r}."
                )
        if self.gradient_clip_val is not None and not self.gradient_clip_val > 0:
            raise ValueError(
                f"gradient_clip_val of the optimizer {self.name!r} must be positive, got {self.gradient_clip_val!r}."
            )
        if self.gradient_clip_algorithm not in (None, "norm", "value"):
            raise ValueError(
                f"gradient_clip_algorithm of the optimizer {self.name!r} is 'norm' or 'value', "
                f"got {self.gradient_clip_algorithm!r}."
            )


@dataclass
class Optimizers:
    """What ``configure_optimizers`` gave, in one shape."""

    configs: list[OptimizerConfig] = field(default_factory=list)
    schedulers: list[SchedulerConfig] = field(default_factory=list)

    @property
    def optimizers(self) -> list[Optimizer]:
        """The optimizers."""
        return [config.optimizer for config in self.configs]

    @property
    def names(self) -> list[str]:
        """Of the optimizers; all different."""
        return [config.name for config in self.configs]


def parse_optimizers(configured: Any) -> Optimizers:
    """Bring every accepted form of ``configure_optimizers``'s result into one shape.

    Raises:
        TypeError: for anything else, saying what was got.
        ValueError: for unknown keys and bad settings.
    """
    if configured is None:
        return Optimizers()
    if isinstance(configured, (Optimizer, dict)):
        configured = [configured]
    extra: Sequence[Any] = ()
    if _is_two_lists(configured):
        configured, extra = configured
    if not isinstance(configured, (list, tuple)):
        raise TypeError(
            "configure_optimizers returns an optimizer, a list of them, two lists (optimizers, schedulers), a dict "
            f"with 'optimizer' or a list of such dicts; got {type(configured).__name__}."
        )
    result = Optimizers()
    for index, item in enumerate(configured):
        _add(result, index, item)
    for item in extra:
        result.schedulers.append(_scheduler(item, None, result.optimizers))
    return result


def _is_two_lists(configured: Any) -> bool:
    return (
        isinstance(configured, (list, tuple))
        and len(configured) == 2
        and all(isinstance(part, (list, tuple)) for part in configured)
    )


def _add(result: Optimizers, index: int, item: Any) -> None:
    settings = item if isinstance(item, dict) else {"optimizer": item}
    unknown = set(settings) - _DICT_KEYS
    if unknown or not isinstance(settings.get("optimizer"), Optimizer):
        raise ValueError(
            f"Optimizer {index} of configure_optimizers: expected an Optimizer or a dict with the key 'optimizer' and "
            f"any of {sorted(_DICT_KEYS - {'optimizer'})}, got {type(item).__name__}"
            + (f" with {sorted(map(str, settings))}." if isinstance(item, dict) else ".")
        )
    own = {key: settings[key] for key in _OWN_KEYS & set(settings)}
    config = OptimizerConfig(
        settings["optimizer"], str(settings.get("name", f"optimizer_{index}")), settings.get("frequency", 0), **own
    )
    if config.name in result.names:
        raise ValueError(f"Two optimizers are named {config.name!r}: give each its own name.")
    result.configs.append(config)
    if settings.get("lr_scheduler") is not None:
        result.schedulers.append(_scheduler(settings["lr_scheduler"], settings.get("monitor"), result.optimizers))


def _scheduler(item: Any, monitor: str | None, optimizers: list[Optimizer]) -> SchedulerConfig:
    settings = dict(item) if isinstance(item, dict) else {"scheduler": item}
    unknown = set(settings) - _SCHEDULER_KEYS
    if unknown:
        raise ValueError(f"Unknown scheduler settings {sorted(unknown)}; known are {sorted(_SCHEDULER_KEYS)}.")
    scheduler = settings.get("scheduler")
    if not isinstance(scheduler, LRScheduler) and not callable(getattr(scheduler, "step", None)):
        raise TypeError(f"'scheduler' must be a learning-rate scheduler, got {type(scheduler).__name__}.")
    owner = getattr(scheduler, "optimizer", None)
    index = next((i for i, optimizer in enumerate(optimizers) if optimizer is owner), len(optimizers) - 1)
    return SchedulerConfig(**{"monitor": monitor, "optimizer_idx": index, **settings})


def clear_gradients(optimizer: Optimizer) -> None:
    """``optimizer.zero_grad()``; where that is PyTorch's own, its effect without what else it does, which costs more.

    Beside setting each gradient to None that is an entry for ``torch.profiler``: as much work as the forward pass of a
    small network.
    """
    if type(optimizer).zero_grad is not _ZERO_GRAD or "zero_grad" in vars(optimizer):
        optimizer.zero_grad()
        return
    for group in optimizer.param_groups:
        for parameter in group["params"]:
            parameter.grad = None


@contextmanager
def toggled(optimizer: Optimizer, optimizers: Sequence[Optimizer]) -> Iterator[None]:
    """Inside, only the parameters of ``optimizer`` require gradients, of all those that ``optimizers`` hold."""
    own = {id(p) for group in optimizer.param_groups for p in group["params"]}
    others = {
        p: p.requires_grad
        for other in optimizers
        if other is not optimizer
        for group in other.param_groups
        for p in group["params"]
        if id(p) not in own
    }
    for parameter in others:
        parameter.requires_grad_(False)
    try:
        yield
    finally:
        for parameter, required in others.items():
            parameter.requires_grad_(required)
