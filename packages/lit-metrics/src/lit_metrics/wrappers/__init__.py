"""Metrics around other metrics."""

from lit_metrics._lazy import attach

__all__, __getattr__, __dir__ = attach(__name__)
