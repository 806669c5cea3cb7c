"""Processes that torch_xla starts on the hosts of a TPU."""

import os
from datetime import timedelta

from lit_accelerators.environments._cluster import check_processes, meet, read_main_port, several
from lit_accelerators.environments._stores import Store
from lit_accelerators.environments._variables import check_rank, read_int
from lit_accelerators.environments.base import ClusterEnvironment

_SET_BY = "torch_xla"
_PORT = 12355


class XLAEnvironment(ClusterEnvironment):
    """Ranks from the variables of ``torch_xla.launch`` and of the TPU's hosts.

    ``PJRT_LOCAL_PROCESS_RANK`` and ``PJRT_LOCAL_PROCESS_COUNT`` count the processes of a host; ``TPU_WORKER_HOSTNAMES``
    names the hosts with a comma in between and ``TPU_WORKER_ID`` (or ``CLOUD_TPU_TASK_ID``) says which this is.
    Without them there is one host. ``MASTER_ADDR`` and ``MASTER_PORT`` win over the first host and port 12355.
    """

    name = "xla"
    creates_processes_externally = True

    def __init__(self) -> None:
        self.refresh()

    @classmethod
    def detect(cls) -> bool:
        """Whether torch_xla started this process, as one of several."""
        here = {"PJRT_DEVICE", "PJRT_LOCAL_PROCESS_RANK"} <= os.environ.keys()
        return here and (several("PJRT_LOCAL_PROCESS_COUNT") or len(_hosts()) > 1)

    def refresh(self) -> None:
        """Read the variables again."""
        hosts = _hosts()
        self.local_world_size = read_int("PJRT_LOCAL_PROCESS_COUNT", set_by=_SET_BY, minimum=1)
        self.local_rank = read_int("PJRT_LOCAL_PROCESS_RANK", set_by=_SET_BY)
        check_rank(
            self.local_rank,
            self.local_world_size,
            rank_name="PJRT_LOCAL_PROCESS_RANK",
            world_name="PJRT_LOCAL_PROCESS_COUNT",
            set_by=_SET_BY,
        )
        worker = "CLOUD_TPU_TASK_ID" if "CLOUD_TPU_TASK_ID" in os.environ else "TPU_WORKER_ID"
        self.node_rank = read_int(worker, set_by="the TPU's host", default=0 if len(hosts) == 1 else None)
        check_rank(
            self.node_rank,
            len(hosts),
            rank_name=worker,
            world_name="hosts in TPU_WORKER_HOSTNAMES",
            set_by="the TPU's host",
        )
        self.world_size = len(hosts) * self.local_world_size
        self.global_rank = self.node_rank * self.local_world_size + self.local_rank
        self.main_address = os.environ.get("MASTER_ADDR") or hosts[0]
        self.main_port = read_main_port(_PORT, set_by="you, or nobody,")

    def validate(self, *, devices: int, num_nodes: int) -> None:
        """Refuse numbers that torch_xla was not started with."""
        check_processes(
            devices=devices,
            num_nodes=num_nodes,
            local_world_size=self.local_world_size,
            world_size=self.world_size,
            who="torch_xla",
            start_with=f"torch_xla.launch on {num_nodes} host(s) of {devices} device(s)",
        )

    def create_store(self, timeout: timedelta) -> Store:
        """TCP, with rank 0 as the server."""
        return meet(self.main_address, self.main_port, self.world_size, self.global_rank, timeout)


def _hosts() -> list[str]:
    names = [name.strip() for name in os.environ.get("TPU_WORKER_HOSTNAMES", "").split(",")]
    return [name for name in names if name] or ["127.0.0.1"]
