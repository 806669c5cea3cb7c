"""Every metric as a function of one batch; the classes use the same kernels."""

from lit_metrics._lazy import attach

__all__, __getattr__, __dir__ = attach(__name__)
