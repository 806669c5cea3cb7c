"""Train a pretrained part later, or not at all."""

from abc import abstractmethod
from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING, Any

from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.optim import Optimizer

from lit_core.callbacks.base import Callback
from lit_core.module import LightningModule

if TYPE_CHECKING:
    from lit_core.trainer import Trainer

Modules = nn.Module | Iterable[nn.Module]


class BaseFinetuning(Callback):
    """Base of callbacks that freeze parts of a module and train them from some epoch on.

    Write :meth:`freeze_before_training`, which runs before ``configure_optimizers``, and :meth:`finetune_function`,
    which runs at the start of each epoch. What was frozen and which parameter groups were added is in checkpoints; a
    resumed run has the same.

    Example:
        >>> from lit_core.callbacks import BaseFinetuning
        >>> class Encoder(BaseFinetuning):
        ...     def freeze_before_training(self, module):
        ...         self.freeze(module.encoder)
        ...
        ...     def finetune_function(self, module, epoch, optimizer):
        ...         if epoch == 3:
        ...             self.unfreeze_and_add_param_group(module.encoder, optimizer, lr=1e-4)
    """

    def __init__(self) -> None:
        self._first_groups: list[int] = []
        self._added: list[list[list[str]]] = []
        self._frozen: list[str] = []
        self._still: list[str] = []
        self._restored: dict[str, Any] | None = None

    @abstractmethod
    def freeze_before_training(self, module: LightningModule) -> None:
        """Freeze what shall not be trained from the beginning (:meth:`freeze`)."""
        raise NotImplementedError

    @abstractmethod
    def finetune_function(self, module: LightningModule, epoch: int, optimizer: Optimizer) -> None:
        """Called at the start of every epoch for every optimizer: unfreeze what is due."""
        raise NotImplementedError

    def _own_state(self) -> dict[str, Any]:
        """More of the state."""
        return {}

    def _load_own_state(self, state: dict[str, Any]) -> None:
        """Restore :meth:`_own_state`."""

    # Tools ------------------------------------------------------------------------------------------------------------

    @staticmethod
    def freeze(modules: Modules, train_bn: bool = True) -> None:
        """Stop gradients of all parameters.

        Args:
            modules: one or several.
            train_bn: leave batch normalisation trainable; otherwise it normalises with its running statistics, which
                stand still.
        """
        for leaf in _leaves(modules):
            if isinstance(leaf, _BatchNorm) and train_bn:
                BaseFinetuning.make_trainable(leaf)
                continue
            for parameter in leaf.parameters(recurse=False):
                parameter.requires_grad_(False)
            if isinstance(leaf, _BatchNorm):
                leaf.eval()

    @staticmethod
    def make_trainable(modules: Modules) -> None:
        """Let gradients flow to all parameters; running statistics are updated again."""
        for leaf in _leaves(modules):
            for parameter in leaf.parameters(recurse=False):
                parameter.requires_grad_(True)
            if isinstance(leaf, _BatchNorm):
                leaf.train()

    @staticmethod
    def filter_params(modules: Modules, train_bn: bool = True, requires_grad: bool = True) -> Iterator[nn.Parameter]:
        """Parameters that do, or do not, require gradients; without batch normalisation if ``train_bn`` is False."""
        for leaf in _leaves(modules):
            if isinstance(leaf, _BatchNorm) and not train_bn:
                continue
            yield from (p for p in leaf.parameters(recurse=False) if p.requires_grad == requires_grad)

    @staticmethod
    def unfreeze_and_add_param_group(
        modules: Modules,
        optimizer: Optimizer,
        lr: float | None = None,
        initial_denom_lr: float = 10.0,
        train_bn: bool = True,
    ) -> None:
        """Train these modules from now on, as a parameter group of their own.

        Args:
            modules: one or several.
            optimizer: gets the group; parameters that it has already are left where they are.
            lr: of the group; by default that of the first group divided by ``initial_denom_lr``.
            initial_denom_lr: see ``lr``.
            train_bn: whether batch normalisation is trained too.
        """
        BaseFinetuning.make_trainable(modules)
        lr = optimizer.param_groups[0]["lr"] / initial_denom_lr if lr is None else lr
        have = {id(parameter) for group in optimizer.param_groups for parameter in group["params"]}
        new = [p for p in BaseFinetuning.filter_params(modules, train_bn=train_bn) if id(p) not in have]
        if new:
            optimizer.add_param_group({"params": new, "lr": lr})

    # Events -----------------------------------------------------------------------------------------------------------

    def setup(self, trainer: "Trainer", module: LightningModule, stage: str) -> None:
        """Freeze before the optimizers are made."""
        if stage == "fit":
            self._restored = None
            self.freeze_before_training(module)
            self._still = _still(module)

    def on_load_checkpoint(self, trainer: "Trainer", module: LightningModule, checkpoint: dict[str, Any]) -> None:
        """The parameter groups must be there before the states of the optimizers are restored."""
        self._restored = checkpoint.get("callbacks", {}).get(self.state_key)

    def on_fit_start(self, trainer: "Trainer", module: LightningModule) -> None:
        """Give the optimizers the groups that they had."""
        self._first_groups = [len(optimizer.param_groups) for optimizer in trainer.optimizers]
        if self._restored is None:
            return
        named = dict(module.named_parameters())
        for optimizer, groups in zip(trainer.optimizers, self._restored["added"], strict=True):
            for names in groups:
                optimizer.add_param_group({"params": [named[name] for name in names]})
            _extend_schedulers(trainer, optimizer)
        frozen = set(self._restored["frozen"])
        for name, parameter in named.items():
            parameter.requires_grad_(name not in frozen)
        self._still = list(self._restored["still"])

    def on_train_epoch_start(self, trainer: "Trainer", module: LightningModule) -> None:
        """Unfreeze what is due, unless this epoch began before the run was resumed in it."""
        for name in self._still:
            module.get_submodule(name).eval()
        if trainer.progress.batch == 0:
            for optimizer in trainer.optimizers:
                self.finetune_function(module, trainer.current_epoch, optimizer)
                _extend_schedulers(trainer, optimizer)
        names = {id(parameter): name for name, parameter in module.named_parameters()}
        self._added = [
            [[names[id(p)] for p in group["params"]] for group in optimizer.param_groups[first:]]
            for optimizer, first in zip(trainer.optimizers, self._first_groups, strict=True)
        ]
        self._frozen = [name for name, parameter in module.named_parameters() if not parameter.requires_grad]
        self._still = _still(module)

    def state_dict(self) -> dict[str, Any]:
        """Names of what was added and of what is frozen."""
        return {
            "added": [[list(names) for names in groups] for groups in self._added],
            "frozen": list(self._frozen),
            "still": list(self._still),
            **self._own_state(),
        }

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on with the same."""
        self._added = [[list(names) for names in groups] for groups in state_dict["added"]]
        self._frozen, self._still = list(state_dict["frozen"]), list(state_dict["still"])
        self._load_own_state(state_dict)


class BackboneFinetuning(BaseFinetuning):
    """Freeze ``module.backbone``, and train it from an epoch on with a learning rate that grows to that of the rest.

    At ``unfreeze_backbone_at_epoch`` the backbone becomes the last parameter group of the (first) optimizer, at
    ``backbone_initial_lr`` or the ratio of the current learning rate; before each later epoch its learning rate is
    multiplied by ``lambda_func(epoch + 1)``. ``configure_optimizers`` should leave frozen parameters out
    (``filter(lambda p: p.requires_grad, self.parameters())``).

    Args:
        unfreeze_backbone_at_epoch: index of the first epoch that trains it.
        lambda_func: factor of the learning rate from one epoch to the next; 2 by default.
        backbone_initial_ratio_lr: of the first parameter group's learning rate, at the beginning.
        backbone_initial_lr: learning rate at the beginning, instead of the ratio.
        should_align: never let it be higher than that of the first parameter group.
        initial_denom_lr: kept for those who pass it; a learning rate that is given is not divided.
        train_bn: whether batch normalisation in the backbone is trained, frozen or not.
        verbose: print both learning rates in each epoch.
        rounding: digits of printed learning rates.

    Example:
        >>> from lit_core.callbacks import BackboneFinetuning
        >>> BackboneFinetuning(5, backbone_initial_ratio_lr=0.01).unfreeze_backbone_at_epoch
        5

    Raises:
        TypeError: at the start of ``fit``, if the module has no ``backbone``.
        ValueError: in the first epoch, if the optimizer has the frozen backbone already.
    """

    def __init__(
        self,
        unfreeze_backbone_at_epoch: int = 10,
        lambda_func: Callable[[int], float] | None = None,
        backbone_initial_ratio_lr: float = 0.1,
        backbone_initial_lr: float | None = None,
        should_align: bool = True,
        initial_denom_lr: float = 10.0,
        train_bn: bool = True,
        verbose: bool = False,
        rounding: int = 12,
    ) -> None:
        super().__init__()
        self.unfreeze_backbone_at_epoch = unfreeze_backbone_at_epoch
        self.lambda_func = lambda_func
        self.backbone_initial_ratio_lr = backbone_initial_ratio_lr
        self.backbone_initial_lr = backbone_initial_lr
        self.should_align = should_align
        self.initial_denom_lr = initial_denom_lr
        self.train_bn = train_bn
        self.verbose = verbose
        self.rounding = rounding
        self.previous_backbone_lr: float | None = None

    def freeze_before_training(self, module: LightningModule) -> None:
        """Freeze the backbone."""
        backbone = getattr(module, "backbone", None)
        if not isinstance(backbone, nn.Module):
            raise TypeError(
                f"BackboneFinetuning needs {type(module).__name__}.backbone to be an nn.Module, got "
                f"{type(backbone).__name__}: assign the pretrained part to self.backbone, or use BaseFinetuning."
            )
        self.freeze(backbone, train_bn=self.train_bn)

    def finetune_function(self, module: LightningModule, epoch: int, optimizer: Optimizer) -> None:
        """Add the backbone, then let its learning rate grow."""
        backbone = module.backbone
        first = float(optimizer.param_groups[0]["lr"])
        if not isinstance(backbone, nn.Module) or optimizer is not module.trainer.optimizers[0]:
            return
        if self.previous_backbone_lr is None:
            _refuse_shared(backbone, optimizer)
        if epoch < self.unfreeze_backbone_at_epoch:
            return
        if self.previous_backbone_lr is None:
            lr = self.backbone_initial_lr
            lr = first * self.backbone_initial_ratio_lr if lr is None else lr
            self.unfreeze_and_add_param_group(backbone, optimizer, lr=lr, train_bn=self.train_bn)
        else:
            factor = 2.0 if self.lambda_func is None else self.lambda_func(epoch + 1)
            lr = factor * self.previous_backbone_lr
            lr = min(lr, first) if self.should_align else lr
            optimizer.param_groups[-1]["lr"] = lr
        self.previous_backbone_lr = lr
        if self.verbose:
            module.print(
                f"BackboneFinetuning: learning rate {round(first, self.rounding)}, of the backbone "
                f"{round(lr, self.rounding)}"
            )

    def _own_state(self) -> dict[str, Any]:
        return {"previous_backbone_lr": self.previous_backbone_lr}

    def _load_own_state(self, state: dict[str, Any]) -> None:
        self.previous_backbone_lr = state["previous_backbone_lr"]


def _still(module: nn.Module) -> list[str]:
    """Batch normalisation in evaluation mode while the rest trains."""
    return [name for name, leaf in module.named_modules() if isinstance(leaf, _BatchNorm) and not leaf.training]


def _refuse_shared(backbone: nn.Module, optimizer: Optimizer) -> None:
    """What an optimizer has already cannot become a group with a learning rate of its own."""
    have = {id(parameter) for group in optimizer.param_groups for parameter in group["params"]}
    if any(id(parameter) in have and not parameter.requires_grad for parameter in backbone.parameters()):
        raise ValueError(
            "The optimizer has the frozen parameters of the backbone already, so they could not get a learning rate of "
            "their own: in configure_optimizers give it [p for p in self.parameters() if p.requires_grad]."
        )


def _leaves(modules: Modules) -> Iterator[nn.Module]:
    """Every module that has parameters or statistics of its own."""
    for module in [modules] if isinstance(modules, nn.Module) else modules:
        for child in module.modules():
            if next(child.parameters(recurse=False), None) is not None or isinstance(child, _BatchNorm):
                yield child


def _extend_schedulers(trainer: "Trainer", optimizer: Optimizer) -> None:
    """Schedulers know the groups that were there when they were made; those that came later go as the last one did."""
    for config in trainer.lr_scheduler_configs:
        scheduler = config.scheduler
        base_lrs = getattr(scheduler, "base_lrs", None)
        if getattr(scheduler, "optimizer", None) is not optimizer or not isinstance(base_lrs, list):
            continue
        for group in optimizer.param_groups[len(base_lrs) :]:
            base_lrs.append(group.setdefault("initial_lr", group["lr"]))
            if isinstance(lambdas := getattr(scheduler, "lr_lambdas", None), list):
                lambdas.append(lambdas[-1])
