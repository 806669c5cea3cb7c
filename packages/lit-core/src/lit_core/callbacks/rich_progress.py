"""The progress of a run, drawn by rich."""

import math
import time
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, TextIO

from lit_core.callbacks._displays import count_of, value_of
from lit_core.callbacks.progress_bar import ProgressBar


@dataclass(frozen=True)
class RichProgressBarTheme:
    """Styles of a :class:`RichProgressBar`, in the words of ``rich``.

    Args:
        description: of the stage and epoch.
        progress_bar: of the part that is done.
        progress_bar_finished: of a bar that is full.
        progress_bar_pulse: of a bar whose end nobody knows.
        batch_progress: of the number of batches.
        time: of the times.
        processing_speed: of the rate.
        metrics: of the values.
        metrics_text_delimiter: between values.
        metrics_format: of numbers, as of ``format``.
    """

    description: str = ""
    progress_bar: str = "cyan"
    progress_bar_finished: str = "green"
    progress_bar_pulse: str = "cyan"
    batch_progress: str = ""
    time: str = "dim"
    processing_speed: str = "dim"
    metrics: str = "bold"
    metrics_text_delimiter: str = "  "
    metrics_format: str = ".4g"


class RichProgressBar(ProgressBar):
    """The :class:`~lit_core.ProgressBar`, drawn by ``rich`` (the extra ``lit-core[rich]``); validation has a bar below.

    Args:
        refresh_rate: batches between refreshes at least, of which there are at most ten a second; 0 shows nothing.
        leave: leave the bar of each epoch where it is; otherwise that of the next takes its place.
        theme: styles.
        console_kwargs: arguments of ``rich.console.Console``.

    Example:
        >>> from lit_core.callbacks import RichProgressBar, RichProgressBarTheme
        >>> theme = RichProgressBarTheme(progress_bar="magenta")
        >>> RichProgressBar(refresh_rate=5, theme=theme).refresh_rate  # doctest: +SKIP
        5

    Raises:
        ModuleNotFoundError: if ``rich`` is not installed.
        ValueError: for a negative refresh_rate.
    """

    def __init__(
        self,
        refresh_rate: int = 1,
        leave: bool = False,
        theme: RichProgressBarTheme | None = None,
        console_kwargs: Mapping[str, Any] | None = None,
    ) -> None:
        try:
            import rich  # noqa: F401
        except ModuleNotFoundError as error:
            raise ModuleNotFoundError("RichProgressBar needs rich: install the extra 'lit-core[rich]'.") from error
        theme = theme or RichProgressBarTheme()
        super().__init__(
            refresh_rate=refresh_rate, leave=leave, bar=partial(RichBar, theme, dict(console_kwargs or {}))
        )


class RichBar:
    """A bar, and a second one below it while a validation runs inside.

    Args:
        theme: styles.
        console_kwargs: arguments of the console.
        stream: where to draw.
    """

    def __init__(self, theme: RichProgressBarTheme, console_kwargs: dict[str, Any], stream: TextIO) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, Progress, TextColumn

        def text(content: str, style: str) -> TextColumn:
            return TextColumn(content, style=style, markup=False)

        self._theme = theme
        self._progress: Any = Progress(
            text("{task.description}", theme.description),
            BarColumn(
                None,
                complete_style=theme.progress_bar,
                finished_style=theme.progress_bar_finished,
                pulse_style=theme.progress_bar_pulse,
            ),
            text("{task.fields[count]}", theme.batch_progress),
            text("{task.fields[clock]}", theme.time),
            text("{task.fields[rate]}", theme.processing_speed),
            text("{task.fields[values]}", theme.metrics),
            console=Console(**{"file": stream, **console_kwargs}),
            auto_refresh=False,
            expand=True,
        )
        self._outer: Any = None
        self._inner: Any = None
        self._total, self._began = math.inf, (0.0, 0)

    def open(self, label: str, total: float, done: int) -> None:
        """Begin a line, or the one there is anew."""
        self._total, self._began = total, (time.monotonic(), done)
        number = None if total == math.inf else total
        fields = {"count": f"{done}/{count_of(total)}", "clock": "", "rate": "", "values": ""}
        if self._outer is None:
            self._progress.start()
            self._outer = self._progress.add_task(label, total=number, completed=done, **fields)
        else:
            self._end_inner()
            self._progress.reset(self._outer, total=number, completed=done, description=label, **fields)
        self._progress.refresh()

    def show(self, done: int, rate: float, values: Mapping[str, Any], inner: tuple[int, float] | None) -> None:
        """Draw."""
        seconds = time.monotonic() - self._began[0]
        left = (self._total - done) / rate if rate > 0 else math.inf
        self._progress.update(
            self._outer,
            completed=done,
            count=f"{done}/{count_of(self._total)}",
            clock=f"{_clock(seconds)}<{_clock(left)}",
            rate=f"{rate:.1f} it/s",
            values=self._words(values),
        )
        if inner is None:
            self._end_inner()
        else:
            self._show_inner(*inner)
        self._progress.refresh()

    def _show_inner(self, done: int, total: float) -> None:
        if self._inner is None:
            fields = {"clock": "", "rate": "", "values": "", "count": ""}
            number = None if total == math.inf else total
            self._inner = self._progress.add_task("validating", total=number, **fields)
        self._progress.update(self._inner, completed=done, count=f"{done}/{count_of(total)}")

    def _end_inner(self) -> None:
        if self._inner is not None:
            self._progress.remove_task(self._inner)
            self._inner = None

    def _words(self, values: Mapping[str, Any]) -> str:
        theme = self._theme
        return theme.metrics_text_delimiter.join(
            f"{name}={value_of(value, theme.metrics_format)}" for name, value in values.items()
        )

    def close(self) -> None:
        """Leave it there."""
        self._end_inner()
        self._progress.stop()
        self._outer = None


def _clock(seconds: float) -> str:
    if not math.isfinite(seconds):
        return "?"
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes:02d}:{rest:02d}"
