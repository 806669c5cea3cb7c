"""Reading the variables that tell a process its rank."""

import os


def read_int(name: str, *, set_by: str, default: int | None = None, minimum: int = 0) -> int:
    """The whole number in variable ``name``.

    Raises:
        RuntimeError: if it is missing (and there is no default), no number, or too small.
    """
    text = os.environ.get(name)
    if text is None:
        if default is not None:
            return default
        raise RuntimeError(f"The variable {name} is not set; {set_by} must set it.")
    try:
        value = int(text)
    except ValueError:
        raise RuntimeError(
            f"The variable {name} must hold a whole number, got {text!r}; {set_by} must set it."
        ) from None
    if value < minimum:
        raise RuntimeError(f"The variable {name} must be at least {minimum}, got {value}; {set_by} must set it.")
    return value


def check_rank(rank: int, world_size: int, *, rank_name: str, world_name: str, set_by: str) -> None:
    """Raise ``RuntimeError`` unless ``rank < world_size``."""
    if rank >= world_size:
        raise RuntimeError(
            f"{rank_name}={rank} is no rank of {world_name}={world_size} processes "
            f"(0 to {world_size - 1}); {set_by} must set them."
        )
