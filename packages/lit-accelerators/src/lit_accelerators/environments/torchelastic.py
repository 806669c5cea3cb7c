"""Processes that torchrun starts."""

import os
from datetime import timedelta

from lit_accelerators.environments._stores import PrefixStore, Store, agreed_name, next_group, tcp_store
from lit_accelerators.environments._variables import check_rank, read_int
from lit_accelerators.environments.base import ClusterEnvironment

_SET_BY = "torchrun"
_TIMEOUT = timedelta(minutes=5)


class TorchElasticEnvironment(ClusterEnvironment):
    """Ranks from the variables of ``torchrun`` (``python -m torch.distributed.run``), restarts included."""

    name = "torchelastic"
    creates_processes_externally = True

    def __init__(self) -> None:
        self.refresh()

    @classmethod
    def detect(cls) -> bool:
        """Whether torchrun started this process."""
        return "TORCHELASTIC_RUN_ID" in os.environ

    def refresh(self) -> None:
        """Read the variables again."""
        self.world_size = read_int("WORLD_SIZE", set_by=_SET_BY, minimum=1)
        self.global_rank = read_int("RANK", set_by=_SET_BY)
        self.local_rank = read_int("LOCAL_RANK", set_by=_SET_BY)
        self.node_rank = read_int("GROUP_RANK", set_by=_SET_BY)
        self.local_world_size = read_int("LOCAL_WORLD_SIZE", set_by=_SET_BY, minimum=1)
        check_rank(self.global_rank, self.world_size, rank_name="RANK", world_name="WORLD_SIZE", set_by=_SET_BY)
        check_rank(
            self.local_rank,
            self.local_world_size,
            rank_name="LOCAL_RANK",
            world_name="LOCAL_WORLD_SIZE",
            set_by=_SET_BY,
        )
        if "MASTER_ADDR" not in os.environ:
            raise RuntimeError("The variable MASTER_ADDR is not set; torchrun must set it.")
        self.main_address = os.environ["MASTER_ADDR"]
        self.main_port = read_int("MASTER_PORT", set_by=_SET_BY, minimum=1)
        self.lasting_store = self._open_agent_store if _agent_has_store() else None

    def validate(self, *, devices: int, num_nodes: int) -> None:
        """Refuse numbers that torchrun was not started with."""
        nodes = self.world_size // self.local_world_size
        if devices != self.local_world_size or num_nodes != nodes:
            raise ValueError(
                f"devices={devices} and num_nodes={num_nodes}, but torchrun started {self.local_world_size} processes "
                f"on each of {nodes} node(s). Write devices={self.local_world_size} (or 'auto'), num_nodes={nodes}, "
                f"or start torchrun with --nproc-per-node {devices} --nnodes {num_nodes}."
            )

    def create_store(self, timeout: timedelta) -> Store:
        """The store that torchrun's agent hosts, under a prefix of its own for each restart."""
        hosted_here = not _agent_has_store() and self.global_rank == 0
        store = tcp_store(self.main_address, self.main_port, self.world_size, hosted_here, timeout)
        numbered = next_group(store, "lit_groups")
        if not _agent_has_store():
            return numbered
        # The agent keeps one store over all restarts, so without the prefix a restarted worker reads the addresses of
        # the dead ones and fails with "Connection refused". TORCHELASTIC_RESTART_COUNT will not do: each agent counts
        # the failures of its own workers only.
        return PrefixStore(agreed_name(numbered, self.global_rank, self.world_size, timeout), store)

    def _open_agent_store(self) -> Store:
        return PrefixStore("lit", tcp_store(self.main_address, self.main_port, self.world_size, False, _TIMEOUT))


def _agent_has_store() -> bool:
    return os.environ.get("TORCHELASTIC_USE_AGENT_STORE") == "True"
