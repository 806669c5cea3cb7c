"""Checkpoints of which each process reads only what it holds."""

from collections.abc import Sequence
from os import PathLike
from typing import Any

from torch import Tensor, nn
from torch.optim import Optimizer

from lit_accelerators import Strategy


class CheckpointInParts(dict[str, Any]):
    """A checkpoint in a folder. Its weights and optimizer states are read when they have a place, which is sharded.

    Until then their tensors are on the meta device: with shapes, without values.

    Args:
        path: the folder.
        io: what wrote it: a ``CheckpointIO`` that saves together.
    """

    def __init__(self, path: str | PathLike[str], io: Any) -> None:
        super().__init__(io.load(path, in_parts=("state_dict", "optimizer_states")))
        self._path = path
        self._io = io
        weights = self.get("state_dict", {})
        self._saved_names = {id(value): name for name, value in weights.items() if isinstance(value, Tensor)}

    def fill_weights(self, module: nn.Module, strategy: Strategy, *, strict: bool) -> None:
        """Read the weights into ``module``; what a hook put in their place is loaded as it is."""
        own, state = strategy.module_state(module), self["state_dict"]
        read = [n for n, value in state.items() if n in own and isinstance(value, Tensor) and value.is_meta]
        self._io.load_into({"state_dict": {self._saved_names[id(state[n])]: own[n] for n in read}}, self._path)
        strategy.load_module_state(module, {**state, **{name: own[name] for name in read}}, strict=strict)

    def fill_optimizers(self, module: nn.Module, strategy: Strategy, optimizers: Sequence[Optimizer]) -> None:
        """Read the states of optimizers, which have loaded them without values."""
        states = [strategy.optimizer_state(module, optimizer) for optimizer in optimizers]
        self._io.load_into({"optimizer_states": states}, self._path)
