"""Metrics made of metrics: the parts hold all state, the whole says what they are fed and what their values become."""

from __future__ import annotations

import copy
from abc import abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from lit_metrics._state import StateValue
from lit_metrics.metric import Metric, sync_together

if TYPE_CHECKING:
    from typing_extensions import Self

Inputs = tuple[tuple[Any, ...], dict[str, Any]]


class Composite(Metric):
    """A metric without state of its own, made of other metrics.

    A subclass holds its parts as ordinary attributes and says what they are (`parts`), what each is fed (`route`) and
    what their values become (`combine`). What a metric does with its state (reset, merging, checkpoints, dtype, count)
    is done with the metrics inside, each once; all of them are synchronised together. An update that fails in one part
    leaves no trace in the others.

    Args:
        compute_on_step: Whether `forward` returns the batch value.
    """

    pure_update = True

    def __init__(self, compute_on_step: bool = True) -> None:
        super().__init__(compute_on_step, compute_with_cache=False, sync_on_compute=False)

    @abstractmethod
    def parts(self) -> Sequence[Any]:
        """Returns what is read and reset, metrics or collections, each once; every update feeds the first."""

    @abstractmethod
    def route(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Sequence[Inputs]:
        """Returns the inputs for each part; parts beyond the end of the list are not fed."""

    @abstractmethod
    def combine(self, values: Sequence[Any]) -> Any:
        """Returns the value, given those of the parts; of the fed parts alone if they are of one batch."""

    def update(self, *args: Any, **kwargs: Any) -> None:
        """Feeds every part; each takes the keyword arguments that it knows."""
        routes = self.route(args, kwargs)
        with _all_or_nothing(self.leaves() if len(routes) > 1 else []):
            for part, (inputs, named) in zip(self.parts(), routes, strict=False):
                part.update(*inputs, **_known(part, named))

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        """Feeds every part and returns the value for this batch."""
        if not self.compute_on_step:
            return self.update(*args, **kwargs)
        routes = self.route(args, kwargs)
        with _all_or_nothing(self.leaves() if len(routes) > 1 else []):
            pairs = zip(self.parts(), routes, strict=False)
            values = [part(*inputs, **_known(part, named)) for part, (inputs, named) in pairs]
        return None if any(value is None for value in values) else self.combine(values)

    def compute(self) -> Any:
        """Returns what the values of the parts become."""
        parts = self.parts()
        with synced([leaf for part in parts for leaf in leaves_of(part)]):
            return self.combine([part.compute() for part in parts])

    def reset(self) -> None:
        """Resets every part."""
        super().reset()
        for part in self.parts():
            part.reset()

    def leaves(self) -> list[Metric]:
        """Returns the metrics inside that hold state, each once."""
        return leaves_of(self)

    def merge_state(self, other: Any) -> None:
        """Merges leaf by leaf with a metric of the same composition."""
        theirs = other.leaves() if isinstance(other, Composite) and type(other) is type(self) else None
        if theirs is None or [type(leaf) for leaf in theirs] != [type(leaf) for leaf in self.leaves()]:
            raise TypeError(
                f"merge_state of a {type(self).__name__} needs another one, made of the same metrics,"
                f" got {type(other).__name__}"
            )
        for mine, leaf in zip(self.leaves(), theirs, strict=True):
            mine.merge_state(leaf)

    def __deepcopy__(self, memo: dict[int, Any]) -> Self:
        # Process groups are kept, not copied: they stand for connections.
        memo.update((id(leaf.process_group), leaf.process_group) for leaf in self.leaves())
        new = type(self).__new__(type(self))
        memo[id(self)] = new
        new.__setstate__(copy.deepcopy(self.__dict__, memo))
        return new

    def persistent(self, mode: bool = True) -> None:
        """Says for every metric inside whether checkpoints hold its state."""
        for leaf in self.leaves():
            leaf.persistent(mode)

    def set_dtype(self, dtype: torch.dtype) -> Self:
        """Converts the floating-point states of every metric inside."""
        for leaf in self.leaves():
            leaf.set_dtype(dtype)
        return self

    @property
    def metric_state(self) -> dict[str, StateValue]:
        """Current values of all states inside, by the path that checkpoints give them."""
        paths = {id(module): path for path, module in self.named_modules()}
        return {f"{paths[id(leaf)]}.{k}": v for leaf in self.leaves() for k, v in leaf.metric_state.items()}

    @property
    def update_count(self) -> int:
        """Number of updates of the first part since its last reset."""
        fed = [leaf for part in self.parts()[:1] for leaf in leaves_of(part)]
        return fed[0].update_count if fed else 0

    @property
    def update_called(self) -> bool:
        """Whether anything was taken in since the last reset."""
        return self.update_count > 0


def leaves_of(module: nn.Module) -> list[Metric]:
    """Returns the metrics of a metric, collection or container that hold state, each once."""
    if isinstance(module, Metric) and not isinstance(module, Composite):
        return [module]
    found = {id(leaf): leaf for child in module.children() for leaf in leaves_of(child)}
    return list(found.values())


@contextmanager
def synced(metrics: Sequence[Metric]) -> Iterator[None]:
    """Holds the state of all processes in the metrics that use the same group, unless they know their value already."""
    metrics = [m for m in metrics if m.sync_on_compute and m.dist_sync_fn is None and not m.is_synced]
    metrics = [m for m in metrics if m.is_distributed() and m.process_group is metrics[0].process_group]
    try:
        if any(not m.has_cached_value() for m in metrics):
            sync_together(metrics, metrics[0].process_group)
        yield
    finally:
        for metric in metrics:
            if metric.is_synced:
                metric.unsync()


@contextmanager
def _all_or_nothing(metrics: Sequence[Metric]) -> Iterator[None]:
    """Puts the state of all metrics back to what it was if the block fails."""
    if torch.compiler.is_compiling():  # what fails while it is traced has not run
        yield
        return
    stores = {id(metric.store): metric.store for metric in metrics}
    saved = [(store, store.backup(), store.count) for store in stores.values()]
    try:
        yield
    except BaseException:
        for store, backup, count in saved:
            store.restore(backup)
            store.advance(count - store.count)
        raise


def _known(part: Any, kwargs: Mapping[str, Any]) -> Mapping[str, Any]:
    """Returns the keyword arguments for a part; a collection sorts them out itself."""
    return part.filter_kwargs(dict(kwargs)) if isinstance(part, Metric) else kwargs
