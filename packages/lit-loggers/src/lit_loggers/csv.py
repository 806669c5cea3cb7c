"""Rows in a CSV file, hyperparameters in a JSON file."""

import csv
import io
import json
from collections.abc import Callable, Iterator, Mapping
from os import PathLike
from typing import IO, Any

from lit_loggers.folder import RunFolder
from lit_loggers.logger import Logger, Row
from lit_loggers.values import as_floats

COORDINATES = ("step", "stage", "epoch", "batch", "samples", "wall_time_s")
_EVALUATED = "evaluated"
METRICS_FILE = "metrics.csv"
HPARAMS_FILE = "hparams.json"


class CSVLogger(Logger):
    """Writes ``metrics.csv`` and ``hparams.json`` to ``save_dir/name/version_N``.

    The file has a column for each coordinate of a row (``step``, ``stage``, ``epoch``, ``batch``, ``samples``,
    ``wall_time_s``; ``evaluated`` from the first row that has it) and one for each metric. When a new metric comes, the
    header grows: the file is written anew and replaced in one go. Rows are held back until ``flush_every_n_rows`` are
    there or :meth:`flush` is called; a crash loses at most those.

    Args:
        save_dir: Parent folder; a path or a URL that fsspec knows.
        name: Of the experiment; empty for no folder of its own.
        version: Of the run: a number, or a folder name. ``None`` takes the next free number. An existing version is
            continued.
        prefix: Put before the name of every metric, with ``-`` between.
        flush_every_n_rows: Most rows that are held in memory.

    Example:
        >>> import pathlib, tempfile
        >>> logger = CSVLogger(tempfile.mkdtemp(), name="digits")
        >>> logger.log_metrics({"loss": 0.5}, step=0, epoch=0)
        >>> logger.log_metrics({"loss": 0.25, "acc": 0.75}, step=1, epoch=0)
        >>> logger.finalize()
        >>> print(pathlib.Path(logger.log_dir, "metrics.csv").read_text().strip())
        step,stage,epoch,batch,samples,wall_time_s,loss,acc
        0,,0,,,,0.5,
        1,,0,,,,0.25,0.75
    """

    def __init__(
        self,
        save_dir: str | PathLike[str],
        name: str = "lightning_logs",
        version: int | str | None = None,
        *,
        prefix: str = "",
        flush_every_n_rows: int = 100,
    ) -> None:
        if flush_every_n_rows < 1:
            raise ValueError(f"flush_every_n_rows={flush_every_n_rows} must be at least 1.")
        self._folder = RunFolder(save_dir, name, version)
        self._prefix = prefix
        self._most_rows = flush_every_n_rows
        self._rows: list[dict[str, Any]] = []
        self._columns: list[str] | None = None  # of the file; None before it was looked at
        self._params: dict[str, Any] = {}

    @property
    def name(self) -> str:
        """Of the experiment."""
        return self._folder.name

    @property
    def version(self) -> int | str:
        """Of the run; the first look claims the next free number if none was given."""
        return self._folder.version

    @property
    def save_dir(self) -> str:
        """Parent folder of all experiments."""
        return self._folder.save_dir

    @property
    def log_dir(self) -> str:
        """Folder of this run; the first look claims the next free number if no version was given."""
        return self._folder.path

    def write(self, row: Row) -> None:
        """Take one row.

        Raises:
            TypeError: If a value is no single number.
            ValueError: If a metric has the name of a coordinate.
        """
        metrics = as_floats(row.metrics, self._prefix)
        if clash := metrics.keys() & {*COORDINATES, _EVALUATED}:
            raise ValueError(
                f"Metrics cannot be called {sorted(clash)}: that is the column of a coordinate; rename them."
            )
        self._rows.append({**row.coordinates, **metrics})
        if len(self._rows) >= self._most_rows:
            self.flush()

    def log_hyperparams(self, params: Mapping[str, Any]) -> None:
        """Add settings to ``hparams.json``; what JSON has no word for is written as its ``str``."""
        self._folder.make()
        if not self._params and self._folder.exists(HPARAMS_FILE):
            with self._folder.read(HPARAMS_FILE) as file:
                self._params = json.load(file)
        self._params.update(params)
        text = json.dumps(_with_text_keys(self._params), indent=2, default=str) + "\n"

        def write(file: IO[str]) -> None:
            file.write(text)

        self._folder.replace(HPARAMS_FILE, write)

    def truncate(self, step: int, evaluated: int | None = None) -> None:
        """Remove rows past ``step``, also those that an earlier logger wrote to the same version.

        Args:
            step: rows past it are removed.
            evaluated: rows with a number of their own are removed from this one on instead.
        """

        def stays(row: Mapping[str, Any]) -> bool:
            if evaluated is None or not row.get(_EVALUATED):
                return int(row["step"]) <= step
            return int(row[_EVALUATED]) < evaluated

        self._rows = [row for row in self._rows if stays(row)]
        self._next_step = step + 1
        columns = self._read_columns()
        if columns:
            self._rewrite(columns, stays)

    def flush(self) -> None:
        """Append the rows held back to the file."""
        if not self._rows:
            return
        self._folder.make()
        before = self._read_columns()
        known = set(before or COORDINATES)
        new = dict.fromkeys(key for row in self._rows for key in row if key not in known)
        columns = [*(before or COORDINATES), *new]
        if before and new:
            self._rewrite(columns)
        text = io.StringIO()
        writer = csv.DictWriter(text, columns, lineterminator="\n")
        if not before:
            writer.writeheader()
        writer.writerows(self._rows)
        self._folder.append(METRICS_FILE, text.getvalue())
        self._columns = columns
        self._rows = []

    def finalize(self, status: str = "success") -> None:
        """Flush; nothing stays open in between."""
        self.flush()

    def _read_columns(self) -> list[str]:
        """Columns of the file, empty without one; a line torn by a crash is cut off the first time."""
        if self._columns is None:
            self._columns = []
            if self._folder.exists(METRICS_FILE):
                with self._folder.read(METRICS_FILE) as file:
                    self._columns = next(csv.reader(line for line in file if line.endswith("\n")), [])
                    torn = not self._columns or any(not line.endswith("\n") for line in file)
                if torn:
                    self._rewrite(self._columns)
        return self._columns

    def _rewrite(self, columns: list[str], stays: Callable[[Mapping[str, Any]], bool] = bool) -> None:
        def write(file: IO[str]) -> None:
            if not columns:
                return
            writer = csv.DictWriter(file, columns, lineterminator="\n")
            writer.writeheader()
            with self._folder.read(METRICS_FILE) as old:
                for row in csv.DictReader(_whole_lines(old)):
                    if stays(row):
                        writer.writerow(row)

        self._folder.replace(METRICS_FILE, write)


def _whole_lines(file: IO[str]) -> Iterator[str]:
    return (line for line in file if line.endswith("\n"))


def _with_text_keys(value: Any) -> Any:
    """Mappings of any kind as dicts with string keys, which is what JSON has."""
    if isinstance(value, Mapping):
        return {str(key): _with_text_keys(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_with_text_keys(item) for item in value]
    return value
