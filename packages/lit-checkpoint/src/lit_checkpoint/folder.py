"""What lies in a folder of checkpoints: the index that people can read, the pointers, the newest that is whole."""

import json
import math
import os
import warnings
from collections.abc import Container
from dataclasses import dataclass, field, replace
from os import PathLike
from typing import Any

from lit_checkpoint.errors import CheckpointCorruptError
from lit_checkpoint.functions import io_of
from lit_checkpoint.io import CheckpointIO
from lit_checkpoint.naming import SUFFIX
from lit_checkpoint.storage import Storage, join, locate

INDEX = "index.json"
BEST = "best"
LAST = "last"


@dataclass(frozen=True)
class Entry:
    """One checkpoint of a folder: name, moment of the run, score, bytes, when it was written (since 1970).

    ``size`` is 0 while it is being written; ``forever`` says that it is never removed.
    """

    file: str
    step: int
    epoch: int | None = None
    score: float | None = None
    size: int = 0
    time: float = 0.0
    forever: bool = False

    @classmethod
    def of(cls, plain: Any) -> "Entry":
        """From its fields by name, after a round through JSON or a checkpoint."""
        entry = cls(**{key: value for key, value in plain.items() if key in cls.__dataclass_fields__})
        if not _is_file_name(entry.file):
            raise ValueError(f"{entry.file!r} is not the name of a file in the same folder")
        return entry


@dataclass
class Index:
    """Content of ``index.json``."""

    monitor: str | None = None
    mode: str = "min"
    best: str | None = None
    last: str | None = None
    checkpoints: list[Entry] = field(default_factory=list)

    def to_plain(self) -> dict[str, Any]:
        """As dicts, lists, strings and numbers."""
        return {"format": 1, **vars(self), "checkpoints": [vars(entry).copy() for entry in self.checkpoints]}

    @classmethod
    def of(cls, plain: Any) -> "Index":
        """From :meth:`to_plain`; a ValueError, TypeError, KeyError or AttributeError says that it is something else."""
        entries = [Entry.of(entry) for entry in plain["checkpoints"]]
        return cls(plain.get("monitor"), plain.get("mode", "min"), plain.get("best"), plain.get("last"), entries)

    def present(self, files: Container[str]) -> "Index":
        """The same without the checkpoints whose file is not among ``files``."""
        return replace(self, checkpoints=[entry for entry in self.checkpoints if entry.file in files])


def read_index(storage: Storage, folder: str, files: Container[str]) -> Index | None:
    """The index of ``folder`` without entries that are not among ``files``; ``None`` if there is none to be read."""
    where = join(folder, INDEX)
    try:
        index = Index.of(json.loads(storage.read_text(where)))
    except FileNotFoundError:
        return None
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        warnings.warn(
            f"{where} cannot be understood ({error}) and is not used; the checkpoints beside it are untouched.",
            RuntimeWarning,
            stacklevel=2,
        )
        return None
    return index.present(files)


def write_index(storage: Storage, folder: str, index: Index) -> None:
    """Replace the index of ``folder``; scores that JSON has no word for become ``null``."""
    plain = index.to_plain()
    for entry in plain["checkpoints"]:
        if entry["score"] is not None and not math.isfinite(entry["score"]):
            entry["score"] = None
    storage.write_text(join(folder, INDEX), json.dumps(plain, indent=2, allow_nan=False) + "\n")


def read_pointer(storage: Storage, folder: str, which: str) -> str | None:
    """The file name that the pointer ``best`` or ``last`` holds; ``None`` without one."""
    try:
        name = storage.read_text(join(folder, which)).strip()
    except FileNotFoundError:
        return None
    except UnicodeDecodeError as error:
        raise CheckpointCorruptError(f"{join(folder, which)}: no text, so no name of a file: {error}.") from None
    if not _is_file_name(name):
        raise CheckpointCorruptError(f"{join(folder, which)}: {name!r} is not the name of a file in the same folder.")
    return name


def _is_file_name(name: str) -> bool:
    return isinstance(name, str) and bool(name) and name not in {".", ".."} and not set("/\\\0\n") & set(name)


def resolve_checkpoint(dirpath: str | PathLike[str], which: str | PathLike[str]) -> str:
    """The path of a checkpoint that is meant by ``"best"``, ``"last"``, a file name in ``dirpath``, or a path.

    Args:
        dirpath: Folder that a :class:`CheckpointManager` keeps; a path or a URL.
        which: ``"best"`` and ``"last"`` follow the pointers there.

    Returns:
        The path; whether the file is whole is checked when it is loaded.

    Raises:
        FileNotFoundError: If there is no such checkpoint, naming what is there.
        CheckpointCorruptError: If a pointer holds no file name.

    Example:
        >>> import tempfile
        >>> from lit_checkpoint import CheckpointManager
        >>> folder = tempfile.mkdtemp()
        >>> path = CheckpointManager(folder).save({"weight": 1.0}, step=10)
        >>> resolve_checkpoint(folder, "last") == path
        True
    """
    storage, folder = locate(dirpath)
    wanted = os.fspath(which)
    if wanted in {BEST, LAST}:
        name = read_pointer(storage, folder, wanted)
        if name is None:
            raise FileNotFoundError(f"{folder} has no {wanted!r} checkpoint.{_what_is_there(storage, folder)}")
        path = join(folder, name)
        if not storage.exists(path):
            raise FileNotFoundError(
                f"{join(folder, wanted)} points to {name!r}, which is gone.{_what_is_there(storage, folder)} "
                "latest_valid() finds the newest that is whole."
            )
        return path
    own_storage, path = locate(wanted)
    for candidate_storage, candidate in ((own_storage, path), (storage, join(folder, wanted))):
        if candidate_storage.exists(candidate):
            return candidate
    raise FileNotFoundError(f"There is no checkpoint {wanted!r}, nor one in {folder}.{_what_is_there(storage, folder)}")


def _what_is_there(storage: Storage, folder: str) -> str:
    names = sorted(name for name in storage.names(folder) if name.endswith(SUFFIX))
    return f" Checkpoints there: {', '.join(names)}." if names else " There are no checkpoints."


def latest_valid(folder: str | PathLike[str], *, io: CheckpointIO | None = None) -> str | None:
    """The newest checkpoint in ``folder`` that is whole; damaged ones are skipped with a warning that says why.

    Newest by the time in the index, or by the time of the file where the index does not know it. Each candidate is read
    once, up to the first that is whole.

    Args:
        folder: Path or URL; all its ``*.ckpt`` are candidates.
        io: What reads them; by default :class:`FileCheckpointIO` files and :class:`ShardedCheckpointIO` folders.

    Returns:
        Its path, or ``None`` if the folder has no checkpoints at all.

    Raises:
        CheckpointCorruptError: If there are checkpoints and none of them is whole, with the reason for each.

    Example:
        >>> import tempfile
        >>> from lit_checkpoint import save
        >>> folder = tempfile.mkdtemp()
        >>> latest_valid(folder) is None
        True
        >>> save({"epoch": 1}, f"{folder}/epoch=1.ckpt")
        >>> latest_valid(folder).endswith("epoch=1.ckpt")
        True
    """
    storage, where = locate(folder)
    candidates = {
        name: changed for name, (_, changed) in storage.names(where).items() if name.endswith(SUFFIX) and name[0] != "."
    }
    if not candidates:
        return None
    index = read_index(storage, where, candidates)
    candidates.update({entry.file: entry.time for entry in index.checkpoints if entry.time} if index else {})
    reasons = []
    for name in sorted(candidates, key=lambda name: (candidates[name], name), reverse=True):
        path = join(where, name)
        try:
            (io or io_of(path)).verify(path)
        except (CheckpointCorruptError, OSError) as error:
            reasons.append(str(error))
            warnings.warn(f"Skipped a checkpoint that cannot be used. {error}", RuntimeWarning, stacklevel=2)
        else:
            return path
    raise CheckpointCorruptError(f"None of the {len(reasons)} checkpoints in {where} is whole:\n" + "\n".join(reasons))
