"""The order of samples: which rank sees which sample when.

The order of an epoch is a pure function of ``(seed, epoch)``; nothing is drawn from a global generator, nothing depends
on the number of workers. One cursor, counted in samples over all ranks, says how far the epoch has come, so a run can
continue anywhere in O(1) and with another number of ranks.

A global batch is ``batch_size * world_size`` consecutive samples of the order; rank ``r`` takes every
``world_size``-th of them beginning with the ``r``-th. All ranks together visit each sample exactly once, whatever the
sizes.
"""

from collections.abc import Iterator, Sized
from typing import Any, cast

import torch
from torch import Tensor
from torch.utils.data import (
    BatchSampler,
    DataLoader,
    IterableDataset,
    RandomSampler,
    Sampler,
    SequentialSampler,
    TensorDataset,
    default_collate,
)

from lit_accelerators._workers import LeaveSignals, SeededIndices

_GOLDEN = 0x9E3779B97F4A7C15  # 2**64 / golden ratio: the increment of SplitMix64
_MASK = (1 << 64) - 1
_IN_WORKERS = 1  # sets the seeds of workers apart from those of permutations
_BLOCK = 64  # global batches whose indices become Python numbers at once


def mix_seed(seed: int, *numbers: int) -> int:
    """Derive an independent 63-bit seed from a seed and other numbers (epoch, rank, sample), by SplitMix64.

    Neighbouring inputs give unrelated seeds, so ``(seed=1, epoch=2)`` and ``(seed=2, epoch=1)`` do not collide.

    Example:
        >>> mix_seed(1, 2) == mix_seed(1, 2), mix_seed(1, 2) == mix_seed(2, 1)
        (True, False)

    Source: Steele, Lea, Flood, "Fast splittable pseudorandom number generators", OOPSLA 2014.
    """
    state = seed & _MASK
    for number in numbers:
        state = _finalize((state + _GOLDEN) & _MASK) ^ (number & _MASK)
    return _finalize((state + _GOLDEN) & _MASK) >> 1


def _finalize(z: int) -> int:
    z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) & _MASK
    z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & _MASK
    return z ^ (z >> 31)


def epoch_order(num_samples: int, *, seed: int, epoch: int, shuffle: bool) -> Tensor:
    """Indices of all samples in the order of one epoch, shape ``(num_samples,)``, int64.

    Example:
        >>> epoch_order(4, seed=0, epoch=0, shuffle=False)
        tensor([0, 1, 2, 3])
        >>> sorted(epoch_order(4, seed=0, epoch=3, shuffle=True).tolist())
        [0, 1, 2, 3]
    """
    if not shuffle:
        return torch.arange(num_samples)
    generator = torch.Generator().manual_seed(mix_seed(seed, epoch))
    return torch.randperm(num_samples, generator=generator)


class BatchOrder(Sampler[list[int]]):
    """Batch sampler that deals the samples of an epoch to ranks; give it to a ``DataLoader`` as ``batch_sampler``.

    Args:
        num_samples: samples in the dataset.
        batch_size: samples in a batch of one rank.
        shuffle: whether the order is a permutation drawn anew for each epoch.
        drop_last: whether a last global batch that is not full is left out.
        seed: of the permutation.
        world_size: number of ranks that share the samples.
        rank: whose batches this object yields.
        even: whether every rank must run the same number of batches (training: gradients are exchanged in each).
            A rank for which nothing is left in the last global batch then gets one sample again, and
            :meth:`weight` says 0 for it. With ``even=False`` (evaluation) it gets no batch.
        generator: seeded anew by :meth:`set_epoch`; the loader draws the seeds of its workers from it.
        seed_workers: whether a worker process that gets a batch first seeds its generators (Python, numpy, torch) by
            ``seed``, epoch and the batch's place in the order. What it draws then does not depend on the number of
            workers, nor on where in the epoch they started. It costs a worker some 10 microseconds per batch. Without
            effect where there are no workers.

    Example:
        >>> order = BatchOrder(5, 2, shuffle=False)
        >>> list(order)
        [[0, 1], [2, 3], [4]]
        >>> order.set_epoch(1, cursor=2)
        >>> list(order), order.cursor_after(1)
        ([[2, 3], [4]], 4)
        >>> [list(BatchOrder(5, 2, shuffle=False, world_size=2, rank=r)) for r in (0, 1)]
        [[[0, 2], [4]], [[1, 3]]]
    """

    def __init__(
        self,
        num_samples: int,
        batch_size: int,
        *,
        shuffle: bool,
        drop_last: bool = False,
        seed: int = 0,
        world_size: int = 1,
        rank: int = 0,
        even: bool = False,
        generator: torch.Generator | None = None,
        seed_workers: bool = False,
    ) -> None:
        if batch_size < 1:
            raise ValueError(f"batch_size must be at least 1, got {batch_size}.")
        if not 0 <= rank < world_size:
            raise ValueError(f"rank must be in [0, world_size), got rank={rank}, world_size={world_size}.")
        self.num_samples = num_samples
        self.batch_size = batch_size
        self.shuffle = shuffle
        self.drop_last = drop_last
        self.seed = seed
        self.world_size = world_size
        self.rank = rank
        self.even = even
        self.epoch = 0
        self.start = 0
        self._generator = generator
        self._seed_workers = seed_workers

    def set_epoch(self, epoch: int, *, cursor: int = 0) -> None:
        """Choose the epoch, and the number of its samples (over all ranks) that were already consumed."""
        if not 0 <= cursor <= self.num_samples:
            raise ValueError(f"cursor must be in [0, {self.num_samples}], got {cursor}: was the dataset changed?")
        self.epoch = epoch
        self.start = cursor
        if self._generator is not None:
            self._generator.manual_seed(mix_seed(self.seed, epoch, self.rank))

    @property
    def global_batch_size(self) -> int:
        """Samples that all ranks consume together in one batch."""
        return self.batch_size * self.world_size

    @property
    def _tail(self) -> int:
        """Samples in the last global batch if it is not full, else 0."""
        return (self.num_samples - self.start) % self.global_batch_size

    def __len__(self) -> int:
        full = (self.num_samples - self.start) // self.global_batch_size
        if not self._tail or self.drop_last:
            return full
        return full + (1 if self.even or self._tail > self.rank else 0)

    def __iter__(self) -> Iterator[list[int]]:
        order = epoch_order(self.num_samples, seed=self.seed, epoch=self.epoch, shuffle=self.shuffle)
        together = self.global_batch_size
        end = self.start + len(self) * together
        seed = mix_seed(self.seed, self.epoch, _IN_WORKERS)
        for block in range(self.start, end, _BLOCK * together):  # numbers in blocks: one by one they cost more
            indices = order[block : min(block + _BLOCK * together, end)].tolist()
            for begin in range(0, min(_BLOCK * together, end - block), together):
                dealt = indices[begin + self.rank : begin + together : self.world_size]
                dealt = dealt or [indices[begin]]
                yield SeededIndices(dealt, mix_seed(seed, block + begin + self.rank)) if self._seed_workers else dealt

    def cursor_after(self, num_batches: int) -> int:
        """The cursor once this object's first ``num_batches`` batches (of every rank) are consumed."""
        return min(self.start + num_batches * self.global_batch_size, self.num_samples)

    def size(self, index: int) -> int:
        """Samples that count in this rank's ``index``-th batch from the start; 0 for a batch that only keeps step."""
        left = self.num_samples - self.start - index * self.global_batch_size
        if left >= self.global_batch_size:
            return self.batch_size
        return max(0, -(-(left - self.rank) // self.world_size))

    def weight(self, index: int) -> float:
        """Factor for the mean loss of the ``index``-th batch so that the mean over ranks is the mean over samples.

        1.0 for full batches; in a last global batch of ``m`` samples of which this rank has ``n``,
        ``n * world_size / m``.
        """
        left = self.num_samples - self.start - index * self.global_batch_size
        if left >= self.global_batch_size:
            return 1.0
        return self.size(index) * self.world_size / left


def own_order(
    loader: DataLoader[Any],
    *,
    seed: int,
    world_size: int = 1,
    rank: int = 0,
    even: bool = False,
    shuffle: bool | None = None,
) -> DataLoader[Any] | None:
    """The same loader with its order dealt by a :class:`BatchOrder`; ``None`` where the order is not ours to choose.

    Ours are plain ``DataLoader`` objects over map-style datasets that visit every sample once, in sequence or shuffled.
    Not ours: iterable datasets, subclasses of ``DataLoader``, samplers and batch samplers of the user, no batching.

    ``shuffle`` is the loader's unless it is given.

    With worker processes:

    - Before each batch a worker seeds the generators of Python, numpy and torch by ``seed``, epoch and the batch's
      place in the order, whatever ``generator`` and ``worker_init_fn`` did. So random augmentation is the same for any
      number of workers, and from a cursor on as in the whole epoch. Generators that a dataset has itself are not
      seeded: let it make them per sample from ``torch.initial_seed()`` and the index.
    - Workers leave SIGINT, SIGTERM and SIGUSR1 to the process that reads, which can finish what it does when a
      scheduler signals all processes of a job. They end when it ends. The loader's ``worker_init_fn`` runs after that.

    Without workers samples draw from the generators of the process that reads, as in any loader.

    Batches of a plain ``TensorDataset`` are taken whole from its tensors, not sample by sample: the same bits, many
    times as fast.

    Example:
        >>> loader = DataLoader(range(5), batch_size=2, shuffle=True)
        >>> owned = own_order(loader, seed=0)
        >>> sorted(x for batch in owned for x in batch.tolist())
        [0, 1, 2, 3, 4]
    """
    if type(loader) is not DataLoader or isinstance(loader.dataset, IterableDataset):
        return None
    if loader.batch_size is None or type(loader.batch_sampler) is not BatchSampler or not _visits_once(loader.sampler):
        return None
    own = torch.Generator() if loader.generator is None else None
    order = BatchOrder(
        len(cast(Sized, loader.dataset)),
        loader.batch_size,
        shuffle=isinstance(loader.sampler, RandomSampler) if shuffle is None else shuffle,
        drop_last=loader.drop_last,
        seed=seed,
        world_size=world_size,
        rank=rank,
        even=even,
        generator=own,
        seed_workers=loader.num_workers > 0,
    )
    order.set_epoch(0)
    options: dict[str, Any] = {
        "num_workers": loader.num_workers,
        "pin_memory": loader.pin_memory,
        "timeout": loader.timeout,
        "worker_init_fn": LeaveSignals(loader.worker_init_fn) if loader.num_workers > 0 else loader.worker_init_fn,
        "multiprocessing_context": loader.multiprocessing_context,
        "generator": loader.generator if own is None else own,
        "persistent_workers": loader.persistent_workers,
        "in_order": getattr(loader, "in_order", True),
    }
    if loader.num_workers > 0:
        options["prefetch_factor"] = loader.prefetch_factor
    if _can_take_batches(loader):
        return DataLoader(loader.dataset, batch_size=None, sampler=order, collate_fn=list, **options)
    return DataLoader(loader.dataset, batch_sampler=order, collate_fn=loader.collate_fn, **options)


def _can_take_batches(loader: DataLoader[Any]) -> bool:
    """Whether rows taken at once are, to the bit and in memory, those that would be put together one by one."""
    dataset = loader.dataset
    return (
        type(dataset) is TensorDataset
        and loader.collate_fn is default_collate
        and all(type(t) is Tensor and t.layout is torch.strided and t.is_contiguous() for t in dataset.tensors)
        and not any(t.is_quantized or t.requires_grad for t in dataset.tensors)
    )


def _visits_once(sampler: object) -> bool:
    if type(sampler) is RandomSampler:
        return not sampler.replacement and sampler.num_samples == len(sampler.data_source)
    return type(sampler) is SequentialSampler


def order_of(loader: object) -> BatchOrder | None:
    """The :class:`BatchOrder` of a loader made by :func:`own_order`, else ``None``."""
    samplers = (getattr(loader, name, None) for name in ("batch_sampler", "sampler"))
    return next((sampler for sampler in samplers if isinstance(sampler, BatchOrder)), None)


__all__ = ["BatchOrder", "epoch_order", "mix_seed", "order_of", "own_order"]
