"""What a step of training shows."""

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from typing import Any

from torch import Tensor
from torch.utils._pytree import tree_leaves

from lit_core.callbacks.base import Callback
from lit_core.checking.schedules import Curve, curve_of
from lit_core.config import TrainerConfig
from lit_core.module import LightningModule
from lit_core.optimizers import Optimizers
from lit_core.trainer import Trainer

_MOST_MANUAL_BATCHES = 10
"""Batches of manual optimization that are tried at most until every optimizer has stepped."""


@dataclass(frozen=True)
class Facts:
    """What a trial found out."""

    trained: bool = False
    """Whether a step of training ran, to the end."""

    epochs: float = math.inf
    batches: float = math.inf
    updates: float = math.inf
    """Of the whole training."""

    validates: bool = False
    logged: frozenset[str] = frozenset()
    configured: Optimizers = field(default_factory=Optimizers)
    curves: list[Curve] = field(default_factory=list)
    without_gradient: list[str] = field(default_factory=list)
    not_finite: list[str] = field(default_factory=list)
    in_no_optimizer: list[str] = field(default_factory=list)
    weight_bytes: int = 0
    optimizer_bytes: int = 0


class Watch(Callback):
    """Collects facts while a step is tried, and ends the trial."""

    def __init__(self) -> None:
        self.facts = Facts()
        self._finite: dict[str, bool] = {}
        self._need = 1

    def take(self, configured: Optimizers) -> None:
        """Remember what the module configured."""
        self.facts = replace(self.facts, configured=configured)

    def on_fit_start(self, trainer: Trainer, module: LightningModule) -> None:
        """Everything is made, nothing has run.

        Raises:
            ValueError: if there is no batch.
        """
        config, batches = trainer.settings, trainer.num_training_batches
        if batches == 0:
            raise ValueError("An epoch of training has no batch: the data, or limit_train_batches, leaves none.")
        updates = trainer.estimated_stepping_batches
        epochs = min(trainer.max_epochs, _epochs(config, batches, updates))
        asked = config.automatic_optimization
        automatic = module.automatic_optimization if asked is None else asked
        self._need = config.accumulate_at(0) if automatic else _MOST_MANUAL_BATCHES
        optimized = {id(p) for o in trainer.optimizers for group in o.param_groups for p in group["params"]}
        trained = [(name, parameter) for name, parameter in module.named_parameters() if parameter.requires_grad]
        for name, parameter in trained:
            parameter.register_post_accumulate_grad_hook(self._noting(name))
        facts = self.facts
        schedulers = facts.configured.schedulers
        self.facts = replace(
            facts,
            batches=batches,
            updates=updates,
            epochs=epochs,
            validates=trainer.num_evaluation_batches > 0,
            curves=[curve_of(each, epochs, updates, automatic=automatic) for each in schedulers],
            in_no_optimizer=[name for name, parameter in trained if id(parameter) not in optimized],
        )

    def _noting(self, name: str) -> Callable[[Tensor], None]:
        def note(parameter: Tensor) -> None:
            finite = parameter.grad is None or bool(parameter.grad.isfinite().all())
            self._finite[name] = finite and self._finite.get(name, True)

        return note

    def on_train_batch_end(
        self, trainer: Trainer, module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Stop when every optimizer has stepped, or should have."""
        facts, batches = self.facts, trainer.progress.batches
        configs = facts.configured.configs
        need = max([self._need, sum(c.frequency for c in configs), *(c.accumulate_grad_batches or 1 for c in configs)])
        if {config.name for config in configs} <= set(trainer.progress.optimizer_steps) or batches >= need:
            trainer.stop("the check is done")

    def on_train_end(self, trainer: Trainer, module: LightningModule) -> None:
        """Note what was logged, and how large everything is."""
        names = [name for name, parameter in module.named_parameters() if parameter.requires_grad]
        self.facts = replace(
            self.facts,
            trained=True,
            logged=frozenset(trainer.callback_metrics),
            without_gradient=[name for name in names if name not in self._finite],
            not_finite=[name for name in names if not self._finite.get(name, True)],
            weight_bytes=_bytes(module.state_dict().values()),
            optimizer_bytes=sum(_bytes(optimizer.state.values()) for optimizer in trainer.optimizers),
        )


def _epochs(config: TrainerConfig, batches: float, updates: float) -> float:
    """Epochs, the last perhaps cut short, in which the updates are made; infinity where that is not plain."""
    size = config.accumulate_grad_batches
    if isinstance(size, dict) or math.inf in (batches, updates):
        return math.inf
    return math.ceil(updates / math.ceil(batches / size))


def _bytes(values: Iterable[Any]) -> int:
    tensors = [leaf for leaf in tree_leaves(list(values)) if isinstance(leaf, Tensor)]
    return sum(tensor.numel() * tensor.element_size() for tensor in tensors)
