"""How the processes of a strategy are started: by a word, or by a launcher of one's own."""

from collections.abc import Callable
from functools import partial
from typing import Any, Literal

from lit_accelerators.environments.base import ClusterEnvironment
from lit_accelerators.environments.local import LocalEnvironment
from lit_accelerators.environments.ray import RayEnvironment
from lit_accelerators.launchers.base import Launcher
from lit_accelerators.launchers.in_process import InProcessLauncher
from lit_accelerators.launchers.multiprocess import MultiprocessLauncher
from lit_accelerators.launchers.ray import RayLauncher
from lit_accelerators.launchers.script import ScriptLauncher

StartWord = Literal["script", "spawn", "fork", "forkserver", "notebook", "ray"]
StartMethod = StartWord | Callable[..., Launcher]
"""A word, or what makes a launcher from the environment, the number of processes per node, and ``num_nodes=``."""

_SUFFIXES: dict[StartWord, str] = {
    "script": "",
    "spawn": "_spawn",
    "fork": "_fork",
    "forkserver": "_forkserver",
    "notebook": "_notebook",
    "ray": "_ray",
}


def start_suffix(start: StartMethod) -> str:
    """What stands behind the name of a strategy whose processes are started so.

    Raises:
        ValueError: for a word that does not exist.

    Example:
        >>> start_suffix("spawn"), start_suffix("script")
        ('_spawn', '')
    """
    if not isinstance(start, str):
        return "_ray" if is_ray(start) else ""
    if start not in _SUFFIXES:
        raise ValueError(f"start must be one of {', '.join(map(repr, _SUFFIXES))} or make a launcher, got {start!r}.")
    return _SUFFIXES[start]


def is_ray(start: Any) -> bool:
    """Whether the processes are Ray actors: Ray knows where, so the devices of this machine say nothing."""
    return start == "ray" or (start.func if isinstance(start, partial) else start) is RayLauncher


def own_environment(start: Any, devices: int, num_nodes: int) -> ClusterEnvironment:
    """Where the ranks come from when nobody else starts the processes."""
    return RayEnvironment(devices, num_nodes) if is_ray(start) else LocalEnvironment(devices, num_nodes)


def make_launcher(
    start: StartMethod, environment: ClusterEnvironment, devices: int, num_nodes: int, *, num_gpus: int = 0
) -> Launcher:
    """The launcher for so many processes per node.

    Args:
        start: how they come to be where nobody else starts them.
        environment: of this process.
        devices: processes on each node.
        num_nodes: nodes in the run.
        num_gpus: of each process.

    Raises:
        ValueError: for Ray where somebody else has started the processes already.
    """
    if is_ray(start) and not isinstance(environment, RayEnvironment):
        raise ValueError(
            f"Ray starts the processes of this strategy, but environment {environment.name!r} has started them: start "
            "the script once, as one process, or choose the strategy without Ray."
        )
    if environment.creates_processes_externally and not _starts_script(start, environment, devices * num_nodes):
        return InProcessLauncher()
    if not isinstance(start, str):
        return start(environment, devices, num_nodes=num_nodes)
    if start == "ray":
        return RayLauncher(environment, devices, num_nodes=num_nodes, num_gpus=num_gpus)
    if start == "script":
        alone = not _starts_script(start, environment, devices * num_nodes)
        return InProcessLauncher() if alone else ScriptLauncher(environment, devices, num_nodes=num_nodes)
    method = "fork" if start == "notebook" else start
    return MultiprocessLauncher(environment, devices, method, num_nodes=num_nodes, check_threads=start == "notebook")


def _starts_script(start: StartMethod, environment: ClusterEnvironment, processes: int) -> bool:
    """Whether the script is or was started again; its processes stay for the next run."""
    return start == "script" and isinstance(environment, LocalEnvironment) and processes > 1
