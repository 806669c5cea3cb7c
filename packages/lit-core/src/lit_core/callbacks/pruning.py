"""Set the least important weights to zero while training."""

from collections.abc import Callable, Iterable, Sequence
from copy import deepcopy
from typing import TYPE_CHECKING, Any, NamedTuple, cast

import torch
from torch import Tensor, nn
from torch.nn.utils import prune

from lit_core.callbacks.base import Callback
from lit_core.module import LightningModule

if TYPE_CHECKING:
    from lit_core.trainer import Trainer

_FUNCTIONS: dict[str, Callable[..., Any]] = {
    "l1_unstructured": prune.l1_unstructured,
    "ln_structured": prune.ln_structured,
    "random_structured": prune.random_structured,
    "random_unstructured": prune.random_unstructured,
}
_GLOBAL = {"l1_unstructured": prune.L1Unstructured, "random_unstructured": prune.RandomUnstructured}
_KEY = "pruning"


class _Target(NamedTuple):
    """A parameter that is pruned: where it is, and its name in a state dict."""

    module: nn.Module
    name: str
    key: str


class ModelPruning(Callback):
    """Prune parameters with ``torch.nn.utils.prune``, at the end of every training epoch.

    Each time ``amount`` of what is left is pruned. Checkpoints hold pruned weights under the names that the module has
    without pruning, so they load anywhere, and beside them what a resumed run needs to go on exactly.

    Args:
        pruning_fn: ``"l1_unstructured"``, ``"random_unstructured"``, ``"ln_structured"``, ``"random_structured"``, a
            ``BasePruningMethod`` class, or a function of ``(module, name, amount)``.
        parameters_to_prune: pairs of a submodule and the name of its parameter; by default all of these names.
        parameter_names: names of parameters; ``("weight", "bias")`` by default.
        use_global_unstructured: compare the weights of all parameters with each other, rather than within each.
        amount: share (float in [0, 1]) or number (int) to prune, or a function of the epoch that gives it; 0 for none.
        apply_pruning: whether to prune, or a function of the epoch that says it.
        make_pruning_permanent: at the end of training remove masks, so that the module has plain parameters with zeros.
        use_lottery_ticket_hypothesis: after pruning set the weights that are left back to what they were before
            training, or a function of the epoch that says whether. On by default, as users know it.
        resample_parameters: set them back to newly drawn values instead (``reset_parameters`` of their module).
        pruning_dim: dimension of structured pruning.
        pruning_norm: order of the norm of ``"ln_structured"``.
        verbose: 1 prints the sparsity after pruning, 2 of each parameter.
        prune_on_train_epoch_end: otherwise after validation.

    Example:
        >>> from lit_core.callbacks import ModelPruning
        >>> callback = ModelPruning("l1_unstructured", amount=0.2, use_lottery_ticket_hypothesis=False)

    Raises:
        ValueError: for settings that do not go together.
        TypeError: for a ``pruning_fn`` that is none.

    See Frankle and Carbin, "The lottery ticket hypothesis" (ICLR 2019).
    """

    def __init__(
        self,
        pruning_fn: str | type[prune.BasePruningMethod] | Callable[..., Any],
        parameters_to_prune: Sequence[tuple[nn.Module, str]] | None = None,
        parameter_names: Iterable[str] | None = None,
        use_global_unstructured: bool = True,
        amount: int | float | Callable[[int], int | float] = 0.5,
        apply_pruning: bool | Callable[[int], bool] = True,
        make_pruning_permanent: bool = True,
        use_lottery_ticket_hypothesis: bool | Callable[[int], bool] = True,
        resample_parameters: bool = False,
        pruning_dim: int | None = None,
        pruning_norm: int | float | None = None,
        verbose: int = 0,
        prune_on_train_epoch_end: bool = True,
    ) -> None:
        _check(pruning_fn, use_global_unstructured, amount, pruning_dim, pruning_norm)
        self.pruning_fn = pruning_fn
        self.parameters_to_prune = None if parameters_to_prune is None else list(parameters_to_prune)
        self.parameter_names = tuple(parameter_names or ("weight", "bias"))
        self.use_global_unstructured = use_global_unstructured
        self.amount = amount
        self.apply_pruning = apply_pruning
        self.make_pruning_permanent = make_pruning_permanent
        self.use_lottery_ticket_hypothesis = use_lottery_ticket_hypothesis
        self.resample_parameters = resample_parameters
        self.pruning_dim = pruning_dim
        self.pruning_norm = pruning_norm
        self.verbose = verbose
        self.prune_on_train_epoch_end = prune_on_train_epoch_end
        self._targets: list[_Target] = []
        self._initial: dict[str, Tensor] = {}
        self._masks: dict[str, Tensor] = {}
        self._fresh: dict[str, nn.Module] = {}
        self._restored: dict[str, dict[str, Tensor]] | None = None

    # A run ------------------------------------------------------------------------------------------------------------

    def setup(self, trainer: "Trainer", module: LightningModule, stage: str) -> None:
        """Nothing is restored yet."""
        if stage == "fit":
            self._restored, self._masks = None, {}

    def on_load_checkpoint(self, trainer: "Trainer", module: LightningModule, checkpoint: dict[str, Any]) -> None:
        """Weights are loaded under plain names; masks follow when the optimizers have seen the parameters."""
        saved = checkpoint.get(_KEY, {})
        state = checkpoint["state_dict"] = dict(checkpoint["state_dict"])
        if trainer.stage == "fit":
            self._restored = saved
            state.update({key: values["orig"] for key, values in saved.items()})
        for target in self._targets:
            if hasattr(target.module, f"{target.name}_mask") and target.key in state:
                values = saved.get(target.key, {})
                weight = state.pop(target.key)
                state[f"{target.key}_orig"] = values.get("orig", weight)
                state[f"{target.key}_mask"] = values.get("mask", torch.ones_like(weight))

    def on_fit_start(self, trainer: "Trainer", module: LightningModule) -> None:
        """Find the parameters, remember their values, and put restored masks on."""
        self._targets = list(self._find(module))
        if not self._targets:
            raise ValueError(
                f"ModelPruning finds nothing to prune in {type(module).__name__}: no submodule has a parameter named "
                f"{' or '.join(self.parameter_names)}. Give parameters_to_prune or parameter_names."
            )
        restored = self._restored or {}
        if self.resample_parameters:
            self._fresh = {t.key: deepcopy(t.module) for t in self._targets if hasattr(t.module, "reset_parameters")}
        self._initial = {t.key: _values(t).clone() for t in self._targets} if self.use_lottery_ticket_hypothesis else {}
        for target in self._targets:
            values = restored.get(target.key)
            if values is None:
                continue
            if "initial" in values and target.key in self._initial:
                self._initial[target.key].copy_(values["initial"])
            if not hasattr(target.module, f"{target.name}_mask"):
                with torch.no_grad():
                    prune.custom_from_mask(target.module, target.name, values["mask"].to(_values(target).device))
        self._restored = None

    def _find(self, module: nn.Module) -> Iterable[_Target]:
        paths = {id(child): path for path, child in module.named_modules()}
        if self.parameters_to_prune is not None:
            for child, name in self.parameters_to_prune:
                if id(child) not in paths or not isinstance(getattr(child, name, None), Tensor):
                    raise ValueError(f"parameters_to_prune names {name!r} of {child}, which is not in the module.")
                yield _Target(child, name, f"{paths[id(child)]}.{name}".lstrip("."))
            return
        for path, child in module.named_modules():
            own = {name.removesuffix("_orig") for name, _ in child.named_parameters(recurse=False)}
            yield from (
                _Target(child, name, f"{path}.{name}".lstrip(".")) for name in self.parameter_names if name in own
            )

    def on_train_epoch_end(self, trainer: "Trainer", module: LightningModule) -> None:
        """Prune after a whole epoch."""
        if self.prune_on_train_epoch_end and trainer.progress.point == "epoch":
            self._run(trainer)

    def on_validation_end(self, trainer: "Trainer", module: LightningModule) -> None:
        """Prune after a validation inside training."""
        if not self.prune_on_train_epoch_end and trainer.stage == "fit" and not trainer.sanity_checking:
            self._run(trainer)

    def on_train_end(self, trainer: "Trainer", module: LightningModule) -> None:
        """Remove the masks."""
        if self.make_pruning_permanent:
            self._masks = {t.key: mask.clone() for t in self._targets if (mask := _mask(t)) is not None}
            for target in self._targets:
                if target.key in self._masks:
                    make_permanent(target.module, target.name)

    # Pruning ----------------------------------------------------------------------------------------------------------

    def _run(self, trainer: "Trainer") -> None:
        epoch = trainer.current_epoch
        amount = self.amount(epoch) if callable(self.amount) else self.amount
        if not amount or not _asked(self.apply_pruning, epoch):
            return
        with torch.no_grad():
            self._prune(amount)
            if trainer.world_size > 1:  # a random mask must be the same in every process
                for target in self._targets:
                    mask = _mask(target)
                    if mask is not None:
                        mask.copy_(trainer.broadcast(mask.cpu()))
            if _asked(self.use_lottery_ticket_hypothesis, epoch):
                self._set_back(trainer)
        if self.verbose:
            self._print(trainer)

    def _prune(self, amount: int | float) -> None:
        function = self.pruning_fn
        if self.use_global_unstructured:
            method = _GLOBAL[function] if isinstance(function, str) else function
            prune.global_unstructured([(t.module, t.name) for t in self._targets], pruning_method=method, amount=amount)
            return
        options: dict[str, Any] = {}
        if isinstance(function, str) and function.endswith("_structured"):
            options = {"dim": self.pruning_dim}
            if function == "ln_structured":
                options["n"] = self.pruning_norm
        for target in self._targets:
            if options and _values(target).ndim < 2:
                continue  # there is no channel in a bias
            if isinstance(function, str):
                _FUNCTIONS[function](target.module, target.name, amount=amount, **options)
            elif isinstance(function, type):
                cast(Any, function).apply(target.module, target.name, amount=amount)
            else:
                function(target.module, target.name, amount)

    def _set_back(self, trainer: "Trainer") -> None:
        for copied in self._fresh.values():
            cast(Any, copied).reset_parameters()
        for target in self._targets:
            fresh = self._fresh.get(target.key)
            start: Tensor = self._initial[target.key] if fresh is None else getattr(fresh, target.name)
            if trainer.world_size > 1 and fresh is not None:
                start = trainer.broadcast(start.detach().cpu())
            _values(target).copy_(start)

    def _print(self, trainer: "Trainer") -> None:
        counts = [(t.key, int((m == 0).sum()), m.numel()) for t in self._targets if (m := _mask(t)) is not None]
        zeros, total = sum(zeros for _, zeros, _ in counts), sum(n for _, _, n in counts)
        trainer.print(f"ModelPruning: {zeros} of {total} weights are pruned ({zeros / max(1, total):.1%})")
        for key, zeros, total in counts if self.verbose > 1 else ():
            trainer.print(f"  {key}: {zeros} of {total} ({zeros / total:.1%})")

    def on_save_checkpoint(self, trainer: "Trainer", module: LightningModule, checkpoint: dict[str, Any]) -> None:
        """Save pruned weights under plain names; masks and what is behind them only for resuming."""
        state = checkpoint["state_dict"] = dict(checkpoint["state_dict"])
        kept: dict[str, dict[str, Tensor]] = {}
        for target in self._targets:
            key = target.key
            if f"{key}_mask" in state:
                orig, mask = state.pop(f"{key}_orig"), state.pop(f"{key}_mask")
                state[key] = orig * mask
            elif key in self._masks and key in state:
                orig, mask = state[key], self._masks[key]
            else:
                continue
            kept[key] = {"orig": orig, "mask": mask}
            if key in self._initial:
                kept[key]["initial"] = self._initial[key]
        if kept and "loops" in checkpoint:
            checkpoint[_KEY] = kept

    def __getstate__(self) -> dict[str, Any]:
        """A copy has the settings, not the tensors of the run."""
        return {**self.__dict__, "_targets": [], "_initial": {}, "_masks": {}, "_fresh": {}, "_restored": None}


def make_permanent(module: nn.Module, name: str) -> None:
    """Remove the mask of a pruned parameter; zeros stay, and parameters have the order that they had before pruning.

    Args:
        module: the module that has the parameter.
        name: of the parameter.

    Example:
        >>> import torch
        >>> from torch.nn.utils import prune
        >>> layer = prune.l1_unstructured(torch.nn.Linear(4, 1), "weight", amount=2)
        >>> make_permanent(layer, "weight")
        >>> [name for name, _ in layer.named_parameters()], int((layer.weight == 0).sum())
        (['weight', 'bias'], 2)
    """
    prune.remove(module, name)
    names = [other for other, _ in module.named_parameters(recurse=False)]
    if name == "weight":
        for other in names:  # pruning put the weight behind the others: pass them through pruning too
            if other != name and not other.endswith("_orig"):
                prune.identity(module, other)
                prune.remove(module, other)


def _values(target: _Target) -> Tensor:
    """The parameter that the optimizer has, masked or not."""
    found: Tensor = getattr(target.module, f"{target.name}_orig", getattr(target.module, target.name))
    return found.detach()


def _mask(target: _Target) -> Tensor | None:
    return getattr(target.module, f"{target.name}_mask", None)


def _asked(setting: bool | Callable[[int], bool], epoch: int) -> bool:
    return setting(epoch) if callable(setting) else setting


def _check(function: Any, everywhere: bool, amount: Any, dim: int | None, norm: float | None) -> None:
    """Refuse settings that do not go together."""
    if isinstance(function, str):
        if function not in _FUNCTIONS:
            raise ValueError(f"pruning_fn is one of {', '.join(map(repr, _FUNCTIONS))}, got {function!r}.")
        if function.endswith("_structured"):
            if everywhere:
                raise ValueError(f"pruning_fn={function!r} prunes each parameter: pass use_global_unstructured=False.")
            if dim is None:
                raise ValueError(f"pruning_fn={function!r} needs pruning_dim, the dimension of the channels.")
            if function == "ln_structured" and norm is None:
                raise ValueError("pruning_fn='ln_structured' needs pruning_norm, the order of the norm.")
    elif isinstance(function, type) and issubclass(function, prune.BasePruningMethod):
        if everywhere and cast(Any, function).PRUNING_TYPE != "unstructured":
            raise ValueError(f"{function.__name__} is not unstructured: pass use_global_unstructured=False.")
    elif not callable(function):
        raise TypeError(f"pruning_fn is a name, a BasePruningMethod or a function, got {type(function).__name__}.")
    elif everywhere:
        raise ValueError("A pruning_fn that is a function prunes each parameter: pass use_global_unstructured=False.")
    if isinstance(amount, float) and not 0.0 <= amount <= 1.0:
        raise ValueError(f"amount is a share in [0, 1] or a whole number, got {amount}.")
    if isinstance(amount, int) and amount < 0:
        raise ValueError(f"amount must be at least 0, got {amount}.")
