"""Devices, precision and processes for PyTorch: the same code on one laptop core and on many GPUs."""

from lit_accelerators.__about__ import __version__
from lit_accelerators._workers import LeaveSignals, open_loader
from lit_accelerators.capabilities import capability_table
from lit_accelerators.collectives import Collectives, LocalCollectives, ProcessGroupCollectives, ReduceOp
from lit_accelerators.connect import ConnectedLoader, Connection, connect
from lit_accelerators.devices import Accelerator, CPUAccelerator, CUDAAccelerator, MPSAccelerator, XLAAccelerator
from lit_accelerators.environments import (
    ClusterEnvironment,
    KubeflowEnvironment,
    LocalEnvironment,
    LSFEnvironment,
    MPIEnvironment,
    RayEnvironment,
    SLURMEnvironment,
    TorchElasticEnvironment,
    XLAEnvironment,
    detect_environment,
)
from lit_accelerators.launchers import InProcessLauncher, Launcher, MultiprocessLauncher, RayLauncher, ScriptLauncher
from lit_accelerators.order import BatchOrder, epoch_order, mix_seed, order_of, own_order
from lit_accelerators.precision import FullPrecision, MixedPrecision, Precision, ScaledPrecision, TruePrecision
from lit_accelerators.resolve import make_strategy
from lit_accelerators.seeding import isolate_rng, rng_state, seed_everything, set_rng_state
from lit_accelerators.strategies import (
    DDPStrategy,
    DPStrategy,
    FSDPStrategy,
    GradientSync,
    ModelParallelStrategy,
    SingleDeviceStrategy,
    Strategy,
)

__all__ = [
    "Accelerator",
    "BatchOrder",
    "CPUAccelerator",
    "CUDAAccelerator",
    "ClusterEnvironment",
    "Collectives",
    "ConnectedLoader",
    "Connection",
    "DDPStrategy",
    "DPStrategy",
    "FSDPStrategy",
    "FullPrecision",
    "GradientSync",
    "InProcessLauncher",
    "KubeflowEnvironment",
    "LSFEnvironment",
    "Launcher",
    "LeaveSignals",
    "LocalCollectives",
    "LocalEnvironment",
    "MPIEnvironment",
    "MPSAccelerator",
    "MixedPrecision",
    "ModelParallelStrategy",
    "MultiprocessLauncher",
    "Precision",
    "ProcessGroupCollectives",
    "RayEnvironment",
    "RayLauncher",
    "ReduceOp",
    "SLURMEnvironment",
    "ScaledPrecision",
    "ScriptLauncher",
    "SingleDeviceStrategy",
    "Strategy",
    "TorchElasticEnvironment",
    "TruePrecision",
    "XLAAccelerator",
    "XLAEnvironment",
    "__version__",
    "capability_table",
    "connect",
    "detect_environment",
    "epoch_order",
    "isolate_rng",
    "make_strategy",
    "mix_seed",
    "open_loader",
    "order_of",
    "own_order",
    "rng_state",
    "seed_everything",
    "set_rng_state",
]
