"""The one clock of a run."""

import time
from dataclasses import dataclass, field
from typing import Any, Literal

SafePoint = Literal["start", "batch", "validation", "epoch"]


@dataclass
class Progress:
    """How far training has come. Written by the loops only, saved whole, read by everything.

    Attributes:
        epoch: index of the running epoch; it moves when the epoch's last hook has run.
        batch: batches of this epoch that are done (on this rank).
        cursor: samples of this epoch, over all ranks, that are done, where the order is ours.
        batches: batches done since the beginning.
        global_step: updates: +1 for each batch or accumulation group in which some optimizer stepped.
        optimizer_steps: steps of each optimizer, by name.
        samples: samples done since the beginning, over all ranks.
        train_time_s: wall time spent in training, over all resumed runs.
        point: the safe point at which the clock last stood.
        validated_batches: value of ``batches`` at the last validation; -1 before the first.

    Example:
        >>> progress, copy = Progress(epoch=2, global_step=40), Progress()
        >>> copy.load_state_dict(progress.state_dict())
        >>> copy == progress
        True
    """

    epoch: int = 0
    batch: int = 0
    cursor: int = 0
    batches: int = 0
    global_step: int = 0
    optimizer_steps: dict[str, int] = field(default_factory=dict)
    samples: int = 0
    train_time_s: float = 0.0
    point: SafePoint = "start"
    validated_batches: int = -1

    def __post_init__(self) -> None:
        self._started: float | None = None

    def count_step(self, name: str) -> None:
        """One optimizer stepped."""
        self.optimizer_steps[name] = self.optimizer_steps.get(name, 0) + 1

    def start_timer(self) -> None:
        """Training time runs from now."""
        self._started = time.monotonic() - self.train_time_s

    def read_timer(self) -> float:
        """Bring ``train_time_s`` up to now and return it."""
        if self._started is not None:
            self.train_time_s = time.monotonic() - self._started
        return self.train_time_s

    def stop_timer(self) -> None:
        """Training time stands still."""
        self.read_timer()
        self._started = None

    def state_dict(self) -> dict[str, Any]:
        """Every field, as plain values."""
        self.read_timer()
        return {name: getattr(self, name) for name in self.__dataclass_fields__} | {
            "optimizer_steps": dict(self.optimizer_steps)
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Stand where :meth:`state_dict` was taken; unknown fields are refused, missing ones keep their value."""
        unknown = set(state) - set(self.__dataclass_fields__)
        if unknown:
            raise ValueError(f"Unknown progress fields {sorted(unknown)}: was the checkpoint saved by a newer version?")
        for name, value in state.items():
            setattr(self, name, dict(value) if isinstance(value, dict) else value)

    def leave_epoch(self) -> None:
        """The epoch is over, its last hook has run."""
        self.epoch += 1
        self.batch = self.cursor = 0
        self.point = "start"
