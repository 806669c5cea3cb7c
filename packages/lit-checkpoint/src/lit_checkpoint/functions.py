"""Save, load and verify one checkpoint, whatever its format."""

from os import PathLike
from typing import Any

from lit_checkpoint.file_io import FileCheckpointIO
from lit_checkpoint.io import CheckpointIO, MapLocation
from lit_checkpoint.storage import locate


def io_of(path: str | PathLike[str]) -> CheckpointIO:
    """The format of what is at ``path``: a folder holds one checkpoint in several files."""
    storage, where = locate(path)
    if storage.is_folder(where):
        from lit_checkpoint.sharded import ShardedCheckpointIO

        return ShardedCheckpointIO()
    return FileCheckpointIO()


def save(state: dict[str, Any], path: str | PathLike[str]) -> None:
    """Save a checkpoint in one file: complete or not there; see :meth:`FileCheckpointIO.save`.

    Args:
        state: Nested dicts, lists, tuples and sets of tensors and plain values.
        path: Local path or URL; by custom it ends in ``.ckpt``.

    Raises:
        TypeError: For a value that cannot be loaded safely, naming its place in the state.
        OSError: If it could not be written; what was at ``path`` is untouched.

    Example:
        >>> import pathlib, tempfile, torch
        >>> path = pathlib.Path(tempfile.mkdtemp(), "model.ckpt")
        >>> save({"weight": torch.ones(2), "epoch": 3}, path)
        >>> torch.load(path, weights_only=True)
        {'weight': tensor([1., 1.]), 'epoch': 3}
    """
    FileCheckpointIO().save(state, path)


def load(path: str | PathLike[str], map_location: MapLocation = "cpu", weights_only: bool = True) -> dict[str, Any]:
    """Load a checkpoint that :func:`save` or ``torch.save`` wrote, verified; see :meth:`FileCheckpointIO.load`.

    A folder that :class:`ShardedCheckpointIO` wrote is put together whole.

    Raises:
        FileNotFoundError: If nothing is there, naming what is near.
        CheckpointCorruptError: If it is damaged or no checkpoint, saying what and where.
        pickle.UnpicklingError: If it holds objects that ``weights_only`` does not allow.

    Example:
        >>> import pathlib, tempfile
        >>> path = pathlib.Path(tempfile.mkdtemp(), "model.ckpt")
        >>> save({"epoch": 3}, path)
        >>> load(path)
        {'epoch': 3}
    """
    return io_of(path).load(path, map_location=map_location, weights_only=weights_only)


def verify(path: str | PathLike[str]) -> None:
    """Check that the checkpoint at ``path`` is whole, without building its tensors.

    Raises:
        FileNotFoundError: If nothing is there, naming what is near.
        CheckpointCorruptError: If it is damaged or no checkpoint, saying what and where.

    Example:
        >>> import pathlib, tempfile
        >>> path = pathlib.Path(tempfile.mkdtemp(), "model.ckpt")
        >>> save({"epoch": 3}, path)
        >>> verify(path)
        >>> _ = path.write_bytes(path.read_bytes()[:100])
        >>> verify(path)
        Traceback (most recent call last):
        ...
        lit_checkpoint.errors.CheckpointCorruptError: ...model.ckpt: the container is cut short or its directory is \
damaged; 100 bytes are there (File is not a zip file).
    """
    io_of(path).verify(path)
