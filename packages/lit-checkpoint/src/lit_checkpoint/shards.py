"""The files of a folder that ``torch.distributed.checkpoint`` plans: parts of one process each, and what names them."""

import io
import pickle
import re
import secrets
import struct
import zlib
from collections.abc import Callable
from contextlib import ExitStack, suppress
from dataclasses import replace
from typing import Any, BinaryIO

import torch
from torch import Tensor
from torch.distributed.checkpoint import metadata
from torch.distributed.checkpoint.filesystem import _StorageInfo
from torch.distributed.checkpoint.metadata import Metadata, MetadataIndex
from torch.distributed.checkpoint.planner import LoadPlan, LoadPlanner, SavePlan, SavePlanner, WriteItem, WriteItemType
from torch.distributed.checkpoint.storage import StorageReader, StorageWriter, WriteResult
from torch.futures import Future
from torch.serialization import _get_layout

from lit_checkpoint.container import Checker, Record, read_directory
from lit_checkpoint.errors import CheckpointCorruptError
from lit_checkpoint.naming import COMMIT
from lit_checkpoint.storage import LocalStorage, Sink, Storage, join
from lit_checkpoint.verified import Section, load_container, read_at, write_container

_SHARD = re.compile(r"part-\d+-of-\d+\.[0-9a-f]{8}\.distcp")
_TRAILER = struct.Struct("<16sQI")
_MARK = b"lit-checkpoint 1"
_PLAIN = {
    **{
        ("torch.distributed.checkpoint.metadata", name): getattr(metadata, name)
        for name in (
            *("BytesStorageMetadata", "ChunkStorageMetadata", "Metadata", "MetadataIndex", "StorageMeta"),
            *("TensorProperties", "TensorStorageMetadata", "_MEM_FORMAT_ENCODING"),
        )
    },
    ("torch.distributed.checkpoint.filesystem", "_StorageInfo"): _StorageInfo,
    ("torch", "Size"): torch.Size,
    ("torch.serialization", "_get_layout"): _get_layout,
}
"""What may stand in ``.metadata``; data types of torch beside these."""


def is_shard(name: str) -> bool:
    """Whether a file of this name is one that :class:`ShardWriter` makes."""
    return _SHARD.fullmatch(name) is not None


class ShardWriter(StorageWriter):
    """Writes the parts of this process to one file, and where it coordinates, what names the parts of all.

    Each part is a container of ``torch.save``; the names of the files are new at every save. What is not distributed is
    written by the coordinating process alone.

    Args:
        storage: where the folder is.
        folder: of the checkpoint.
        check: raises if what the coordinating process gives cannot be written.
    """

    def __init__(self, storage: Storage, folder: str, check: Callable[[], object]) -> None:
        self._storage = storage
        self._folder = folder
        self._check = check
        self._coordinates = False
        self._written: list[str] = []

    def reset(self, checkpoint_id: Any = None) -> None:
        """Has no state to forget: a writer serves one save."""

    @classmethod
    def validate_checkpoint_id(cls, checkpoint_id: Any) -> bool:
        """Never asked: the writer is handed to torch."""
        return True

    def set_up_storage_writer(self, is_coordinator: bool, *args: Any, **kwargs: Any) -> None:
        """Remember who coordinates."""
        self._coordinates = is_coordinator

    def prepare_local_plan(self, plan: SavePlan) -> SavePlan:
        """All of it, if it can be written, where this process coordinates; else its parts."""
        if self._coordinates:
            self._check()
            return plan
        return replace(plan, items=[item for item in plan.items if item.type == WriteItemType.SHARD])

    def prepare_global_plan(self, plans: list[SavePlan]) -> list[SavePlan]:
        """Give each process the name of its file."""
        token = secrets.token_hex(4)
        names = [f"part-{i}-of-{len(plans)}.{token}.distcp" for i in range(len(plans))]
        return [replace(plan, storage_data=name) for plan, name in zip(plans, names, strict=True)]

    def write_data(self, plan: SavePlan, planner: SavePlanner) -> Future[list[WriteResult]]:
        """Write, flush and read back the parts of this process."""
        done: Future[list[WriteResult]] = Future()
        done.set_result(self._write_parts(plan, planner) if plan.items else [])
        return done

    def _write_parts(self, plan: SavePlan, planner: SavePlanner) -> list[WriteResult]:
        name = plan.storage_data
        results: list[WriteResult] = []

        def produce(sink: Sink) -> None:
            counter = _Counter(sink)
            for item in plan.items:
                start = counter.count
                _write_item(item, planner.resolve_data(item), counter)
                info = _StorageInfo(name, start, counter.count - start)
                results.append(WriteResult(item.index, info.length, info))

        def check(path: str) -> None:
            with LocalStorage().open(path) as file:
                _verify_parts(file, path, [result.storage_data for result in results])

        num_bytes = sum(_num_bytes(item) for item in plan.items)
        self._written.append(join(self._folder, name))
        self._storage.write(join(self._folder, name), produce, num_bytes=num_bytes, check=check)
        return results

    def finish(self, metadata: Metadata, results: list[list[WriteResult]]) -> None:
        """Name the parts of all processes, which makes the checkpoint, and remove those of the one before."""
        infos = {result.index: result.storage_data for of_process in results for result in of_process}
        metadata.storage_data = infos
        body = pickle.dumps(metadata)
        content = body + _TRAILER.pack(_MARK, len(body), zlib.crc32(body))
        self._storage.write(join(self._folder, COMMIT), lambda sink: _put(sink, content), num_bytes=len(content))
        self._written.clear()
        named = {info.relative_path for info in infos.values()}
        with suppress(OSError):  # the new checkpoint is there; what is left of the old one is in nobody's way
            for name in self._storage.names(self._folder):
                if is_shard(name) and name not in named:
                    self._storage.remove(join(self._folder, name))
            self._storage.remove_litter(self._folder)

    def give_up(self) -> None:
        """Remove what this process wrote for a save that failed."""
        with suppress(OSError):
            if self._written and not self._is_named(self._written[-1]):
                for path in self._written:
                    self._storage.remove(path)
                self._storage.remove_empty(self._folder)

    def _is_named(self, path: str) -> bool:
        # The save may have failed after its last step, when a process could not tell the others.
        with suppress(FileNotFoundError), self._storage.open(join(self._folder, COMMIT)) as file:
            return path.rpartition("/")[2].encode() in file.read()
        return False


def _put(sink: Sink, content: bytes) -> None:
    sink.write(content)


class _Counter:
    """Counts what passes through."""

    def __init__(self, sink: Sink) -> None:
        self._sink = sink
        self.count = 0

    def write(self, data: Any, /) -> int:
        self.count += len(data)
        return self._sink.write(data)

    def flush(self) -> None:
        self._sink.flush()


def _write_item(item: WriteItem, data: Any, sink: Sink) -> None:
    if item.type == WriteItemType.BYTE_IO:
        sink.write(data.getbuffer())
        return
    tensor = data.detach().cpu()
    if tensor.untyped_storage().nbytes() != tensor.numel() * tensor.element_size():
        tensor = tensor.clone()  # a view into something larger, of which a container would hold all
    write_container(tensor, sink)


def _num_bytes(item: WriteItem) -> int:
    if item.tensor_data is None or item.tensor_data.chunk is None:
        return 0
    return item.tensor_data.chunk.sizes.numel() * item.tensor_data.properties.dtype.itemsize


def _verify_parts(file: BinaryIO, where: str, infos: list[Any]) -> None:
    records: list[Record] = []
    for info in infos:
        found = read_directory(Section(file, info.offset, info.length), where)  # type: ignore[arg-type]
        records += [replace(record, offset=record.offset + info.offset) for record in found]
    reading, parallel = read_at(file)
    with Checker(reading, where, parallel=parallel) as checker:
        checker.check(records)


class _PlainUnpickler(pickle.Unpickler):
    """Builds what torch writes into ``.metadata``, and nothing else."""

    def find_class(self, module: str, name: str) -> Any:
        found = _PLAIN.get((module, name))
        if found is None and module == "torch" and isinstance(getattr(torch, name, None), torch.dtype):
            found = getattr(torch, name)
        if found is None:
            raise pickle.UnpicklingError(f"it asks for {module}.{name}, which has no place there")
        return found


class Shards:
    """A folder of parts, opened for reading; close it, or use it in a ``with`` statement.

    Raises:
        FileNotFoundError: If there is no ``.metadata``.
        CheckpointCorruptError: If it is damaged.
    """

    def __init__(self, storage: Storage, folder: str) -> None:
        self._storage = storage
        self._files: dict[str, BinaryIO] = {}
        self._stack = ExitStack()
        self.where = folder
        self.metadata = _read_metadata(storage, join(folder, COMMIT))
        self._places: dict[MetadataIndex, Any] = self.metadata.storage_data

    def __enter__(self) -> "Shards":
        return self

    def __exit__(self, *exc_info: object) -> None:
        self._stack.close()

    def tensor(self, index: MetadataIndex) -> Tensor:
        """One part, verified, on the CPU."""
        found = self.value(index.fqn, index)
        if not isinstance(found, Tensor):
            raise CheckpointCorruptError(f"{self.where}: what is stored as {index.fqn!r} is no tensor.")
        return found

    def value(self, key: str, index: MetadataIndex | None = None) -> Any:
        """What one part holds, verified."""
        info = self._places.get(index or MetadataIndex(key))
        if info is None:
            raise CheckpointCorruptError(f"{self.where}: {key!r} is missing.")
        where = f"{join(self.where, info.relative_path)}, part {key!r}"
        section = Section(self._file(info.relative_path), info.offset, info.length)
        return load_container(section, where, "cpu", True)  # type: ignore[arg-type]

    def verify(self) -> None:
        """Compare all sums."""
        by_file: dict[str, list[Any]] = {}
        for info in self._places.values():
            by_file.setdefault(info.relative_path, []).append(info)
        for name, infos in by_file.items():
            _verify_parts(self._file(name), join(self.where, name), infos)

    def _file(self, name: str) -> BinaryIO:
        if name not in self._files:
            if not is_shard(name):
                raise CheckpointCorruptError(f"{self.where}: {COMMIT} names {name!r}, which no save here writes.")
            try:
                file = self._stack.enter_context(self._storage.open(join(self.where, name)))
            except FileNotFoundError:
                raise CheckpointCorruptError(f"{self.where}: {name} is missing, which holds a part of it.") from None
            local = isinstance(self._storage, LocalStorage)
            self._files[name] = file if local else io.BytesIO(file.read())
        return self._files[name]


def _read_metadata(storage: Storage, path: str) -> Metadata:
    with storage.open(path) as file:
        content = file.read()
    body, trailer = content[: -_TRAILER.size], content[-_TRAILER.size :]
    if len(trailer) < _TRAILER.size or trailer != _TRAILER.pack(_MARK, len(body), zlib.crc32(body)):
        raise CheckpointCorruptError(f"{path}: damaged, or not written by this package: its sum is missing or another.")
    try:
        found = _PlainUnpickler(io.BytesIO(body)).load()
    except Exception as error:
        raise CheckpointCorruptError(f"{path}: cannot be understood: {error}.") from None
    if not isinstance(found, Metadata) or not isinstance(found.storage_data, dict):
        raise CheckpointCorruptError(f"{path}: holds something else than the names of the parts.")
    return found


class ShardReader(StorageReader):
    """Hands parts of the opened folder to torch."""

    def __init__(self, shards: Shards) -> None:
        self._shards = shards

    def reset(self, checkpoint_id: Any = None) -> None:
        """Has no state to forget: a reader serves one load."""

    @classmethod
    def validate_checkpoint_id(cls, checkpoint_id: Any) -> bool:
        """Never asked: the reader is handed to torch."""
        return True

    def read_metadata(self, *args: Any, **_: Any) -> Metadata:
        """As it was read when the folder was opened."""
        return self._shards.metadata

    def set_up_storage_reader(self, metadata: Metadata, is_coordinator: bool, *args: Any, **kwargs: Any) -> None:
        """Needs nothing before the plan."""

    def prepare_local_plan(self, plan: LoadPlan) -> LoadPlan:
        """As it is."""
        return plan

    def prepare_global_plan(self, plans: list[LoadPlan]) -> list[LoadPlan]:
        """As they are."""
        return plans

    def read_data(self, plan: LoadPlan, planner: LoadPlanner) -> Future[None]:
        """Fill the tensors of this process."""
        by_part: dict[MetadataIndex, list[Any]] = {}
        for request in plan.items:
            by_part.setdefault(request.storage_index, []).append(request)
        for index, requests in by_part.items():
            part = self._shards.tensor(index)
            for request in requests:
                wanted = part
                for dim, (start, length) in enumerate(zip(request.storage_offsets, request.lengths, strict=True)):
                    wanted = wanted.narrow(dim, start, length)
                target = planner.resolve_tensor(request).detach()
                target.copy_(wanted)
                planner.commit_tensor(request, target)
        done: Future[None] = Future()
        done.set_result(None)
        return done
