"""Processes that our own launchers start, or a single one."""

import os
from datetime import timedelta
from pathlib import Path

from lit_accelerators.environments._stores import Store, file_store, memory_store, next_group, tcp_store
from lit_accelerators.environments._variables import check_rank, read_int
from lit_accelerators.environments.base import ClusterEnvironment

RUN_DIR_VARIABLE = "LIT_RUN_DIR"
"""Set in every process of a run that our launchers started: a private folder of the node, where processes meet."""

_SET_BY = "the launcher of lit-accelerators"


def rank_variables(
    *, run_dir: Path, local_rank: int, devices: int, node_rank: int = 0, num_nodes: int = 1
) -> dict[str, str]:
    """The variables that tell a started process its rank, under the names that torchrun uses."""
    return {
        RUN_DIR_VARIABLE: str(run_dir),
        "RANK": str(node_rank * devices + local_rank),
        "LOCAL_RANK": str(local_rank),
        "NODE_RANK": str(node_rank),
        "WORLD_SIZE": str(devices * num_nodes),
        "LOCAL_WORLD_SIZE": str(devices),
    }


class LocalEnvironment(ClusterEnvironment):
    """Ranks from the variables of our launchers; without them, the process that starts the others, or the only one.

    Processes of one machine meet through a file in a private folder, so no port is taken. For several machines start
    the same script on each with ``NODE_RANK``, and with ``MASTER_ADDR`` and ``MASTER_PORT`` of the first.

    Args:
        devices: processes on this node.
        num_nodes: nodes in the run.

    Example:
        >>> environment = LocalEnvironment(devices=2)
        >>> environment.global_rank, environment.world_size
        (0, 2)
    """

    name = "local"

    def __init__(self, devices: int = 1, num_nodes: int = 1) -> None:
        self.devices = self.local_world_size = devices
        self.num_nodes = num_nodes
        self.refresh()

    @classmethod
    def detect(cls) -> bool:
        """Whether one of our launchers started this process or started others from it."""
        return RUN_DIR_VARIABLE in os.environ

    def refresh(self) -> None:
        """Read the variables again."""
        alone = self.devices * self.num_nodes == 1
        self.creates_processes_externally = self.detect() and not alone
        if self.creates_processes_externally:
            self.world_size = read_int("WORLD_SIZE", set_by=_SET_BY, minimum=1)
            self.global_rank = read_int("RANK", set_by=_SET_BY)
            self.local_rank = read_int("LOCAL_RANK", set_by=_SET_BY)
            self.node_rank = read_int("NODE_RANK", set_by=_SET_BY)
            check_rank(self.global_rank, self.world_size, rank_name="RANK", world_name="WORLD_SIZE", set_by=_SET_BY)
        else:
            you = f"you, on each of the {self.num_nodes} nodes,"
            self.node_rank = read_int("NODE_RANK", set_by=you) if self.num_nodes > 1 else 0
            check_rank(self.node_rank, self.num_nodes, rank_name="NODE_RANK", world_name="num_nodes", set_by=you)
            self.world_size = self.devices * self.num_nodes
            self.local_rank = 0
            self.global_rank = self.node_rank * self.devices
        if self.num_nodes > 1:
            you = "you, on every node to the address of the first,"
            if "MASTER_ADDR" not in os.environ:
                raise RuntimeError(f"The variable MASTER_ADDR is not set; {you} must set it.")
            self.main_address = os.environ["MASTER_ADDR"]
            self.main_port = read_int("MASTER_PORT", set_by=you, minimum=1)
        else:
            self.main_address, self.main_port = "127.0.0.1", 0

    def validate(self, *, devices: int, num_nodes: int) -> None:
        """Refuse another number of processes than the one this process was started with."""
        if devices * num_nodes == 1 and self.detect():
            rank = read_int("RANK", set_by=_SET_BY)
            if rank > 0:
                raise ValueError(
                    f"devices=1 in rank {rank} of {os.environ.get('WORLD_SIZE')} processes of an earlier run: each of "
                    "them would run it and write over the others' files. Use the devices of that run, or run this "
                    "part in rank 0 only."
                )
        elif devices * num_nodes != self.world_size:
            raise ValueError(
                f"devices={devices} and num_nodes={num_nodes} are {devices * num_nodes} processes, but this process is "
                f"rank {self.global_rank} of {self.world_size}, started for an earlier run of the same script. "
                "Use the same devices for every run of one script."
            )

    def create_store(self, timeout: timedelta) -> Store:
        """In memory for one process, a file for one node, TCP with rank 0 as the server for several."""
        if self.world_size == 1:
            return memory_store()
        if not self.creates_processes_externally:
            raise RuntimeError(
                f"{self.world_size} processes are to meet, but they were not started: do this inside a function that "
                "runs by launch()."
            )
        if self.num_nodes > 1:
            where = f"tcp://{self.main_address}:{self.main_port}"
            store = tcp_store(self.main_address, self.main_port, self.world_size, self.global_rank == 0, timeout)
        else:
            where = str(Path(os.environ[RUN_DIR_VARIABLE]) / "store")
            store = file_store(where, self.world_size)
        return next_group(store, where)
