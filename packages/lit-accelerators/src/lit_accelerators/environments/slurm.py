"""Processes that SLURM's srun starts."""

import os
import re
from datetime import timedelta

from lit_accelerators.environments._cluster import check_processes, meet, port_of_job, read_main_port, several
from lit_accelerators.environments._stores import Store
from lit_accelerators.environments._variables import check_rank, read_int
from lit_accelerators.environments.base import ClusterEnvironment

_SET_BY = "srun"


class SLURMEnvironment(ClusterEnvironment):
    """Ranks from the variables of ``srun``: one task is one process on one device.

    A script that ``sbatch`` runs without ``srun``, and a job step of one task, start their processes themselves: there
    this environment is not detected. Processes meet at the first host of ``SLURM_STEP_NODELIST``, at a port made from
    the numbers of job and step; ``MASTER_ADDR`` and ``MASTER_PORT`` win over both.

    See "srun", section "output environment variables", in the documentation of SLURM.
    """

    name = "slurm"
    creates_processes_externally = True

    def __init__(self) -> None:
        self.refresh()

    @classmethod
    def detect(cls) -> bool:
        """Whether srun started this process, as one of several tasks."""
        return "SLURM_PROCID" in os.environ and several("SLURM_STEP_NUM_TASKS")

    def refresh(self) -> None:
        """Read the variables again."""
        self.world_size = read_int("SLURM_STEP_NUM_TASKS", set_by=_SET_BY, minimum=1)
        self.global_rank = read_int("SLURM_PROCID", set_by=_SET_BY)
        self.local_rank = read_int("SLURM_LOCALID", set_by=_SET_BY)
        self.node_rank = read_int("SLURM_NODEID", set_by=_SET_BY)
        self.local_world_size = self._tasks_of_node()
        check_rank(
            self.global_rank,
            self.world_size,
            rank_name="SLURM_PROCID",
            world_name="SLURM_STEP_NUM_TASKS",
            set_by=_SET_BY,
        )
        check_rank(
            self.local_rank,
            self.local_world_size,
            rank_name="SLURM_LOCALID",
            world_name="SLURM_STEP_TASKS_PER_NODE",
            set_by=_SET_BY,
        )
        self.main_address = os.environ.get("MASTER_ADDR") or _first_host("SLURM_STEP_NODELIST")
        job = port_of_job(read_int("SLURM_JOB_ID", set_by=_SET_BY), read_int("SLURM_STEP_ID", set_by=_SET_BY))
        self.main_port = read_main_port(job, set_by="you, or nobody,")

    def _tasks_of_node(self) -> int:
        text = os.environ.get("SLURM_STEP_TASKS_PER_NODE", "")
        parts = [re.fullmatch(r"(\d+)(?:\(x(\d+)\))?", part) for part in text.split(",")]
        counts = {int(part[1]) for part in parts if part}
        if None in parts or len(counts) != 1 or 0 in counts:
            raise RuntimeError(
                "The variable SLURM_STEP_TASKS_PER_NODE must hold one number for all nodes, such as '4' or '4(x2)', "
                f"got {text or None!r}; give srun --ntasks-per-node."
            )
        return counts.pop()

    def validate(self, *, devices: int, num_nodes: int) -> None:
        """Refuse numbers that srun was not started with."""
        check_processes(
            devices=devices,
            num_nodes=num_nodes,
            local_world_size=self.local_world_size,
            world_size=self.world_size,
            who="srun",
            start_with=f"srun --nodes={num_nodes} --ntasks-per-node={devices}",
        )

    def create_store(self, timeout: timedelta) -> Store:
        """TCP, with rank 0 as the server."""
        return meet(self.main_address, self.main_port, self.world_size, self.global_rank, timeout)


def _first_host(variable: str) -> str:
    """The first of a list of hosts as SLURM writes it: ``gpu[007-009,12],login1`` begins with ``gpu007``."""
    text = os.environ.get(variable, "")
    match = re.match(r"([^,\[\]\s]+)(?:\[(\w+)[^\]]*\]([^,\[\]\s]*))?", text)
    if match is None:
        raise RuntimeError(
            f"The variable {variable} must hold a list of hosts, such as 'node[01-04]', got {text or None!r}; "
            f"{_SET_BY} must set it, or you MASTER_ADDR to the host of rank 0."
        )
    return match[1] + (match[2] or "") + (match[3] or "")
