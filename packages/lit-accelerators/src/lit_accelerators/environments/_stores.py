"""The stores where processes meet, one of a kind for the life of a process."""

import functools
import itertools
import time
import uuid
from collections.abc import Iterator
from datetime import timedelta

# torch exports them without saying so to type checkers.
from torch.distributed import FileStore, HashStore, PrefixStore, Store, TCPStore  # type: ignore[attr-defined]

__all__ = [
    "PrefixStore",
    "Store",
    "agreed_name",
    "file_store",
    "memory_store",
    "next_group",
    "serve_store",
    "tcp_store",
]


def memory_store() -> Store:
    """For one process."""
    return HashStore()


def next_group(store: Store, where: str) -> Store:
    """``store`` under a prefix of its own for each process group that this process joins at ``where``."""
    return PrefixStore(f"{where}/group_{next(_group_numbers(where))}", store)


_POLL_S = 0.01


# Kept for the life of a process: a file is deleted, and a port freed, when the last user of it in a process is gone.
@functools.cache
def file_store(path: str, world_size: int) -> Store:
    """For the processes of one node."""
    return FileStore(path, world_size)


@functools.cache
def tcp_store(host: str, port: int, world_size: int, is_server: bool, timeout: timedelta) -> Store:
    """For the processes of several nodes."""
    return TCPStore(host, port, world_size, is_server, timeout=timeout)


def agreed_name(store: Store, rank: int, world_size: int, timeout: timedelta) -> str:
    """A name that the living processes agree on, and none before them had, in a store that outlives processes.

    Every process but the first says hello under a name that nobody had before, and the first answers each with the name
    of all. It answers the dead too, whose hello is still there, but is done only when the living have heard it.

    Args:
        store: of all processes of this attempt and of those before.
        rank: of this process.
        world_size: processes in all.
        timeout: how long to wait for the others.

    Raises:
        TimeoutError: if not all processes have come.
    """
    own = uuid.uuid4().hex
    if rank > 0:
        store.set(f"hello_{store.add('hellos', 1)}", own)
        store.wait([f"answer_{own}"], timeout)
        name = store.get(f"answer_{own}").decode()
        store.add(f"heard_{name}", 1)
        return name
    answered = set[int]()
    deadline = time.monotonic() + timeout.total_seconds()
    while (heard := store.add(f"heard_{own}", 0)) < world_size - 1:
        for number in {*range(1, store.add("hellos", 0) + 1)} - answered:
            if store.check([f"hello_{number}"]):
                store.set(f"answer_{store.get(f'hello_{number}').decode()}", own)
                answered.add(number)
        if time.monotonic() > deadline:
            raise TimeoutError(f"{world_size - 1 - heard} of {world_size} processes have not come in {timeout}.")
        time.sleep(_POLL_S)
    return own


def serve_store() -> tuple[Store, int]:
    """A store for processes anywhere, and its port; it is served as long as the caller keeps it."""
    store = TCPStore("localhost", 0, None, True, wait_for_workers=False)
    return store, store.port


@functools.cache
def _group_numbers(where: str) -> Iterator[int]:
    return itertools.count()
