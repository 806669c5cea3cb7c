"""One checkpoint in a folder, written by several processes through ``torch.distributed.checkpoint``."""

import warnings
from collections.abc import Collection, Iterator
from contextlib import contextmanager, nullcontext
from os import PathLike
from typing import Any

import torch
from torch import Tensor
from torch.distributed.checkpoint.api import CheckpointException
from torch.distributed.checkpoint.default_planner import DefaultLoadPlanner, DefaultSavePlanner
from torch.distributed.checkpoint.metadata import MetadataIndex, TensorStorageMetadata
from torch.distributed.checkpoint.state_dict_loader import load as read_parts
from torch.distributed.checkpoint.state_dict_saver import save as write_parts

from lit_checkpoint.errors import CheckpointCorruptError
from lit_checkpoint.group import Group
from lit_checkpoint.io import CheckpointIO, MapLocation
from lit_checkpoint.naming import COMMIT
from lit_checkpoint.plain import check_plain
from lit_checkpoint.shards import ShardReader, Shards, ShardWriter, is_shard
from lit_checkpoint.storage import is_partial, join, locate, near
from lit_checkpoint.tree import TREE, flatten, unflatten
from lit_checkpoint.verified import with_sums


class ShardedCheckpointIO(CheckpointIO):
    """Keeps each checkpoint in a folder, to which every process writes the parts that it holds.

    - For states with distributed tensors (``DTensor``, as of FSDP2 or tensor parallelism): no process ever holds the
      whole. All else, plain values and tensors that are not distributed, is that of the first process of the group.
    - :meth:`load` gives whole tensors to any program, without a process group; :meth:`load_into` fills distributed
      tensors, each process reading its parts only, whatever the number of processes that saved.
    - Complete or not there: the files of the parts are written, flushed and read back first; the file ``.metadata``
      that names them is put into place last, and makes the checkpoint. Saving over an old one leaves that valid until
      then; its parts are removed afterwards.
    - Every part has the checksums of ``torch.save``, ``.metadata`` one of its own; both are compared at load. Nothing
      that is read runs code.
    - ``torch.distributed.checkpoint.load`` reads the folder too. The path may be a URL that fsspec knows.

    :meth:`save` and :meth:`load_into` are called by all processes of the group, with trees in which distributed tensors
    have the same keys; :meth:`load`, :meth:`verify` and :meth:`remove` by whoever likes. Each process must reach the
    same folder.

    Args:
        process_group: Of the processes that save together; ``None`` is the default group, or this process alone where
            there is none. In a :class:`BackgroundSaver` it must be one that nothing else uses: see :meth:`apart`.

    Example:
        >>> import pathlib, tempfile, torch
        >>> path = pathlib.Path(tempfile.mkdtemp(), "model.ckpt")
        >>> sharded = ShardedCheckpointIO()
        >>> sharded.save({"weight": torch.ones(2), "epoch": 3}, path)
        >>> sharded.load(path)
        {'weight': tensor([1., 1.]), 'epoch': 3}
        >>> weight = torch.zeros(2)
        >>> sharded.load_into({"weight": weight, "epoch": 0}, path)["epoch"]
        3
        >>> weight
        tensor([1., 1.])
    """

    together = True

    def __init__(self, process_group: Any = None) -> None:
        self._group = Group(process_group)

    def save(self, state: dict[str, Any], path: str | PathLike[str]) -> None:
        """Write ``state``; called by all processes of the group. Every process raises if one fails.

        Parameters come back as plain tensors.

        Raises:
            TypeError: For a value that could not be loaded safely, naming its place.
            OSError: If it could not be written; what was at ``path`` is untouched.
            CheckpointCorruptError: If what was read back differs from what was written.
        """
        group = self._group.process_group
        storage, folder = locate(path)
        tree, tensors = flatten(state)
        # Checked where the failure of one process is told to the others.
        writer = ShardWriter(storage, folder, lambda: check_plain(state, any_tensor=True))
        planner = DefaultSavePlanner(flatten_state_dict=False, flatten_sharded_tensors=False)
        try:
            with self._failures_of_one(), with_sums():
                write_parts({**tensors, TREE: tree}, storage_writer=writer, planner=planner, process_group=group)
        except BaseException:
            writer.give_up()
            raise

    @property
    def is_first(self) -> bool:
        """Whether this process is the first of the group, which decides for all; true without a group."""
        return self._group.is_first

    def broadcast(self, value: Any) -> Any:
        """The ``value`` (picklable) of the first process of the group, in every process; called by all of them."""
        return self._group.broadcast(value)

    @contextmanager
    def apart(self) -> Iterator["ShardedCheckpointIO"]:
        """Inside, the same with a process group of its own, for the thread of a :class:`BackgroundSaver`.

        Processes must meet in the same order everywhere: with one group for two threads they would wait for ever.
        Entered by all processes of the group; the new one is of the back end ``gloo``, whatever the other is.

        Example:
            >>> import tempfile, torch
            >>> from lit_checkpoint import BackgroundSaver, CheckpointManager
            >>> with ShardedCheckpointIO().apart() as sharded:
            ...     manager = CheckpointManager(tempfile.mkdtemp(), io=sharded)
            ...     with BackgroundSaver(manager.save) as saver:
            ...         saver.save({"weight": torch.ones(2)}, step=1)
            >>> sharded.load(manager.last_path)
            {'weight': tensor([1., 1.])}
        """
        with self._group.twin() as group:
            yield ShardedCheckpointIO(group)

    def load(
        self,
        path: str | PathLike[str],
        *,
        map_location: MapLocation = "cpu",
        weights_only: bool = True,
        in_parts: Collection[str] = (),
    ) -> dict[str, Any]:
        """Read the checkpoint whole, verified; each caller for itself.

        Args:
            path: Folder.
            map_location: Device of the tensors; ``None`` is the CPU.
            weights_only: Has no effect: only tensors and plain values are ever read.
            in_parts: Keys of the state whose tensors are not read, but come on the meta device: those that
                :meth:`load_into` shall fill.

        Raises:
            FileNotFoundError: If nothing is there, naming what is near.
            CheckpointCorruptError: If it is damaged, its save was not finished, or it is something else.
        """
        shards = _open(path)
        left = tuple(f"{key}." for key in in_parts)
        with shards:
            tree = shards.value(TREE)
            tensors = {
                key: _whole(shards, key, "meta" if key.startswith(left) else map_location or "cpu")
                for key in tree["keys"]
            }
        state: dict[str, Any] = unflatten(tree, tensors)
        return state

    def load_into(self, state: dict[str, Any], path: str | PathLike[str]) -> dict[str, Any]:
        """Fill the tensors of ``state`` in place, each process with its parts; called by all processes of the group.

        Args:
            state: Tree with the tensors to fill, distributed in any way, at the keys they were saved under. It may
                have fewer keys than the checkpoint. Plain values in it are not looked at.
            path: Folder.

        Returns:
            The checkpoint's plain values in the checkpoint's tree, with the tensors of ``state``; what ``state`` has no
            tensor for is left out (``None`` in a list or tuple).

        Raises:
            FileNotFoundError: If nothing is there, naming what is near.
            CheckpointCorruptError: If it is damaged, its save was not finished, or it is something else.
            ValueError: If a tensor has another shape there.
            RuntimeError: If the checkpoint lacks a tensor of ``state``, naming its key.
        """
        _, tensors = flatten(state)
        shards = _open(path)
        with shards:
            planner = DefaultLoadPlanner(flatten_state_dict=False, flatten_sharded_tensors=False)
            with self._failures_of_one():
                read_parts(
                    dict(tensors),
                    storage_reader=ShardReader(shards),
                    planner=planner,
                    process_group=self._group.process_group,
                )
            filled: dict[str, Any] = unflatten(shards.value(TREE), tensors)
        return filled

    def verify(self, path: str | PathLike[str]) -> None:
        """Compare every checksum without building tensors; raises as :meth:`load` does."""
        with _open(path) as shards:
            shards.verify()

    def remove(self, path: str | PathLike[str]) -> None:
        """Delete the checkpoint at ``path``, what names the parts first; other files in the folder stay."""
        storage, folder = locate(path)
        names = storage.names(folder)
        storage.remove(join(folder, COMMIT))
        for name in names:
            if is_shard(name) or is_partial(name):
                storage.remove(join(folder, name))
        storage.remove_empty(folder)

    @contextmanager
    def _failures_of_one(self) -> Iterator[None]:
        """Raise what the first failing process raised, as it is."""
        try:
            with warnings.catch_warnings() if self._group.is_alone else nullcontext():
                if self._group.is_alone:
                    # That one process without a group works alone is what it wants.
                    warnings.filterwarnings("ignore", message="torch.distributed is ", category=UserWarning)
                yield
        except CheckpointException as error:
            first = error.failures[min(error.failures)][0]
            raise first from (None if len(error.failures) == 1 else error)


def _open(path: str | PathLike[str]) -> Shards:
    storage, folder = locate(path)
    try:
        return Shards(storage, folder)
    except FileNotFoundError:
        if not storage.exists(folder):
            raise FileNotFoundError(f"There is no checkpoint at {folder}.{near(storage, folder)}") from None
    except NotADirectoryError:
        pass
    if not storage.is_folder(folder):
        raise CheckpointCorruptError(f"{folder}: a file, not a folder that holds one checkpoint.")
    there = ", ".join(sorted(storage.names(folder))[:5]) or "nothing"
    raise CheckpointCorruptError(
        f"{folder}: a folder, not a file, and without {COMMIT}, so no checkpoint, or one whose save was not finished. "
        f"In it: {there}."
    )


def _whole(shards: Shards, key: str, device: str | torch.device) -> Tensor:
    entry = shards.metadata.state_dict_metadata.get(key)
    if not isinstance(entry, TensorStorageMetadata):
        raise CheckpointCorruptError(f"{shards.where}: the tensor {key!r} is missing.")
    if device == "meta":
        return torch.empty(entry.size, dtype=entry.properties.dtype, device=device)
    if len(entry.chunks) == 1 and entry.chunks[0].sizes == entry.size:
        return shards.tensor(MetadataIndex(key, entry.chunks[0].offsets)).to(device)
    whole = torch.empty(entry.size, dtype=entry.properties.dtype, device=device)
    filled = 0
    for chunk in entry.chunks:
        part = whole
        for dim, (start, length) in enumerate(zip(chunk.offsets, chunk.sizes, strict=True)):
            part = part.narrow(dim, start, length)
        part.copy_(shards.tensor(MetadataIndex(key, chunk.offsets)))
        filled += part.numel()
    if filled != whole.numel():
        raise CheckpointCorruptError(f"{shards.where}: the parts of {key!r} hold {filled} of {whole.numel()} elements.")
    return whole
