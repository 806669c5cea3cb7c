"""The contract of a logger: one row of numbers, hyperparameters, an end."""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, final


@dataclass(frozen=True)
class Row:
    """Numbers measured at one moment of a run, with every coordinate of that moment; a logger chooses its axis.

    ``step`` counts optimizer updates (``global_step``). The coordinates that a plain loop does not know stay ``None``.
    ``evaluated`` is known of a row that belongs to one batch of an evaluation: the batches evaluated in its stage
    before it, over the whole run. Many such rows share a step, so it is their axis.
    """

    metrics: Mapping[str, float]
    step: int
    stage: str | None = None
    epoch: int | None = None
    batch: int | None = None
    samples: int | None = None
    wall_time_s: float | None = None
    evaluated: int | None = None

    @property
    def coordinates(self) -> dict[str, Any]:
        """The coordinates that are known, by name, ``step`` first."""
        named = {
            "step": self.step,
            "stage": self.stage,
            "epoch": self.epoch,
            "batch": self.batch,
            "samples": self.samples,
            "wall_time_s": self.wall_time_s,
            "evaluated": self.evaluated,
        }
        return {name: value for name, value in named.items() if value is not None}


class Logger(ABC):
    """Where the numbers of a run go.

    A logger knows nothing of ranks: it is called in the one process that writes. Nothing is created on disk or
    opened over the network before the first write. Implementations are final and registered by name
    (entry-point group ``lit_loggers.loggers``).
    """

    @property
    @abstractmethod
    def name(self) -> str:
        """Of the experiment: what several runs have in common."""

    @property
    @abstractmethod
    def version(self) -> str | int:
        """Of the run within the experiment."""

    @property
    @abstractmethod
    def log_dir(self) -> str | None:
        """Folder (path or URL) of this run's files; ``None`` if it has none."""

    @final
    def log_metrics(self, metrics: Mapping[str, float], step: int | None = None, **coordinates: Any) -> None:
        """Write numbers measured at ``step``; coordinates are the fields of :class:`Row`.

        Without a ``step`` the rows are counted: 0, 1, 2, ...
        """
        if step is None:
            step = self._next_step
        self._next_step = step + 1
        self.write(Row(metrics, step, **coordinates))

    _next_step: int = 0

    @abstractmethod
    def write(self, row: Row) -> None:
        """Take one row; may buffer."""

    @abstractmethod
    def log_hyperparams(self, params: Mapping[str, Any]) -> None:
        """Record the settings of the run; nested mappings are allowed."""

    @abstractmethod
    def truncate(self, step: int, evaluated: int | None = None) -> None:
        """Forget what a run resumed from ``step`` will write again.

        Args:
            step: rows past it are forgotten.
            evaluated: rows that belong to one batch of an evaluation are forgotten from this number on instead; by
                default they go by their step, as the others.
        """

    @abstractmethod
    def flush(self) -> None:
        """Put everything taken so far where it survives a crash of the program."""

    @abstractmethod
    def finalize(self, status: str = "success") -> None:
        """Flush and close; ``status`` is ``"success"``, ``"failed"`` or ``"interrupted"``; safe to call again."""
