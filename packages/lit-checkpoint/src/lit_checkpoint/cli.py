"""The command ``lit-checkpoint``: look at checkpoints, compare, convert and clear away."""

import argparse
import pickle
import sys
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from datetime import datetime
from typing import Any

import torch
from torch import Tensor

from lit_checkpoint.errors import CheckpointCorruptError
from lit_checkpoint.folder import BEST, LAST, Index, read_index, read_pointer
from lit_checkpoint.functions import io_of, load, save, verify
from lit_checkpoint.io import MapLocation
from lit_checkpoint.lightning import load_lightning
from lit_checkpoint.manager import CheckpointManager
from lit_checkpoint.naming import COMMIT, SUFFIX
from lit_checkpoint.storage import join, locate
from lit_checkpoint.weights import load_safetensors, save_safetensors

FINE, FOUND, FAILED = 0, 1, 2
_SAFETENSORS = ".safetensors"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command.

    Args:
        arguments: Those of the command line; by default the program's own.

    Returns:
        The exit status: 0 if all is well, 1 if damage or a difference was found, 2 if the command could not be done.
    """
    parser = _parser()
    chosen = parser.parse_args(arguments)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", RuntimeWarning)  # what was skipped stands in the table
            status: int = chosen.run(chosen)
    except CheckpointCorruptError as error:
        sys.stderr.write(f"lit-checkpoint: {error}\n")
        return FOUND
    except (OSError, ValueError, TypeError, ImportError, pickle.UnpicklingError) as error:
        sys.stderr.write(f"lit-checkpoint: {error}\n")
        return FAILED
    return status


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        "lit-checkpoint", description="Look at checkpoints, compare, convert and clear away. Paths may be URLs."
    )
    commands = parser.add_subparsers(required=True, metavar="command")

    def command(name: str, run: Callable[[argparse.Namespace], int], text: str) -> argparse.ArgumentParser:
        made = commands.add_parser(name, help=text, description=text)
        made.set_defaults(run=run)
        return made

    inspect = command("inspect", _inspect, "What is in a checkpoint, or which checkpoints are in a folder.")
    inspect.add_argument("path")
    inspect.add_argument("--tensors", action="store_true", help="list every tensor")
    text = "Compare the checksums of checkpoints or of all in a folder; 1 if one is damaged."
    check = command("verify", _verify, text)
    check.add_argument("paths", nargs="+", metavar="path")
    diff = command("diff", _diff, "What differs between two checkpoints; 1 if something does.")
    diff.add_argument("first")
    diff.add_argument("second")
    diff.add_argument("--only", default="", metavar="KEY", help="compare what is below this key, such as state_dict")
    diff.add_argument("--atol", type=float, default=0.0, help="differences up to this are none (default 0)")
    convert = command("convert", _convert, "Save a checkpoint in another format; PyTorch Lightning's are read too.")
    convert.add_argument("source")
    convert.add_argument("target", help=f"a name that ends in {_SAFETENSORS} gets the weights alone")
    convert.add_argument("--sharded", action="store_true", help="write a folder of torch.distributed.checkpoint")
    convert.add_argument("--key", default="state_dict", help="where the weights are (default state_dict)")
    prune = command("prune", _prune, "Remove the checkpoints of a folder that are not to be kept.")
    prune.add_argument("folder")
    prune.add_argument("--best", type=int, default=1, metavar="K", help="keep the best K (default 1; -1: all)")
    prune.add_argument("--last", type=int, default=1, metavar="N", help="keep the newest N (default 1)")
    prune.add_argument("--every", type=int, metavar="M", help="keep the first at or after each multiple of M steps")
    prune.add_argument("--yes", action="store_true", help="remove; without it, only say what would be removed")
    return parser


def _inspect(arguments: argparse.Namespace) -> int:
    storage, path = locate(arguments.path)
    if storage.is_folder(path) and not storage.exists(join(path, COMMIT)):
        return _list(path)
    state = _read(path, "meta")
    tensors = [value for _, value in _leaves(state) if isinstance(value, Tensor)]
    _say(f"{path}: {_bytes(storage.size(path))}, {len(tensors)} tensors of {_bytes(sum(map(_num_bytes, tensors)))}")
    if arguments.tensors:
        leaves = [(place, value) for place, value in _leaves(state) if isinstance(value, Tensor)]
        rows = [(place, str(tuple(t.shape)), _dtype(t), _bytes(_num_bytes(t))) for place, t in leaves]
        _table(("tensor", "shape", "dtype", "size"), rows)
    else:
        _table(("key", "type", "content"), [(str(key), type(v).__name__, _summary(v)) for key, v in state.items()])
    return FINE


def _list(folder: str) -> int:
    storage, folder = locate(folder)
    files = storage.names(folder)
    names = [name for name in files if name.endswith(SUFFIX) and not name.startswith(".")]
    if not names:
        raise FileNotFoundError(f"{folder} holds no checkpoints.")
    index = read_index(storage, folder, files) or Index()
    entries = {entry.file: entry for entry in index.checkpoints}
    pointers: dict[str, list[str]] = {}
    for which in (BEST, LAST):
        with suppress(CheckpointCorruptError):
            pointers.setdefault(read_pointer(storage, folder, which) or "", []).append(which)
    rows = []
    for name in sorted(names, key=lambda name: entries[name].time if name in entries else files[name][1]):
        entry = entries.get(name)
        written = datetime.fromtimestamp(entry.time if entry and entry.time else files[name][1])
        marks = [*pointers.get(name, []), *(["for ever"] if entry and entry.forever else [])]
        rows.append(
            (
                name,
                *((str(entry.step), _number(entry.epoch), _number(entry.score)) if entry else ("", "", "")),
                _bytes(storage.size(join(folder, name))),
                f"{written:%Y-%m-%d %H:%M:%S}",
                ", ".join(marks) if entry else "not in the index",
            )
        )
    _table(("checkpoint", "step", "epoch", index.monitor or "score", "size", "written", ""), rows)
    return FINE


def _verify(arguments: argparse.Namespace) -> int:
    rows = []
    for given in arguments.paths:
        storage, path = locate(given)
        paths = [path]
        if storage.is_folder(path) and not storage.exists(join(path, COMMIT)):
            names = sorted(name for name in storage.names(path) if name.endswith(SUFFIX) and name[0] != ".")
            paths = [join(path, name) for name in names] or paths
        for one in paths:
            reason = _damage(one)
            rows.append((one, "whole" if reason is None else "damaged", reason or ""))
    _table(("checkpoint", "", "reason"), rows)
    return FOUND if any(row[1] == "damaged" for row in rows) else FINE


def _damage(path: str) -> str | None:
    try:
        load_safetensors(path) if path.endswith(_SAFETENSORS) else verify(path)
    except (CheckpointCorruptError, OSError) as error:
        return str(error).removeprefix(f"{path}: ")
    return None


def _diff(arguments: argparse.Namespace) -> int:
    both = [dict(_leaves(_read(path, "cpu"))) for path in (arguments.first, arguments.second)]
    below = f"{arguments.only}." if arguments.only else ""
    first, second = [{k: value for k, value in leaves.items() if f"{k}.".startswith(below)} for leaves in both]
    if not first and not second:
        raise ValueError(f"Neither has anything at {arguments.only!r}.")
    rows = [(place, "is only in the first", "") for place in first if place not in second]
    rows += [(place, "is only in the second", "") for place in second if place not in first]
    for place in first:
        if place in second and (found := _difference(first[place], second[place], arguments.atol)):
            rows.append((place, *found))
    if rows:
        _table(("place", "what", "values"), rows)
    _say(f"{len(rows)} of {len(first.keys() | second.keys())} values differ.")
    return FOUND if rows else FINE


def _difference(a: Any, b: Any, atol: float) -> tuple[str, str] | None:
    if not (isinstance(a, Tensor) and isinstance(b, Tensor)):
        same = type(a) is type(b) and (a == b or (a != a and b != b))
        return None if same else ("differs", f"{_short(a)} | {_short(b)}")
    if (a.shape, a.dtype) != (b.shape, b.dtype):
        return "has another shape or type", f"{tuple(a.shape)} {_dtype(a)} | {tuple(b.shape)} {_dtype(b)}"
    wide = torch.complex128 if a.is_complex() else torch.float64
    if torch.equal(a, b) or torch.allclose(a.to(wide), b.to(wide), rtol=0, atol=atol, equal_nan=True):
        return None
    distance = (a.to(wide) - b.to(wide)).abs()
    return "differs", f"in {int((distance > atol).sum())} of {a.numel()} elements, by up to {distance.max().item():.3g}"


def _convert(arguments: argparse.Namespace) -> int:
    state = _read(arguments.source, "cpu")
    if arguments.target.endswith(_SAFETENSORS):
        if arguments.source.endswith(_SAFETENSORS):
            state = {arguments.key: state}
        if arguments.key not in state:
            raise ValueError(f"{arguments.source} has no {arguments.key!r}; it has {', '.join(map(str, state))}.")
        save_safetensors(state[arguments.key], arguments.target)
    elif arguments.sharded:
        from lit_checkpoint.sharded import ShardedCheckpointIO

        ShardedCheckpointIO().save(state, arguments.target)
    else:
        save({arguments.key: state} if arguments.source.endswith(_SAFETENSORS) else state, arguments.target)
    _say(f"{arguments.target}: {_bytes(locate(arguments.target)[0].size(locate(arguments.target)[1]))}")
    return FINE


def _prune(arguments: argparse.Namespace) -> int:
    storage, folder = locate(arguments.folder)
    files = storage.names(folder)
    index = read_index(storage, folder, files)
    if index is None or not index.checkpoints:
        raise FileNotFoundError(f"{folder} has no index.json that lists checkpoints, so none is known to be removable.")
    manager = CheckpointManager(
        folder,
        monitor=index.monitor,
        mode=index.mode,
        save_top_k=arguments.best,
        save_last=arguments.last,
        keep_every_n_steps=arguments.every,
        io=io_of(join(folder, index.checkpoints[0].file)),
    )
    away = manager.superseded
    kept = [path for entry in index.checkpoints if (path := join(folder, entry.file)) not in away]
    if away and not kept:
        raise ValueError("That would remove every checkpoint; keep at least one: --best 1 or --last 1.")
    for path in kept:
        verify(path)
    _table(("checkpoint", ""), [*((path, "kept") for path in kept), *((path, "removed") for path in away)])
    if arguments.yes:
        manager.prune()
    elif away:
        _say("Nothing was removed; --yes does it.")
    return FINE


def _read(given: str, map_location: MapLocation) -> dict[str, Any]:
    if given.endswith(_SAFETENSORS):
        return dict(load_safetensors(given))
    try:
        return load(given, map_location)
    except pickle.UnpicklingError:
        return load_lightning(given, map_location)


def _leaves(value: Any, place: str = "") -> Iterator[tuple[str, Any]]:
    """Values by their places; empty containers are values too."""
    items: Any = None
    if isinstance(value, dict):
        items = value.items()
    elif isinstance(value, list | tuple):
        items = enumerate(value)
    if not items:
        yield place, value
        return
    for key, item in items:
        yield from _leaves(item, f"{place}.{key}" if place else str(key))


def _summary(value: Any) -> str:
    if isinstance(value, Tensor):
        return f"{tuple(value.shape)} {_dtype(value)}"
    if not isinstance(value, dict | list | tuple):
        return _short(value)
    tensors = [leaf for _, leaf in _leaves(value) if isinstance(leaf, Tensor)]
    if tensors:
        return f"{len(tensors)} tensors of {_bytes(sum(map(_num_bytes, tensors)))}"
    return _short(value)


def _short(value: Any) -> str:
    text = f"tensor {tuple(value.shape)}" if isinstance(value, Tensor) else repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."


def _dtype(tensor: Tensor) -> str:
    return str(tensor.dtype).removeprefix("torch.")


def _num_bytes(tensor: Tensor) -> int:
    return tensor.numel() * tensor.element_size()


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.6g}"


def _bytes(count: float) -> str:
    for unit in ("B", "kB", "MB", "GB"):
        if count < 1000:
            return f"{count:.0f} {unit}" if unit == "B" else f"{count:.1f} {unit}"
        count /= 1000
    return f"{count:.1f} TB"


def _table(header: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> None:
    widths = [max(map(len, column)) for column in zip(header, *rows, strict=True)]
    for row in (header, tuple("-" * width for width in widths), *rows):
        _say("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())


def _say(line: str) -> None:
    sys.stdout.write(line + "\n")
