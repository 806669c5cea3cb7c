"""Strategies: where a module lives and how processes work on it together."""

from lit_accelerators.strategies.base import GradientSync, Strategy
from lit_accelerators.strategies.ddp import DDPStrategy
from lit_accelerators.strategies.dp import DPStrategy
from lit_accelerators.strategies.fsdp import FSDPStrategy
from lit_accelerators.strategies.model_parallel import ModelParallelStrategy
from lit_accelerators.strategies.single_device import SingleDeviceStrategy

__all__ = [
    "DDPStrategy",
    "DPStrategy",
    "FSDPStrategy",
    "GradientSync",
    "ModelParallelStrategy",
    "SingleDeviceStrategy",
    "Strategy",
]
