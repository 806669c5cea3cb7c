"""Loaders as the loops use them: how many batches, from where, of which size."""

import math
import warnings
from collections.abc import Iterable, Iterator, Mapping
from itertools import islice
from typing import Any, Protocol, runtime_checkable

from torch.utils.data import DataLoader, DistributedSampler

from lit_accelerators import BatchOrder, open_loader, order_of, own_order
from lit_core.config import Limit


@runtime_checkable
class StatefulLoader(Protocol):
    """A loader that knows how to continue where it stopped."""

    def state_dict(self) -> Any:
        """Where it stands."""

    def load_state_dict(self, state: Any) -> None:
        """Stand there; the next iteration continues."""


class PreparedLoader:
    """An iterable of batches with its limit and, where the framework owns it, its order.

    Args:
        source: a ``DataLoader`` or any iterable of batches.
        limit: batches per epoch at most (int), a fraction of them (float), or all (None).
        name: for messages: ``"train_dataloader"``.
    """

    def __init__(self, source: Any, limit: Limit, name: str) -> None:
        if not isinstance(source, Iterable):
            raise TypeError(f"{name} must be a DataLoader or another iterable of batches, got {type(source).__name__}.")
        self.source = source
        self.order: BatchOrder | None = order_of(source)
        self.name = name
        self._limit = limit
        self._continues = False
        self.reads_ahead = self.order is not None and getattr(source, "num_workers", 0) > 0
        """Whether a batch may be read before its turn: nothing else depends on when it is."""
        self.first = 0
        """Index of the first batch that :meth:`open` gives."""
        self.full_batches = 0
        """Index up to which every batch of the opened epoch is known to be full."""
        self.batch_size = self.order.batch_size if self.order is not None else None
        self.global_batch_size = self.order.global_batch_size if self.order is not None else 0

    @property
    def num_batches(self) -> float:
        """Batches in the opened epoch, infinity where nobody knows."""
        try:
            length: float = len(self.source) + self.first  # type: ignore[arg-type]
        except (TypeError, NotImplementedError):
            length = math.inf
        return limited(length, self._limit, self.name)

    def open(self, epoch: int = 0, *, cursor: int = 0, batch: int = 0) -> Iterator[tuple[int, Any]]:
        """Iterate ``(batch_idx, batch)`` over what is left of an epoch of which ``batch`` batches are done."""
        if self.order is not None:
            self.order.set_epoch(epoch, cursor=cursor)
            self.full_batches = batch + (self.order.num_samples - cursor) // self.order.global_batch_size
        else:
            sampler = getattr(self.source, "sampler", None)
            if isinstance(sampler, DistributedSampler):
                sampler.set_epoch(epoch)
        self.first = batch if self.order is not None else 0
        batches = open_loader(self.source)
        if self._continues:
            self._continues = False
        elif self.order is None and batch:
            warnings.warn(
                f"Resuming inside an epoch of {self.name}, whose order the Trainer does not own: its first {batch} "
                "batches are read and skipped. The rest is what was not seen only if the loader gives the same order "
                "again.",
                stacklevel=2,
            )
            for _ in islice(batches, batch):
                pass
        limit = None if self._limit is None else int(min(self.num_batches, 2**62))
        return enumerate(islice(batches, None if limit is None else max(0, limit - batch)), start=batch)

    def check_end(self, done: int) -> None:
        """Refuse an end that came before all batches of an order that is known.

        Raises:
            RuntimeError: saying how many batches are missing, and why that happens.
        """
        if self.order is not None and done < self.num_batches:
            raise RuntimeError(
                f"{self.name} ended after {done} of {self.num_batches} batches: something in its dataset or collate_fn "
                "raised StopIteration, which looks like the end of the data. Raise another exception there."
            )

    def state_dict(self) -> Any:
        """State of a loader that keeps its own (``state_dict``), None for the others."""
        return self.source.state_dict() if self.order is None and isinstance(self.source, StatefulLoader) else None

    def load_state_dict(self, state: Any) -> None:
        """Hand back :meth:`state_dict`; the loader then continues by itself.

        Raises:
            ValueError: if this loader cannot take it.
        """
        if not isinstance(self.source, StatefulLoader):
            raise ValueError(
                f"The checkpoint holds the state of a {self.name} that keeps its own, but this one has no "
                "load_state_dict: resume with the loader that was saved."
            )
        self.source.load_state_dict(state)
        self._continues = True

    def size(self, batch_idx: int) -> int | None:
        """Samples in this process's batch, where the order tells."""
        return None if self.order is None else self.order.size(batch_idx - self.first)

    def tail(self, batch_idx: int) -> tuple[int | None, float, int]:
        """Of a batch from ``full_batches`` on: its samples here, its loss's weight, its samples over all processes."""
        if self.order is None:
            return None, 1.0, 0
        index = batch_idx - self.first
        together = self.order.cursor_after(index + 1) - self.order.cursor_after(index)
        return self.order.size(index), self.order.weight(index), together


def prepare_loader(
    source: Any,
    limit: Limit,
    name: str,
    *,
    seed: int,
    world_size: int,
    rank: int,
    training: bool,
    own: bool,
    shuffle: bool | None = None,
) -> PreparedLoader:
    """Wrap a loader; take over its order where that is possible and wanted.

    Raises:
        ValueError: if several processes would each see all the data of a loader whose order is not ours.
    """
    if own and isinstance(source, DataLoader):
        owned = own_order(source, seed=seed, world_size=world_size, rank=rank, even=training, shuffle=shuffle)
        if owned is not None:
            return PreparedLoader(owned, limit, name)
        if shuffle is False:
            warnings.warn(
                f"overfit_batches cannot keep {name} unshuffled: its order is not the Trainer's.", stacklevel=2
            )
        if world_size > 1 and not isinstance(source.sampler, DistributedSampler):
            raise ValueError(
                f"{name} has a dataset, sampler or DataLoader subclass whose order the Trainer cannot own, so each of "
                f"the {world_size} processes would see all of its data. Split the data by process yourself (a "
                "DistributedSampler, or torch.distributed.get_rank() in an iterable dataset) and pass "
                "use_distributed_sampler=False."
            )
    return PreparedLoader(source, limit, name)


def limited(length: float, limit: Limit, name: str) -> float:
    """Batches of ``length`` that a limit leaves: a number (int), a fraction (float), or all (None).

    Raises:
        ValueError: for a fraction of an unknown length.

    Example:
        >>> limited(10, 3, "train_dataloader"), limited(10, 0.55, "train_dataloader")
        (3, 5)
    """
    if limit is None:
        return length
    if isinstance(limit, int):
        return min(limit, length)
    if length == math.inf:
        if limit in (0.0, 1.0):
            return length if limit else 0
        raise ValueError(
            f"{name} has no length, so it cannot be limited to a fraction ({limit}): "
            "limit it by a number of batches (int)."
        )
    return int(length * limit)


def as_list(loaders: Any) -> list[Any]:
    """One loader, a list or mapping of loaders, or None, as a list."""
    if loaders is None:
        return []
    if isinstance(loaders, Mapping):
        return list(loaders.values())
    return list(loaders) if isinstance(loaders, (list, tuple)) else [loaders]
