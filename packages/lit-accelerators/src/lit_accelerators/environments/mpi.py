"""Processes that an mpirun or mpiexec starts; no MPI library is needed in Python."""

import os
import zlib
from dataclasses import dataclass
from datetime import timedelta

from lit_accelerators.environments._cluster import (
    check_even,
    check_processes,
    meet,
    port_of_job,
    read_main_port,
    several,
)
from lit_accelerators.environments._stores import Store
from lit_accelerators.environments._variables import check_rank, read_int
from lit_accelerators.environments.base import ClusterEnvironment

_SET_BY = "mpirun"
_JOB_VARIABLES = ("PMIX_NAMESPACE", "OMPI_MCA_ess_base_jobid", "PMI_JOBID", "PALS_APID")


@dataclass(frozen=True)
class _Family:
    """How a kind of MPI names what it tells a process."""

    rank: str
    size: str
    local_rank: str
    local_size: str


_FAMILIES = (
    _Family("OMPI_COMM_WORLD_RANK", "OMPI_COMM_WORLD_SIZE", "OMPI_COMM_WORLD_LOCAL_RANK", "OMPI_COMM_WORLD_LOCAL_SIZE"),
    _Family("MV2_COMM_WORLD_RANK", "MV2_COMM_WORLD_SIZE", "MV2_COMM_WORLD_LOCAL_RANK", "MV2_COMM_WORLD_LOCAL_SIZE"),
    _Family("PMI_RANK", "PMI_SIZE", "MPI_LOCALRANKID", "MPI_LOCALNRANKS"),  # Hydra: MPICH and Intel MPI
    _Family("PMI_RANK", "PMI_SIZE", "PMI_LOCAL_RANK", "PMI_LOCAL_SIZE"),  # PALS of Cray
)


class MPIEnvironment(ClusterEnvironment):
    """Ranks from the variables of Open MPI, MVAPICH, MPICH, Intel MPI or Cray's PALS.

    ``MASTER_ADDR`` must name the host of rank 0 where there are several nodes (``mpirun -x MASTER_ADDR=...``). The port
    is ``MASTER_PORT``, else one made from the name of the job where the launcher tells it.

    The number of the node is derived from the ranks, which must be placed node after node (the default) or in turn over
    the nodes (``--map-by node``).
    """

    name = "mpi"
    creates_processes_externally = True

    def __init__(self) -> None:
        self.refresh()

    @classmethod
    def detect(cls) -> bool:
        """Whether an MPI launcher started this process, as one of several, and told it its rank on the node too."""
        family = _family()
        return family is not None and several(family.size)

    def refresh(self) -> None:
        """Read the variables again."""
        family = _family()
        if family is None:
            names = ", or ".join(f"{f.rank} and {f.local_rank}" for f in _FAMILIES)
            raise RuntimeError(f"No launcher of MPI has told this process its rank: {names} must be set.")
        self.world_size = read_int(family.size, set_by=_SET_BY, minimum=1)
        self.global_rank = read_int(family.rank, set_by=_SET_BY)
        self.local_rank = read_int(family.local_rank, set_by=_SET_BY)
        self.local_world_size = read_int(family.local_size, set_by=_SET_BY, minimum=1)
        check_rank(self.global_rank, self.world_size, rank_name=family.rank, world_name=family.size, set_by=_SET_BY)
        check_rank(
            self.local_rank,
            self.local_world_size,
            rank_name=family.local_rank,
            world_name=family.local_size,
            set_by=_SET_BY,
        )
        check_even(
            self.world_size, self.local_world_size, world_name=family.size, local_name=family.local_size, set_by=_SET_BY
        )
        self.node_rank = self._find_node(family)
        self.main_address, self.main_port = self._find_main()

    def _find_node(self, family: _Family) -> int:
        node, place = divmod(self.global_rank, self.local_world_size)
        if place == self.local_rank:
            return node
        turn, node = divmod(self.global_rank, self.world_size // self.local_world_size)
        if turn == self.local_rank:
            return node
        raise RuntimeError(
            f"{family.rank}={self.global_rank} and {family.local_rank}={self.local_rank} do not tell the node: ranks "
            "are placed neither node after node nor in turn over the nodes. Use mpirun --map-by slot or --map-by node."
        )

    def _find_main(self) -> tuple[str, int]:
        address = os.environ.get("MASTER_ADDR")
        if not address and self.local_world_size < self.world_size:
            raise RuntimeError(
                "The variable MASTER_ADDR is not set; you must set it for every process to the host of rank 0: "
                "mpirun -x MASTER_ADDR=HOST (Open MPI), mpiexec -genv MASTER_ADDR HOST (MPICH, Intel MPI)."
            )
        job = next((os.environ[name] for name in _JOB_VARIABLES if name in os.environ), None)
        default = None if job is None else port_of_job(zlib.crc32(job.encode()))
        return address or "127.0.0.1", read_main_port(default, set_by="you, for every process,")

    def validate(self, *, devices: int, num_nodes: int) -> None:
        """Refuse numbers that mpirun was not started with."""
        check_processes(
            devices=devices,
            num_nodes=num_nodes,
            local_world_size=self.local_world_size,
            world_size=self.world_size,
            who="mpirun",
            start_with=f"mpirun -n {devices * num_nodes} with {devices} per node",
        )

    def create_store(self, timeout: timedelta) -> Store:
        """TCP, with rank 0 as the server."""
        return meet(self.main_address, self.main_port, self.world_size, self.global_rank, timeout)


def _family() -> _Family | None:
    # A PMI rank without one on the node comes from srun, which tells the rest in its own variables.
    return next((f for f in _FAMILIES if f.rank in os.environ and f.local_rank in os.environ), None)
