"""Weights alone, in the format of safetensors."""

import json
import zlib
from collections.abc import Mapping
from os import PathLike
from typing import Any

from torch import Tensor

from lit_checkpoint.errors import CheckpointCorruptError
from lit_checkpoint.file_io import with_file
from lit_checkpoint.storage import Sink, locate

_SUM = "lit_checkpoint.crc32"


def save_safetensors(
    weights: Mapping[str, Tensor], path: str | PathLike[str], metadata: Mapping[str, str] | None = None
) -> None:
    """Save tensors in one ``.safetensors`` file, which other libraries and languages read: complete or not there.

    Needs the extra ``safetensors``, and memory for one copy. A checksum of the tensors is put beside ``metadata``.
    Tensors that share memory are stored once each.

    Args:
        weights: A module's ``state_dict()``, or any tensors by name.
        path: Local path or URL.
        metadata: Texts to store with them.

    Raises:
        TypeError: If a value is no tensor, naming it.
        OSError: If it could not be written; what was at ``path`` is untouched.
        ImportError: Without safetensors.

    Example:
        >>> import pathlib, tempfile, torch
        >>> path = pathlib.Path(tempfile.mkdtemp(), "model.safetensors")
        >>> save_safetensors({"weight": torch.ones(2)}, path)  # doctest: +SKIP
        >>> load_safetensors(path)  # doctest: +SKIP
        {'weight': tensor([1., 1.])}
    """
    for name, value in weights.items():
        if not isinstance(value, Tensor):
            raise TypeError(
                f"{name!r} is a {type(value).__name__}, not a tensor. Give the weights alone, such as "
                "checkpoint['state_dict']; save() keeps the rest."
            )
    seen: set[int] = set()
    tensors = {}
    for name, tensor in weights.items():
        whole = tensor.detach().cpu().contiguous()
        pointer = whole.untyped_storage().data_ptr()
        tensors[name] = whole.clone() if pointer in seen else whole
        seen.add(pointer)
    serialized = memoryview(_library().save(tensors))
    length = int.from_bytes(serialized[:8], "little")
    header: dict[str, Any] = json.loads(bytes(serialized[8 : 8 + length]))
    data = serialized[8 + length :]
    header["__metadata__"] = {**(metadata or {}), _SUM: f"{zlib.crc32(data):08x}"}
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)

    def produce(sink: Sink) -> None:
        sink.write(len(text).to_bytes(8, "little") + text)
        sink.write(data)

    storage, where = locate(path)
    storage.write(where, produce, num_bytes=len(data) + len(text))


def load_safetensors(path: str | PathLike[str]) -> dict[str, Tensor]:
    """Load the tensors of a ``.safetensors`` file onto the CPU; verified, if :func:`save_safetensors` wrote it.

    Needs the extra ``safetensors``, and memory for twice the file.

    Raises:
        FileNotFoundError: If nothing is there, naming what is near.
        CheckpointCorruptError: If it is damaged or something else.
        ImportError: Without safetensors.

    Example:
        >>> load_safetensors("model.safetensors")  # doctest: +SKIP
        {'weight': tensor([1., 1.])}
    """
    library = _library()
    content: bytes = with_file(path, lambda file, where: file.read())
    length = int.from_bytes(content[:8], "little")
    try:
        header: dict[str, Any] = json.loads(content[8 : 8 + length])
        stored = header.get("__metadata__", {}).get(_SUM)
        tensors: dict[str, Tensor] = library.load(content)
    except Exception as error:
        raise CheckpointCorruptError(f"{path}: damaged, or no file of safetensors ({error}).") from None
    found = f"{zlib.crc32(memoryview(content)[8 + length :]):08x}"
    if stored is not None and stored != found:
        raise CheckpointCorruptError(f"{path}: the tensors are damaged: their CRC-32 is {found}, {stored} was stored.")
    return tensors


def _library() -> Any:
    try:
        import safetensors.torch  # type: ignore[import-not-found, unused-ignore]
    except ImportError as error:
        raise ImportError("Files of safetensors need the extra 'safetensors': pip install safetensors") from error
    return safetensors.torch
