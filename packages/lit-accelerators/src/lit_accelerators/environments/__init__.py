"""Cluster environments: where ranks come from."""

from lit_accelerators.environments.base import ClusterEnvironment
from lit_accelerators.environments.detection import detect_environment
from lit_accelerators.environments.kubeflow import KubeflowEnvironment
from lit_accelerators.environments.local import LocalEnvironment
from lit_accelerators.environments.lsf import LSFEnvironment
from lit_accelerators.environments.mpi import MPIEnvironment
from lit_accelerators.environments.ray import RayEnvironment
from lit_accelerators.environments.slurm import SLURMEnvironment
from lit_accelerators.environments.torchelastic import TorchElasticEnvironment
from lit_accelerators.environments.xla import XLAEnvironment

__all__ = [
    "ClusterEnvironment",
    "KubeflowEnvironment",
    "LSFEnvironment",
    "LocalEnvironment",
    "MPIEnvironment",
    "RayEnvironment",
    "SLURMEnvironment",
    "TorchElasticEnvironment",
    "XLAEnvironment",
    "detect_environment",
]
