"""Counts what one training batch costs in Python."""

import sys
from collections.abc import Callable
from types import FrameType
from typing import Any


class Probe:
    """Counts the calls of some functions from one ``mark`` to the next, and the frames between ``top`` and the step.

    Args:
        files: how the file names of the functions to be counted begin.
        top: the function below which the user's step is called.
    """

    def __init__(self, files: tuple[str, ...], top: Callable[..., Any]) -> None:
        self.calls: list[list[str]] = []
        self.stack: list[str] = []
        self._files, self._top, self._since = files, top.__code__, list[str]()

    def watch(self, run: Callable[[], object]) -> "Probe":
        """Count while ``run`` runs."""
        before = sys.getprofile()
        sys.setprofile(self._count)
        try:
            run()
        finally:
            sys.setprofile(before)
        return self

    def mark(self) -> None:
        """To be called in the user's step."""
        self.calls.append(self._since)
        self._since = []
        frame: FrameType | None = sys._getframe(2)  # who called the step
        self.stack = []
        while frame is not None and frame.f_code is not self._top:
            self.stack.insert(0, frame.f_code.co_qualname if sys.version_info >= (3, 11) else frame.f_code.co_name)
            frame = frame.f_back
        assert frame is not None, f"the step was not called below {self._top.co_name}"

    @property
    def worst(self) -> list[str]:
        """The calls of the steady batch that makes the most."""
        return max(self.calls[5:-1], key=len)

    def _count(self, frame: FrameType, event: str, arg: object) -> None:
        if event == "call" and frame.f_code.co_filename.startswith(self._files):
            self._since.append(f"{frame.f_code.co_filename.rpartition('/')[2]}:{frame.f_code.co_name}")
