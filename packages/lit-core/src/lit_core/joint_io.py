"""Checkpoints that all processes write together, each the parts that it holds."""

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from os import PathLike
from typing import Any

from lit_accelerators import Strategy
from lit_checkpoint import CheckpointIO


class JointIO(CheckpointIO):
    """What a manager in process 0 saves with, so that each of its saves is one of all processes.

    Process 0 works inside :meth:`leading`, and the others are in :meth:`follow` meanwhile.

    Args:
        io: what writes; its ``save`` is called in every process.
        strategy: of the run, joined.
    """

    def __init__(self, io: CheckpointIO, strategy: Strategy) -> None:
        self._io = io
        self._strategy = strategy

    @contextmanager
    def leading(self) -> Iterator[None]:
        """Inside, any number of saves; afterwards the others go on, also after a failure."""
        collectives = self._strategy.collectives
        try:
            yield
        finally:
            collectives.broadcast(None)

    def follow(self, state: dict[str, Any]) -> None:
        """Give this process's part of ``state`` to each save of process 0."""
        collectives = self._strategy.collectives
        while (path := collectives.broadcast(None)) is not None:
            with suppress(Exception):  # what fails for one fails for all, and process 0 tells why
                self._io.save(state, path)

    def save(self, state: dict[str, Any], path: str | PathLike[str]) -> None:
        """Write together with the others."""
        collectives = self._strategy.collectives
        collectives.broadcast(os.fspath(path))
        self._io.save(state, path)

    def load(
        self, path: str | PathLike[str], *, map_location: Any = "cpu", weights_only: bool = True
    ) -> dict[str, Any]:
        """Read, this process alone."""
        return self._io.load(path, map_location=map_location, weights_only=weights_only)

    def verify(self, path: str | PathLike[str]) -> None:
        """Check, this process alone."""
        self._io.verify(path)

    def remove(self, path: str | PathLike[str]) -> None:
        """Delete, this process alone."""
        self._io.remove(path)


def joint_io(io: CheckpointIO, strategy: Strategy) -> JointIO | None:
    """How several processes save with ``io``; None where process 0 saves for all."""
    return JointIO(io, strategy) if io.together and strategy.world_size > 1 else None
