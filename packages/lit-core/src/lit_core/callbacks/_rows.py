"""Rows that callbacks write themselves, with the coordinates of the moment."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

from lit_loggers import Row

if TYPE_CHECKING:
    from lit_core.trainer import Trainer


def write_row(trainer: "Trainer", metrics: Mapping[str, float], *, stage: str = "train") -> None:
    """Give the loggers of process 0 one row; nothing is on its way through ``self.log``."""
    if not metrics or not trainer.is_global_zero:
        return
    progress = trainer.progress
    row = Row(
        metrics,
        progress.global_step,
        stage=stage,
        epoch=progress.epoch,
        batch=progress.batch,
        samples=progress.samples,
        wall_time_s=round(progress.read_timer(), 3),
    )
    for logger in trainer.loggers:
        logger.write(row)


def is_due(trainer: "Trainer", every: int | None, *, ahead: int = 0) -> bool:
    """Whether ``global_step`` (``ahead`` of it) has come to a multiple of ``every``, or of the Trainer's interval."""
    return (trainer.global_step + ahead) % (every or trainer.log_every_n_steps) == 0


def check_interval(name: str, every: int | None) -> int | None:
    """As :func:`check_every`; None is the Trainer's interval."""
    return None if every is None else check_every(name, every)


def check_every(name: str, every: int) -> int:
    """Refuse an interval that is no positive whole number.

    Raises:
        ValueError: naming the argument.
    """
    if isinstance(every, bool) or not isinstance(every, int) or every < 1:
        raise ValueError(f"{name} must be a whole number >= 1, got {every!r}.")
    return every
