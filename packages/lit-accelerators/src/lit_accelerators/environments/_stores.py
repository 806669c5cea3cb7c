"""The stores where processes meet, one of a kind for the life of a process."""

import functools
import itertools
from collections.abc import Iterator
from datetime import timedelta

# torch exports them without saying so to type checkers.
from torch.distributed import FileStore, HashStore, PrefixStore, Store, TCPStore  # type: ignore[attr-defined]

__all__ = ["PrefixStore", "Store", "file_store", "memory_store", "next_group", "serve_store", "tcp_store"]


def memory_store() -> Store:
    """For one process."""
    return HashStore()


def next_group(store: Store, where: str) -> Store:
    """``store`` under a prefix of its own for each process group that this process joins at ``where``."""
    return PrefixStore(f"{where}/group_{next(_group_numbers(where))}", store)


# Kept for the life of a process: a file is deleted, and a port freed, when the last user of it in a process is gone.
@functools.cache
def file_store(path: str, world_size: int) -> Store:
    """For the processes of one node."""
    return FileStore(path, world_size)


@functools.cache
def tcp_store(host: str, port: int, world_size: int, is_server: bool, timeout: timedelta) -> Store:
    """For the processes of several nodes."""
    return TCPStore(host, port, world_size, is_server, timeout=timeout)


def serve_store() -> tuple[Store, int]:
    """A store for processes anywhere, and its port; it is served as long as the caller keeps it."""
    store = TCPStore("localhost", 0, None, True, wait_for_workers=False)
    return store, store.port


@functools.cache
def _group_numbers(where: str) -> Iterator[int]:
    return itertools.count()
