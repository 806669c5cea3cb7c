"""Collectives in which each sample counts once, where several processes work on the same samples."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.utils import _pytree as pytree

from lit_accelerators.collectives import Collectives, ReduceOp


class OncePerSample(Collectives):
    """Of each group of processes that see the same samples, the first speaks; all processes hear the same.

    Every process of the run takes part in each method, as in the collectives beneath; results are those of the groups.

    Args:
        collectives: of all processes.
        together: consecutive processes that see the same samples.
    """

    def __init__(self, collectives: Collectives, together: int) -> None:
        self._collectives = collectives
        self._together = together
        self.world_size = collectives.world_size
        self.rank = collectives.rank

    def all_reduce(self, tensor: Tensor, op: ReduceOp = "sum") -> Tensor:
        """Reduce ``tensor`` over the groups."""
        if op in ("max", "min"):
            gathered: Tensor = self.all_gather(tensor)
            return gathered.amax(0) if op == "max" else gathered.amin(0)
        silent = self._collectives.rank % self._together
        total = self._collectives.all_reduce(torch.zeros_like(tensor) if silent else tensor, "sum")
        return total * self._together / self.world_size if op == "mean" else total

    def all_gather(self, data: Any, *, sync_grads: bool = False) -> Any:
        """Stack every tensor of ``data`` over the groups."""
        gathered = self._collectives.all_gather(data, sync_grads=sync_grads)
        return pytree.tree_map(lambda leaf: leaf[:: self._together] if isinstance(leaf, Tensor) else leaf, gathered)

    def all_gather_object(self, value: Any) -> list[Any]:
        """The ``value`` of each group."""
        return self._collectives.all_gather_object(value)[:: self._together]

    def begin_all_gather_object(self, value: Any) -> Callable[[], list[Any]]:
        """The ``value`` of each group, later."""
        finish = self._collectives.begin_all_gather_object(value)
        return lambda: finish()[:: self._together]

    def broadcast(self, value: Any, src: int = 0) -> Any:
        """The ``value`` of group ``src``."""
        return self._collectives.broadcast(value, src * self._together)

    def barrier(self) -> None:
        """Wait for every process."""
        self._collectives.barrier()
