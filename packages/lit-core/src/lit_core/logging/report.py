"""When rows leave: from the collector to the loggers, and to the numbers that callbacks decide on."""

from collections.abc import Iterable
from dataclasses import asdict
from typing import Any

import torch
from torch import Tensor

from lit_core.logging.collector import Collector
from lit_core.logging.entry import Options
from lit_core.progress import Progress
from lit_loggers import Logger, Row

_NEWEST = ("_callback", "_logged", "_bar", "_versions", "_evaluated")


class Report:
    """Flushes a collector into rows and keeps the newest value of every key.

    Args:
        collector: what was logged.
        loggers: where rows go; none in processes that do not write.
        progress: the clock that gives every row its coordinates.
    """

    def __init__(self, collector: Collector, loggers: Iterable[Logger], progress: Progress) -> None:
        self._collector = collector
        self._loggers = tuple(loggers)
        self._progress = progress
        self._callback: dict[str, float] = {}
        self._logged: dict[str, float] = {}
        self._bar: dict[str, float] = {}
        self._versions: dict[str, int] = {}
        self._evaluated: dict[str, int] = {}
        self._rows: list[Row] = []

    def flush_steps(self, stage: str) -> None:
        """Write the step values that are new."""
        self._take(stage, self._collector.flush_steps(stage))

    def flush_batch(self, stage: str, *, write: bool) -> None:
        """Write what a batch of an evaluation logged ``on_step``: this process's values, by the number of the batch.

        The number counts the batches of all evaluations of the stage, so that the rows of several do not overlap.
        """
        values = self._collector.flush_steps(stage, alone=True)
        if write:
            number = self._evaluated[stage] = self._evaluated.get(stage, -1) + 1
            self._take(stage, values, evaluated=number)

    def flush_epoch(self, stage: str, *, write: bool = True, keep: bool = False) -> dict[str, float]:
        """Reduce the epoch, write its row, and return its values by key; ``keep`` leaves it open."""
        values = self._collector.flush_epoch(stage, keep=keep)
        self._take(stage, values, write=write, remember=not keep)
        return {key: value for key, (_, value) in values.items()}

    def _take(
        self,
        stage: str,
        values: dict[str, tuple[Options, float]],
        *,
        write: bool = True,
        evaluated: int | None = None,
        remember: bool = True,
    ) -> None:
        if not values:
            return
        row: dict[str, float] = {}
        for key, (options, value) in values.items():
            self._set(key, value)
            if options.on_step and options.on_epoch:
                self._set(_bare(key), value)
            if options.prog_bar:
                self._bar[key] = value
            if options.logger:
                row[key] = value
        self._logged.update(row)
        if write:
            self.write(stage, row, evaluated, remember=remember)

    def _set(self, key: str, value: float) -> None:
        self._callback[key] = value
        self._versions[key] = self._versions.get(key, 0) + 1

    def write(
        self, stage: str, metrics: dict[str, float], evaluated: int | None = None, *, remember: bool = True
    ) -> None:
        """Give the loggers one row with the coordinates of now.

        Args:
            stage: of the run.
            metrics: the values.
            evaluated: number of the batch of an evaluation to which the row belongs alone.
            remember: whether a resumed run has this row too; that of an epoch that was cut short it has not.
        """
        if not metrics or not self._loggers:
            return
        progress = self._progress
        row = Row(
            metrics,
            progress.global_step,
            stage=stage,
            epoch=progress.epoch,
            batch=progress.batch,
            samples=progress.samples,
            wall_time_s=round(progress.read_timer(), 3),
            evaluated=evaluated,
        )
        for logger in self._loggers:
            logger.write(row)
        if evaluated is None and remember:
            self._rows = [*(kept for kept in self._rows if kept.step == row.step), row]

    def rewind(self, loggers: Iterable[Logger] | None = None) -> None:
        """Let the loggers forget what a resumed run will write again: all that came after the checkpoint.

        Steps alone do not say what that is, since validations and epochs have rows at the step of the batch before
        them. So the rows of the last step go too, and those that were there when the checkpoint was taken come again.
        Rows of evaluated batches say by their number.

        Args:
            loggers: those that forget; by default all.
        """
        step, evaluated = self._progress.global_step, self._evaluated.get("validate", -1) + 1
        for logger in self._loggers if loggers is None else loggers:
            logger.truncate(step - 1, evaluated)
            for row in self._rows:
                if row.step == step:
                    logger.write(row)

    def mark(self) -> dict[str, dict[str, Any]]:
        """What :meth:`return_to` takes."""
        return {name: dict(getattr(self, name)) for name in _NEWEST}

    def return_to(self, mark: dict[str, dict[str, Any]]) -> None:
        """Know what was known then. Rows stay; those that come again take their numbers, so a resumed run cuts them."""
        for name in _NEWEST:
            setattr(self, name, dict(mark[name]))

    def flush(self) -> None:
        """Have the loggers put their rows where they survive the end of the program."""
        for logger in self._loggers:
            logger.flush()

    def version(self, key: str) -> int:
        """How often ``key`` got a new value; a decider that saw this number before has seen the value."""
        return self._versions.get(key, 0)

    @property
    def callback_metrics(self) -> dict[str, Tensor]:
        """Newest value of every logged key, under its row's name and, where forked, under its bare name too."""
        flushed = {key: torch.tensor(value, dtype=torch.float64) for key, value in self._callback.items()}
        latest = {
            key: value if isinstance(value, Tensor) else torch.tensor(value, dtype=torch.float64)
            for key, value in self._collector.latest("train").items()
        }
        return flushed | latest

    @property
    def logged_metrics(self) -> dict[str, float]:
        """What loggers were given last, by key."""
        return dict(self._logged)

    @property
    def progress_bar_metrics(self) -> dict[str, float]:
        """What asked for the progress bar: newest step values (read from the device now) and epoch values."""
        latest = self._collector.latest("train", prog_bar_only=True)
        return {**self._bar, **{key: float(value) for key, value in latest.items()}}

    def state_dict(self) -> dict[str, Any]:
        """The newest values, so that deciders see the same after a resume."""
        latest, shown = self._collector.latest("train"), self._collector.latest("train", prog_bar_only=True)
        callback = self._callback | {key: float(value) for key, value in latest.items()}
        bar = self._bar | {key: float(value) for key, value in shown.items()}
        newest = {"callback": callback, "logged": dict(self._logged), "bar": bar}
        return {**newest, "rows": [asdict(row) for row in self._rows], "evaluated": dict(self._evaluated)}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restore :meth:`state_dict`."""
        self._callback, self._logged, self._bar = dict(state["callback"]), dict(state["logged"]), dict(state["bar"])
        self._rows = [Row(**row) for row in state.get("rows", ())]  # absent in the first checkpoints of format 1
        self._evaluated = dict(state.get("evaluated", {}))


def _bare(key: str) -> str:
    name, slash, dataloader = key.partition("/dataloader_idx_")
    bare = name.removesuffix("_step") if name.endswith("_step") else name.removesuffix("_epoch")
    return bare + slash + dataloader
