"""Which checkpoints of a run to keep."""

import math
import time
import warnings
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import replace
from os import PathLike
from typing import Any, SupportsFloat, TypeVar

from lit_checkpoint import joint
from lit_checkpoint.errors import CheckpointCorruptError
from lit_checkpoint.file_io import FileCheckpointIO
from lit_checkpoint.folder import BEST, INDEX, LAST, Entry, Index, read_index, read_pointer, write_index
from lit_checkpoint.io import CheckpointIO
from lit_checkpoint.naming import COMMIT, check_template, format_name, numbered
from lit_checkpoint.registry import get_io
from lit_checkpoint.storage import join, locate

State = dict[str, Any]
T = TypeVar("T")


class CheckpointManager:
    """Keeps the best, the newest and some milestones of a run's checkpoints in one folder.

    ``best`` and ``last`` are small text files that hold the name of a checkpoint beside them; ``index.json`` lists all
    that are kept. A new manager on the same folder, also after it was moved, goes on from there. Files that it did not
    write are never touched. Nothing old is removed before the new checkpoint is on the disk and verified, so the folder
    needs room for one more than it keeps.

    A manager belongs to one process (``if rank == 0:``), unless its format is one that several write together, as
    :class:`ShardedCheckpointIO` is. Then each of them has a manager of the same folder and calls :meth:`save`,
    :meth:`wants` and :meth:`prune` when the others do: the first process looks at its metrics and at the folder, and
    decides; afterwards all know the same.

    Args:
        dirpath: Folder, a path or a URL; made at the first save.
        filename: Template of the file names; ``{epoch}``, ``{step}`` and the names of metrics are filled in
            (``"{epoch}-{val_loss:.3f}"`` gives ``epoch=3-val_loss=0.123.ckpt``). Default ``"{epoch}-{step}"``, or
            ``"{step}"`` when no epoch is given. A name that another checkpoint has gets ``-v1``, ``-v2``, ... added.
        monitor: Metric that decides which are best. Without one, later is better.
        mode: ``"min"`` or ``"max"``: which end of ``monitor`` is better.
        save_top_k: How many of the best are kept; ``-1`` keeps all, ``0`` none.
        save_last: How many of the newest are kept as well, however good they are; ``True`` is one, ``False`` none.
        keep_every_n_steps: The first checkpoint at or after each multiple of this ``step`` is kept for ever.
        retries: How many more times a save that failed with an OSError is tried, after 1, 2, 4, ... seconds, each
            with a warning. Default 0: the first error is raised.
        io: Format: a :class:`CheckpointIO` or a registered name; default one file of ``torch.save``.
        auto_insert_metric_name: Whether ``{name}`` in a file name becomes ``name=value``, or the value alone.
        enable_version_counter: ``False`` writes over a checkpoint that has the name, whoever made it.

    Raises:
        ValueError: For a mode, number or template that makes no sense.

    Example:
        >>> import pathlib, tempfile, torch
        >>> folder = tempfile.mkdtemp()
        >>> manager = CheckpointManager(folder, monitor="val_loss", save_top_k=1)
        >>> model = torch.nn.Linear(2, 1)
        >>> for epoch, loss in enumerate([0.5, 0.3, 0.4]):
        ...     path = manager.save(lambda: {"state_dict": model.state_dict()}, step=epoch, metrics={"val_loss": loss},
        ...                         epoch=epoch)
        >>> manager.best_score
        0.3
        >>> sorted(path.name for path in pathlib.Path(folder).iterdir())
        ['best', 'epoch=1-step=1.ckpt', 'epoch=2-step=2.ckpt', 'index.json', 'last']
    """

    def __init__(
        self,
        dirpath: str | PathLike[str],
        *,
        filename: str | None = None,
        monitor: str | None = None,
        mode: str = "min",
        save_top_k: int = 1,
        save_last: bool | int = True,
        keep_every_n_steps: int | None = None,
        retries: int = 0,
        io: str | CheckpointIO | None = None,
        auto_insert_metric_name: bool = True,
        enable_version_counter: bool = True,
    ) -> None:
        if mode not in {"min", "max"}:
            raise ValueError(f"mode={mode!r} must be 'min' or 'max'.")
        if save_top_k < -1:
            raise ValueError(f"save_top_k={save_top_k} must be -1 (all), 0 (none) or the number of best ones to keep.")
        if save_last < 0:
            raise ValueError(f"save_last={save_last} must be True, False or the number of newest ones to keep.")
        if keep_every_n_steps is not None and keep_every_n_steps < 1:
            raise ValueError(f"keep_every_n_steps={keep_every_n_steps} must be at least 1.")
        if retries < 0:
            raise ValueError(f"retries={retries} must be 0 or the number of further attempts.")
        if filename is not None:
            check_template(filename)
        self._storage, self._folder = locate(dirpath)
        self._io = FileCheckpointIO() if io is None else get_io(io)
        self._filename = filename
        self._monitor = monitor
        self._mode = mode
        self._top_k = save_top_k
        self._num_last = int(save_last)
        self._keep_every = keep_every_n_steps
        self._retries = retries
        self._with_names = auto_insert_metric_name
        self._numbers_names = enable_version_counter
        # Replaced, never changed: another thread may look at it while this one saves.
        self._entries: list[Entry] = []
        self._unfinished: list[str] = []
        self._last: str | None = None
        self._adopt(read_index(self._storage, self._folder, self._storage.names(self._folder)), self._path(INDEX))
        self._mark_milestones()
        with suppress(CheckpointCorruptError):
            pointed = read_pointer(self._storage, self._folder, LAST)
            self._last = pointed if pointed in self._files() else self._last

    @property
    def dirpath(self) -> str:
        """The folder, as a path or URL."""
        return self._folder

    @property
    def best_path(self) -> str | None:
        """Path of the best checkpoint; ``None`` if none is kept."""
        ranked = self._ranked()
        return self._path(ranked[0].file) if ranked and self._top_k else None

    @property
    def best_score(self) -> float | None:
        """Score of the best checkpoint; ``None`` without one or without a ``monitor``."""
        ranked = self._ranked()
        return ranked[0].score if ranked and self._top_k else None

    @property
    def last_path(self) -> str | None:
        """Path of the newest checkpoint; ``None`` if there is none or ``save_last`` is off."""
        return self._path(self._last) if self._last is not None and self._num_last else None

    @property
    def best_k(self) -> dict[str, float | None]:
        """Paths of the best that are kept, best first, with their scores, which are ``None`` without ``monitor``."""
        return {self._path(entry.file): entry.score for entry in self._best()}

    def wants(self, metrics: Mapping[str, SupportsFloat] | None = None, *, step: int | None = None) -> bool:
        """Whether :meth:`save` would keep a checkpoint with these metrics: ask before building a costly state.

        Args:
            metrics: As given to :meth:`save`.
            step: Optimizer updates so far; needed only with ``keep_every_n_steps``.

        Raises:
            ValueError: If ``metrics`` lacks the monitored one, naming what it has.
        """
        return self._decided(lambda: self._is_wanted(self._score(metrics), step))

    def save(
        self,
        state: State | Callable[[], State],
        *,
        step: int,
        epoch: int | None = None,
        metrics: Mapping[str, SupportsFloat] | None = None,
    ) -> str | None:
        """Save a checkpoint if it is to be kept, then remove those that no longer are.

        Args:
            state: The state, or a function that returns it, which is called only if it is to be kept.
            step: Optimizer updates so far.
            epoch: Epochs so far, if they are counted.
            metrics: Numbers for ``monitor`` and the file name. ``None`` means that nothing was measured, as at an
                interruption: the checkpoint can be the last then, never the best, and is named by epoch and step.

        Returns:
            The path written, or ``None`` if the checkpoint was not wanted.

        Raises:
            ValueError: If ``metrics`` lacks the monitored metric or one that the file name asks for.
            TypeError: If the state holds what cannot be loaded safely, naming its place.
            OSError: If it could not be written; the folder's older checkpoints and pointers are untouched.
        """
        return self._decided(lambda: self._save(state, step, epoch, metrics), state)

    def _decided(self, work: Callable[[], T], state: Any = None) -> T:
        """What ``work`` gives here, or in the first of the processes that save together."""
        if not self._io.together:
            return work()
        found, known = joint.decide(self._io, lambda: (work(), (self._entries, self._last, self._unfinished)), state)
        self._entries, self._last, self._unfinished = known
        return found

    def _save(
        self,
        state: State | Callable[[], State],
        step: int,
        epoch: int | None,
        metrics: Mapping[str, SupportsFloat] | None,
    ) -> str | None:
        score = self._score(metrics)
        if not self._is_wanted(score, step):
            return None
        self._unfinished = [path for path in self._unfinished if not self._remove(path)]
        name = self._name(step, epoch, metrics)
        self._storage.remove_litter(self._folder)
        others = [entry for entry in self._entries if entry.file != name]
        made = Entry(name, step, epoch, score, time=time.time(), forever=self._is_milestone(step))
        # Announced before it is there: a process killed in between leaves an entry without a file, which is ignored,
        # and not a file that no later manager would know as its own.
        if name not in self._files():
            self._write_index([*others, made])
        if callable(state):
            state = joint.build(self._io, state) if self._io.together else state()
        self._save_state(state, self._path(name))
        size = self._storage.size(self._path(name))
        self._entries = [*others, replace(made, size=size, time=time.time())]
        self._last = name
        self._write_pointers()
        self._remove_superseded()
        self._write_index(self._entries)
        return self._path(name)

    def _save_state(self, state: State, path: str) -> None:
        for attempt in range(self._retries):
            try:
                return self._write(state, path)
            except OSError as error:  # noqa: PERF203 - a save takes longer
                pause_s = 2**attempt
                warnings.warn(f"Saving {path} failed ({error}); it is tried again in {pause_s} s.", RuntimeWarning, 3)
                time.sleep(pause_s)
        return self._write(state, path)

    def _write(self, state: State, path: str) -> None:
        if self._io.together:
            joint.save(self._io, state, path)
        else:
            self._io.save(state, path)

    @property
    def superseded(self) -> list[str]:
        """Paths that are no longer to be kept, oldest first; there are some if the numbers were changed."""
        kept = self._kept()
        return [self._path(entry.file) for entry in self._entries if entry.file not in kept]

    def prune(self) -> None:
        """Remove what is superseded without waiting for the next :meth:`save`; look at what is left before."""
        self._decided(self._prune)

    def _prune(self) -> None:
        self._remove_superseded()
        self._write_pointers()
        self._write_index(self._entries)

    def state_dict(self) -> State:
        """What is kept and how good it was, in plain values with names relative to the folder."""
        return self._index(self._entries).to_plain()

    def load_state_dict(self, state: State) -> None:
        """Add what an earlier manager knew, as far as the files are in this manager's folder."""
        self._adopt(Index.of(state).present(self._storage.names(self._folder)), "the saved state")

    def _adopt(self, index: Index | None, source: str) -> None:
        if index is None or not index.checkpoints:
            return
        if (index.monitor, index.mode) != (self._monitor, self._mode):
            warnings.warn(
                f"Checkpoints in {source} were chosen by monitor={index.monitor!r}, mode={index.mode!r}; "
                f"this manager has monitor={self._monitor!r}, mode={self._mode!r}. They are left as they are, neither "
                "compared nor removed.",
                RuntimeWarning,
                stacklevel=3,
            )
            return
        known = self._files()
        new = [entry for entry in index.checkpoints if entry.file not in known]
        unfinished = {entry.file for entry in new if self._is_unfinished(entry)}
        self._unfinished += [self._path(name) for name in unfinished]
        self._entries = sorted(
            [*self._entries, *(entry for entry in new if entry.file not in unfinished)], key=lambda entry: entry.time
        )
        if self._last is None and index.last in self._files():
            self._last = index.last

    def _is_unfinished(self, entry: Entry) -> bool:
        """Whether it is a folder whose save or removal was cut off; a file is there only if it is complete."""
        path = self._path(entry.file)
        return (
            not isinstance(self._io, FileCheckpointIO)
            and self._storage.is_folder(path)
            and not self._storage.exists(join(path, COMMIT))
        )

    def _is_wanted(self, score: float | None, step: int | None) -> bool:
        milestone = step is not None and self._is_milestone(step)
        return self._num_last > 0 or milestone or self._is_among_best(score)

    def _mark_milestones(self) -> None:
        """Find those among checkpoints that were kept for other reasons, as by a manager with another number."""
        for entry in sorted(self._entries, key=lambda entry: entry.step):
            if not entry.forever and self._is_milestone(entry.step):
                self._entries = [replace(e, forever=True) if e is entry else e for e in self._entries]

    def _is_milestone(self, step: int) -> bool:
        if self._keep_every is None:
            return False
        passed = max((entry.step // self._keep_every for entry in self._entries if entry.forever), default=0)
        return step // self._keep_every > passed

    def _score(self, metrics: Mapping[str, SupportsFloat] | None) -> float | None:
        if self._monitor is None or metrics is None:
            return None
        if self._monitor not in metrics:
            there = ", ".join(sorted(metrics)) or "nothing"
            raise ValueError(f"monitor={self._monitor!r} is not among the metrics. There is: {there}.")
        return float(metrics[self._monitor])

    def _rank(self, score: float | None) -> float | None:
        """Lower is better; ``None`` can never be best."""
        if score is None or math.isnan(score):
            return None
        return score if self._mode == "min" else -score

    def _ranked(self) -> list[Entry]:
        if self._monitor is None:
            return self._entries[::-1]
        ranks = [(self._rank(entry.score), entry) for entry in self._entries]
        return [entry for rank, entry in sorted(((r, e) for r, e in ranks if r is not None), key=lambda pair: pair[0])]

    def _best(self) -> list[Entry]:
        ranked = self._ranked()
        return ranked if self._top_k == -1 else ranked[: self._top_k]

    def _is_among_best(self, score: float | None) -> bool:
        if self._top_k == -1 or self._monitor is None:
            return self._top_k != 0
        rank, best = self._rank(score), self._best()
        if rank is None or self._top_k == 0:
            return False
        worst = self._rank(best[-1].score) if best else None
        return len(best) < self._top_k or worst is None or rank < worst

    def _name(self, step: int, epoch: int | None, metrics: Mapping[str, SupportsFloat] | None) -> str:
        counters = {"step": step} if epoch is None else {"epoch": epoch, "step": step}
        template = "-".join(f"{{{name}}}" for name in counters)
        values: dict[str, float] = dict(counters)
        if self._filename is not None and (metrics is not None or self._monitor is None):
            template = self._filename
            values = {name: float(value) for name, value in (metrics or {}).items()} | values
        name = format_name(template, values, with_names=self._with_names or template is not self._filename)
        if not self._numbers_names:
            return name
        there = self._storage.names(self._folder)
        same = {entry.file for entry in self._entries if (entry.step, entry.epoch) == (step, epoch)}
        number, free = 0, name
        while free in there and free not in same:
            number += 1
            free = numbered(name, number)
        return free

    def _files(self) -> set[str]:
        return {entry.file for entry in self._entries}

    def _path(self, name: str) -> str:
        return join(self._folder, name)

    def _index(self, entries: list[Entry]) -> Index:
        best = self._best()
        return Index(self._monitor, self._mode, best[0].file if best else None, self._last, list(entries))

    def _write_index(self, entries: list[Entry]) -> None:
        write_index(self._storage, self._folder, self._index(entries))

    def _write_pointers(self) -> None:
        best = self._best()
        if self._num_last and self._last is not None:
            self._storage.write_text(self._path(LAST), self._last + "\n")
        if best:
            self._storage.write_text(self._path(BEST), best[0].file + "\n")

    def _kept(self) -> set[str]:
        kept = {entry.file for entry in (self._entries if self._top_k == -1 else self._best())}
        kept |= {entry.file for entry in self._entries if entry.forever}
        if self._num_last and self._last is not None:
            kept |= {self._last, *(entry.file for entry in self._entries[-self._num_last :])}
        return kept

    def _remove_superseded(self) -> None:
        kept = self._kept()
        removed = {e.file for e in self._entries if e.file not in kept and self._remove(self._path(e.file))}
        self._entries = [entry for entry in self._entries if entry.file not in removed]

    def _remove(self, path: str) -> bool:
        try:
            self._io.remove(path)
        except OSError as error:
            warnings.warn(
                f"{path} is no longer needed and could not be removed ({error}); the next save tries again.",
                RuntimeWarning,
                stacklevel=4,
            )
            return False
        return True
