"""lit-metrics."""

from lit_metrics.__about__ import __version__

__all__ = ["__version__"]
