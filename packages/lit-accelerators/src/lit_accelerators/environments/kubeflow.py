"""Processes that Kubeflow's training operator starts, one in a pod."""

import os
from datetime import timedelta

from lit_accelerators.environments._cluster import check_processes, meet, read_main_port, several
from lit_accelerators.environments._stores import Store
from lit_accelerators.environments._variables import check_rank, read_int
from lit_accelerators.environments.base import ClusterEnvironment

_SET_BY = "the PyTorchJob"


class KubeflowEnvironment(ClusterEnvironment):
    """Ranks from the variables that a ``PyTorchJob`` sets: a pod is a node with one process on one device.

    For several devices in a pod run ``torchrun`` in it, which the operator tells all it needs; then torchrun is the
    environment.
    """

    name = "kubeflow"
    creates_processes_externally = True

    def __init__(self) -> None:
        self.refresh()

    @classmethod
    def detect(cls) -> bool:
        """Whether this process is in a pod of Kubernetes and one of several of a PyTorchJob."""
        return {"KUBERNETES_PORT", "MASTER_ADDR", "RANK"} <= os.environ.keys() and several("WORLD_SIZE")

    def refresh(self) -> None:
        """Read the variables again."""
        self.world_size = read_int("WORLD_SIZE", set_by=_SET_BY, minimum=1)
        self.global_rank = read_int("RANK", set_by=_SET_BY)
        check_rank(self.global_rank, self.world_size, rank_name="RANK", world_name="WORLD_SIZE", set_by=_SET_BY)
        self.node_rank = self.global_rank
        self.local_rank, self.local_world_size = 0, 1
        if not os.environ.get("MASTER_ADDR"):
            raise RuntimeError(f"The variable MASTER_ADDR is not set; {_SET_BY} must set it.")
        self.main_address = os.environ["MASTER_ADDR"]
        self.main_port = read_main_port(None, set_by=_SET_BY)

    def validate(self, *, devices: int, num_nodes: int) -> None:
        """Refuse numbers that the PyTorchJob was not started with."""
        check_processes(
            devices=devices,
            num_nodes=num_nodes,
            local_world_size=self.local_world_size,
            world_size=self.world_size,
            who="the PyTorchJob",
            start_with=f"{num_nodes} pods, with torchrun --nproc-per-node {devices} in each for several devices",
        )

    def create_store(self, timeout: timedelta) -> Store:
        """TCP, with rank 0 as the server."""
        return meet(self.main_address, self.main_port, self.world_size, self.global_rank, timeout)
