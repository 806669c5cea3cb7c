"""What can be known before hours are spent."""

from lit_core.checking.check import check
from lit_core.checking.findings import Finding, FitReport

__all__ = ["Finding", "FitReport", "check"]
