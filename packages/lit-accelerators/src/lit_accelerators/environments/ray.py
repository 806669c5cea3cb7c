"""Processes that are Ray actors."""

import os
from datetime import timedelta

from lit_accelerators.environments._stores import Store, memory_store, next_group, tcp_store
from lit_accelerators.environments._variables import check_rank, read_int
from lit_accelerators.environments.base import ClusterEnvironment

STORE_VARIABLE = "LIT_RAY_STORE"
"""Set in every actor of a run: host and port of the store where they meet."""

_SET_BY = "the Ray launcher of lit-accelerators"


def actor_variables(*, store: str, node_rank: int, local_rank: int, devices: int, num_nodes: int) -> dict[str, str]:
    """The variables that tell an actor its rank, under the names that torchrun uses.

    Args:
        store: ``host:port`` of a store that is served as long as the run goes on.
        node_rank: of the actor's node.
        local_rank: of the actor on its node.
        devices: actors on each node.
        num_nodes: nodes in the run.
    """
    host, _, port = store.rpartition(":")
    return {
        STORE_VARIABLE: store,
        "RANK": str(node_rank * devices + local_rank),
        "LOCAL_RANK": str(local_rank),
        "NODE_RANK": str(node_rank),
        "WORLD_SIZE": str(devices * num_nodes),
        "LOCAL_WORLD_SIZE": str(devices),
        "MASTER_ADDR": host,
        "MASTER_PORT": port,
    }


class RayEnvironment(ClusterEnvironment):
    """Ranks of Ray actors that :class:`RayLauncher` starts; in the process that starts them, what they will be.

    Args:
        devices: processes on each node.
        num_nodes: nodes in the run.

    Example:
        >>> environment = RayEnvironment(devices=2, num_nodes=2)
        >>> environment.global_rank, environment.world_size
        (0, 4)
    """

    name = "ray"

    def __init__(self, devices: int = 1, num_nodes: int = 1) -> None:
        self._devices, self._num_nodes = devices, num_nodes
        self.refresh()

    @classmethod
    def detect(cls) -> bool:
        """Whether this process is an actor of a run."""
        return STORE_VARIABLE in os.environ

    def refresh(self) -> None:
        """Read the variables again."""
        self.creates_processes_externally = self.detect()
        if not self.creates_processes_externally:
            self.world_size, self.local_world_size = self._devices * self._num_nodes, self._devices
            self.global_rank = self.local_rank = self.node_rank = self.main_port = 0
            self.main_address = "127.0.0.1"
            return
        self.world_size = read_int("WORLD_SIZE", set_by=_SET_BY, minimum=1)
        self.global_rank = read_int("RANK", set_by=_SET_BY)
        self.local_rank = read_int("LOCAL_RANK", set_by=_SET_BY)
        self.node_rank = read_int("NODE_RANK", set_by=_SET_BY)
        self.local_world_size = read_int("LOCAL_WORLD_SIZE", set_by=_SET_BY, minimum=1)
        check_rank(self.global_rank, self.world_size, rank_name="RANK", world_name="WORLD_SIZE", set_by=_SET_BY)
        self.main_address = os.environ.get("MASTER_ADDR", "")
        self.main_port = read_int("MASTER_PORT", set_by=_SET_BY, minimum=1)

    def validate(self, *, devices: int, num_nodes: int) -> None:
        """Refuse another number of processes than there are."""
        if (devices, devices * num_nodes) != (self.local_world_size, self.world_size):
            raise ValueError(
                f"devices={devices} and num_nodes={num_nodes}, but this process is one of {self.world_size} Ray "
                f"actors, {self.local_world_size} on each node. Write devices={self.local_world_size} (or 'auto') and "
                f"num_nodes={self.world_size // self.local_world_size}."
            )

    def create_store(self, timeout: timedelta) -> Store:
        """The store that the first actor serves."""
        if not self.creates_processes_externally:
            if self.world_size == 1:
                return memory_store()
            raise RuntimeError(
                f"{self.world_size} actors are to meet, but they were not started: do this inside a function that runs "
                "by launch()."
            )
        store = tcp_store(self.main_address, self.main_port, self.world_size, False, timeout)
        return next_group(store, os.environ[STORE_VARIABLE])
