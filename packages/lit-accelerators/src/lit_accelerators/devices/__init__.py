"""Kinds of devices."""

from lit_accelerators.devices.base import Accelerator
from lit_accelerators.devices.cpu import CPUAccelerator
from lit_accelerators.devices.cuda import CUDAAccelerator
from lit_accelerators.devices.mps import MPSAccelerator
from lit_accelerators.devices.xla import XLAAccelerator

__all__ = ["Accelerator", "CPUAccelerator", "CUDAAccelerator", "MPSAccelerator", "XLAAccelerator"]
