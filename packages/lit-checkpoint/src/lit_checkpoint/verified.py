"""One container of ``torch.save``, written with its sums and read with them compared."""

import errno
import io
import os
import pickle
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Lock
from typing import Any, BinaryIO

import torch

from lit_checkpoint.container import Checker, ReadAt, Record, read_directory
from lit_checkpoint.errors import CheckpointCorruptError
from lit_checkpoint.io import MapLocation
from lit_checkpoint.storage import Sink


@contextmanager
def with_sums() -> Iterator[None]:
    """Let ``torch.save`` write its sums, which loading is verified by, also where the user switched them off."""
    before = torch.serialization.get_crc32_options()
    torch.serialization.set_crc32_options(True)
    try:
        yield
    finally:
        torch.serialization.set_crc32_options(before)


def write_container(state: object, sink: Sink) -> None:
    """``torch.save`` with sums."""
    with with_sums():
        torch.save(state, sink)  # type: ignore[arg-type]


class Section(io.RawIOBase):
    """A part of a file as a file of its own.

    Args:
        file: Stays open as long as the section is used.
        start: First byte.
        size: Number of bytes.
    """

    def __init__(self, file: BinaryIO, start: int, size: int) -> None:
        super().__init__()
        self._whole, self.parallel = read_at(file)
        self._start = start
        self._size = size
        self._position = 0

    def read_at(self, into: memoryview, offset: int) -> int:
        """Fill ``into`` with what lies at ``offset`` of the section."""
        into = into[: max(0, self._size - offset)]
        return self._whole(into, self._start + offset) if into else 0

    def readable(self) -> bool:
        """Yes."""
        return True

    def seekable(self) -> bool:
        """Yes."""
        return True

    def tell(self) -> int:
        """Relative to the section."""
        return self._position

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        """Relative to the section."""
        base = {os.SEEK_SET: 0, os.SEEK_CUR: self._position, os.SEEK_END: self._size}[whence]
        if base + offset < 0:
            raise OSError(errno.EINVAL, os.strerror(errno.EINVAL))
        self._position = base + offset
        return self._position

    def readinto(self, into: Any) -> int:
        """At the position, which moves on."""
        count = self.read_at(memoryview(into).cast("B"), self._position)
        self._position += count
        return count


def read_at(file: BinaryIO) -> tuple[ReadAt, bool]:
    """A function to read at an offset, and whether it may be called from several threads at once."""
    if isinstance(file, Section):
        return file.read_at, file.parallel
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


def verify_container(file: BinaryIO, where: str) -> None:
    """Compare the sum of every record of the container in ``file``; raises as :func:`load_container` does."""
    records = read_directory(file, where)
    reading, parallel = read_at(file)
    with Checker(reading, where, parallel=parallel) as checker:
        checker.check(records)


def load_container(file: BinaryIO, where: str, map_location: MapLocation, weights_only: bool) -> Any:
    """``torch.load`` from ``file``, verified; ``where`` is for messages.

    Raises:
        CheckpointCorruptError: If it is damaged or no container.
        pickle.UnpicklingError: If it holds objects that ``weights_only`` does not allow, naming them.
    """
    records = read_directory(file, where)
    reading, parallel = read_at(file)
    with Checker(reading, where, parallel=parallel) as checker:
        # What says how to read the rest comes first: torch acts on it before its sum could be known.
        checker.check(record for record in records if not record.is_tensor_data)
        reader = _VerifyingReader(file, records, checker, where)
        try:
            state = torch.load(reader, map_location=map_location, weights_only=weights_only)  # type: ignore[arg-type]
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
