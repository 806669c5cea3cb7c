"""The contract of a kind of device."""

import functools
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from typing import Any

import torch


class Accelerator(ABC):
    """A kind of device: how to find, choose and prepare the devices of this kind.

    Implementations are final, hold no state and are registered by name
    (entry-point group ``lit_accelerators.accelerators``).
    """

    name: str
    """The word that chooses it: ``"cpu"``, ``"cuda"``, ``"mps"``."""

    process_group_backend: str
    """What ``torch.distributed`` uses between devices of this kind: ``"gloo"``, ``"nccl"``."""

    before_step: Callable[[], None] | None = None
    """Called before each step, where a device only collects operations: runs those of the step before."""

    @classmethod
    @abstractmethod
    def is_available(cls) -> bool:
        """Whether this machine has such a device."""

    @abstractmethod
    def device_count(self) -> int:
        """How many of them this process can see."""

    @abstractmethod
    def parse_devices(self, devices: int | str | Sequence[int]) -> list[int]:
        """Turn what the user wrote (``2``, ``"auto"``, ``"0,2"``, ``[0, 2]``, ``-1`` for all) into device indices.

        Raises:
            ValueError: with the value, what exists, and what to write instead.
        """

    @abstractmethod
    def device(self, index: int) -> torch.device:
        """The torch device of an index from :meth:`parse_devices`."""

    @abstractmethod
    def setup_device(self, device: torch.device) -> None:
        """Make ``device`` the current one of this process."""

    @abstractmethod
    def device_stats(self, device: torch.device) -> dict[str, float]:
        """Memory and load of the device, in bytes and fractions, by name."""

    def wrap_step(self, step: Callable[..., Any]) -> Callable[..., Any]:
        """Return ``step`` with :attr:`before_step` in front of it; ``step`` itself where there is nothing to do."""
        before = self.before_step
        if before is None:
            return step

        @functools.wraps(step)
        def prepared(*args: Any, **kwargs: Any) -> Any:
            before()
            return step(*args, **kwargs)

        return prepared
