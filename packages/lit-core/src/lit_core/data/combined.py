"""Several training loaders at once: batches that combine one batch of each, or come from one after another."""

import math
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import islice
from typing import Any, Literal, Protocol, TypeAlias, get_args

from torch import Tensor
from torch.utils.data import DataLoader

from lit_accelerators import BatchOrder, mix_seed, open_loader
from lit_core.config import Limit
from lit_core.data.loaders import PreparedLoader, as_list, limited, prepare_loader

CombinedMode = Literal["max_size_cycle", "min_size", "max_size", "sequential"]

_END: Any = object()


class CombinedLoader:
    """Several loaders as one.

    ========================  ================================================  ==================================
    mode                      a batch                                           the end
    ========================  ================================================  ==================================
    ``"max_size_cycle"``      one of each loader; the shorter begin again       when the longest ends
    ``"min_size"``            one of each loader                                when the shortest ends
    ``"max_size"``            one of each loader, None of those that ended      when the longest ends
    ``"sequential"``          one of the first loader to its end, then of the   when the last ends
                              second, ...
    ========================  ================================================  ==================================

    Iterating gives ``(batch, batch_idx, dataloader_idx)``; ``dataloader_idx`` is 0 but for ``"sequential"``, where it
    says which loader the batch is of and ``batch_idx`` counts within that loader. Given to ``Trainer.fit`` it is
    the training data; the steps then get ``batch`` and a ``batch_idx`` that counts through the epoch.

    Args:
        iterables: a list, tuple, named tuple or mapping of ``DataLoader`` objects or other iterables of batches.
            Combined batches have the same structure.
        mode: see above, default ``"max_size_cycle"``.

    Raises:
        TypeError: if ``iterables`` is no such container, or what it holds cannot be iterated.
        ValueError: if it is empty or nested, or ``mode`` is unknown.

    Example:
        >>> loaders = {"a": [1, 2, 3], "b": [10, 20]}
        >>> [batch for batch, _, _ in CombinedLoader(loaders)]
        [{'a': 1, 'b': 10}, {'a': 2, 'b': 20}, {'a': 3, 'b': 10}]
        >>> [batch for batch, _, _ in CombinedLoader(loaders, "max_size")][-1]
        {'a': 3, 'b': None}
        >>> list(CombinedLoader(loaders, "sequential"))
        [(1, 0, 0), (2, 1, 0), (3, 2, 0), (10, 0, 1), (20, 1, 1)]
        >>> len(CombinedLoader(loaders, "min_size"))
        2
    """

    def __init__(self, iterables: Any, mode: CombinedMode = "max_size_cycle") -> None:
        if mode not in get_args(CombinedMode):
            raise ValueError(f"mode must be one of {', '.join(get_args(CombinedMode))}, got {mode!r}.")
        if not isinstance(iterables, (list, tuple, Mapping)):
            raise TypeError(
                f"CombinedLoader takes a list, a tuple or a mapping of loaders, got {type(iterables).__name__}; a "
                "single loader needs no combining."
            )
        self.iterables = iterables
        self.mode: CombinedMode = mode
        keys: Iterable[Any] = iterables if isinstance(iterables, Mapping) else range(len(iterables))
        self.keys = list(keys)
        """Of the loaders in ``iterables``, in order."""
        self.flattened: list[Any] = [iterables[key] for key in self.keys]
        """The loaders, in order."""
        if not self.flattened:
            raise ValueError("CombinedLoader got no loader.")
        for key, loader in zip(self.keys, self.flattened, strict=True):
            _check_loader(key, loader)

    def rebuild(self, batches: Sequence[Any]) -> Any:
        """One batch of each loader, in the structure of ``iterables``."""
        if isinstance(self.iterables, Mapping):
            return dict(zip(self.keys, batches, strict=True))
        if hasattr(self.iterables, "_fields"):
            return type(self.iterables)(*batches)
        return tuple(batches) if isinstance(self.iterables, tuple) else list(batches)

    def __len__(self) -> int:
        """Batches.

        Raises:
            TypeError: if the length of a loader that decides is not known.
        """
        total = _combine(self.mode, [_length(loader) for loader in self.flattened])
        if total == math.inf:
            raise TypeError(f"This CombinedLoader ({self.mode}) has no length: a loader in it has none.")
        return int(total)

    def __iter__(self) -> Iterator[tuple[Any, int, int]]:
        if self.mode == "sequential":
            for number, loader in enumerate(self.flattened):
                for index, batch in enumerate(loader):
                    yield batch, index, number
            return
        for index, batches in enumerate(_ROUNDS[self.mode]([_Plain(loader) for loader in self.flattened])):
            yield self.rebuild(batches), index, 0


class PreparedCombined:
    """A combined loader as the training loop uses it; the counterpart of :class:`PreparedLoader`.

    Each loader in it keeps its place by itself: the pass, and the samples consumed of it. Where a run goes on inside
    an epoch, owned orders are moved to their places by counting, nothing is read.

    Args:
        source: the combined loader.
        parts: its loaders, prepared without a limit.
        limit: combined batches per epoch at most (int), a fraction of them (float), or all (None).
        name: for messages.
    """

    def __init__(self, source: CombinedLoader, parts: list[PreparedLoader], limit: Limit, name: str) -> None:
        self.source, self.name = source, name
        self.first = 0
        """Index of the first batch that :meth:`open` gives."""
        self.batch_size: int | None = None
        self.global_batch_size = 0
        self.reads_ahead = False
        """Not one batch before its turn: every loader's place is counted as it is read."""
        self.full_batches = 0 if source.mode == "sequential" else 1 << 62
        """Batches before this need no :meth:`tail`: there is nothing to be known of their samples."""
        self._parts, self._limit = parts, limit
        self._finished: list[list[int] | None] = [None for _ in parts]
        self._sizes: list[tuple[int, list[int]]] = []
        self._places = self._at_start(0)
        self._length = self._left()

    @property
    def num_batches(self) -> float:
        """Batches in the opened epoch, infinity where nobody knows."""
        return limited(self._length, self._limit, self.name)

    def open(self, epoch: int = 0, *, cursor: int = 0, batch: int = 0) -> Iterator[tuple[int, Any]]:
        """Iterate ``(batch_idx, batch)`` over what is left of an epoch of which ``batch`` batches are done.

        Raises:
            ValueError: if the epoch cannot be continued with these loaders.
        """
        if cursor:
            raise ValueError(
                f"The checkpoint was saved inside an epoch over a single loader, but {self.name} combines "
                f"{len(self._parts)}: resume with the loader that was saved, or from the end of an epoch."
            )
        self.first, self._places = batch, self._at_start(epoch)
        rounds = _ROUNDS[self.source.mode](self._places)
        self._skip(rounds, batch)
        self._finished = [None for _ in self._parts]
        self._length = batch + self._left()
        for place in self._places:
            place.read()
        due = [place for place in self._places if place.left and (place.taken or not place.ended)]
        for place in due[:1] if self.source.mode == "sequential" else due:
            place.open()
        stop = min(self._left(owned_only=True), math.inf if self._limit is None else max(0, self.num_batches - batch))
        return enumerate(self._batches(rounds, self._places, None if stop == math.inf else int(stop)), start=batch)

    def check_end(self, done: int) -> None:
        """Nothing to do: the end of each loader was checked when it came."""

    def size(self, batch_idx: int) -> int | None:
        """Samples in this process's batch: nobody can say."""
        return None

    def tail(self, batch_idx: int) -> tuple[int | None, float, int]:
        """Of the batch given last: its samples here, its loss's weight, and 0: samples are not counted.

        In mode ``"sequential"`` a batch is that of one loader, which tells both. A combined batch has the weight 1:
        its loss mixes batches of different sizes, and only the step knows how.
        """
        if self.source.mode == "sequential":
            size, weight, _ = next(place for place in self._places if place.taken).tail()
            return size, weight, 0
        return None, 1.0, 0

    def state_dict(self) -> dict[str, Any]:
        """What does not follow from the number of batches: sizes of batches so far, and states that loaders keep."""
        kept = [
            None if state is None else {"state": state, "finished": place.finished}
            for part, place in zip(self._parts, self._places, strict=True)
            for state in [part.state_dict()]
        ]
        return {"sizes": [[start, list(sizes)] for start, sizes in self._sizes], "parts": kept}

    def load_state_dict(self, state: Any) -> None:
        """Hand back :meth:`state_dict`; the next :meth:`open` inside an epoch goes on from there.

        Raises:
            ValueError: if it is of other loaders.
        """
        if not isinstance(state, dict) or state.keys() != {"sizes", "parts"} or len(state["parts"]) != len(self._parts):
            raise ValueError(
                f"The checkpoint was saved with another training loader than {self.name}, which combines "
                f"{len(self._parts)} loaders: resume with those that were saved."
            )
        self._sizes = [(start, list(sizes)) for start, sizes in state["sizes"]]
        for index, (part, kept) in enumerate(zip(self._parts, state["parts"], strict=True)):
            if kept is not None:
                part.load_state_dict(kept["state"])
                self._finished[index] = list(kept["finished"])

    def _at_start(self, epoch: int) -> list["_Owned | _Foreign"]:
        return [
            _Foreign(part, epoch, finished) if part.order is None else _Owned(part, part.order, epoch)
            for part, finished in zip(self._parts, self._finished, strict=True)
        ]

    def _left(self, *, owned_only: bool = False) -> float:
        """Batches left in the epoch; with ``owned_only``, only as far as no loader can say something wrong."""
        lefts = [0 if p.ended else math.inf if owned_only and isinstance(p, _Foreign) else p.left for p in self._places]
        return _combine(self.source.mode, lefts)

    def _skip(self, rounds: Iterator[Any], batch: int) -> None:
        """Move all places over the batches that are done, as large as they were then."""
        sizes = [place.together for place in self._places]
        history = [entry for entry in self._sizes if entry[0] < batch] or [(0, sizes)]
        read = [
            part.name for part, p in zip(self._parts, self._places, strict=True) if isinstance(p, _Foreign) and p.reads
        ]
        if batch and read:
            warnings.warn(
                f"Resuming inside an epoch of {', '.join(read)}, whose order the Trainer does not own: the batches "
                "that are done are read and skipped. The rest is what was not seen only if the loader gives the "
                "same order again.",
                stacklevel=3,
            )
        ends = [start for start, _ in history[1:]] + [batch]
        for (start, then), end in zip(history, ends, strict=True):
            for place, together in zip(self._places, then, strict=True):
                place.resize(together)
            done = sum(1 for _ in islice(rounds, end - start))
            if done < end - start and all(isinstance(place, _Owned) for place in self._places):
                raise ValueError(
                    f"An epoch of {self.name} now ends after {start + done} batches, of which {batch} were done when "
                    "the checkpoint was saved: were the data changed?"
                )
        for place, together in zip(self._places, sizes, strict=True):
            place.resize(together)
        self._sizes = history if history[-1][1] == sizes else [*history, (batch, sizes)]

    def _batches(self, rounds: Iterator[Any], places: Sequence["_Owned | _Foreign"], stop: int | None) -> Iterator[Any]:
        try:
            whole = rounds if self.source.mode == "sequential" else map(self.source.rebuild, rounds)
            yield from islice(whole, stop)
        finally:
            for place in places:
                place.close()


def combined_loader(source: Any) -> CombinedLoader | None:
    """Training data as a combined loader, where it is one or a container of loaders; else None.

    A mapping holds loaders. A list or tuple holds loaders if an item is a ``DataLoader`` or another iterable that is
    no batch; a list of tensors or of containers is a list of batches, which is one loader.

    Example:
        >>> from torch.utils.data import DataLoader
        >>> loader = DataLoader(range(4))
        >>> combined_loader([loader, loader]).mode
        'max_size_cycle'
        >>> combined_loader(loader) is combined_loader([[1, 2], [3, 4]]) is None
        True
    """
    if isinstance(source, CombinedLoader):
        return source
    if isinstance(source, Mapping) or _holds_loaders(source):
        return CombinedLoader(source)
    return None


TrainingLoader: TypeAlias = PreparedLoader | PreparedCombined
"""What the training loop reads its batches from."""


def prepare_combined(
    source: CombinedLoader,
    limit: Limit,
    name: str,
    *,
    seed: int,
    world_size: int,
    rank: int,
    own: bool,
    shuffle: bool | None = None,
) -> PreparedCombined:
    """Prepare each loader for training; each shuffles by a seed of its own, so that equal datasets do not run in step.

    Raises:
        ValueError: if several processes would each see all the data of a loader whose order is not ours.
    """
    parts = [
        prepare_loader(
            loader,
            None,
            f"{name}[{key!r}]",
            seed=mix_seed(seed, number) if number else seed,
            world_size=world_size,
            rank=rank,
            training=True,
            own=own,
            shuffle=shuffle,
        )
        for number, (key, loader) in enumerate(zip(source.keys, source.flattened, strict=True))
    ]
    return PreparedCombined(source, parts, limit, name)


def evaluation_loaders(source: Any) -> list[Any]:
    """The loaders to evaluate one after another: of one loader, a list, a mapping (in its order), or None.

    Raises:
        ValueError: if they are combined in another way than one after another.
    """
    if isinstance(source, CombinedLoader):
        if source.mode != "sequential":
            raise ValueError(
                "Validation, test and prediction run their loaders one after another: each sample is visited once, "
                f"which batches of several loaders (mode={source.mode!r}) do not allow. Give a list or a dict of "
                'loaders, or CombinedLoader(..., mode="sequential").'
            )
        return source.flattened
    loaders = as_list(source)
    if any(isinstance(loader, CombinedLoader) for loader in loaders):
        raise ValueError("A list of loaders to evaluate holds a CombinedLoader: put the loaders in it into the list.")
    return loaders


class _Part(Protocol):
    """One of the loaders of an epoch."""

    ended: bool
    """Whether a pass over it has ended."""

    def take(self) -> Any:
        """The next batch; ``_END`` once at the end of each pass."""


def _min_size(parts: Sequence[_Part]) -> Iterator[list[Any]]:
    while True:
        batches = []
        for part in parts:
            batches.append(part.take())
            if part.ended:
                return
        yield batches


def _max_size(parts: Sequence[_Part]) -> Iterator[list[Any]]:
    while True:
        batches = [_END if part.ended else part.take() for part in parts]
        if all(part.ended for part in parts):
            return
        yield [None if batch is _END else batch for batch in batches]


def _max_size_cycle(parts: Sequence[_Part]) -> Iterator[list[Any]]:
    while True:
        batches = [_END if part.ended else part.take() for part in parts]
        if all(part.ended for part in parts):
            return
        for index, part in enumerate(parts):
            for _ in range(2):
                if batches[index] is _END:
                    batches[index] = part.take()
            if batches[index] is _END:
                raise ValueError(
                    f"Loader {index} of those that are combined has no batches, so it cannot be cycled: leave it out."
                )
        yield batches


def _sequential(parts: Sequence[_Part]) -> Iterator[Any]:
    for part in parts:
        while (batch := part.take()) is not _END:
            yield batch


_ROUNDS: dict[str, Callable[[Sequence[_Part]], Iterator[Any]]] = {
    "min_size": _min_size,
    "max_size": _max_size,
    "max_size_cycle": _max_size_cycle,
    "sequential": _sequential,
}


def _combine(mode: CombinedMode, lengths: Sequence[float]) -> float:
    if mode == "sequential":
        return sum(lengths)
    return min(lengths) if mode == "min_size" else max(lengths)


class _Plain:
    """A loader that is iterated as it is."""

    def __init__(self, source: Iterable[Any]) -> None:
        self.ended = False
        self._source = source
        self._batches: Iterator[Any] | None = None

    def take(self) -> Any:
        if self._batches is None:
            self._batches = open_loader(self._source)
        batch = next(self._batches, _END)
        if batch is _END:
            self._batches, self.ended = None, True
        return batch


class _Owned:
    """A place in a loader whose order is owned. Until :meth:`read`, it moves on without reading."""

    def __init__(self, loader: PreparedLoader, order: BatchOrder, epoch: int) -> None:
        self.ended = self.taken = False
        self.together = order.global_batch_size
        """Samples that a batch consumes, over all processes."""
        self.finished: list[int] = []
        self._loader, self._order, self._epoch = loader, order, epoch
        self._pass = self._cursor = self._done = 0
        self._reading = False
        self._batches: Iterator[tuple[int, Any]] | None = None

    @property
    def left(self) -> int:
        """Batches left in this pass."""
        full, tail = divmod(self._order.num_samples - self._cursor, self.together)
        return full + (1 if tail and not self._order.drop_last else 0)

    def resize(self, together: int) -> None:
        """Batches are of so many samples from now on, over all processes."""
        self.together = together

    def read(self) -> None:
        """Read from now on."""
        self._reading = True

    def take(self) -> Any:
        if not self.left:
            self.close()
            self.ended, self.taken = True, False
            self._pass, self._cursor, self._done = self._pass + 1, 0, 0
            return _END
        batch = self._next() if self._reading else None
        self._cursor = min(self._cursor + self.together, self._order.num_samples)
        self._done += 1
        self.taken = True
        return batch

    def _next(self) -> Any:
        found = next(self.open(), None)
        if found is None:
            self._loader.check_end(self._done)  # raises: by the count there is another batch
            return _END
        return found[1]

    def open(self) -> Iterator[tuple[int, Any]]:
        """Batches from here on; begin to load them, if that was not done."""
        if self._batches is None:
            number = _pass_number(self._epoch, self._pass)
            self._batches = self._loader.open(number, cursor=self._cursor, batch=self._done)
        return self._batches

    def close(self) -> None:
        """Let workers go."""
        self._batches = None

    def tail(self) -> tuple[int | None, float, int]:
        """Of the batch taken last: see :meth:`PreparedLoader.tail`."""
        return self._loader.tail(self._done - 1)


class _Foreign:
    """A place in a loader whose order is not owned: it reads always, unless the loader keeps its place itself.

    Args:
        loader: the loader.
        epoch: the epoch.
        finished: of a loader that goes on by itself: the lengths of the passes over it that had ended; else None.
    """

    def __init__(self, loader: PreparedLoader, epoch: int, finished: list[int] | None) -> None:
        self.ended = self.taken = False
        self.together = 0
        self.reads = finished is None
        """Whether batches are read."""
        self.finished: list[int] = []
        """Lengths of the passes that have ended."""
        self._known, self._loader, self._epoch = finished, loader, epoch
        self._done = 0
        self._batches: Iterator[tuple[int, Any]] | None = None

    @property
    def left(self) -> float:
        """Batches left in this pass, if the loader's length is right; infinity where it has none."""
        return max(0, self._loader.num_batches - self._done)

    def resize(self, together: int) -> None:
        """Nothing to do: it counts batches."""

    def read(self) -> None:
        """Read from now on."""
        self.reads = True

    def take(self) -> Any:
        batch = next(self.open(), (0, _END))[1] if self.reads else self._count()
        if batch is _END:
            self.close()
            self.ended, self.taken = True, False
            self.finished.append(self._done)
            self._done = 0
            return _END
        self._done += 1
        self.taken = True
        return batch

    def _count(self) -> Any:
        known, index = self._known or [], len(self.finished)
        return _END if index < len(known) and self._done == known[index] else None

    def open(self) -> Iterator[tuple[int, Any]]:
        """Batches from here on; begin to load them, if that was not done."""
        if self._batches is None:
            self._batches = self._loader.open(_pass_number(self._epoch, len(self.finished)))
        return self._batches

    def close(self) -> None:
        """Let workers go."""
        self._batches = None

    def tail(self) -> tuple[int | None, float, int]:
        """Of the batch taken last: nothing is known."""
        return None, 1.0, 0


def _pass_number(epoch: int, number: int) -> int:
    """The number that the order of a pass follows from: the epoch's for the first, unrelated ones for the others."""
    return mix_seed(epoch, number) >> 32 if number else epoch


def _length(loader: Any) -> float:
    try:
        return len(loader)
    except (TypeError, NotImplementedError):
        return math.inf


def _check_loader(key: Any, loader: Any) -> None:
    if isinstance(loader, (Mapping, CombinedLoader)) or _holds_loaders(loader):
        raise ValueError(
            f"The loaders to combine must not be nested, but the one at {key!r} is a {type(loader).__name__} of "
            "loaders: put all of them in one list or dict."
        )
    if not isinstance(loader, Iterable) or isinstance(loader, (str, bytes)):
        raise TypeError(
            f"Each loader to combine must be a DataLoader or another iterable of batches, got {type(loader).__name__} "
            f"at {key!r}."
        )


def _holds_loaders(source: Any) -> bool:
    return isinstance(source, (list, tuple)) and any(_is_loader(item) for item in source)


def _is_loader(item: Any) -> bool:
    """Whether an item of a list is a loader, and not a batch."""
    if isinstance(item, (DataLoader, CombinedLoader)):
        return True
    is_batch = (
        isinstance(item, (Tensor, list, tuple, Mapping, str, bytes)) or hasattr(item, "to") or hasattr(item, "dtype")
    )
    return isinstance(item, Iterable) and not is_batch
