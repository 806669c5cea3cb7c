"""Processes that jsrun starts in jobs of IBM's LSF."""

import os
import socket
from datetime import timedelta
from pathlib import Path

from lit_accelerators.environments._cluster import check_even, check_processes, meet, port_of_job, read_main_port
from lit_accelerators.environments._stores import Store
from lit_accelerators.environments._variables import check_rank, read_int
from lit_accelerators.environments.base import ClusterEnvironment

_SET_BY = "jsrun"


class LSFEnvironment(ClusterEnvironment):
    """Ranks from the variables of ``jsrun``: one resource set with one task is one process on one device.

    Hosts are those of the file ``LSB_DJOB_RANKFILE`` (else of ``LSB_HOSTS``) after the first, which is the launch node.
    Processes meet at the first of them, at a port made from the number of the job; ``MASTER_ADDR`` and ``MASTER_PORT``
    win over both.

    See "Environment variables" in the documentation of LSF and of IBM Job Step Manager.
    """

    name = "lsf"
    creates_processes_externally = True

    def __init__(self) -> None:
        self.refresh()

    @classmethod
    def detect(cls) -> bool:
        """Whether jsrun started this process in a job of LSF, as one of several."""
        several = os.environ.get("JSM_NAMESPACE_SIZE", "1").strip() != "1"
        return "LSB_JOBID" in os.environ and "JSM_NAMESPACE_RANK" in os.environ and several

    def refresh(self) -> None:
        """Read the variables again."""
        self.world_size = read_int("JSM_NAMESPACE_SIZE", set_by=_SET_BY, minimum=1)
        self.global_rank = read_int("JSM_NAMESPACE_RANK", set_by=_SET_BY)
        self.local_rank = read_int("JSM_NAMESPACE_LOCAL_RANK", set_by=_SET_BY)
        check_rank(
            self.global_rank,
            self.world_size,
            rank_name="JSM_NAMESPACE_RANK",
            world_name="JSM_NAMESPACE_SIZE",
            set_by=_SET_BY,
        )
        source, hosts = _hosts()
        check_even(self.world_size, len(hosts), world_name="JSM_NAMESPACE_SIZE", local_name=source, set_by=_SET_BY)
        self.local_world_size = self.world_size // len(hosts)
        check_rank(
            self.local_rank,
            self.local_world_size,
            rank_name="JSM_NAMESPACE_LOCAL_RANK",
            world_name="JSM_NAMESPACE_SIZE / hosts",
            set_by=_SET_BY,
        )
        here = socket.gethostname().split(".")[0]
        short = [host.split(".")[0] for host in hosts]
        if here not in short:
            raise RuntimeError(f"{source} names the hosts {', '.join(hosts)}, but this is {here}; LSF must set it.")
        self.node_rank = short.index(here)
        self.main_address = os.environ.get("MASTER_ADDR") or hosts[0]
        self.main_port = read_main_port(port_of_job(read_int("LSB_JOBID", set_by="LSF")), set_by="you, or nobody,")

    def validate(self, *, devices: int, num_nodes: int) -> None:
        """Refuse numbers that jsrun was not started with."""
        check_processes(
            devices=devices,
            num_nodes=num_nodes,
            local_world_size=self.local_world_size,
            world_size=self.world_size,
            who="jsrun",
            start_with=f"jsrun --nrs {devices * num_nodes} --rs_per_host {devices} --tasks_per_rs 1",
        )

    def create_store(self, timeout: timedelta) -> Store:
        """TCP, with rank 0 as the server."""
        return meet(self.main_address, self.main_port, self.world_size, self.global_rank, timeout)


def _hosts() -> tuple[str, list[str]]:
    """Where the hosts are read, and the hosts that compute, in order."""
    path = os.environ.get("LSB_DJOB_RANKFILE")
    if path is not None:
        try:
            names = Path(path).read_text().split()
        except OSError as error:
            raise RuntimeError(
                f"The variable LSB_DJOB_RANKFILE must hold the path of a file of hosts, got {path!r}: {error}; "
                "LSF must set it."
            ) from None
    else:
        names = os.environ.get("LSB_HOSTS", "").split()
    source = "LSB_HOSTS" if path is None else "LSB_DJOB_RANKFILE"
    hosts = list(dict.fromkeys(names[1:]))  # the first is the launch node
    if not hosts:
        raise RuntimeError(
            f"{source} must name the launch node and then the hosts of the job, got {' '.join(names) or None!r}; "
            "LSF must set it."
        )
    return source, hosts
