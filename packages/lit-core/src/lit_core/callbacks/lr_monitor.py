"""Log what the optimizers are set to."""

from collections import Counter
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from lit_core.callbacks.base import Callback
from lit_core.module import LightningModule

if TYPE_CHECKING:
    from lit_core.trainer import Trainer

_INTERVALS = ("step", "epoch", None)


class _Source(NamedTuple):
    """A parameter group, under which key it is logged, and how often."""

    key: str
    group: dict[str, Any]
    interval: str


class LearningRateMonitor(Callback):
    """Log the learning rate of every parameter group, in the row of the update that it was used for.

    Keys are ``lr-{optimizer}``: the ``name`` of the scheduler if it has one, else that of the optimizer if you gave
    one, else its class (``lr-Adam``, ``lr-Adam-1`` for the second). With several parameter groups, ``/{name of the
    group}`` or ``/pg1``, ``/pg2``, ... follows. Groups that are added while training (fine-tuning) join.

    Args:
        logging_interval: ``"step"`` (rows follow the Trainer's ``log_every_n_steps``), ``"epoch"`` (at its beginning),
            or None: each as its scheduler steps, and by epoch where there is no scheduler.
        log_momentum: also log momentum (``betas[0]`` of Adam), as ``{key}-momentum``.
        log_weight_decay: also log weight decay, as ``{key}-weight_decay``.
        log_key_prefix: put before every key.

    Example:
        >>> import torch
        >>> from lit_core import LightningModule, Trainer
        >>> from lit_core.callbacks import LearningRateMonitor
        >>> class Model(LightningModule):
        ...     def __init__(self):
        ...         super().__init__()
        ...         self.layer = torch.nn.Linear(2, 1)
        ...
        ...     def training_step(self, batch, batch_idx):
        ...         return self.layer(batch).square().mean()
        ...
        ...     def configure_optimizers(self):
        ...         return torch.optim.SGD(self.parameters(), lr=0.25)
        >>> quiet = {"logger": False, "enable_checkpointing": False, "enable_progress_bar": False}
        >>> trainer = Trainer(max_epochs=1, accelerator="cpu", callbacks=LearningRateMonitor(), **quiet)
        >>> trainer.fit(Model(), [torch.ones(4, 2)])
        >>> trainer.callback_metrics["lr-SGD"].item()
        0.25

    Raises:
        ValueError: for another interval.
    """

    def __init__(
        self,
        logging_interval: Literal["step", "epoch"] | None = None,
        log_momentum: bool = False,
        log_weight_decay: bool = False,
        log_key_prefix: str | None = None,
    ) -> None:
        if logging_interval not in _INTERVALS:
            raise ValueError(f"logging_interval is 'step', 'epoch' or None, got {logging_interval!r}.")
        self.logging_interval = logging_interval
        self.log_momentum = log_momentum
        self.log_weight_decay = log_weight_decay
        self.log_key_prefix = log_key_prefix
        self.lrs: dict[str, float] = {}
        """The newest learning rates, by key."""

        self._sources: list[_Source] = []
        self._counts: list[int] = []

    @property
    def state_key(self) -> str:
        """One per interval and prefix."""
        return f"LearningRateMonitor(logging_interval={self.logging_interval!r}, prefix={self.log_key_prefix!r})"

    def on_train_start(self, trainer: "Trainer", module: LightningModule) -> None:
        """Find the groups."""
        self._find(trainer)

    def on_train_epoch_start(self, trainer: "Trainer", module: LightningModule) -> None:
        """Log what is logged by epoch."""
        self._log(trainer, module, "epoch")

    def on_train_batch_start(self, trainer: "Trainer", module: LightningModule, batch: Any, batch_idx: int) -> None:
        """Log what is logged by step; numbers of the host, so no device is waited for."""
        self._log(trainer, module, "step")

    def _log(self, trainer: "Trainer", module: LightningModule, interval: str) -> None:
        if [len(optimizer.param_groups) for optimizer in trainer.optimizers] != self._counts:
            self._find(trainer)
        for key, group, when in self._sources:
            if when != interval:
                continue
            self.lrs[key] = lr = group["lr"]
            module.log(key, lr)
            if self.log_momentum:
                momentum = group["betas"][0] if "betas" in group else group.get("momentum", 0.0)
                module.log(f"{key}-momentum", momentum)
            if self.log_weight_decay:
                module.log(f"{key}-weight_decay", group.get("weight_decay", 0.0))

    def _find(self, trainer: "Trainer") -> None:
        """Give every group its key and interval."""
        schedulers = {config.optimizer_idx: config for config in trainer.lr_scheduler_configs}
        self._sources, seen = [], Counter[str]()
        self._counts = [len(optimizer.param_groups) for optimizer in trainer.optimizers]
        for index, wrapped in enumerate(trainer.wrapped_optimizers):
            scheduler, optimizer = schedulers.get(index), wrapped.optimizer
            own = "" if wrapped.name == f"optimizer_{index}" else wrapped.name
            base = (scheduler and scheduler.name) or f"lr-{own or type(optimizer).__name__}"
            seen[base] += 1
            if seen[base] > 1:
                base = f"{base}-{seen[base] - 1}"
            interval = self.logging_interval or (scheduler.interval if scheduler is not None else "epoch")
            several = len(optimizer.param_groups) > 1
            for number, group in enumerate(optimizer.param_groups, 1):
                suffix = group.get("name") or (f"pg{number}" if several else None)
                key = f"{self.log_key_prefix or ''}{base}" + (f"/{suffix}" if suffix else "")
                self._sources.append(_Source(key, group, interval))
