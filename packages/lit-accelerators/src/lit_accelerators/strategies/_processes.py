"""The processes of a strategy: how they are started, and the process group that they form."""

import sys
import time
from collections.abc import Sequence
from datetime import timedelta

import torch.distributed as dist

from lit_accelerators.collectives import Collectives, LocalCollectives, ProcessGroupCollectives
from lit_accelerators.devices.base import Accelerator
from lit_accelerators.environments.base import ClusterEnvironment
from lit_accelerators.launchers._failures import note_failure
from lit_accelerators.launchers.starts import StartMethod, make_launcher, own_environment

_DRAIN_S = 0.02


class Processes:
    """One process per device, joined in one process group.

    Args:
        accelerator: the kind of device.
        indices: of the devices on this node, one process each.
        environment: where the ranks come from; our own launchers for None.
        start: how processes come to be where nobody else starts them.
        num_nodes: nodes in the run.
        timeout: how long a process waits for the others before it fails.

    Raises:
        ValueError: if the processes of the environment are not those of ``indices`` and ``num_nodes``, or cannot share
            the device.
    """

    def __init__(
        self,
        accelerator: Accelerator,
        indices: Sequence[int],
        environment: ClusterEnvironment | None,
        *,
        start: StartMethod,
        num_nodes: int,
        timeout: timedelta,
        backend: str | None = None,
    ) -> None:
        if accelerator.name == "mps":
            raise ValueError("The GPU of Apple silicon cannot be shared by processes. Write strategy='single_device'.")
        self.accelerator = accelerator
        self.environment = own_environment(start, len(indices), num_nodes) if environment is None else environment
        self.environment.validate(devices=len(indices), num_nodes=num_nodes)
        gpus = int(accelerator.name == "cuda")
        self.launcher = make_launcher(start, self.environment, len(indices), num_nodes, num_gpus=gpus)
        self._indices = list(indices)
        self._timeout = timeout
        self._backend = accelerator.process_group_backend if backend is None else backend
        self.device = accelerator.device(self._indices[self.environment.local_rank])
        self.joined = False
        self._owns_group = False

    def join(self) -> Collectives:
        """Claim the device of this rank and form the process group; returns what the processes can tell each other.

        Raises:
            RuntimeError: if there is a process group already that is not this run's.
        """
        self.environment.refresh()
        self.device = self.accelerator.device(self._indices[self.environment.local_rank])
        self.accelerator.setup_device(self.device)
        if not dist.is_initialized():
            dist.init_process_group(
                self._backend,
                store=self.environment.create_store(self._timeout),
                rank=self.environment.global_rank,
                world_size=self.environment.world_size,
                timeout=self._timeout,
            )
            self._owns_group = True
        elif (dist.get_rank(), dist.get_world_size()) != (self.environment.global_rank, self.environment.world_size):
            raise RuntimeError(
                f"There is a process group already, in which this process is rank {dist.get_rank()} of "
                f"{dist.get_world_size()}, but this run has it as rank {self.environment.global_rank} of "
                f"{self.environment.world_size}. Call torch.distributed.destroy_process_group() first."
            )
        self.joined = True
        return ProcessGroupCollectives(self.device)

    def note_failure(self) -> None:
        """Remember the moment of the error that is being handled, if any: call this first in a teardown."""
        error = sys.exc_info()[1]
        if error is not None and self.joined:
            note_failure(error)

    def leave(self) -> Collectives:
        """Leave the process group, if :meth:`join` made it; returns the collectives of this process alone."""
        if self._owns_group and dist.is_initialized():
            # Gives gloo's threads the GIL, which they need to let go of their last tensors. A group whose last holder
            # is an object of the user's (its own DistributedDataParallel) is destroyed later under the GIL, and would
            # wait for these threads for ever (seen in torch 2.13).
            time.sleep(_DRAIN_S)
            dist.destroy_process_group()
        self._owns_group = self.joined = False
        return LocalCollectives(self.device)

    def require_joined(self, method: str) -> None:
        """Raise ``RuntimeError`` where ``method`` is called before the processes have met."""
        if not self.joined:
            raise RuntimeError(f"{method}() needs the other processes: call setup_environment() first.")
