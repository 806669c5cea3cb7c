"""What progress looks like: a bar of tqdm, or plain lines."""

import math
import sys
from collections.abc import Mapping
from typing import Any, Protocol, TextIO

from tqdm.auto import tqdm

_FORMAT = "{desc} {percentage:3.0f}%|{bar}| {n_fmt}/{total_fmt} [{elapsed}<{remaining}, {rate_fmt}{postfix}]"


class Display(Protocol):
    """Draws how far something has come; something else may run inside it."""

    def open(self, label: str, total: float, done: int) -> None:
        """Begin with ``done`` of ``total``; what was drawn becomes this."""

    def show(self, done: int, rate: float, values: Mapping[str, Any], inner: tuple[int, float] | None) -> None:
        """Draw: ``rate`` is in 1/s, ``inner`` how far a validation inside has come, and of how much."""

    def close(self) -> None:
        """Leave what was drawn last where it is."""


class TqdmBar:
    """A bar in a terminal or a notebook.

    Args:
        stream: where to draw.
        position: lines below the first.
    """

    def __init__(self, stream: TextIO, position: int = 0) -> None:
        self._stream, self._position = stream, position
        self._bar: Any = None

    def open(self, label: str, total: float, done: int) -> None:
        """Begin a line, or the one there is anew."""
        number = None if total == math.inf else int(total)
        if self._bar is None:
            self._bar = tqdm(
                desc=label,
                total=number,
                initial=done,
                file=self._stream,
                mininterval=0.0,
                dynamic_ncols=True,
                position=self._position or None,
                bar_format=_FORMAT,
            )
        else:
            self._bar.reset(total=number)
            self._bar.update(done)
            self._bar.set_description_str(label)

    def show(self, done: int, rate: float, values: Mapping[str, Any], inner: tuple[int, float] | None) -> None:
        """Draw; tqdm measures the rate itself."""
        bar = self._bar
        bar.set_postfix_str(line_of(values, inner), refresh=False)
        bar.update(done - bar.n)
        bar.refresh()

    def close(self) -> None:
        """End the line."""
        if self._bar is not None:
            self._bar.close()
            self._bar = None


class Lines:
    """Plain lines, for files.

    Args:
        stream: where to write.
    """

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._label, self._total = "", math.inf

    def open(self, label: str, total: float, done: int) -> None:
        """Nothing is written before there is something to say."""
        self._label, self._total = label, total

    def show(self, done: int, rate: float, values: Mapping[str, Any], inner: tuple[int, float] | None) -> None:
        """Write a line."""
        text = f"{self._label}  batch {done}/{count_of(self._total)}  {rate:.1f} it/s  {line_of(values, inner)}"
        self._stream.write(text.rstrip() + "\n")
        self._stream.flush()

    def close(self) -> None:
        """Every line is complete already."""


def line_of(values: Mapping[str, Any], inner: tuple[int, float] | None = None) -> str:
    """Values by name in one line, numbers in four digits, and how far a validation has come."""
    words = [f"{name}={value_of(value)}" for name, value in values.items()]
    if inner is not None:
        words.append(f"validating {inner[0]}/{count_of(inner[1])}")
    return "  ".join(words)


def value_of(value: Any, form: str = ".4g") -> str:
    """A number in four digits, or in another form; anything else as it is."""
    try:
        return value if isinstance(value, str) else format(float(value), form)
    except (TypeError, ValueError):
        return str(value)


def count_of(total: float) -> str:
    """A number of batches, which nobody may know."""
    return "?" if total == math.inf else str(int(total))


def draws(stream: TextIO) -> bool:
    """Whether a bar can be drawn there: in a terminal, or in a notebook."""
    if stream.isatty():
        return True
    shell = getattr(sys.modules.get("IPython"), "get_ipython", lambda: None)()
    return shell is not None and getattr(shell, "kernel", None) is not None and stream in (sys.stdout, sys.stderr)
