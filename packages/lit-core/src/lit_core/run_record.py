"""What a run was started with, in one file: settings, hyperparameters, versions, command line, commit, seed."""

import inspect
import json
import math
import multiprocessing
import re
import shlex
import subprocess
import sys
import threading
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import fields
from datetime import datetime, timedelta, timezone
from functools import partial
from importlib import import_module
from itertools import chain, count
from pathlib import Path
from typing import Any

from lit_checkpoint.storage import join, locate
from lit_core.module import LightningModule
from lit_core.readings import TrainerReadings

NAME = "run.json"
_GIT_S = 10.0
_GIT = ("git", "--no-optional-locks", "status", "--porcelain=v2", "--branch", "--untracked-files=no")
_WAIT_S = 20.0
_SECRET = re.compile(r"(api|access|secret|private|auth)[_-]?(key|token)|(^|[_-])(token|secret|password|passwd)$", re.I)
_IN_URL = re.compile(r"(?<=://)[^/@\s]+(?=@)")
_HIDDEN = "***"


@contextmanager
def recorded(trainer: TrainerReadings, module: LightningModule, seed: int) -> Iterator[None]:
    """Inside, the record of the run is written in a thread; it is there at the end.

    It is written by process 0, into the folder of the first logger that has one, else beside the checkpoints; where
    neither is written, there is none. ``run.json`` of an earlier run is kept: the next is ``run-v1.json``. No variable
    of the environment is in it, and values whose names are those of secrets are left out.

    Args:
        trainer: which is about to train.
        module: what it trains.
        seed: from which the order of samples follows.

    Warns:
        UserWarning: if it could not be written, which fails no run.
    """
    folder = folder_of(trainer) if trainer.is_global_zero else None
    if folder is None:
        yield
        return
    failures: list[Exception] = []
    facts, home = facts_of(trainer, module, seed), _home(module)
    with suppress(Exception):  # which writing will meet too
        _load_for(folder)

    def write() -> None:
        try:
            write_record(folder, facts | {"git": git_state(home)})
        except Exception as error:
            failures.append(error)

    thread = threading.Thread(target=write, name="run record", daemon=True)
    thread.start()
    try:
        yield
    finally:
        thread.join(_WAIT_S)
    for error in failures:
        warnings.warn(f"{NAME} could not be written to {folder}: {type(error).__name__}: {error}", stacklevel=3)


def folder_of(trainer: TrainerReadings) -> str | None:
    """Where the files of a run lie; None if it writes none."""
    if trainer.log_dir is not None:
        return trainer.log_dir
    keeper = trainer.checkpoint_callback
    if keeper is None or keeper.dirpath is None:
        return None
    return keeper.dirpath.rstrip("/").removesuffix("/checkpoints")


def facts_of(trainer: TrainerReadings, module: LightningModule, seed: int) -> dict[str, Any]:
    """All but what git says, as plain values."""
    config, strategy = trainer.settings, trainer.strategy
    datamodule = trainer.datamodule
    return {
        "started": datetime.now(timezone.utc).isoformat(timespec="seconds"),
        "command": command_line(),
        "seed": seed,
        "module": _name(type(module)),
        "hyperparameters": plain(module.logged_hparams),
        "datamodule": None if datamodule is None else _name(type(datamodule)),
        "datamodule_hyperparameters": {} if datamodule is None else plain(datamodule.logged_hparams),
        "trainer": {field.name: plain(getattr(config, field.name)) for field in fields(config)},
        "resolved": {
            "accelerator": strategy.accelerator.name,
            "strategy": strategy.name,
            "world_size": strategy.world_size,
            "precision": strategy.precision.name,
            "callbacks": [_name(type(callback)) for callback in trainer.callbacks],
            "loggers": [_name(type(logger)) for logger in trainer.loggers],
        },
        "python": sys.version.split()[0],
        "packages": versions(),
    }


def command_line() -> str:
    """How the program was started, as a shell would take it."""
    started = multiprocessing.parent_process() is not None  # then it is the command of the process that was started
    words = [Path(sys.executable).name, *sys.argv] if started else list(sys.orig_argv)
    shown = [""] * len(words)
    for index, word in enumerate(words):
        name, equals, _ = word.partition("=")
        before = words[index - 1] if index else ""
        follows = before.startswith("-") and "=" not in before and _SECRET.search(before)
        shown[index] = _HIDDEN if follows else f"{name}={_HIDDEN}" if equals and _SECRET.search(name) else word
    return shlex.join(_IN_URL.sub(_HIDDEN, word) for word in shown)


def versions() -> dict[str, str]:
    """Of every installed package that was imported and says its version."""
    found = {}
    for name in [name for name in sys.modules.copy() if "." not in name and name not in sys.stdlib_module_names]:
        version = getattr(sys.modules.get(name), "__dict__", {}).get("__version__")  # asks no lazy module to load
        if isinstance(version, str):
            found[name] = version
    return dict(sorted(found.items()))


def plain(value: Any) -> Any:
    """A value as JSON has it; objects become the names of their classes."""
    if value is None or isinstance(value, (bool, int)):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else str(value)
    if isinstance(value, (str, Path)):
        return _IN_URL.sub(_HIDDEN, str(value))
    if isinstance(value, Mapping):
        return {str(key): _HIDDEN if _SECRET.search(str(key)) else plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple, set, frozenset)):
        return [plain(item) for item in value]
    if isinstance(value, timedelta):
        return str(value)
    if isinstance(value, partial):
        return {"partial": plain(value.func), "args": plain(value.args), "keywords": plain(value.keywords)}
    return _name(value if inspect.isfunction(value) or isinstance(value, type) else type(value))


def _name(thing: Any) -> str:
    return f"{thing.__module__}.{thing.__qualname__}"


def _home(module: LightningModule) -> Path:
    """The folder of the file that defines the module, if there is one; else the working folder."""
    file = getattr(sys.modules.get(type(module).__module__), "__file__", None)
    return Path(file).parent if file else Path.cwd()


def git_state(folder: Path) -> dict[str, Any] | None:
    """Commit, branch, and whether files that git knows were changed; None where git does not say."""
    try:
        done = subprocess.run(_GIT, cwd=folder, capture_output=True, text=True, timeout=_GIT_S, check=True)
    except (OSError, subprocess.SubprocessError):
        return None
    lines = done.stdout.splitlines()
    said = dict(line.removeprefix("# branch.").split(" ", 1) for line in lines if line.startswith("# branch."))
    dirty = any(not line.startswith("#") for line in lines)
    return {"commit": said.get("oid"), "branch": said.get("head"), "dirty": dirty}


def _load_for(folder: str) -> None:
    """Import what a URL needs: no import may be under way in a thread when workers are forked."""
    if "://" in folder:
        import_module("fsspec.core").url_to_fs(folder)


def write_record(folder: str, facts: dict[str, Any]) -> str:
    """Write the facts to a new file in the folder, which may be a URL; returns its path."""
    names = chain([NAME], (f"run-v{number}.json" for number in count(1)))
    storage, place = locate(folder)
    path = next(path for path in (join(place, name) for name in names) if not storage.exists(path))
    storage.write_text(path, json.dumps(facts, indent=2) + "\n")
    return path
