"""The cores of a node, divided between its processes."""

import os

import torch

VARIABLE = "OMP_NUM_THREADS"


def threads_per_process(processes: int) -> int:
    """Threads for each of so many processes of this node, at least one."""
    return max(1, (os.cpu_count() or 1) // processes)


def share_threads(processes: int) -> dict[str, str]:
    """Give this process its part of the cores; returns the variables that do so in the other processes of the node.

    Nothing happens, and there are no variables, where the user has said how many threads there are.
    """
    if VARIABLE in os.environ:
        return {}
    part = threads_per_process(processes)
    if torch.get_num_threads() > part:
        torch.set_num_threads(part)
    return {VARIABLE: str(part)}
