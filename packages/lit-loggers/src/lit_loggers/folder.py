"""The folder of a run: ``save_dir/name/version_N``, on a local disk or behind fsspec."""

import os
import re
import secrets
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from os import PathLike
from typing import IO, Any

_VERSION = re.compile(r"version_(\d+)")


class RunFolder:
    """The folder of one run, made when it is first written to or its path is asked for, and not before.

    Args:
        save_dir: Parent of everything; a path or a URL.
        name: Of the experiment: the folder below ``save_dir``; empty for none.
        version: Of the run: a number for ``version_N``, or a folder name. ``None`` takes the number after the highest
            there; two processes that do so at once get two numbers, as far as the file system can make a folder
            exclusively (object stores cannot).
    """

    def __init__(self, save_dir: str | PathLike[str], name: str, version: int | str | None) -> None:
        self.save_dir = os.fspath(save_dir)
        self.name = name
        self._version = version

    @property
    def root(self) -> str:
        """The folder of the experiment."""
        return self.join(self.save_dir, self.name) if self.name else self.save_dir

    @property
    def version(self) -> int | str:
        """Of the run; claims the next number if none was given."""
        if self._version is None:
            self._version = self._claim()
        return self._version

    @property
    def path(self) -> str:
        """Folder of the run, as a path or URL; it may not exist yet if a version was given."""
        version = self.version
        return self.join(self.root, f"version_{version}" if isinstance(version, int) else version)

    def file(self, name: str) -> str:
        """Path of a file of the run."""
        return self.join(self.path, name)

    def join(self, folder: str, name: str) -> str:
        """``name`` in ``folder``."""
        return f"{folder.rstrip('/')}/{name}" if self.is_url else os.path.join(folder, name)  # noqa: PTH118

    @property
    def is_url(self) -> bool:
        """Whether the folder is behind fsspec."""
        return "://" in self.save_dir

    def names(self) -> list[str]:
        """Names of the files of the run that are there."""
        return self._names(self.path)

    def make(self) -> None:
        """Make the folder and its parents if they are not there."""
        if self.is_url:
            self._fs().makedirs(self.path, exist_ok=True)
        else:
            os.makedirs(self.path, exist_ok=True)  # noqa: PTH103

    def exists(self, name: str) -> bool:
        """Whether the run has a file ``name``."""
        return bool(self._fs().exists(self.file(name))) if self.is_url else os.path.exists(self.file(name))  # noqa: PTH110

    @contextmanager
    def read(self, name: str) -> Iterator[IO[str]]:
        """Open a text file of the run for reading; line ends stay as they are."""
        with self._open(self.file(name), "r") as file:
            yield file

    def append(self, name: str, text: str) -> None:
        """Add text to a file of the run. On URLs the file is written again whole: not every store can append."""
        if self.is_url:
            path = self.file(name)
            before = self._fs().cat_file(path) if self._fs().exists(path) else b""
            self._fs().pipe_file(path, before + text.encode())
            return
        with self._open(self.file(name), "a") as file:
            file.write(text)

    def replace(self, name: str, write: Callable[[IO[str]], None]) -> None:
        """Write a text file of the run anew; whoever reads it meanwhile finds the old one or the new one, complete."""
        target = self.file(name)
        partial = self.file(f".{name}.{secrets.token_hex(4)}.partial")
        try:
            with self._open(partial, "w") as file:
                write(file)
                if not self.is_url:
                    file.flush()
                    os.fsync(file.fileno())
            if self.is_url:
                self._fs().mv(partial, target)
            else:
                os.replace(partial, target)  # noqa: PTH105
        except BaseException:
            with suppress(Exception):
                self._fs().rm(partial) if self.is_url else os.unlink(partial)  # noqa: PTH108
            raise

    def _claim(self) -> int:
        """Make the first free ``version_N`` above the highest."""
        taken = [int(match[1]) for name in self._names(self.root) if (match := _VERSION.fullmatch(name))]
        number = max(taken, default=-1) + 1
        if not self.is_url:
            os.makedirs(self.root, exist_ok=True)  # noqa: PTH103
        while not self._made(self.join(self.root, f"version_{number}")):
            number += 1
        return number

    def _made(self, folder: str) -> bool:
        try:
            if self.is_url:
                self._fs().makedirs(folder, exist_ok=False)
            else:
                os.mkdir(folder)  # noqa: PTH102
        except FileExistsError:
            return False
        return True

    def _names(self, folder: str) -> list[str]:
        try:
            if not self.is_url:
                return os.listdir(folder)  # noqa: PTH208
            fs = self._fs()
            fs.invalidate_cache()
            return [str(path).rstrip("/").rpartition("/")[2] for path in fs.ls(folder, detail=False)]
        except FileNotFoundError:
            return []

    def _open(self, path: str, mode: str) -> IO[str]:
        if self.is_url:
            file: IO[str] = self._fs().open(path, mode, encoding="utf-8", newline="")
            return file
        return open(path, mode, encoding="utf-8", newline="")  # noqa: PTH123

    def _fs(self) -> Any:
        from fsspec.core import url_to_fs

        return url_to_fs(self.save_dir)[0]
