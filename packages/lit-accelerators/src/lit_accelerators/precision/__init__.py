"""Numeric precisions."""

from lit_accelerators.precision.base import Precision
from lit_accelerators.precision.full import FullPrecision
from lit_accelerators.precision.mixed import MixedPrecision
from lit_accelerators.precision.scaled import ScaledPrecision
from lit_accelerators.precision.true import TruePrecision

__all__ = ["FullPrecision", "MixedPrecision", "Precision", "ScaledPrecision", "TruePrecision"]
