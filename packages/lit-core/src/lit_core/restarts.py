"""Where the attempt before stood: processes that failed, and that somebody starts again, go on from there."""

import itertools
import json
import sys
from collections.abc import Iterable
from contextlib import suppress
from typing import Any

from lit_accelerators import Strategy
from lit_checkpoint import CheckpointCorruptError, CheckpointIO, latest_valid
from lit_checkpoint.storage import locate
from lit_core import checkpoint as checkpoints
from lit_core.callbacks.base import Callback
from lit_core.callbacks.model_checkpoint import ModelCheckpoint
from lit_core.processes import in_process_zero
from lit_loggers import Logger

_fits = itertools.count()


class Attempts:
    """What every attempt of one call of ``fit`` leaves word of: the folders it saves in, and what was there before.

    So an attempt takes no checkpoint of another run, or of another ``fit`` of the same script, for its own; nor, where
    it has to begin anew, another run's rows for those of the attempts before it. Word is left in a store that outlives
    the processes (torchrun's); where there is none, nothing happens. All methods are called in every process.

    Args:
        strategy: of the run, joined.
    """

    def __init__(self, strategy: Strategy) -> None:
        self._strategy = strategy
        self._key = f"fit_{next(_fits)}"  # a script that is started again calls fit in the same order
        open_store = strategy.environment.lasting_store
        self._store = None if open_store is None else open_store()
        self._begun: list[str] = []

    def newest(self, io: CheckpointIO | None) -> str | None:
        """Path of the newest whole checkpoint of the attempts before; None if they saved none.

        Args:
            io: what reads them; by default, what lies there decides.
        """
        return None if self._store is None else in_process_zero(self._strategy, lambda: self._newest(io))

    def note(self, callbacks: Iterable[Callback], loggers: Iterable[Logger] = ()) -> None:
        """Leave word of this attempt's folders: before the first save and the first row, when they are known."""
        if self._store is None or not self._strategy.is_global_zero:
            return
        keepers = [c for c in callbacks if isinstance(c, ModelCheckpoint) and not c.save_weights_only]
        folders = {keeper.dirpath: _contents(keeper.dirpath) for keeper in keepers if keeper.dirpath is not None}
        told, logs = self._told(), f"{self._key}_logs"
        if told:
            self._begun = json.loads(self._store.get(logs))
        else:
            dirs = [logger.log_dir for logger in loggers]
            self._store.set(logs, json.dumps([path for path in dirs if path is not None and not _has_files(path)]))
        self._store.set(self._key, json.dumps([*told, folders]))

    def left_rows(self, loggers: Iterable[Logger]) -> list[Logger]:
        """Those in whose folders there was nothing before the first attempt began, if this is a later one."""
        begun = self._begun  # the first look at a logger's folder may make one
        return [logger for logger in loggers if logger.log_dir in begun] if begun else []

    def _told(self) -> list[dict[str, Any]]:
        if self._store is None or not self._store.check([self._key]):
            return []
        told: list[dict[str, Any]] = json.loads(self._store.get(self._key))
        return told

    def _newest(self, io: CheckpointIO | None) -> str | None:
        for folders in reversed(self._told()):
            found = [path for folder, before in folders.items() if (path := _saved_since(folder, before, io))]
            if found:
                newest = found[0] if len(found) == 1 else max(found, key=lambda path: _batches(path, io))
                sys.stderr.write(f"Started again: training goes on from {newest}\n")
                return newest
        return None


def _contents(folder: str) -> dict[str, list[float]]:
    """Names with size and time of change."""
    storage, where = locate(folder)
    return {name: list(facts) for name, facts in storage.names(where).items()}


def _has_files(folder: str) -> bool:
    storage, where = locate(folder)
    return any(not storage.is_folder(f"{where}/{name}") for name in storage.names(where))


def _saved_since(folder: str, before: dict[str, list[float]], io: CheckpointIO | None) -> str | None:
    with suppress(CheckpointCorruptError):
        path = latest_valid(folder, io=io)
        name = "" if path is None else path.rpartition("/")[2]
        return path if _contents(folder).get(name) != before.get(name) else None
    return None


def _batches(path: str, io: CheckpointIO | None) -> int:
    batches: int = checkpoints.read(path, io)["loops"]["progress"]["batches"]
    return batches
