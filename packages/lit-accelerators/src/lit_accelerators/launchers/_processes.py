"""Ending processes, and ending with them."""

import os
import threading
import time
from collections.abc import Callable, Sequence
from typing import Protocol

TERMINATE_GRACE_S = 5.0
"""How long a process may take to end itself before it is killed."""


class _Process(Protocol):
    def terminate(self) -> None: ...

    def kill(self) -> None: ...


def end_all(processes: Sequence[_Process], is_alive: Callable[[_Process], bool]) -> None:
    """Terminate the processes; kill those that are still there after a grace period."""
    for process in processes:
        if is_alive(process):
            process.terminate()
    deadline = time.monotonic() + TERMINATE_GRACE_S
    while any(is_alive(process) for process in processes) and time.monotonic() < deadline:
        time.sleep(0.02)
    for process in processes:
        if is_alive(process):
            process.kill()


def exit_with(wait_for_end: Callable[[], object]) -> None:
    """End this process at once when ``wait_for_end`` returns, whatever it is doing: nobody may be left behind."""

    def watch() -> None:
        wait_for_end()
        os._exit(1)

    threading.Thread(target=watch, name="lit-end-with-launcher", daemon=True).start()
