"""What the environments of schedulers share."""

import os
from datetime import timedelta

from lit_accelerators.environments._stores import Store, memory_store, next_group, tcp_store
from lit_accelerators.environments._variables import read_int

_FIRST_PORT, _PORTS = 12000, 20000  # below 32768, where Linux begins to hand out ports by itself


def several(name: str) -> bool:
    """Whether the variable ``name`` tells of several processes: one alone may start others itself."""
    return os.environ.get(name, "1").strip() != "1"


def port_of_job(*numbers: int) -> int:
    """A port that all processes of a job derive alike, and other jobs differently in most cases."""
    mixed = 0
    for number in numbers:
        mixed = mixed * 31 + number
    return _FIRST_PORT + mixed % _PORTS


def read_main_port(default: int | None, *, set_by: str) -> int:
    """The port in ``MASTER_PORT``, else the default."""
    return read_int("MASTER_PORT", set_by=set_by, default=default, minimum=1)


def check_processes(
    *, devices: int, num_nodes: int, local_world_size: int, world_size: int, who: str, start_with: str
) -> None:
    """Raise ``ValueError`` unless the processes asked for are those that ``who`` started.

    Args:
        devices: asked for, per node.
        num_nodes: asked for.
        local_world_size: started on this node.
        world_size: started in all.
        who: started them.
        start_with: how to start those that were asked for.
    """
    nodes = world_size // local_world_size
    if devices != local_world_size or num_nodes != nodes:
        raise ValueError(
            f"devices={devices} and num_nodes={num_nodes}, but {who} started {local_world_size} process(es) on each of "
            f"{nodes} node(s). Write devices={local_world_size} (or 'auto') and num_nodes={nodes}, or start with "
            f"{start_with}."
        )


def check_even(world_size: int, local_world_size: int, *, world_name: str, local_name: str, set_by: str) -> None:
    """Raise ``RuntimeError`` unless every node has the same number of processes."""
    if world_size % local_world_size:
        raise RuntimeError(
            f"{world_name}={world_size} processes are no multiple of the {local_name}={local_world_size} of this node, "
            f"but every node must have as many; {set_by} must start them so."
        )


def meet(host: str, port: int, world_size: int, rank: int, timeout: timedelta) -> Store:
    """The store of the next group of a job; rank 0 is the server."""
    if world_size == 1:
        return memory_store()
    return next_group(tcp_store(host, port, world_size, rank == 0, timeout), f"tcp://{host}:{port}")
