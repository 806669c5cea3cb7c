"""Which operators and kernels take the time, by PyTorch's own profiler."""

import os
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from torch import profiler as torch_profiler

from lit_core.profilers.profiler import Profiler


class PyTorchProfiler(Profiler):
    """``torch.profiler`` over some batches, the events of a run beside the operators.

    Each recording becomes a Chrome trace, ``*.pt.trace.json``, in the folder ``profile`` of the run: open it in
    Perfetto or ``chrome://tracing``, or point TensorBoard with its profiler plugin at the folder.

    Args:
        filename: write the summary to this file of the run's folder rather than print it.
        schedule: which batches are recorded, as of ``torch.profiler.schedule``; by default the third to fifth batch,
            once.
        sort_by: column by which the table of operators is sorted.
        lines: operators in the table.
        options: for ``torch.profiler.profile`` (``record_shapes``, ``profile_memory``, ``with_stack``, ...).

    Example:
        >>> from torch.profiler import schedule
        >>> profiler = PyTorchProfiler(schedule=schedule(wait=10, warmup=2, active=5, repeat=2), record_shapes=True)
        >>> profiler.summary()
        'Nothing was recorded: the run had fewer batches than the schedule waits for.'
    """

    def __init__(
        self,
        filename: str | None = None,
        *,
        schedule: Callable[[int], torch_profiler.ProfilerAction] | None = None,
        sort_by: str = "self_cpu_time_total",
        lines: int = 20,
        **options: Any,
    ) -> None:
        super().__init__(filename)
        self._schedule, self._sort_by, self._lines, self._options = schedule, sort_by, lines, options
        self._profile: torch_profiler.profile | None = None
        self._open: dict[str, torch_profiler.record_function] = {}
        self._folder = Path()
        self._table = ""
        self.trace_files: list[str] = []
        """The traces written in this run."""

    def setup(self, folder: str) -> None:
        """Begin anew, in ``folder/profile``."""
        self.teardown()
        self._folder, self._table, self.trace_files = Path(folder) / "profile", "", []
        schedule = self._schedule or torch_profiler.schedule(wait=1, warmup=1, active=3, repeat=1)
        self._profile = torch_profiler.profile(schedule=schedule, on_trace_ready=self._keep, **self._options)
        self._profile.start()

    def start(self, name: str) -> None:
        """An event begins."""
        record = torch_profiler.record_function(name)
        record.__enter__()
        self._open[name] = record

    def stop(self, name: str) -> None:
        """An event is over.

        Raises:
            ValueError: if it was not started.
        """
        if name not in self._open:
            raise ValueError(f"The event {name!r} was not started; open are {sorted(self._open)}.")
        self._open.pop(name).__exit__(None, None, None)

    def step(self) -> None:
        """A batch is over: the schedule moves on."""
        if self._profile is not None:
            with _each_recording_apart():
                self._profile.step()

    def teardown(self) -> None:
        """A recording that is under way ends here."""
        for name in reversed(list(self._open)):
            self.stop(name)
        if self._profile is not None:
            with _each_recording_apart():
                self._profile.stop()
            self._profile = None

    def summary(self) -> str:
        """The operators of the last recording, and where the traces are."""
        if not self.trace_files:
            return "Nothing was recorded: the run had fewer batches than the schedule waits for."
        return f"{self._table}\nTraces in {self._folder}"

    def _keep(self, profile: torch_profiler.profile) -> None:
        self._folder.mkdir(parents=True, exist_ok=True)
        path = str(self._folder / f"worker_{os.getpid()}.{profile.step_num}.pt.trace.json")
        profile.export_chrome_trace(path)
        self.trace_files.append(path)
        self._table = profile.key_averages().table(sort_by=self._sort_by, row_limit=self._lines)


@contextmanager
def _each_recording_apart() -> Iterator[None]:
    """Quiet torch's notice that a recording forgets the one before: that one is on disk."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", ".*Profiler clears events")
        yield
