"""The calling process is the run's process: alone, or started by somebody else."""

from collections.abc import Callable
from typing import Any

from lit_accelerators.launchers.base import Launcher


class InProcessLauncher(Launcher):
    """Calls the function here: for one process, and where torchrun or a cluster has started the processes.

    Example:
        >>> InProcessLauncher().launch(max, 1, 2)
        2
    """

    returns_to_caller = True

    def launch(self, function: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        """Return ``function(*args, **kwargs)``."""
        return function(*args, **kwargs)
