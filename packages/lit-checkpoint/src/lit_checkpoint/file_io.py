"""One checkpoint in one file, in the format of ``torch.save``: written atomically, verified at both ends."""

import io
from collections.abc import Callable
from os import PathLike
from typing import Any, BinaryIO

from lit_checkpoint.errors import CheckpointCorruptError
from lit_checkpoint.io import CheckpointIO, MapLocation
from lit_checkpoint.plain import check_plain
from lit_checkpoint.storage import LocalStorage, locate, near
from lit_checkpoint.verified import load_container, verify_container, write_container


class FileCheckpointIO(CheckpointIO):
    """Keeps each checkpoint in one file that plain ``torch.load(path, weights_only=True)`` reads.

    - Written beside its target under another name, flushed to the disk (file and folder), read back and compared, then
      renamed. Whoever looks at the path finds the old file or the new one, each complete.
    - Every record's CRC-32 is compared when it is read, on the bytes that end up in the tensors.
    - The path is local or any URL that fsspec knows. An upload to an object store shows when it is complete; on other
      remote file systems a finished file is moved into place. Remote files are read into memory whole before they are
      taken apart, so loading one needs twice its size.

    Example:
        >>> import pathlib, tempfile, torch
        >>> path = pathlib.Path(tempfile.mkdtemp(), "model.ckpt")
        >>> checkpoint_io = FileCheckpointIO()
        >>> checkpoint_io.save({"state_dict": torch.nn.Linear(2, 1).state_dict(), "global_step": 7}, path)
        >>> checkpoint_io.load(path)["global_step"]
        7
    """

    def save(self, state: dict[str, Any], path: str | PathLike[str]) -> None:
        """Write ``state`` to ``path``; folders on the way are made.

        Raises:
            TypeError: For a value that ``torch.load(weights_only=True)`` would refuse, naming its place.
            OSError: If there is too little space (found before anything is written), or the write failed. What was at
                ``path`` is untouched then. The one exception: if only the flush of the folder fails, after the rename,
                the new file stands there complete, but a power cut may bring the old one back.
            CheckpointCorruptError: If what was read back differs from what was written.
        """
        num_bytes = check_plain(state)
        storage, where = locate(path)
        storage.write(where, lambda sink: write_container(state, sink), num_bytes=num_bytes, check=_verify_local)

    def load(
        self, path: str | PathLike[str], *, map_location: MapLocation = "cpu", weights_only: bool = True
    ) -> dict[str, Any]:
        """Read the checkpoint at ``path``, verified.

        Args:
            path: Local path or URL.
            map_location: Device that the tensors are put on; ``None`` is where they were saved from.
            weights_only: ``False`` unpickles anything, which runs code that the file brings: only for files you trust.

        Raises:
            FileNotFoundError: If nothing is there, naming what is near.
            CheckpointCorruptError: If it is damaged or no checkpoint.
            pickle.UnpicklingError: If it holds objects that ``weights_only`` does not allow, naming them.
        """
        state: dict[str, Any] = with_file(
            path, lambda file, where: load_container(file, where, map_location, weights_only)
        )
        return state

    def verify(self, path: str | PathLike[str]) -> None:
        """Compare every record's CRC-32 without building tensors; raises as :meth:`load` does."""
        with_file(path, verify_container)

    def remove(self, path: str | PathLike[str]) -> None:
        """Delete the checkpoint at ``path``; nothing happens if it is not there."""
        storage, where = locate(path)
        storage.remove(where)


def _verify_local(path: str) -> None:
    with LocalStorage().open(path) as file:
        verify_container(file, path)


def with_file(path: str | PathLike[str], use: Callable[[BinaryIO, str], Any]) -> Any:
    """What ``use`` makes of the file at ``path``, opened, and of its name for messages.

    Raises:
        FileNotFoundError: If nothing is there, naming what is near.
        CheckpointCorruptError: If it is a folder.
    """
    storage, where = locate(path)
    try:
        file = storage.open(where)
    except FileNotFoundError:
        raise FileNotFoundError(f"There is no checkpoint at {where}.{near(storage, where)}") from None
    except IsADirectoryError:
        raise CheckpointCorruptError(f"{where}: a folder, not a file.{near(storage, where + '/')}") from None
    with file:
        if not isinstance(storage, LocalStorage):
            return use(io.BytesIO(file.read()), where)
        return use(file, where)
