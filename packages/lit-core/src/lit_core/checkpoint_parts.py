"""Checkpoints of which each process reads only what it holds."""

from collections.abc import Mapping, Sequence
from os import PathLike
from typing import Any

from torch import Tensor, nn
from torch.optim import Optimizer

from lit_accelerators import Strategy

CURRENT = "current_model_state"
"""Key under which the weights in training are where ``state_dict`` holds an average of them."""


class CheckpointInParts(dict[str, Any]):
    """A checkpoint in a folder. Its weights and optimizer states are read when they have a place, which is sharded.

    Until then their tensors are on the meta device: with shapes, without values.

    Args:
        path: the folder.
        io: what wrote it: a ``CheckpointIO`` that saves together.
    """

    def __init__(self, path: str | PathLike[str], io: Any) -> None:
        super().__init__(io.load(path, in_parts=("state_dict", CURRENT, "optimizer_states")))
        self._path = path
        self._io = io
        weights = [(key, name, value) for key in ("state_dict", CURRENT) for name, value in self.get(key, {}).items()]
        self._places = {id(value): (key, name) for key, name, value in weights if isinstance(value, Tensor)}
        self._unread = [value for _, _, value in weights]  # no other tensor gets the id of one of these

    def fill_weights(
        self, module: nn.Module, strategy: Strategy, *, strict: bool, state: Mapping[str, Any] | None = None
    ) -> None:
        """Read the weights into ``module``; what a hook put in their place is loaded as it is.

        Args:
            module: as the strategy has set it up.
            strategy: of the run.
            strict: whether its names must be those of the weights.
            state: the weights, if not those in ``self["state_dict"]``.
        """
        own, state = strategy.module_state(module), self["state_dict"] if state is None else state
        read = [n for n, value in state.items() if n in own and isinstance(value, Tensor) and value.is_meta]
        into: dict[str, dict[str, Any]] = {}
        for name in read:
            key, saved_name = self._places[id(state[name])]
            into.setdefault(key, {})[saved_name] = own[name]
        self._io.load_into(into, self._path)
        strategy.load_module_state(module, {**state, **{name: own[name] for name in read}}, strict=strict)

    def fill_optimizers(self, module: nn.Module, strategy: Strategy, optimizers: Sequence[Optimizer]) -> None:
        """Read the states of optimizers, which have loaded them without values."""
        states = [strategy.optimizer_state(module, optimizer) for optimizer in optimizers]
        self._io.load_into({"optimizer_states": states}, self._path)
