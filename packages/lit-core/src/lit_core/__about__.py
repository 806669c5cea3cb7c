"""Version of lit-core; the release script writes it."""

__version__ = "0.1.0"
