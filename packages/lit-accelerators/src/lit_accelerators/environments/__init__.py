"""Cluster environments: where ranks come from."""

from lit_accelerators.environments.base import ClusterEnvironment
from lit_accelerators.environments.local import LocalEnvironment
from lit_accelerators.environments.torchelastic import TorchElasticEnvironment

__all__ = ["ClusterEnvironment", "LocalEnvironment", "TorchElasticEnvironment"]
