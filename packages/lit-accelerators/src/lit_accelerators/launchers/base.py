"""The contract of a launcher: how the processes of a run come to be."""

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any


class Launcher(ABC):
    """Runs a function in every process of a run.

    ``returns_to_caller`` tells whether objects that the function changed are the caller's own (in-process, torchrun,
    a relaunched script) or copies in another process (spawn), whose changes come back only through the result.
    """

    returns_to_caller: bool
    """True where the function runs in the calling process itself."""

    @abstractmethod
    def launch(self, function: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        """Run ``function(*args, **kwargs)`` in every process; return what rank 0 returned.

        Raises:
            Exception: what the first failing rank raised, once, with that rank named; no process is left behind.
        """
