"""Which environment a process is in."""

import functools
from importlib.metadata import EntryPoint, entry_points

from lit_accelerators.environments.base import ClusterEnvironment
from lit_accelerators.environments.kubeflow import KubeflowEnvironment
from lit_accelerators.environments.local import LocalEnvironment
from lit_accelerators.environments.lsf import LSFEnvironment
from lit_accelerators.environments.mpi import MPIEnvironment
from lit_accelerators.environments.ray import RayEnvironment
from lit_accelerators.environments.slurm import SLURMEnvironment
from lit_accelerators.environments.torchelastic import TorchElasticEnvironment
from lit_accelerators.environments.xla import XLAEnvironment

ENVIRONMENTS_GROUP = "lit_accelerators.environments"

DETECTION_ORDER: tuple[type[ClusterEnvironment], ...] = (
    TorchElasticEnvironment,
    LocalEnvironment,
    RayEnvironment,
    XLAEnvironment,
    LSFEnvironment,
    MPIEnvironment,
    SLURMEnvironment,
    KubeflowEnvironment,
)
"""Innermost first: torchrun, our launchers, Ray and torch_xla run inside jobs of the schedulers; jsrun sets the
variables of Open MPI too; mpirun runs inside jobs of SLURM, whose variables then tell of mpirun's helpers and not of
the ranks."""


def detect_environment() -> type[ClusterEnvironment] | None:
    """The environment that started this process as one of several, or None if nobody did.

    First those that installed packages register under the entry-point group ``lit_accelerators.environments`` (a class
    of :class:`ClusterEnvironment` that is made without arguments), then ours, from the innermost outwards: torchrun,
    our own launchers, Ray, XLA, LSF, MPI, SLURM, Kubeflow.
    """
    for point in _registered():
        registered: type[ClusterEnvironment] = point.load()
        if registered.detect():
            return registered
    return next((kind for kind in DETECTION_ORDER if kind.detect()), None)


@functools.cache
def _registered() -> tuple[EntryPoint, ...]:
    """Looked for once: reading what every installed package registers takes milliseconds."""
    return tuple(entry_points(group=ENVIRONMENTS_GROUP))
