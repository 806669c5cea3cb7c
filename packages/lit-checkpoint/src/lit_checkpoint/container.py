"""The zip container of ``torch.save``: where its records lie, and whether they are whole.

``torch.save`` stores a CRC-32 with every record; ``torch.load`` does not look at it. What is here does, with reading
and summing spread over threads, since both let go of the interpreter lock.
"""

import errno
import mmap
import os
import struct
import zipfile
import zlib
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from functools import lru_cache
from itertools import chain
from typing import Any, BinaryIO

from lit_checkpoint.errors import CheckpointCorruptError

_LOCAL_HEADER = struct.Struct("<4sHHHHHIIIHH")
_CHUNK = 1 << 19  # fits a core's cache: the sum reads what was just written there
_SEGMENT = 1 << 22  # below this a thread costs more than it brings
_TASK = 1 << 24
_PER_RECORD = 1 << 12  # what handling one record costs, in bytes read at the same time
_THREADS = min(4, os.cpu_count() or 1)
_DAMAGED = (
    zipfile.BadZipFile,
    struct.error,
    UnicodeDecodeError,
    NotImplementedError,
    ValueError,
    IndexError,
    OverflowError,
    EOFError,
)

_PAGE = 1 << 21

ReadAt = Callable[[memoryview, int], int]
"""Fills the view with what lies at the offset; returns how many bytes there were."""


@dataclass(frozen=True)
class Record:
    """One record of the container: ``size`` bytes at ``offset`` whose CRC-32 shall be ``crc``."""

    name: str
    offset: int
    size: int
    crc: int

    @property
    def is_tensor_data(self) -> bool:
        """Whether it holds the bytes of a tensor; the others are small and are needed to find these."""
        return "/data/" in self.name


def read_directory(file: BinaryIO, where: str) -> list[Record]:
    """List the records of the container in ``file``, each checked against its own header.

    Raises:
        CheckpointCorruptError: If ``file`` is no container of ``torch.save`` or its structure is damaged.
    """
    size = file.seek(0, os.SEEK_END)
    if size == 0:
        raise CheckpointCorruptError(f"{where}: the file is empty.")
    try:
        with zipfile.ZipFile(file) as archive:
            entries = archive.infolist()
        records = [_located(file, entry, size) for entry in entries]
    except (*_DAMAGED, OSError) as error:
        if isinstance(error, OSError) and error.errno != errno.EINVAL:  # a place before the start of the file
            raise
        raise CheckpointCorruptError(f"{where}: {_diagnosis(file, size)} ({error}).") from None
    if not any(record.name.endswith("/data.pkl") for record in records):
        raise CheckpointCorruptError(f"{where}: a zip archive without data.pkl, so no checkpoint of torch.save.")
    return records


def _located(file: BinaryIO, entry: zipfile.ZipInfo, size: int) -> Record:
    file.seek(entry.header_offset)
    header = _LOCAL_HEADER.unpack(file.read(_LOCAL_HEADER.size))
    name_length, extra_length = header[-2:]
    name = file.read(name_length)
    offset = entry.header_offset + _LOCAL_HEADER.size + name_length + extra_length
    if header[0] != b"PK\x03\x04" or name != entry.orig_filename.encode():
        raise ValueError(f"the header of record {entry.filename!r} at byte {entry.header_offset} is damaged")
    if entry.external_attr & 0x10:  # torch would take it for a folder and leave the tensor's memory as it was
        raise ValueError(f"record {entry.filename!r} is marked as a folder")
    if entry.compress_type or header[3] or entry.compress_size != entry.file_size or entry.flag_bits & 0x2041:
        raise ValueError(f"record {entry.filename!r} is compressed or encrypted, which torch.save never does")
    if offset + entry.file_size > size:
        raise ValueError(f"record {entry.filename!r} ends past the end of the file")
    return Record(entry.filename, offset, entry.file_size, entry.CRC)


def _diagnosis(file: BinaryIO, size: int) -> str:
    file.seek(0)
    start = file.read(8)
    if start.startswith(b"PK\x03\x04"):
        return f"the container is cut short or its directory is damaged; {size} bytes are there"
    if start.startswith(b"\x80\x02\x8a\x0al\xfc"):
        return "in the format of torch before 1.6, which has no checksums; torch.load it and save it again"
    return f"not a checkpoint; it starts with {start!r}"


class Checker:
    """Reads records through threads and compares their sums; close it, or use it in a ``with`` statement.

    Args:
        read_at: Called from several threads at once if ``parallel``.
        where: Path, for messages.
        parallel: Whether ``read_at`` may be called so.
    """

    def __init__(self, read_at: ReadAt, where: str, *, parallel: bool) -> None:
        self._read_at = read_at
        self._where = where
        self._crc32 = fastest_crc32()
        self._pool = ThreadPoolExecutor(_THREADS, "lit-checkpoint") if parallel and _THREADS > 1 else None

    def __enter__(self) -> "Checker":
        return self

    def __exit__(self, *exc_info: object) -> None:
        if self._pool is not None:
            self._pool.shutdown()

    def read(self, record: Record, into: memoryview) -> None:
        """Fill ``into`` with the record; raises :class:`CheckpointCorruptError` if its sum is another."""
        if record.size >= _SEGMENT:
            _use_large_pages(into)
        if self._pool is None or record.size < 2 * _SEGMENT:
            found = self._fill(into, record.offset)
        else:
            # As many parts as threads, so that a part's length, which combining depends on, is nearly always the same.
            step = max(_SEGMENT, -(-record.size // _THREADS))
            starts = range(0, record.size, step)
            parts = [into[start : start + step] for start in starts]
            others = self._map(self._fill, parts[1:], [record.offset + start for start in starts[1:]])
            found = self._fill(parts[0], record.offset)  # in this thread, which would only wait
            for part, part_sum in zip(parts[1:], others, strict=True):
                found = crc32_combine(found, part_sum, len(part))
        self._compare(record, found)

    def check(self, records: Iterable[Record]) -> None:
        """Check records without keeping them, several at a time and the parts of large ones in parallel."""
        tasks = _tasks(records)
        sums = self._map(self._sums, tasks) if len(tasks) > 1 else map(self._sums, tasks)
        found = 0
        for piece, piece_sum in zip(chain.from_iterable(tasks), chain.from_iterable(sums), strict=True):
            found = piece_sum if piece.start == 0 else crc32_combine(found, piece_sum, piece.size)
            if piece.start + piece.size == piece.record.size:
                self._compare(piece.record, found)

    def _map(self, function: Callable[..., Any], *arguments: Iterable[Any]) -> Iterator[Any]:
        if self._pool is not None:
            with suppress(RuntimeError):  # a program that is ending starts no work, and a last save may be under way
                return self._pool.map(function, *arguments)
        return map(function, *arguments)

    def _sums(self, task: "list[_Piece]") -> list[int]:
        buffer = memoryview(bytearray(min(_CHUNK, max(piece.size for piece in task))))
        sums = []
        for piece in task:
            found, offset = 0, piece.record.offset + piece.start
            for position in range(0, piece.size, _CHUNK):
                found = self._fill(buffer[: piece.size - position], offset + position, found)
            sums.append(found)
        return sums

    def _fill(self, into: memoryview, offset: int, crc: int = 0) -> int:
        for start in range(0, len(into), _CHUNK):
            chunk = into[start : start + _CHUNK]
            while chunk:
                count = self._read_at(chunk, offset + start)
                if count == 0:
                    raise CheckpointCorruptError(f"{self._where}: the file ends at byte {offset + start}, too early.")
                crc = self._crc32(chunk[:count], crc)
                chunk, start = chunk[count:], start + count
        return crc

    def _compare(self, record: Record, found: int) -> None:
        if found != record.crc:
            raise CheckpointCorruptError(
                f"{self._where}: record {record.name!r} ({record.size} bytes at byte {record.offset}) is damaged: "
                f"its CRC-32 is {found:#010x}, {record.crc:#010x} was stored."
            )


def fastest_crc32() -> Callable[[memoryview, int], int]:
    """``zlib.crc32``, or that of the package ``isal`` (extra ``fast``), which is about ten times as fast."""
    with suppress(ImportError):
        from isal.isal_zlib import crc32

        fast: Callable[[memoryview, int], int] = crc32
        return fast
    return zlib.crc32


def _use_large_pages(memory: memoryview) -> None:
    """Ask for pages of 2 MB: fresh memory then costs a few hundred faults per GB in place of a quarter of a million."""
    if _madvise is None:
        return
    import ctypes

    address = ctypes.addressof(ctypes.c_char.from_buffer(memory))
    start = -(-address // _PAGE) * _PAGE
    _madvise(ctypes.c_void_p(start), ctypes.c_size_t(address + len(memory) - start), mmap.MADV_HUGEPAGE)


def _find_madvise() -> Any:
    with suppress(ImportError, OSError, AttributeError):
        import ctypes

        return ctypes.CDLL(None).madvise if hasattr(mmap, "MADV_HUGEPAGE") else None
    return None


@dataclass(frozen=True)
class _Piece:
    record: Record
    start: int
    size: int


def _tasks(records: Iterable[Record]) -> list[list[_Piece]]:
    """Work of about one size: large records are cut, small ones put together."""
    tasks: list[list[_Piece]] = []
    filled = _TASK
    for record in records:
        for start in range(0, max(record.size, 1), _TASK):
            piece = _Piece(record, start, min(_TASK, record.size - start))
            if filled + piece.size > _TASK:
                tasks.append([])
                filled = 0
            tasks[-1].append(piece)
            filled += piece.size + _PER_RECORD
    return tasks


def crc32_combine(first: int, second: int, second_length: int) -> int:
    """CRC-32 of two byte strings put together, from the CRC-32 of each and the length of the second.

    A CRC is a polynomial over GF(2) modulo a fixed one: appending ``n`` bytes multiplies it by ``x ** (8 * n)``. It is
    what zlib's ``crc32_combine`` computes, which Python does not offer.

    Example:
        >>> crc32_combine(zlib.crc32(b"what is "), zlib.crc32(b"whole"), 5) == zlib.crc32(b"what is whole")
        True
    """
    return _multiply(_power_of_x(8 * second_length), first) ^ second


_madvise = _find_madvise()
_POLYNOMIAL = 0xEDB88320  # of CRC-32; the highest bit is the lowest power


def _multiply(a: int, b: int) -> int:
    product = 0
    bit = 1 << 31
    while a:
        if a & bit:
            product ^= b
            a ^= bit
        bit >>= 1
        b = (b >> 1) ^ (_POLYNOMIAL if b & 1 else 0)
    return product


@lru_cache(maxsize=1024)
def _power_of_x(exponent: int) -> int:
    power, square = 1 << 31, 1 << 30
    while exponent:
        if exponent & 1:
            power = _multiply(power, square)
        square = _multiply(square, square)
        exponent >>= 1
    return power
