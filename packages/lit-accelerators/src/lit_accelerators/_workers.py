"""What the worker processes of a loader do at their start and before each batch."""

import multiprocessing
import os
import random
import signal
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from functools import cache
from inspect import isgenerator
from itertools import islice
from multiprocessing import util
from multiprocessing.connection import Connection, wait
from typing import Any

import torch
from torch.utils.data import DataLoader, get_worker_info

from lit_accelerators.seeding import loaded_numpy

_STOPS = tuple(getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGUSR1") if hasattr(signal, name))

_CAN_HOLD = hasattr(signal, "pthread_sigmask")


class SeededIndices(list[int]):
    """Indices of a batch that seed the worker process in which they arrive; to anybody else they are a list.

    A worker gets them right before it reads the samples, so what it draws follows from the seed alone: not from the
    number of workers, nor from what this one did before.
    """

    def __init__(self, indices: Sequence[int], seed: int) -> None:
        super().__init__(indices)
        self.seed = seed

    def __reduce__(self) -> tuple[Any, ...]:
        return _arrive, (list(self), self.seed)


def _arrive(indices: list[int], seed: int) -> list[int]:
    if get_worker_info() is not None:
        _seed(seed)
    return indices


def _seed(seed: int) -> None:
    """As ``torch.manual_seed`` does, without what that costs where no device is in use."""
    torch.default_generator.manual_seed(seed)
    if torch.cuda.is_initialized():
        torch.cuda.manual_seed_all(seed)
    random.seed(seed)
    numpy = loaded_numpy()
    if numpy is not None:
        numpy.random.seed(seed & 0xFFFFFFFF)


class LeaveSignals:
    """A ``worker_init_fn``: workers leave the signals that ask a program to stop to the process that reads from them.

    A scheduler sends them to all processes of a job. A worker that ended by one would take the batches that the others
    still need, and the process that reads would fail before it could save. Workers end when that process does.

    Loaders that :func:`own_order` or :func:`open_loader` gets have it without a word. Give it to a loader that another
    iterable holds: in the process that reads, since workers of any other are left as they are.

    Args:
        then: a ``worker_init_fn``, called afterwards.

    Example:
        >>> from torch.utils.data import DataLoader
        >>> loader = DataLoader(range(4), batch_size=2, num_workers=1, worker_init_fn=LeaveSignals())
        >>> [batch.tolist() for batch in loader]
        [[0, 1], [2, 3]]
    """

    def __init__(self, then: Callable[[int], None] | None = None) -> None:
        self._then = then
        self._reader = os.getpid()
        self._end = _end_of(self._reader)

    def __call__(self, worker_id: int) -> None:
        parent = multiprocessing.parent_process()
        if parent is not None and parent.pid == self._reader:  # else nobody would say when to end
            ends = [self._end, parent.sentinel]
            threading.Thread(target=_end_with, args=(ends,), name="end_with_reader", daemon=True).start()
            for number in _STOPS:
                signal.signal(number, _ignore)
        if _CAN_HOLD:
            signal.pthread_sigmask(signal.SIG_UNBLOCK, _STOPS)
        if self._then is not None:
            self._then(worker_id)


def open_loader(loader: Iterable[Any]) -> Iterator[Any]:
    """``iter(loader)``, for a ``DataLoader`` whose order stays its own with workers that :class:`LeaveSignals` begins.

    Args:
        loader: a ``DataLoader`` or a subclass, which keeps its ``worker_init_fn``; any other iterable is read as it is.

    Example:
        >>> from torch.utils.data import DataLoader
        >>> [batch.tolist() for batch in open_loader(DataLoader(range(4), batch_size=2, num_workers=1))]
        [[0, 1], [2, 3]]
    """
    if not isinstance(loader, DataLoader) or not loader.num_workers:
        return iter(loader)
    with _starting(loader):
        batches: Iterator[Any] = iter(loader)
    return _begun(loader, batches) if isgenerator(batches) else batches


def _begun(loader: DataLoader[Any], batches: Iterator[Any]) -> Iterator[Any]:
    """A generator that a subclass wrote starts workers when it is asked first."""
    with _starting(loader):
        first = list(islice(batches, 1))
    yield from first
    yield from batches


@contextmanager
def _starting(loader: DataLoader[Any]) -> Iterator[None]:
    own = loader.worker_init_fn
    if not isinstance(own, LeaveSignals):
        loader.worker_init_fn = LeaveSignals(own)
    try:
        with _holding_signals() if type(loader) is DataLoader else nullcontext():  # others may start who knows what
            yield
    finally:
        loader.worker_init_fn = own


@contextmanager
def _holding_signals() -> Iterator[None]:
    """Workers that start inside get signals once :class:`LeaveSignals` is there: until then PyTorch would end them."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, _STOPS) if _CAN_HOLD else set()
    try:
        yield
    finally:
        if _CAN_HOLD:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)


@cache
def _end_of(pid: int) -> Connection:
    """Readable from when this process begins to end: before it asks its workers to by the signal that they ignore."""
    reader, writer = multiprocessing.Pipe(duplex=False)
    util.Finalize(None, writer.send_bytes, (b"end",), exitpriority=100)
    return reader


def _end_with(ends: list[Any]) -> None:
    # In a thread, so that also a worker that waits for ever in foreign code ends.
    wait(ends)
    os._exit(0)


def _ignore(number: int, frame: object) -> None:
    """Do nothing. Other than ``SIG_IGN``, programs that a worker starts do not inherit it."""
