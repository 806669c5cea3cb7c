"""Version of lit-metrics; the release script writes it."""

__version__ = "0.1.0"
