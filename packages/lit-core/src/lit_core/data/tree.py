"""Nested results of steps."""

from typing import Any


def detached(output: Any) -> Any:
    """A step's output without its graph."""
    if hasattr(output, "detach"):
        return output.detach()
    if isinstance(output, dict):
        return {key: detached(value) for key, value in output.items()}
    if isinstance(output, (list, tuple)) and type(output) in (list, tuple):
        return type(output)(detached(value) for value in output)
    return output
