"""Numeric precisions."""

from lit_accelerators.precision.base import Precision
from lit_accelerators.precision.full import FullPrecision
from lit_accelerators.precision.mixed import MixedPrecision

__all__ = ["FullPrecision", "MixedPrecision", "Precision"]
