"""The processes that save one checkpoint together: which of them speaks, and where their threads meet.

The one file of this package that knows process groups.
"""

import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

import torch.distributed as dist

from lit_checkpoint.background import in_background

_DRAIN_S = 0.02


class Group:
    """A process group, or where there is none, this process alone.

    Args:
        process_group: ``None`` is the default one.
    """

    def __init__(self, process_group: Any = None) -> None:
        self._process_group = process_group

    @property
    def is_alone(self) -> bool:
        """Whether there are no process groups."""
        return not dist.is_initialized()

    @property
    def process_group(self) -> Any:
        """As it was given.

        Raises:
            RuntimeError: if it is the default one, and this is a thread beside the training.
        """
        if self._process_group is None and in_background() and not self.is_alone:
            raise RuntimeError(
                "In a BackgroundSaver, ShardedCheckpointIO cannot use the default process group, which the training "
                "uses meanwhile. Give it one of its own: with ShardedCheckpointIO().apart() as io: ..."
            )
        return self._process_group

    @property
    def is_first(self) -> bool:
        """Whether this process is the first."""
        return self.is_alone or dist.get_rank(self.process_group) == 0

    def broadcast(self, value: Any) -> Any:
        """The ``value`` of the first process, in every process."""
        if self.is_alone:
            return value
        group, told = self.process_group, [value]
        dist.broadcast_object_list(told, src=0 if group is None else dist.get_global_rank(group, 0), group=group)
        return told[0]

    @contextmanager
    def twin(self) -> Iterator[Any]:
        """Inside, a process group of the same processes, of the back end gloo; ``None`` where there is no group."""
        if self.is_alone:
            yield None
            return
        ranks = None if self._process_group is None else dist.get_process_group_ranks(self._process_group)
        made = dist.new_group(ranks, backend="gloo", use_local_synchronization=ranks is not None)
        try:
            yield made
        finally:
            time.sleep(_DRAIN_S)  # its threads need the GIL once more, which a group that is being destroyed may hold
            with suppress(AssertionError, ValueError):  # all groups were destroyed inside
                dist.destroy_process_group(made)
