"""How long each event takes."""

import time
from dataclasses import dataclass

from lit_core.profilers.profiler import Profiler


@dataclass
class Event:
    """How often something happened, and for how long in all.

    Attributes:
        count: how often.
        total_s: seconds in all.
    """

    count: int = 0
    total_s: float = 0.0

    @property
    def mean_s(self) -> float:
        """Seconds each."""
        return self.total_s / self.count if self.count else 0.0

    def add(self, duration_s: float) -> None:
        """It happened once more."""
        self.count += 1
        self.total_s += duration_s


class SimpleProfiler(Profiler):
    """Mean, count, total and share of the wall time of each event. Work on a GPU counts where the CPU waits for it.

    Args:
        filename: write the summary to this file of the run's folder rather than print it.

    Example:
        >>> import time
        >>> profiler = SimpleProfiler()
        >>> for _ in range(3):
        ...     with profiler.profile("nap"):
        ...         time.sleep(0.001)
        >>> profiler.events["nap"].count, profiler.events["nap"].total_s >= 0.003
        (3, True)
        >>> print(profiler.summary().splitlines()[1].split())
        ['event', 'mean', '[s]', 'count', 'total', '[s]', 'of', 'run']
    """

    def __init__(self, filename: str | None = None) -> None:
        super().__init__(filename)
        self._forget()

    def _forget(self) -> None:
        self.events: dict[str, Event] = {}
        """What was measured, by name."""
        self._open: dict[str, float] = {}
        self._began = time.perf_counter()
        self._ended: float | None = None

    def setup(self, folder: str) -> None:
        """Begin anew."""
        self._forget()

    def start(self, name: str) -> None:
        """An event begins.

        Raises:
            ValueError: if it has begun already.
        """
        if name in self._open:
            raise ValueError(f"The event {name!r} was started and not yet stopped: give the inner one another name.")
        self._open[name] = time.perf_counter()

    def stop(self, name: str) -> None:
        """An event is over.

        Raises:
            ValueError: if it was not started.
        """
        now = time.perf_counter()
        if name not in self._open:
            raise ValueError(f"The event {name!r} was not started; open are {sorted(self._open)}.")
        self.events.setdefault(name, Event()).add(now - self._open.pop(name))

    def teardown(self) -> None:
        """Shares are of the time until now."""
        self._ended = time.perf_counter()

    def summary(self) -> str:
        """A table, the longest event first. Events contain one another, so that shares do not add up to 100%."""
        whole = (time.perf_counter() if self._ended is None else self._ended) - self._began
        width = max(map(len, ["event", *self.events]))
        lines = [f"Time by event, of {whole:.3f} s", f"{'event':<{width}}  {'mean [s]':>10}  {'count':>8}  "]
        lines[1] += f"{'total [s]':>10}  {'of run':>7}"
        for name, event in sorted(self.events.items(), key=lambda item: -item[1].total_s):
            share = event.total_s / whole if whole else 0.0
            numbers = f"{event.mean_s:>10.6f}  {event.count:>8}  {event.total_s:>10.4f}  {share:>7.1%}"
            lines.append(f"{name:<{width}}  {numbers}")
        return "\n".join(lines)
