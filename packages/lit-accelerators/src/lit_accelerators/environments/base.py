"""The contract of a cluster environment: who told this process its rank, and what it was told."""

from abc import ABC, abstractmethod
from collections.abc import Callable
from datetime import timedelta

from lit_accelerators.environments._stores import Store


class ClusterEnvironment(ABC):
    """Where the ranks of this process come from: a launcher of ours, torchrun, a cluster's scheduler.

    Ranks are read at construction, and again by :meth:`refresh`. A value that is missing or makes no sense is a
    ``RuntimeError`` that names the variable, the value and who should have set it.
    """

    name: str
    """The word for messages and the registry: ``"local"``, ``"torchelastic"``, ``"slurm"``."""

    creates_processes_externally: bool
    """Whether somebody else starts the other processes (torchrun does); if so our launchers start none."""

    world_size: int
    """Processes in the run."""

    global_rank: int
    """Of this process, ``0 <= global_rank < world_size``."""

    local_rank: int
    """Of this process among those of its node."""

    local_world_size: int
    """Processes of the run on each node."""

    node_rank: int
    """Of this node among the nodes of the run."""

    main_address: str
    """Host of rank 0, where the processes meet."""

    main_port: int
    """Port of rank 0, where the processes meet; 0 where they need none."""

    lasting_store: Callable[[], Store] | None = None
    """Opens a store that outlives processes which fail and are started again; None where nobody starts them again."""

    @classmethod
    @abstractmethod
    def detect(cls) -> bool:
        """Whether this process runs in such an environment, read from its variables."""

    @abstractmethod
    def validate(self, *, devices: int, num_nodes: int) -> None:
        """Raise ``ValueError`` where the devices per node and nodes that were asked for contradict what was told."""

    @abstractmethod
    def refresh(self) -> None:
        """Read the ranks again: a forked or spawned process starts with the object of the process that started it."""

    @abstractmethod
    def create_store(self, timeout: timedelta) -> Store:
        """The store where the processes of this run meet to form one process group.

        Each call, in every process, belongs to the next group: a second group never sees what the first one left.
        """
