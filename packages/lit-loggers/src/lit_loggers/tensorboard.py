"""Rows and hyperparameters in event files that TensorBoard shows."""

import io
import itertools
import os
import socket
import time
import warnings
from collections.abc import Mapping
from os import PathLike
from typing import TYPE_CHECKING, Any

from lit_loggers.folder import RunFolder
from lit_loggers.logger import Logger, Row
from lit_loggers.values import as_floats, flatten

if TYPE_CHECKING:
    from torch.utils.tensorboard import SummaryWriter

AXES = ("step", "epoch", "batch", "samples")
_STEP_OF_EVALUATED = "evaluated/global_step"
_FLUSH_BYTES = 1 << 18
_FLUSH_AFTER_S = 10.0
_STATUS = {"success": "STATUS_SUCCESS", "failed": "STATUS_FAILURE", "interrupted": "STATUS_UNKNOWN"}
_counter = itertools.count()


class TensorBoardLogger(Logger):
    """Writes event files for TensorBoard to ``save_dir/name/version_N``.

    One row becomes one event, written in TensorBoard's own format without torch or TensorFlow. Rows are held back for
    at most 10 seconds (looked at when the next row comes) or 256 KB; a crash loses at most those.

    Args:
        save_dir: Parent folder; a path, or a URL that TensorBoard can read.
        name: Of the experiment; empty for no folder of its own.
        version: Of the run: a number, or a folder name. ``None`` takes the next free number. An existing version is
            continued.
        axis: Coordinate that is the horizontal axis: ``"step"``, ``"epoch"``, ``"batch"`` or ``"samples"``. With
            another than ``"step"`` the step is written as a scalar of that name: :meth:`truncate` goes by it. Rows
            that belong to one batch of an evaluation have their own number, ``evaluated``, as the axis, and the step
            as a scalar named ``"evaluated/global_step"``.
        prefix: Put before the name of every metric, with ``-`` between.

    Example:
        >>> import tempfile
        >>> logger = TensorBoardLogger(tempfile.mkdtemp(), name="digits")
        >>> logger.log_hyperparams({"optimizer": {"lr": 0.1}})
        >>> for step in range(3):
        ...     logger.log_metrics({"train/loss": 1 / (step + 1)}, step=step)
        >>> logger.finalize()
        >>> from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
        >>> [event.step for event in EventAccumulator(logger.log_dir).Reload().Scalars("train/loss")]
        [0, 1, 2]
    """

    def __init__(
        self,
        save_dir: str | PathLike[str],
        name: str = "lightning_logs",
        version: int | str | None = None,
        *,
        axis: str = "step",
        prefix: str = "",
    ) -> None:
        if axis not in AXES:
            raise ValueError(f"axis={axis!r} must be one of {', '.join(map(repr, AXES))}.")
        self._folder = RunFolder(save_dir, name, version)
        self._axis = axis
        self._prefix = prefix
        self._events: _EventFile | None = None
        self._writer: SummaryWriter | None = None
        self._params: dict[str, bool | int | float | str] = {}
        self._params_written: dict[str, bool | int | float | str] | None = None

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

    @property
    def experiment(self) -> "SummaryWriter":
        """Torch's ``SummaryWriter`` on the same folder, for images, histograms, graphs and the like; needs torch.

        Once it is asked for, rows go through it as well, since TensorBoard follows one file of a run at a time.

        Raises:
            ModuleNotFoundError: If torch is not installed.
        """
        if self._writer is None:
            try:
                from torch.utils.tensorboard import SummaryWriter
            except ModuleNotFoundError as error:
                raise ModuleNotFoundError(
                    "logger.experiment is torch.utils.tensorboard.SummaryWriter: install the extra lit-loggers[torch]. "
                    "Metrics and hyperparameters are logged without it."
                ) from error
            self._close_events()
            self._writer = SummaryWriter(self.log_dir)
        return self._writer

    def write(self, row: Row) -> None:
        """Take one row.

        Raises:
            TypeError: If a value is no single number.
            ValueError: If the row lacks the coordinate that is the axis.
        """
        metrics = as_floats(row.metrics, self._prefix)
        coordinates = row.coordinates
        axis = self._axis if row.evaluated is None else "evaluated"
        if axis not in coordinates:
            raise ValueError(
                f"axis={axis!r}, but the row has only {', '.join(coordinates)}: log it with {axis}=..., or choose "
                "another axis."
            )
        if axis != "step":
            metrics.setdefault("step" if row.evaluated is None else _STEP_OF_EVALUATED, float(row.step))
        self._put_params()
        self._add(_scalars(metrics, coordinates[axis]))

    def log_hyperparams(self, params: Mapping[str, Any]) -> None:
        """Record settings for the HPARAMS tab, nested ones as ``optimizer/lr``.

        They are written with the first row or flush; TensorBoard shows what was known by then.
        """
        self._params.update(flatten(params))
        if self._params_written is not None and self._params_written != self._params:
            warnings.warn(
                "TensorBoard shows the hyperparameters of a run as they were when its first row was written; what was "
                "logged now will not be seen there.",
                UserWarning,
                stacklevel=2,
            )

    def truncate(self, step: int, evaluated: int | None = None) -> None:
        """Let TensorBoard forget what lies past ``step``, also if an earlier logger wrote it to the same version.

        A new event file begins with the mark of a restart, at which readers drop everything from there on; what of that
        is not past is written again.

        Args:
            step: rows past it are forgotten.
            evaluated: rows with a number of their own are forgotten from this one on instead.
        """
        self._next_step = step + 1
        self.flush()
        if not any("tfevents" in name for name in self._folder.names()):
            return
        self._close_events()
        if self._writer is not None:
            self._writer.close()
            self._writer = None
        first, kept = self._first_past(step, evaluated)
        if first is None:
            return
        from tensorboard.compat.proto.event_pb2 import Event, SessionLog

        self._add(Event(wall_time=time.time(), step=first, session_log=SessionLog(status=SessionLog.START)))
        for event in kept:
            self._add(event)
        self.flush()

    def flush(self) -> None:
        """Write everything taken so far to the event file."""
        self._put_params()
        if self._events is not None:
            self._events.flush()
        if self._writer is not None:
            self._writer.flush()

    def finalize(self, status: str = "success") -> None:
        """Flush and close; the HPARAMS tab shows ``status``."""
        if self._params_written is None and not self._params and self._events is None and self._writer is None:
            return
        self._put_params()
        if self._params_written is not None and (self._events is not None or self._writer is not None):
            self._add(_session_end(_STATUS.get(status, "STATUS_UNKNOWN")))
        self._close_events()
        if self._writer is not None:
            self._writer.close()
            self._writer = None

    def _put_params(self) -> None:
        if self._params and self._params_written is None:
            self._params_written = dict(self._params)
            self._add(_session_start(self._params_written, f"{self.name}/{self.version}"))

    def _add(self, event: Any) -> None:
        if self._writer is not None:
            file: Any = self._writer.file_writer
            file.add_event(event, event.step, event.wall_time)
            return
        if self._events is None:
            self._events = _EventFile(self._folder)
        self._events.add(event)

    def _close_events(self) -> None:
        if self._events is not None:
            self._events.flush()
            self._events = None

    def _first_past(self, step: int, evaluated: int | None) -> tuple[int | None, list[Any]]:
        """Where on the axis forgotten rows begin, and the events from there on that are not forgotten."""
        rows = [(event, self._is_past(event, step, evaluated)) for event in _read_events(self._folder.path)]
        first = min((event.step for event, past in rows if past), default=None)
        if first is None:
            return None, []
        return first, [event for event, past in rows if event.step >= first and past is False]

    def _is_past(self, event: Any, step: int, evaluated: int | None) -> bool | None:
        """Whether an event is a row to be forgotten; None if it is no row."""
        values = {value.tag: value.simple_value for value in event.summary.value}
        if not values or any(tag.startswith("_hparams_/") for tag in values):
            return None
        if _STEP_OF_EVALUATED in values:
            return bool(values[_STEP_OF_EVALUATED] > step if evaluated is None else event.step >= evaluated)
        own = event.step if self._axis == "step" else values.get("step")
        return None if own is None else bool(own > step)


class _EventFile:
    """An event file of TensorBoard; opened for each flush only, so that nothing stays open."""

    def __init__(self, folder: RunFolder) -> None:
        from tensorboard.compat.proto.event_pb2 import Event
        from tensorboard.compat.tensorflow_stub.io.gfile import GFile
        from tensorboard.summary.writer.record_writer import RecordWriter

        folder.make()
        # Readers take the files of a run in the order of their names, and do not go back.
        newest = max((int(name.split(".")[3]) for name in folder.names() if _is_event_file(name)), default=0)
        stamp = max(int(time.time()) - 1, newest + 1)
        suffix = f"{socket.gethostname()}.{os.getpid()}.{next(_counter)}"
        self._file = GFile(folder.file(f"events.out.tfevents.{stamp:010d}.{suffix}"), "wb")
        self._buffer = io.BytesIO()
        self._records = RecordWriter(self._buffer)
        self._flushed_at = time.monotonic()
        self.add(Event(wall_time=time.time(), file_version="brain.Event:2"))

    def add(self, event: Any) -> None:
        self._records.write(event.SerializeToString())
        if self._buffer.tell() > _FLUSH_BYTES or time.monotonic() - self._flushed_at > _FLUSH_AFTER_S:
            self.flush()

    def flush(self) -> None:
        self._flushed_at = time.monotonic()
        if self._buffer.tell():
            self._file.write(self._buffer.getvalue())
            self._file.flush()
            self._buffer.seek(0)
            self._buffer.truncate()


def _is_event_file(name: str) -> bool:
    parts = name.split(".")
    return len(parts) > 4 and parts[2] == "tfevents" and parts[3].isdecimal()


def _scalars(metrics: Mapping[str, float], axis: int) -> Any:
    from tensorboard.compat.proto.event_pb2 import Event
    from tensorboard.compat.proto.summary_pb2 import Summary

    values = [Summary.Value(tag=name, simple_value=value) for name, value in metrics.items()]
    return Event(wall_time=time.time(), step=axis, summary=Summary(value=values))


def _session_start(params: dict[str, bool | int | float | str], trial_id: str) -> Any:
    from tensorboard.compat.proto.event_pb2 import Event
    from tensorboard.plugins.hparams.summary_v2 import hparams_pb

    return Event(wall_time=time.time(), summary=hparams_pb(params, trial_id, start_time_secs=time.time()))


def _session_end(status: str) -> Any:
    from tensorboard.compat.proto.event_pb2 import Event
    from tensorboard.compat.proto.summary_pb2 import Summary
    from tensorboard.plugins.hparams import api_pb2, metadata, plugin_data_pb2

    end = plugin_data_pb2.SessionEndInfo(status=api_pb2.Status.Value(status), end_time_secs=time.time())
    mark = metadata.create_summary_metadata(plugin_data_pb2.HParamsPluginData(session_end_info=end))
    value = Summary.Value(tag=metadata.SESSION_END_INFO_TAG, metadata=mark, tensor=metadata.NULL_TENSOR)
    return Event(wall_time=time.time(), summary=Summary(value=[value]))


def _read_events(path: str) -> list[Any]:
    """Events of all files of a run, without those that a restart let readers forget."""
    from tensorboard.backend.event_processing.directory_watcher import DirectoryWatcher
    from tensorboard.backend.event_processing.event_file_loader import LegacyEventFileLoader
    from tensorboard.backend.event_processing.io_wrapper import IsSummaryEventsFile
    from tensorboard.compat.proto.event_pb2 import SessionLog

    events: list[Any] = []
    for event in DirectoryWatcher(path, LegacyEventFileLoader, IsSummaryEventsFile).Load():
        if event.HasField("session_log") and event.session_log.status == SessionLog.START:
            events = [earlier for earlier in events if earlier.step < event.step]
        else:
            events.append(event)
    return events
