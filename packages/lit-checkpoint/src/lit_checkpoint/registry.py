"""Checkpoint formats by name; other packages add theirs by the entry-point group ``lit_checkpoint.io``."""

from importlib.metadata import entry_points

from lit_checkpoint.io import CheckpointIO

GROUP = "lit_checkpoint.io"


def get_io(io: str | CheckpointIO | type[CheckpointIO] = "file") -> CheckpointIO:
    """The checkpoint format meant by a registered name, a class, or an object (which is returned as it is).

    Raises:
        ValueError: If no such name is registered, naming those that are.
        TypeError: If what was given or is registered is no :class:`CheckpointIO`.

    Example:
        >>> get_io("file")  # doctest: +ELLIPSIS
        <lit_checkpoint.file_io.FileCheckpointIO object at ...>
    """
    found: object = io
    if isinstance(io, str):
        registered = entry_points(group=GROUP)
        if io not in registered.names:
            raise ValueError(f"No checkpoint format is registered as {io!r}; there is: {', '.join(registered.names)}.")
        found = registered[io].load()
    if isinstance(found, type) and issubclass(found, CheckpointIO):
        return found()
    if isinstance(found, CheckpointIO):
        return found
    raise TypeError(f"A CheckpointIO, a class of one, or a registered name is needed, got {found!r}.")
