"""Where files lie: a local folder, or what fsspec reaches. All that differs between the two is here."""

import errno
import hashlib
import os
import secrets
import shutil
from abc import ABC, abstractmethod
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from datetime import datetime
from difflib import get_close_matches
from importlib import import_module
from os import PathLike
from typing import Any, BinaryIO, Protocol

fcntl: Any = None  # Windows has none: there an open file cannot be removed, which says the same as the lock
with suppress(ImportError):
    fcntl = import_module("fcntl")

PARTIAL = ".partial"
"""Ending of files being written; they start with a dot as well, and nothing reads them."""

_OBJECT_STORES = frozenset({"s3", "s3a", "gs", "gcs", "abfs", "abfss", "az", "adl", "oci", "oss", "r2", "hf"})
_SPARE_BYTES = 1 << 20
_OPENINGS = 3
_FLUSH_EVERY = 1 << 26  # the disk writes while the next bytes are summed and copied


class Sink(Protocol):
    """What :func:`torch.save` needs of a file to write to."""

    def write(self, data: Any, /) -> int:
        """Take bytes; returns how many."""

    def flush(self) -> None:
        """Hand on what is buffered."""


class Storage(ABC):
    """Files at local paths or at URLs of one kind."""

    @abstractmethod
    def write(
        self, path: str, produce: Callable[[Sink], None], *, num_bytes: int, check: Callable[[str], None] | None = None
    ) -> None:
        """Write what ``produce`` puts out to ``path`` atomically and durably, after ``check`` of the finished file."""

    @abstractmethod
    def open(self, path: str) -> BinaryIO:
        """Open for reading, seekable."""

    @abstractmethod
    def names(self, folder: str) -> dict[str, tuple[int, float]]:
        """Names in ``folder`` with size in bytes and time of change (since 1970); empty if there is no folder."""

    @abstractmethod
    def exists(self, path: str) -> bool:
        """Whether there is a file or a folder."""

    @abstractmethod
    def is_folder(self, path: str) -> bool:
        """Whether there is a folder; on a store without folders: whether names begin so."""

    @abstractmethod
    def size(self, path: str) -> int:
        """Bytes of a file, or of all files in a folder."""

    @abstractmethod
    def remove(self, path: str) -> None:
        """Delete a file; nothing happens if it is not there."""

    @abstractmethod
    def remove_empty(self, folder: str) -> None:
        """Delete a folder if nothing is in it; nothing happens otherwise."""

    @abstractmethod
    def remove_litter(self, folder: str) -> None:
        """Delete what killed writers left in ``folder``, and nothing that a live one still writes."""

    def write_text(self, path: str, text: str) -> None:
        """Replace the small file at ``path`` atomically and durably."""
        data = text.encode()
        self.write(path, lambda sink: _write_all(sink, data), num_bytes=len(data))

    def read_text(self, path: str) -> str:
        """Read the small file at ``path``."""
        with self.open(path) as file:
            return file.read().decode()


def _write_all(sink: Sink, data: bytes) -> None:
    sink.write(data)


def locate(path: str | PathLike[str]) -> tuple[Storage, str]:
    """The storage that ``path`` names, and the path as that storage wants it (local paths lose ``file://``).

    Example:
        >>> locate("file:///runs/model.ckpt")[1]
        '/runs/model.ckpt'
        >>> locate("memory://runs/model.ckpt")[1]
        'memory://runs/model.ckpt'
    """
    text = os.fspath(path)
    if text.startswith(("file://", "local://")):
        text = text.split("://", 1)[1]
    elif "://" in text:
        return RemoteStorage(), text
    return LocalStorage(), text


def join(folder: str, name: str) -> str:
    """``name`` in ``folder``, which may be a URL."""
    return f"{folder.rstrip('/')}/{name}" if "://" in folder else os.path.join(folder, name)  # noqa: PTH118


def near(storage: Storage, where: str) -> str:
    """A sentence on what is in the folder of ``where``, for a message that says that ``where`` is not."""
    folder, _, wanted = where.rpartition("/")
    names = [name for name in storage.names(folder or os.curdir) if not is_partial(name)]
    close = get_close_matches(wanted, names, n=5, cutoff=0.3) or sorted(names)[:5]
    if close:
        return f" In the same folder: {', '.join(close)}."
    return " Its folder is empty or does not exist."


class LocalStorage(Storage):
    """The local file system, or a mounted one."""

    def write(
        self, path: str, produce: Callable[[Sink], None], *, num_bytes: int, check: Callable[[str], None] | None = None
    ) -> None:
        """Write beside ``path``, flush to the disk, check, rename, flush the folder.

        If the folder's own flush fails, that is raised too, with the new file complete and in place.
        """
        folder, name = os.path.split(path)
        folder = folder or os.curdir
        os.makedirs(folder, exist_ok=True)  # noqa: PTH103
        _require_space(folder, path, num_bytes)
        partial, descriptor = _open_partial(folder, name)
        try:
            try:
                sink = _LocalSink(descriptor)
                try:
                    produce(sink)
                    sink.close()
                finally:
                    sink.release()
                _flush_and_check(descriptor, partial, check)
                if fcntl is not None:  # still locked: else somebody could take it for litter in between
                    os.replace(partial, path)  # noqa: PTH105
            finally:
                os.close(descriptor)
            if fcntl is None:  # where open files cannot be renamed
                os.replace(partial, path)  # noqa: PTH105
        except BaseException:
            with suppress(OSError):
                os.unlink(partial)  # noqa: PTH108
            raise
        _flush_folder(folder)

    def open(self, path: str) -> BinaryIO:
        """Open without a buffer: readers here ask for large pieces."""
        return open(path, "rb", buffering=0)  # noqa: PTH123

    def names(self, folder: str) -> dict[str, tuple[int, float]]:
        """As the file system lists them."""
        found = {}
        with suppress(FileNotFoundError), os.scandir(folder) as entries:
            for entry in entries:
                with suppress(FileNotFoundError):  # removed meanwhile
                    status = entry.stat()
                    found[entry.name] = (status.st_size, status.st_mtime)
        return found

    def exists(self, path: str) -> bool:
        """Links are followed."""
        return os.path.exists(path)  # noqa: PTH110

    def is_folder(self, path: str) -> bool:
        """Links are followed."""
        return os.path.isdir(path)  # noqa: PTH112

    def size(self, path: str) -> int:
        """Of a folder: the sum over its files."""
        if not os.path.isdir(path):  # noqa: PTH112
            return os.stat(path).st_size  # noqa: PTH116
        return sum(os.stat(os.path.join(root, name)).st_size for root, _, names in os.walk(path) for name in names)  # noqa: PTH116, PTH118

    def remove(self, path: str) -> None:
        """Only ever one file: a folder is refused by the system."""
        with suppress(FileNotFoundError):
            os.unlink(path)  # noqa: PTH108

    def remove_empty(self, folder: str) -> None:
        """As the system's ``rmdir``, whose other errors are raised."""
        try:
            os.rmdir(folder)  # noqa: PTH106
        except OSError as error:
            if error.errno not in {errno.ENOTEMPTY, errno.EEXIST, errno.ENOENT, errno.ENOTDIR}:
                raise

    def remove_litter(self, folder: str) -> None:
        """A live writer holds a lock on its file; what can be locked belongs to nobody."""
        for name in self.names(folder):
            if is_partial(name):
                with suppress(OSError):
                    _remove_if_unlocked(os.path.join(folder, name))  # noqa: PTH118


class _LocalSink:
    """Gathers small pieces, passes large ones through.

    An error is kept and raised by :meth:`close`, since ``write`` is called from C++ code that ends the process when an
    exception crosses it twice.
    """

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._buffer = bytearray()
        self._error: OSError | None = None
        self._unflushed = 0
        self._flushing: list[Future[None]] = []
        self._pool: ThreadPoolExecutor | None = None

    def write(self, data: Any, /) -> int:
        length = len(data)
        if length < 1 << 16:
            self._buffer += data
            if len(self._buffer) > 1 << 20:
                self.flush()
        else:
            self.flush()
            self._put(memoryview(data))
        return length

    def flush(self) -> None:
        buffer, self._buffer = self._buffer, bytearray()
        self._put(memoryview(buffer))

    def close(self) -> None:
        self.flush()
        if self._error is not None:
            raise self._error
        for flushed in self._flushing:
            flushed.result()  # the system tells each failure to one flush only

    def release(self) -> None:
        """Wait for flushes under way: after it the descriptor may be closed."""
        if self._pool is not None:
            self._pool.shutdown()

    def _put(self, view: memoryview) -> None:
        try:
            while view and self._error is None:
                count = os.write(self._descriptor, view)
                view = view[count:]
                self._unflushed += count
        except OSError as error:
            self._error = error
        if self._unflushed >= _FLUSH_EVERY and all(flushed.done() for flushed in self._flushing):
            self._unflushed = 0
            with suppress(RuntimeError):  # a program that is ending starts no work
                self._pool = self._pool or ThreadPoolExecutor(1, "lit-checkpoint-flush")
                self._flushing.append(self._pool.submit(os.fsync, self._descriptor))


def is_partial(name: str) -> bool:
    """Whether ``name`` is one that a writer here gives to an unfinished file."""
    return name.startswith(".") and name.endswith(PARTIAL)


def _partial_name(name: str) -> str:
    # The name itself may be as long as the file system allows: a few letters of it and a digest are enough.
    digest = hashlib.blake2b(name.encode(), digest_size=4).hexdigest()
    return f".{name[:40]}.{digest}{secrets.token_hex(4)}{PARTIAL}"


def _require_space(folder: str, path: str, num_bytes: int) -> None:
    free = shutil.disk_usage(folder).free
    if free < num_bytes + _SPARE_BYTES:
        raise OSError(
            errno.ENOSPC,
            f"Not enough space: {num_bytes / 1e6:,.1f} MB are needed and {free / 1e6:,.1f} MB are free. Nothing was "
            "written; free some space or save elsewhere",
            path,
        )


def _open_partial(folder: str, name: str) -> tuple[str, int]:
    """A new file to write ``name`` to, locked, so that nobody takes it for what a killed writer left."""
    for attempt in range(_OPENINGS):
        partial = os.path.join(folder, _partial_name(name))  # noqa: PTH118
        descriptor = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0), 0o666)
        _lock(descriptor)
        if attempt == _OPENINGS - 1 or os.path.exists(partial):  # noqa: PTH110
            break
        os.close(descriptor)  # somebody who cleaned up was there before the lock
    return partial, descriptor


def _lock(descriptor: int) -> None:
    if fcntl is not None:
        with suppress(OSError):  # some network file systems have no locks
            fcntl.flock(descriptor, fcntl.LOCK_EX)  # waits for who looks whether it is left over, and removes it


def _remove_if_unlocked(path: str) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        if fcntl is not None:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            os.unlink(path)  # noqa: PTH108
    finally:
        os.close(descriptor)
    if fcntl is None:
        os.unlink(path)  # noqa: PTH108


def _flush_and_check(descriptor: int, partial: str, check: Callable[[str], None] | None) -> None:
    if check is None:
        os.fsync(descriptor)
        return
    # The check reads what the kernel holds in memory while the disk is busy with the flush.
    with ThreadPoolExecutor(1, "lit-checkpoint-fsync") as pool:
        flushed = None
        with suppress(RuntimeError):  # a program that is ending starts no work, and a last save may be under way
            flushed = pool.submit(os.fsync, descriptor)
        check(partial)
        if flushed is None:
            os.fsync(descriptor)
        else:
            flushed.result()


def _flush_folder(folder: str) -> None:
    if os.name == "nt":  # folders cannot be opened there; renames are logged by the file system
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


class RemoteStorage(Storage):
    """Files behind fsspec. Object stores show an object when its upload ends; elsewhere a finished file is moved."""

    def write(
        self, path: str, produce: Callable[[Sink], None], *, num_bytes: int, check: Callable[[str], None] | None = None
    ) -> None:
        """Upload; ``check`` is not called, since it would load everything back: the size is compared instead."""
        fs, target = _filesystem(path)
        if any(protocol in _OBJECT_STORES for protocol in _protocols(fs)):
            self._upload(fs, target, produce)
            return
        folder, _, name = target.rpartition("/")
        if folder:
            fs.makedirs(folder, exist_ok=True)
        partial = f"{folder}/{_partial_name(name)}"
        try:
            with fs.open(partial, "wb") as file:
                sink = _RemoteSink(file)
                produce(sink)
                sink.close()
            _compare_size(fs, partial, sink.count)
            fs.mv(partial, target)
        except BaseException:
            with suppress(Exception):
                fs.rm(partial)
            raise

    def _upload(self, fs: Any, target: str, produce: Callable[[Sink], None]) -> None:
        file = fs.open(target, "wb", autocommit=False)
        sink = _RemoteSink(file)
        try:
            produce(sink)
            sink.close()
            file.close()
            file.commit()
        except BaseException:
            with suppress(Exception):
                file.discard()
            raise
        _compare_size(fs, target, sink.count)

    def open(self, path: str) -> BinaryIO:
        """As fsspec opens it."""
        fs, target = _filesystem(path)
        file: BinaryIO = fs.open(target, "rb")
        return file

    def names(self, folder: str) -> dict[str, tuple[int, float]]:
        """Times stay 0.0 where the store does not tell them."""
        fs, target = _filesystem(folder)
        fs.invalidate_cache()
        try:
            entries = fs.ls(target, detail=True)
        except FileNotFoundError:
            return {}
        names = [entry["name"].rstrip("/").rpartition("/")[2] for entry in entries]
        return {name: (entry.get("size") or 0, _time(entry)) for name, entry in zip(names, entries, strict=True)}

    def exists(self, path: str) -> bool:
        """Asks the store."""
        fs, target = _filesystem(path)
        return bool(fs.exists(target))

    def is_folder(self, path: str) -> bool:
        """Asks the store."""
        fs, target = _filesystem(path)
        fs.invalidate_cache()
        return bool(fs.isdir(target))

    def size(self, path: str) -> int:
        """Of a folder: the sum over its files."""
        fs, target = _filesystem(path)
        return int(fs.du(target))

    def remove(self, path: str) -> None:
        """Only ever one file."""
        fs, target = _filesystem(path)
        with suppress(FileNotFoundError):
            fs.rm_file(target)

    def remove_empty(self, folder: str) -> None:
        """Object stores have no folders that could be left."""
        fs, target = _filesystem(folder)
        fs.invalidate_cache()
        with suppress(Exception):
            if not fs.ls(target):
                fs.rmdir(target)

    def remove_litter(self, folder: str) -> None:
        """Nothing: a remote store cannot tell a killed writer from a slow one."""


class _RemoteSink:
    def __init__(self, file: Any) -> None:
        self._file = file
        self._error: BaseException | None = None
        self.count = 0

    def write(self, data: Any, /) -> int:
        length = len(data)
        if self._error is None:
            try:
                self._file.write(bytes(data))  # torch reuses the memory behind the view
                self.count += length
            except Exception as error:
                self._error = error  # must not cross C++ code, see _LocalSink
        return length

    def flush(self) -> None:
        """Uploads leave in blocks of the store's own size."""

    def close(self) -> None:
        if self._error is not None:
            raise self._error


def _filesystem(path: str) -> tuple[Any, str]:
    try:
        from fsspec.core import url_to_fs
    except ImportError as error:
        raise ImportError(f"{path!r} is a URL, which needs fsspec: pip install fsspec") from error
    fs, target = url_to_fs(path)
    return fs, target


def _protocols(fs: Any) -> tuple[str, ...]:
    return (fs.protocol,) if isinstance(fs.protocol, str) else tuple(fs.protocol)


def _compare_size(fs: Any, target: str, count: int) -> None:
    fs.invalidate_cache()
    found = fs.size(target)
    if found != count:
        raise OSError(errno.EIO, f"The store holds {found} bytes where {count} were written", target)


def _time(entry: dict[str, Any]) -> float:
    for key in ("mtime", "LastModified", "last_modified", "updated", "created"):
        value = entry.get(key)
        if isinstance(value, int | float):
            return float(value)
        if isinstance(value, datetime):
            return value.timestamp()
    return 0.0
