"""What the callbacks that average weights share."""

import warnings
from abc import abstractmethod
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel

from lit_accelerators import Strategy
from lit_core.callbacks.base import Callback
from lit_core.checkpoint_parts import CURRENT, CheckpointInParts
from lit_core.module import LightningModule

if TYPE_CHECKING:
    from lit_core.trainer import Trainer


class _Tensors(nn.Module):
    """The parameters and buffers of a module in its order, and nothing else of it: what is averaged.

    Of those that are spread over processes, the parts that this one holds: an average needs no more.
    """

    def __init__(self, module: nn.Module, device: Any) -> None:
        super().__init__()
        for number, parameter in enumerate(module.parameters()):
            moved = _own_part(parameter).to(device)
            self.register_parameter(f"parameter_{number}", nn.Parameter(moved, requires_grad=False))
        for number, buffer in enumerate(module.buffers()):
            self.register_buffer(f"buffer_{number}", _own_part(buffer).to(device))


class _OwnParts:
    """A module as ``AveragedModel`` reads it, without copies."""

    def __init__(self, module: nn.Module) -> None:
        self._module = module

    def parameters(self) -> Iterator[Tensor]:
        return map(_own_part, self._module.parameters())

    def buffers(self) -> Iterator[Tensor]:
        return map(_own_part, self._module.buffers())


@contextmanager
def _changing() -> Iterator[None]:
    """Inside, weights are changed so that they can be trained on, also where an evaluation has begun."""
    with torch.inference_mode(False), torch.no_grad():
        yield


def _own_part(tensor: Any) -> Tensor:
    detached = tensor.detach()
    part: Tensor = detached.to_local() if hasattr(detached, "to_local") else detached
    return part


def _of_parts(like: Any, part: Tensor) -> Tensor:
    """What ``like`` is, made of another part; shares memory with it."""
    if not hasattr(like, "to_local"):
        return part
    names, context = like.detach().__tensor_flatten__()
    inner = {name: getattr(like, name) for name in names}
    inner = {name: part if isinstance(value, Tensor) else value for name, value in inner.items()}
    whole: Tensor = type(like).__tensor_unflatten__(inner, context, like.size(), like.stride())
    return whole


class Averages:
    """Averaged parameters (and buffers) of a module, which a strategy has set up."""

    def __init__(
        self, module: nn.Module, strategy: Strategy, device: Any, use_buffers: bool, options: Mapping[str, Any]
    ) -> None:
        self._module = module
        self._strategy = strategy
        self._in_parts = any(hasattr(parameter, "to_local") for parameter in module.parameters())
        # AveragedModel copies what it is given. Its counter stays on the CPU, where reading it waits for nobody.
        self._model = AveragedModel(_Tensors(module, device), use_buffers=use_buffers, **options)
        self._use_buffers = use_buffers

    @property
    def updates(self) -> int:
        """Models that went into the average."""
        return int(self._model.n_averaged)

    def set_updates(self, updates: int) -> None:
        """Say how many went into what was loaded."""
        counter = self._model.n_averaged
        counter.fill_(updates)

    def update(self) -> None:
        """Take the module's weights in."""
        parts: Any = _OwnParts(self._settled())
        with _changing():
            self._model.update_parameters(parts)

    def _settled(self) -> nn.Module:
        """The module, with its parameters as the optimizers hold them."""
        if self._in_parts and not all(hasattr(parameter, "to_local") for parameter in self._module.parameters()):
            self._strategy.gradient_state(self._module)  # after a step without a backward pass some are still gathered
        return self._module

    def _pairs(self) -> Iterator[tuple[Tensor, Tensor]]:
        inner, module = self._model.module, self._settled()
        yield from zip(inner.parameters(), module.parameters(), strict=True)
        if self._use_buffers:
            yield from zip(inner.buffers(), module.buffers(), strict=True)

    def swap(self) -> None:
        """Exchange the average and the module's weights, in place."""
        with _changing():
            for average, own in self._pairs():
                part = _own_part(own)
                held = part.to(average.device, copy=True)
                part.copy_(average)
                average.copy_(held)

    def held(self) -> dict[str, Tensor]:
        """What is held here (the average, or after :meth:`swap` the module's weights), by every name in the module."""
        by_id = {id(own): _of_parts(own, held) for held, own in self._pairs()}
        return {name: by_id[id(own)] for name, own in _named(self._module) if id(own) in by_id}

    def state(self) -> dict[str, Tensor]:
        """As :meth:`held`, as a checkpoint has it: whole in process 0 where the strategy gathers states."""
        if not self._in_parts or self._strategy.sharded_state:
            return self.held()
        self.swap()
        try:
            whole = self._strategy.module_state(self._module)
        finally:
            self.swap()
        return {name: whole[name] for name in self.held() if name in whole}

    def load(self, state: Mapping[str, Tensor], parts: CheckpointInParts | None) -> None:
        """Hold these values, of which ``parts`` has those that are not read yet."""
        if parts is None:
            self._strategy.load_module_state(self._module, state, strict=False)
        else:
            parts.fill_weights(self._module, self._strategy, strict=False, state=state)
        self.swap()


def _named(module: nn.Module) -> Iterator[tuple[str, Tensor]]:
    yield from module.named_parameters(remove_duplicate=False)
    yield from module.named_buffers(remove_duplicate=False)


class AveragingCallback(Callback):
    """Average weights while training; validate, save and end with the average.

    Checkpoints hold the average in ``state_dict``, so that whoever loads the weights gets it, and the weights in
    training beside it, so that a resumed run goes on exactly.
    """

    def __init__(self, device: Any, use_buffers: bool, options: Mapping[str, Any]) -> None:
        self.device = device
        self.use_buffers = use_buffers
        self.options = dict(options)
        self._averages: Averages | None = None
        self._loaded: tuple[dict[str, Tensor], CheckpointInParts | None] | None = None
        self._swapped = self._has_average = False
        self._updates = 0
        self._latest_step, self._latest_epoch = 0, -1

    @abstractmethod
    def _wants_step(self, trainer: "Trainer", step_idx: int) -> bool:
        """Whether to average after this update; its index begins with 0."""

    @abstractmethod
    def _wants_epoch(self, trainer: "Trainer", epoch_idx: int) -> bool:
        """Whether to average after this epoch."""

    def _averaging(self) -> dict[str, Any]:
        """More arguments of ``AveragedModel``."""
        return {}

    def _own_state(self) -> dict[str, Any]:
        """More of the state."""
        return {}

    def _load_own_state(self, state: dict[str, Any]) -> None:
        """Restore :meth:`_own_state`."""

    @property
    def averaged(self) -> dict[str, Tensor]:
        """The average by name of parameter or buffer; empty before the first update, and outside a run."""
        if self._averages is None or self._module is None or not self._updates:
            return {}
        if not self._swapped:
            return self._averages.held()
        held = self._averages.held()
        return {name: own.detach() for name, own in _named(self._module) if name in held}

    _module: LightningModule | None = None

    def setup(self, trainer: "Trainer", module: LightningModule, stage: str) -> None:
        """Nothing of an earlier run is averaged."""
        if stage == "fit":
            self._averages, self._loaded, self._swapped, self._module = None, None, False, None
            self._updates, self._latest_step, self._latest_epoch = 0, trainer.global_step, -1

    def on_load_checkpoint(self, trainer: "Trainer", module: LightningModule, checkpoint: dict[str, Any]) -> None:
        """Take the average, and let training go on from the weights beside it."""
        if trainer.stage == "fit" and CURRENT in checkpoint:
            current = checkpoint[CURRENT]
            average = {name: checkpoint["state_dict"][name] for name in current}
            self._loaded = average, checkpoint if isinstance(checkpoint, CheckpointInParts) else None
            checkpoint["state_dict"] = {**checkpoint["state_dict"], **current}

    def on_fit_start(self, trainer: "Trainer", module: LightningModule) -> None:
        """Make room for the average, on the device of the module or where told."""
        device = module.device if self.device is None else self.device
        options = {**self.options, **self._averaging()}
        self._averages = Averages(module, trainer.strategy, device, self.use_buffers, options)
        self._module = module
        self._has_average = self._loaded is not None
        if self._loaded is not None:
            self._averages.load(*self._loaded)
            self._loaded = None

    def on_train_start(self, trainer: "Trainer", module: LightningModule) -> None:
        """The state has been restored by now."""
        if self._updates and not self._has_average:
            warnings.warn(
                f"The checkpoint says that {self._updates} models were averaged, but holds their average alone, or not "
                f"at all (it was saved after fit had ended in other processes): {type(self).__name__} begins anew.",
                stacklevel=2,
            )
            self._updates = 0
        if self._averages is not None:
            self._averages.set_updates(self._updates)

    def on_train_batch_end(
        self, trainer: "Trainer", module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Average after an update."""
        step = trainer.global_step
        if step != self._latest_step:
            self._latest_step = step
            if self._wants_step(trainer, step - 1):
                self._update()

    def on_train_epoch_end(self, trainer: "Trainer", module: LightningModule) -> None:
        """Average after an epoch, unless its validation had to be told already."""
        if trainer.progress.point == "epoch":
            self._end_epoch(trainer)

    def _end_epoch(self, trainer: "Trainer") -> None:
        epoch = trainer.current_epoch
        if epoch != self._latest_epoch:
            self._latest_epoch = epoch
            if self._wants_epoch(trainer, epoch):
                self._update()

    def _update(self) -> None:
        if self._averages is not None:
            self._averages.update()
            self._updates += 1

    def _swap(self) -> None:
        if self._averages is not None and self._updates:
            self._averages.swap()
            self._swapped = not self._swapped

    def on_validation_start(self, trainer: "Trainer", module: LightningModule) -> None:
        """Inside training, validate the average."""
        if trainer.stage == "fit" and not trainer.sanity_checking:
            if trainer.is_last_batch:  # what is measured now shall be what is saved at the end of the epoch
                self._end_epoch(trainer)
            self._swap()

    def on_validation_end(self, trainer: "Trainer", module: LightningModule) -> None:
        """Go on training the weights in training."""
        if self._swapped and trainer.stage == "fit":
            self._swap()

    def on_exception(self, trainer: "Trainer", module: LightningModule, exception: BaseException) -> None:
        """Leave the module with the weights in training."""
        if self._swapped and trainer.stage == "fit":
            self._swap()

    def on_train_end(self, trainer: "Trainer", module: LightningModule) -> None:
        """The module ends with the average."""
        self._swap()

    def on_save_checkpoint(self, trainer: "Trainer", module: LightningModule, checkpoint: dict[str, Any]) -> None:
        """Save the average as the weights, and those in training beside it."""
        if self._averages is None or not self._updates:
            return
        state = checkpoint["state_dict"]
        held = {name: value for name, value in self._averages.state().items() if name in state}
        current = held if self._swapped else {name: state[name] for name in held}
        if not self._swapped:
            checkpoint["state_dict"] = {**state, **held}
        if "loops" in checkpoint:
            checkpoint[CURRENT] = current

    def state_dict(self) -> dict[str, Any]:
        """How many models were averaged, and when the last; the average itself is in the checkpoint's weights."""
        return {
            "updates": self._updates,
            "latest_step": self._latest_step,
            "latest_epoch": self._latest_epoch,
            **self._own_state(),
        }

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on averaging."""
        self._updates = state_dict["updates"]
        self._latest_step, self._latest_epoch = state_dict["latest_step"], state_dict["latest_epoch"]
        self._load_own_state(state_dict)

    def __getstate__(self) -> dict[str, Any]:
        """A copy has settings and state, not the tensors of the run."""
        return {**self.__dict__, "_averages": None, "_module": None, "_loaded": None}
