"""Checkpoints that PyTorch Lightning wrote."""

import struct
from collections.abc import Mapping
from os import PathLike
from pathlib import PurePosixPath
from typing import Any, BinaryIO

import torch

from lit_checkpoint.container import read_directory
from lit_checkpoint.file_io import with_file
from lit_checkpoint.io import MapLocation
from lit_checkpoint.verified import load_container

_PACKAGES = ("pytorch_lightning.", "lightning.pytorch.", "lightning.fabric.", "lightning_fabric.")
_PRECISION = ("native_amp_scaling_state", "NativeMixedPrecisionPlugin", "MixedPrecisionPlugin", "MixedPrecision")
_FORMATS = {
    "f2": "e",
    "f4": "f",
    "f8": "d",
    "b1": "?",
    "i1": "b",
    "i2": "h",
    "i4": "i",
    "i8": "q",
    "u1": "B",
    "u2": "H",
    "u4": "I",
    "u8": "Q",
}


def load_lightning(path: str | PathLike[str], map_location: MapLocation = "cpu") -> dict[str, Any]:
    """Load a ``.ckpt`` that PyTorch Lightning 1.x or 2.x wrote, verified, as tensors and plain values.

    No code of the file is run, and neither Lightning nor the classes in the file need to be installed: its own classes
    (the keys of ``callbacks`` before 1.5, its enumerations) become their names and values, its attribute dicts and
    ``argparse.Namespace`` become dicts, paths become strings, numbers of NumPy become Python's. Keys are those of later
    releases: ``hparams`` (before 0.8) is found as ``hyper_parameters``, the state of the gradient scaler as
    ``precision``; the others are left as they are.

    Args:
        path: Local path or URL.
        map_location: Device of the tensors; ``None`` is where they were saved from.

    Raises:
        FileNotFoundError: If nothing is there, naming what is near.
        CheckpointCorruptError: If it is damaged or no checkpoint. So is one of torch before 1.6, which has no sums.
        pickle.UnpicklingError: If it holds other objects, naming them.

    Example:
        >>> import pathlib, tempfile, torch
        >>> path = pathlib.Path(tempfile.mkdtemp(), "epoch=1-step=8.ckpt")
        >>> torch.save({"state_dict": {"weight": torch.ones(1)}, "pytorch-lightning_version": "2.6.0"}, path)
        >>> load_lightning(path)["state_dict"]
        {'weight': tensor([1.])}
    """

    def read(file: BinaryIO, where: str) -> Any:
        read_directory(file, where)  # on damage, torch's look for classes would fail in its own words
        file.seek(0)
        names = torch.serialization.get_unsafe_globals_in_checkpoint(file)
        allowed = [(stand_in, name) for name in names if (stand_in := _stand_in(name)) is not None]
        file.seek(0)
        with torch.serialization.safe_globals([*allowed, _DType]):
            return load_container(file, where, map_location, True)

    checkpoint: dict[str, Any] = _plain(with_file(path, read))
    if "hparams" in checkpoint and "hyper_parameters" not in checkpoint:
        checkpoint["hyper_parameters"] = checkpoint.pop("hparams")
    for key in _PRECISION:
        if key in checkpoint and "precision" not in checkpoint:
            checkpoint["precision"] = checkpoint.pop(key)
    return checkpoint


class _Name(str):
    """The name of a class; called, it gives the value that a member of an enumeration is made of."""

    __slots__ = ()

    def __call__(self, value: Any) -> Any:
        return value


class _Namespace:
    """Holds attributes."""


class _DType:
    """A data type of NumPy."""

    def __init__(self, code: str, *rest: Any) -> None:
        self.code = code
        self.order = "<"

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        self.order = ">" if state[1] == ">" else "<"


def _number(dtype: _DType, content: bytes) -> Any:
    if dtype.code not in _FORMATS:
        raise ValueError(f"NumPy's data type {dtype.code!r} is not that of a number")
    return struct.unpack(dtype.order + _FORMATS[dtype.code], content)[0]


def _path(*parts: str) -> str:
    return str(PurePosixPath(*parts))


def _stand_in(name: str) -> Any:
    """What to build where the file asks for ``name``; ``None`` if that is not known to be harmless."""
    module, _, last = name.rpartition(".")
    if last == "AttributeDict" and name.startswith(_PACKAGES):
        return dict
    if name.startswith(_PACKAGES):
        return _Name(name)
    if name == "argparse.Namespace":
        return _Namespace
    if module in {"pathlib", "pathlib._local"}:
        return _path
    if name in {"numpy.core.multiarray.scalar", "numpy._core.multiarray.scalar"}:
        return _number
    return _DType if name == "numpy.dtype" else None


def _plain(value: Any) -> Any:
    if isinstance(value, _Name):
        return str(value)
    if isinstance(value, _Namespace):
        return {key: _plain(item) for key, item in vars(value).items()}
    if type(value) is dict:
        return {_plain(key): _plain(item) for key, item in value.items()}
    if isinstance(value, Mapping):  # ordered dicts of tensors, which carry version numbers of modules
        return value
    if type(value) in {list, tuple, set}:
        return type(value)([_plain(item) for item in value])
    return value
