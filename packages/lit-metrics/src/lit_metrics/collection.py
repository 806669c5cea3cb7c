"""Several metrics that are fed and read as one."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from torch import nn

from lit_metrics._composite import leaves_of, synced
from lit_metrics._state import State, merge_into
from lit_metrics.metric import Metric

if TYPE_CHECKING:
    import torch
    from typing_extensions import Self


class MetricCollection(nn.Module):
    """Metrics by name, updated, computed, synchronised and reset together.

    Metrics that count the same things in the same way (equal `Metric.group_key`: same kernel, same configuration) are
    updated by one pass and share one state; values never decide. Each metric stays usable alone:
    `collection["name"].update(...)` changes that metric only. Synchronisation of the whole collection takes at most
    three collectives.

    Args:
        metrics: Metric, list of metrics (named by their classes), dict of metrics, or collections of them, nested at
            will.
        additional_metrics: More of them.
        prefix: Put before every key of the results.
        postfix: Put after every key of the results.
        compute_groups: Whether metrics share updates. A list of groups is accepted and means True: groups follow from
            the metrics themselves.

    Raises:
        ValueError: If two metrics get one name.
        TypeError: If something is no metric.

    Example:
        >>> from lit_metrics import Accuracy, MeanMetric, MetricCollection
        >>> collection = MetricCollection(
        ...     {
        ...         "top1": Accuracy(task="multiclass", num_classes=3),
        ...         "per_class": Accuracy(task="multiclass", num_classes=3, average="none"),
        ...     },
        ...     prefix="val_",
        ... )
        >>> collection.update([0, 2, 1, 1], [0, 2, 1, 2])
        >>> collection.compute()["val_top1"]
        tensor(0.7500, dtype=torch.float64)
        >>> collection.groups
        [['top1', 'per_class']]
    """

    def __init__(
        self,
        metrics: Any,
        *additional_metrics: Any,
        prefix: str | None = None,
        postfix: str | None = None,
        compute_groups: bool | list[list[str]] = True,
    ) -> None:
        super().__init__()
        self.prefix = prefix
        self.postfix = postfix
        self.compute_groups = bool(compute_groups)
        self._names: list[str] = []
        self._groups: list[list[Metric]] = []
        self.add_metrics(metrics, *additional_metrics)

    def add_metrics(self, metrics: Any, *additional_metrics: Any) -> None:
        """Adds metrics in the forms that the constructor takes."""
        for name, metric in _flatten([metrics, *additional_metrics]):
            if name in self._names:
                raise ValueError(f"two metrics are called {name!r}; give names with a dict")
            if hasattr(self, name) or "." in name or not name:
                raise ValueError(
                    f"{name!r} cannot name a metric: it is empty, has a dot, or is an attribute of collections"
                )
            self._names.append(name)
            self.add_module(name, metric)
        found: dict[Any, list[Metric]] = {}
        for name, metric in self._metrics():
            key = metric.group_key if self.compute_groups else None
            group = ("alone", name) if key is None else ("group", key, metric.validate_args)
            found.setdefault(group, []).append(metric)
        self._groups = list(found.values())

    @property
    def groups(self) -> list[list[str]]:
        """Names of the metrics that are updated together, group by group."""
        names = {id(metric): name for name, metric in self._metrics()}
        return [[names[id(metric)] for metric in group] for group in self._groups]

    def update(self, *args: Any, **kwargs: Any) -> None:
        """Takes in one batch; each metric takes the keyword arguments that it knows."""
        for group in self._groups:
            leader = group[0]
            known = leader.filter_kwargs(kwargs) if kwargs else kwargs
            if len(group) == 1:
                leader.update(*args, **known)
            elif _share(group):
                leader.update_shared(*args, **known)
            else:
                self._update_group(group, args, kwargs)

    def forward(self, *args: Any, **kwargs: Any) -> dict[str, Any]:
        """Takes in one batch and returns the values for this batch alone."""
        values: dict[int, Any] = {}
        for group in self._groups:
            if len(group) == 1:
                values[id(group[0])] = group[0](*args, **group[0].filter_kwargs(kwargs))
                continue
            batch = self._update_group(group, args, kwargs)
            values.update((id(m), m.value_of(batch) if m.compute_on_step else None) for m in group)
        return self._named({name: values[id(metric)] for name, metric in self._metrics()})

    def compute(self) -> dict[str, Any]:
        """Returns the values of everything seen, on all processes."""
        with synced(leaves_of(self)):
            values = {name: metric.compute() for name, metric in self._metrics()}
        return self._named(values)

    def reset(self) -> None:
        """Resets every metric."""
        for _, metric in self._metrics():
            metric.reset()

    def clone(self, prefix: str | None = None, postfix: str | None = None) -> Self:
        """Returns an independent copy, with another prefix or postfix if given."""
        new = copy.deepcopy(self, {id(m.process_group): m.process_group for m in leaves_of(self)})
        new.rename(self.prefix if prefix is None else prefix, self.postfix if postfix is None else postfix)
        return new

    def rename(self, prefix: str | None, postfix: str | None) -> None:
        """Changes what stands before and after the keys of the results."""
        self.prefix, self.postfix = prefix, postfix

    def merge_state(self, other: MetricCollection) -> None:
        """Takes in everything another collection of the same metrics has seen."""
        theirs = list(other.keys(keep_base=True))
        if self._names != theirs:
            raise ValueError(f"expected a collection of {self._names}, got {theirs}")
        for name, metric in self._metrics():
            metric.merge_state(other[name])

    def persistent(self, mode: bool = True) -> None:
        """Says for every metric whether `state_dict` holds its states."""
        for _, metric in self._metrics():
            metric.persistent(mode)

    def set_dtype(self, dtype: torch.dtype) -> Self:
        """Converts the floating-point states of every metric."""
        for _, metric in self._metrics():
            metric.set_dtype(dtype)
        return self

    @property
    def metric_state(self) -> dict[str, dict[str, Any]]:
        """Current states by metric name and state name."""
        return {name: metric.metric_state for name, metric in self._metrics()}

    def keys(self, keep_base: bool = False) -> Iterator[str]:
        """Yields the keys of the results, or the plain names with `keep_base`."""
        return iter(self._names if keep_base else [self._key(name) for name in self._names])

    def values(self) -> Iterator[Metric]:
        """Yields the metrics."""
        return (metric for _, metric in self._metrics())

    def items(self, keep_base: bool = False) -> Iterator[tuple[str, Metric]]:
        """Yields keys and metrics."""
        return ((name if keep_base else self._key(name), metric) for name, metric in self._metrics())

    def __getitem__(self, key: str) -> Metric:
        for name, metric in self._metrics():
            if key in (name, self._key(name)):
                return metric
        raise KeyError(f"no metric {key!r}; there are {self._names}")

    def __contains__(self, key: str) -> bool:
        return key in self._names or key in self.keys()

    def __iter__(self) -> Iterator[str]:
        return self.keys()

    def __len__(self) -> int:
        return len(self._names)

    def _metrics(self) -> list[tuple[str, Metric]]:
        modules: Any = self._modules
        return [(name, modules[name]) for name in self._names]

    def _update_group(self, group: list[Metric], args: tuple[Any, ...], kwargs: dict[str, Any]) -> State:
        """Runs the kernel once, merges its result into every distinct state of the group, and returns it."""
        leader = group[0]
        batch = leader.batch_state(*args, **(leader.filter_kwargs(kwargs) if kwargs else {}))
        shared = leader.store
        apart = [metric for metric in group[1:] if metric.store is not shared]
        others = {}
        for metric in apart:
            if leader.update_called or metric.update_called:
                others[id(metric.store)] = metric.store
            else:
                metric.share_store(leader)
        merge_into(shared, batch, leader.specs)
        for store in others.values():
            merge_into(store, batch, leader.specs)
        return batch

    def _key(self, name: str) -> str:
        return f"{self.prefix or ''}{name}{self.postfix or ''}"

    def _named(self, values: Mapping[str, Any]) -> dict[str, Any]:
        """Returns results by key; a metric that returns a dict gives one result per entry."""
        named: dict[str, Any] = {}
        for name, value in values.items():
            parts = value if isinstance(value, dict) else {name: value}
            for part, inner in parts.items():
                key = self._key(part)
                named[self._key(f"{name}_{part}") if key in named else key] = inner
        return named


def _share(group: list[Metric]) -> bool:
    """Returns whether all metrics of the group read one state."""
    shared = group[0].store
    for metric in group:  # noqa: SIM110 - a generator costs as much as the update
        if metric.store is not shared:
            return False
    return True


def _flatten(metrics: Any) -> list[tuple[str, Metric]]:
    """Returns names and metrics of a metric or of nested lists, dicts and collections."""
    if isinstance(metrics, MetricCollection):
        return list(metrics.items())
    if isinstance(metrics, Metric):
        return [(type(metrics).__name__, metrics)]
    pairs: list[tuple[str, Metric]] = []
    if isinstance(metrics, Mapping):
        for key, metric in metrics.items():
            nested = isinstance(metric, (MetricCollection, Mapping))
            pairs += [(f"{key}_{inner}" if nested else str(key), m) for inner, m in _flatten(metric)]
        return pairs
    if not isinstance(metrics, Sequence) or isinstance(metrics, str):
        raise TypeError(f"expected a Metric, or a list, dict or collection of metrics, got {type(metrics).__name__}")
    for metric in metrics:
        pairs += _flatten(metric)
    return pairs
