"""The contract of checkpoint storage."""

from abc import ABC, abstractmethod
from os import PathLike
from typing import Any

import torch

MapLocation = str | torch.device | None


class CheckpointIO(ABC):
    """Reads and writes one checkpoint at one path. A checkpoint is complete or it is not there.

    Implementations are final and registered by name (entry-point group ``lit_checkpoint.io``). They know nothing of
    ranks: each method is called in the process or processes that shall do the work.
    """

    together: bool = False
    """Whether :meth:`save` is called in all processes of a group at once, each with the parts that it holds.

    Such a format also tells the processes what the first of them decided, by ``is_first`` and ``broadcast``, and reads
    parts, by ``load(in_parts=...)`` and ``load_into``: see :class:`ShardedCheckpointIO`.
    """

    @abstractmethod
    def save(self, state: dict[str, Any], path: str | PathLike[str]) -> None:
        """Write ``state`` (a pytree of tensors and plain values) to ``path`` atomically and durably.

        Raises:
            TypeError: for a value that cannot be loaded safely, naming its place in the tree.
            OSError: if it could not be written; whatever was at ``path`` before is untouched.
        """

    @abstractmethod
    def load(
        self, path: str | PathLike[str], *, map_location: MapLocation = "cpu", weights_only: bool = True
    ) -> dict[str, Any]:
        """Read the checkpoint at ``path``, verified.

        Raises:
            FileNotFoundError: if nothing is there, naming what is near.
            CheckpointCorruptError: if what is there is damaged, saying what and where.
        """

    @abstractmethod
    def verify(self, path: str | PathLike[str]) -> None:
        """Check integrity without building tensors; raises as :meth:`load` does."""

    @abstractmethod
    def remove(self, path: str | PathLike[str]) -> None:
        """Delete the checkpoint at ``path``; nothing happens if it is not there."""
