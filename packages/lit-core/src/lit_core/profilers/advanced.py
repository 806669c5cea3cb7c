"""Which functions take the time of each event."""

import cProfile
import io
import pstats

from lit_core.profilers.profiler import Profiler


class AdvancedProfiler(Profiler):
    """A ``cProfile`` of each event: calls and times by function.

    Python runs one ``cProfile`` at a time. Inside an event the time of inner events belongs to those alone. Every
    Python call costs more while it is on: compare functions with one another, not with a run without it.

    Args:
        filename: write the summary to this file of the run's folder rather than print it.
        sort_by: order of functions, a key of :mod:`pstats`.
        lines: functions shown for each event.

    Example:
        >>> profiler = AdvancedProfiler(lines=3)
        >>> with profiler.profile("sorting"):
        ...     ordered = sorted(range(100), key=lambda i: -i)
        >>> "sorting" in profiler.summary() and "{built-in method builtins.sorted}" in profiler.summary()
        True
    """

    def __init__(self, filename: str | None = None, *, sort_by: str = "cumulative", lines: int = 20) -> None:
        super().__init__(filename)
        self._sort_by, self._lines = sort_by, lines
        self._profiles: dict[str, cProfile.Profile] = {}
        self._open: list[str] = []

    def setup(self, folder: str) -> None:
        """Begin anew."""
        self.teardown()
        self._profiles = {}

    def start(self, name: str) -> None:
        """An event begins.

        Raises:
            ValueError: if it has begun already.
        """
        if name in self._open:
            raise ValueError(f"The event {name!r} was started and not yet stopped: give the inner one another name.")
        if self._open:
            self._profiles[self._open[-1]].disable()
        self._open.append(name)
        self._profiles.setdefault(name, cProfile.Profile()).enable()

    def stop(self, name: str) -> None:
        """An event is over.

        Raises:
            ValueError: if it was not started.
        """
        if name not in self._open:
            raise ValueError(f"The event {name!r} was not started; open are {self._open}.")
        self._profiles[self._open[-1]].disable()
        self._open.remove(name)
        if self._open:
            self._profiles[self._open[-1]].enable()

    def teardown(self) -> None:
        """Stop what is open still."""
        while self._open:
            self.stop(self._open[-1])

    def stats(self, name: str) -> pstats.Stats:
        """The profile of an event, to look at with :mod:`pstats`.

        Raises:
            ValueError: if there was no such event.
        """
        if name not in self._profiles:
            raise ValueError(f"No event {name!r} was profiled; there are {sorted(self._profiles)}.")
        return pstats.Stats(self._profiles[name])

    def summary(self) -> str:
        """For each event the functions that took its time."""
        parts = []
        for name, profile in self._profiles.items():
            text = io.StringIO()
            stats = pstats.Stats(profile, stream=text)
            stats.strip_dirs().sort_stats(self._sort_by).print_stats(self._lines)
            parts.append(f"Functions in {name}\n{text.getvalue().strip()}")
        return "\n\n".join(parts) or "No event was profiled."
