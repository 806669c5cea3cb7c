"""Where the time of training goes."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from time import perf_counter

PHASES: dict[str, str] = {
    "data": "waiting for the next batch",
    "transfer": "moving batches to the device, for validation too",
    "forward": "training_step",
    "backward": "backward, and exchanging gradients",
    "optimizer": "clipping, optimizer and scheduler steps",
    "step": "training_step with its own backward and steps",
    "validation": "validation, with all that belongs to it",
    "checkpoint": "saving checkpoints",
    "logging": "writing rows",
    "callbacks": "callbacks and hooks",
}
"""Each phase, and what it is."""


class Times:
    """Host seconds by phase. Every moment since :meth:`begin` belongs to the phase whose lap ends next.

    On an accelerator work runs behind the host, so a phase has the time in which the host prepared that work or waited
    for it.

    Example:
        >>> times = Times()
        >>> times.begin()
        >>> times.lap("data")
        >>> [phase for phase, seconds in times.seconds.items() if seconds > 0]
        ['data']
    """

    def __init__(self) -> None:
        self._seconds = dict.fromkeys(PHASES, 0.0)
        self._last = 0.0

    def begin(self) -> None:
        """What came before belongs to no phase."""
        self._last = perf_counter()

    def lap(self, phase: str) -> None:
        """The time since the lap before belongs to ``phase``."""
        now = perf_counter()
        self._seconds[phase] += now - self._last
        self._last = now

    def update(self, begin: float, forward: float, backward: float) -> None:
        """An update ends now: its batch was there at ``begin``, and these are the ends of its two passes."""
        seconds, now = self._seconds, perf_counter()
        seconds["data"] += begin - self._last
        seconds["forward"] += forward - begin
        seconds["backward"] += backward - forward
        seconds["optimizer"] += now - backward
        self._last = now

    @contextmanager
    def inside(self, phase: str) -> Iterator[None]:
        """The time inside belongs to ``phase``, and not to the one that it lies in."""
        began = perf_counter()
        try:
            yield
        finally:
            spent = perf_counter() - began
            self._seconds[phase] += spent
            self._last += spent

    @property
    def seconds(self) -> dict[str, float]:
        """Seconds of each phase so far."""
        return dict(self._seconds)

    def take_over(self, seconds: Mapping[str, float]) -> None:
        """Have these seconds, measured in another process."""
        self._seconds.update(seconds)
