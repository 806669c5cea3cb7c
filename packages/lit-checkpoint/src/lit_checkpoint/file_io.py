"""One checkpoint in one file, in the format of ``torch.save``: written atomically, verified at both ends."""

import io
import os
import pickle
from collections.abc import Callable
from difflib import get_close_matches
from os import PathLike
from threading import Lock
from typing import Any, BinaryIO

import torch

from lit_checkpoint.container import Checker, ReadAt, Record, read_directory
from lit_checkpoint.errors import CheckpointCorruptError
from lit_checkpoint.io import CheckpointIO, MapLocation
from lit_checkpoint.plain import check_plain
from lit_checkpoint.storage import LocalStorage, Sink, Storage, is_partial, locate


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
        storage.write(where, lambda sink: _torch_save(state, sink), num_bytes=num_bytes, check=_verify_local)

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
        state: dict[str, Any] = _with_file(path, lambda file, where: _load(file, where, map_location, weights_only))
        return state

    def verify(self, path: str | PathLike[str]) -> None:
        """Compare every record's CRC-32 without building tensors; raises as :meth:`load` does."""
        _with_file(path, _verify)

    def remove(self, path: str | PathLike[str]) -> None:
        """Delete the checkpoint at ``path``; nothing happens if it is not there."""
        storage, where = locate(path)
        storage.remove(where)


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
    return FileCheckpointIO().load(path, map_location=map_location, weights_only=weights_only)


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
    FileCheckpointIO().verify(path)


def _torch_save(state: dict[str, Any], sink: Sink) -> None:
    with_sums = torch.serialization.get_crc32_options()
    torch.serialization.set_crc32_options(True)  # the sums are what loading is verified by
    try:
        torch.save(state, sink)  # type: ignore[arg-type]
    finally:
        torch.serialization.set_crc32_options(with_sums)


def _verify_local(path: str) -> None:
    with LocalStorage().open(path) as file:
        _verify(file, path)


def _with_file(path: str | PathLike[str], use: Callable[[BinaryIO, str], Any]) -> Any:
    storage, where = locate(path)
    try:
        file = storage.open(where)
    except FileNotFoundError:
        raise FileNotFoundError(f"There is no checkpoint at {where}.{_near(storage, where)}") from None
    except IsADirectoryError:
        raise CheckpointCorruptError(f"{where}: a folder, not a file.{_near(storage, where + '/')}") from None
    with file:
        if not isinstance(storage, LocalStorage):
            return use(io.BytesIO(file.read()), where)
        return use(file, where)


def _near(storage: Storage, where: str) -> str:
    folder, _, wanted = where.rpartition("/")
    names = [name for name in storage.names(folder or os.curdir) if not is_partial(name)]
    close = get_close_matches(wanted, names, n=5, cutoff=0.3) or sorted(names)[:5]
    if close:
        return f" In the same folder: {', '.join(close)}."
    return " Its folder is empty or does not exist."


def _read_at(file: BinaryIO) -> tuple[ReadAt, bool]:
    """A function to read at an offset, and whether it may be called from several threads at once."""
    if isinstance(file, io.BytesIO):
        content = file.getbuffer()

        def copy(into: memoryview, offset: int) -> int:
            found = content[offset : offset + len(into)]
            into[: len(found)] = found
            return len(found)

        return copy, True
    if hasattr(os, "preadv"):
        descriptor = file.fileno()
        return (lambda into, offset: os.preadv(descriptor, [into], offset)), True
    lock = Lock()

    def seek_and_read(into: memoryview, offset: int) -> int:
        with lock:
            file.seek(offset)
            return file.readinto(into)  # type: ignore[attr-defined, no-any-return]

    return seek_and_read, False


def _verify(file: BinaryIO, where: str) -> None:
    records = read_directory(file, where)
    read_at, parallel = _read_at(file)
    with Checker(read_at, where, parallel=parallel) as checker:
        checker.check(records)


def _load(file: BinaryIO, where: str, map_location: MapLocation, weights_only: bool) -> dict[str, Any]:
    records = read_directory(file, where)
    read_at, parallel = _read_at(file)
    with Checker(read_at, where, parallel=parallel) as checker:
        # What says how to read the rest comes first: torch acts on it before its sum could be known.
        checker.check(record for record in records if not record.is_tensor_data)
        reader = _VerifyingReader(file, records, checker, where)
        try:
            state: dict[str, Any] = torch.load(reader, map_location=map_location, weights_only=weights_only)  # type: ignore[arg-type]
        except Exception as error:
            if reader.damage is not None:
                raise reader.damage from None
            raise _explained(error, where, file) from error
        reader.finish()
    return state


def _explained(error: Exception, where: str, file: BinaryIO) -> Exception:
    if "PytorchStreamReader" in str(error):
        return CheckpointCorruptError(f"{where}: the container is damaged: {error}")
    if not isinstance(error, pickle.UnpicklingError):
        return error
    file.seek(0)
    names = ", ".join(sorted(torch.serialization.get_unsafe_globals_in_checkpoint(file)))
    return pickle.UnpicklingError(
        f"{where}: holds objects that are not tensors or plain values ({names or error}). If you trust the file, load "
        "it with weights_only=False, which may run code that it brings, or allow them with "
        "torch.serialization.add_safe_globals."
    )


class _VerifyingReader(io.RawIOBase):
    """The file as :func:`torch.load` wants it; a record read whole is compared with its sum on the way.

    Damage is kept instead of raised, since the caller is C++ code that an exception should not cross.
    """

    def __init__(self, file: BinaryIO, records: list[Record], checker: Checker, where: str) -> None:
        super().__init__()
        self._file = file
        self._checker = checker
        self._where = where
        self._any_read = False
        self._position = 0
        self._waiting = {record.offset: record for record in records if record.is_tensor_data and record.size}
        self.damage: CheckpointCorruptError | None = None

    def finish(self) -> None:
        """Raise the damage that was met, or that tensors lack their bytes."""
        if self.damage is not None:
            raise self.damage
        # On the "meta" device and under FakeTensorMode torch reads no bytes at all.
        if self._any_read and self._waiting:
            names = ", ".join(repr(record.name) for record in self._waiting.values())
            raise CheckpointCorruptError(f"{self._where}: the directory is damaged: torch did not read {names}.")

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._position

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        if whence == os.SEEK_CUR:
            offset += self._position
        elif whence == os.SEEK_END:
            offset = self._file.seek(offset, os.SEEK_END)
        self._position = offset
        return self._position

    def readinto(self, into: Any) -> int:
        view = memoryview(into).cast("B")
        record = self._waiting.get(self._position)
        if record is not None and record.size == len(view):
            del self._waiting[self._position]
            self._any_read = True
            try:
                self._checker.read(record, view)
            except CheckpointCorruptError as damage:
                self.damage = self.damage or damage
            count = len(view)
        else:
            self._file.seek(self._position)
            count = self._file.readinto(view)  # type: ignore[attr-defined]
        self._position += count
        return count
