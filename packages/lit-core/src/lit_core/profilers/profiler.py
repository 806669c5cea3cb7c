"""The contract of a profiler."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path


class Profiler(ABC):
    """Measures named events; :class:`ProfilerCallback` names those of a run.

    Write ``start``, ``stop`` and ``summary``. Names that are open at the same time are nested: the one started last is
    stopped first.

    Args:
        filename: write the summary to this file of the run's folder rather than print it.
    """

    def __init__(self, filename: str | None = None) -> None:
        self.filename = filename

    def setup(self, folder: str) -> None:  # noqa: B027 (a slot)
        """A run begins and what was measured before is forgotten; files go to ``folder``."""

    @abstractmethod
    def start(self, name: str) -> None:
        """An event begins."""

    @abstractmethod
    def stop(self, name: str) -> None:
        """An event is over.

        Raises:
            ValueError: if it was not started.
        """

    def step(self) -> None:  # noqa: B027 (a slot)
        """A batch of the run is over."""

    def teardown(self) -> None:  # noqa: B027 (a slot)
        """The run is over."""

    @abstractmethod
    def summary(self) -> str:
        """What was measured, as a text to read."""

    @contextmanager
    def profile(self, name: str) -> Iterator[None]:
        """Measure what runs inside.

        Example:
            >>> from lit_core.profilers import SimpleProfiler
            >>> profiler = SimpleProfiler()
            >>> with profiler.profile("augmentation"):
            ...     total = sum(range(1000))
            >>> profiler.events["augmentation"].count
            1
        """
        self.start(name)
        try:
            yield
        finally:
            self.stop(name)

    def describe(self, folder: str, write: Callable[[str], object] = print) -> None:
        """Write the summary to ``filename`` in ``folder`` if the profiler was given one, else hand it to ``write``."""
        if self.filename is None:
            write(self.summary())
            return
        path = Path(folder) / self.filename
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(self.summary() + "\n", encoding="utf-8")
