"""States of one metric, several of them side by side: of groups, of bootstrap replicas, of the last updates."""

from __future__ import annotations

import inspect
from abc import abstractmethod
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from lit_metrics._inputs import as_tensor
from lit_metrics._state import Merge, Reduction, State, StateSpec, StateValue
from lit_metrics.metric import Metric
from lit_metrics.wrappers.classwise import require_metric


class StateBank(Metric):
    """Base of metrics that hold `size` states of another metric.

    Every state of the metric gets a leading axis of `size` slots here (list states: one list per slot), under its name
    with `slot_` before it, and keeps its reduction, so that the whole merges, synchronises and is saved as any metric.
    The metric itself stays empty: it says what the state of a batch is and what value a state has.

    Args:
        metric: The metric; its states must merge and be its own.
        size: Number of slots.
        kwargs: Arguments of `Metric`.

    Raises:
        TypeError: If `metric` is no metric, or its states are not of this kind.
        ValueError: If `size` is not positive.
    """

    updates: Tensor

    def __init__(self, metric: Metric, size: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        require_states(metric)
        self._held = (metric,)  # in a tuple it is no submodule: nobody shall save or reset it as a metric with data
        self.size = size
        for name, spec in metric.specs.items():
            if is_list(spec):
                for k in range(size):
                    self.add_state(f"slot_{name}_{k}", [], "cat" if spec.reduce == "cat" else None, spec.persistent)
                continue
            reduce: Reduction = spec.reduce
            if reduce == "mean":
                reduce = "sum"  # a mean is held as the sum of the means of updates
            elif isinstance(reduce, Merge):
                reduce = Merge(_PairInEverySlot(reduce, waits=spec.fresh().shape == (0,)))  # type: ignore[union-attr]
            elif callable(reduce):
                reduce = _InEverySlot(reduce)
            default = self._empty_slots(name, spec, torch.as_tensor(spec.default))
            self.add_state(f"slot_{name}", default, reduce, spec.persistent)
        self.add_state("updates", torch.zeros(size, dtype=torch.long), "sum", persistent=False)

    @abstractmethod
    def update(self, *args: Any, **kwargs: Any) -> None:
        """Takes in one batch."""

    @property
    def metric(self) -> Metric:
        """The metric whose states are held; empty itself."""
        return self._held[0]

    def check_inputs(self) -> None:
        """Raises for what the update of the bank itself only noted."""

    def check_state(self) -> None:
        """Raises for what updates only noted."""
        self.check_inputs()
        total = self.total()
        if total.count:
            probe = self.metric.clone()
            probe.reset()
            probe.merge_state(total)
            probe.check_state()

    def accumulate_slots(self, batches: Sequence[State], slots: Sequence[int]) -> None:
        """Merges states made by `metric.batch_state` into their slots, each slot named once at most."""
        pairs = [(batch, k) for batch, k in zip(batches, slots, strict=True) if batch.count]
        if not pairs:
            return
        index = torch.tensor([k for _, k in pairs], device=self.device)
        for name, spec in self._states():
            if is_list(spec):
                for batch, k in pairs:
                    for entry in entries(batch.values[name]):
                        self.accumulate({f"slot_{name}_{k}": entry})
                continue
            rows = torch.stack([_weighted(spec, batch.values[name], batch.count) for batch, _ in pairs])
            if len(pairs) < self.size:
                rows = self._empty_slots(name, spec, rows[0]).to(rows.dtype).index_copy(0, index, rows)
            self.accumulate({f"slot_{name}": rows})
        counts = torch.zeros(self.size, dtype=torch.long, device=self.device)
        self.accumulate({"updates": counts.index_fill(0, index, 1)})

    def set_slot(self, k: int, batch: State) -> None:
        """Replaces what a slot holds by a state made by `metric.batch_state`; only in an update that is not pure."""
        for name, spec in self._states():
            if is_list(spec):
                setattr(self, f"slot_{name}_{k}", list(entries(batch.values[name])))
                continue
            row, held = _weighted(spec, batch.values[name], batch.count), getattr(self, f"slot_{name}")
            if held.shape == (0,):
                held = self._empty_slots(name, spec, row)
            held = held.to(torch.promote_types(held.dtype, row.dtype), copy=True)
            held[k] = row
            setattr(self, f"slot_{name}", held)
        self.updates = self.updates.clone()
        self.updates[k] = batch.count

    def slot(self, k: int) -> State:
        """Returns what a slot holds, as a state of the metric."""
        count = int(self.updates[k])
        values: dict[str, StateValue] = {}
        for name, spec in self._states():
            if is_list(spec):
                values[name] = _as_declared(spec, getattr(self, f"slot_{name}_{k}"))
                continue
            held = getattr(self, f"slot_{name}")
            empty = held.shape == (0,) or (spec.reduce == "mean" and not count)
            values[name] = spec.fresh() if empty else held[k] / count if spec.reduce == "mean" else held[k].clone()
        return State(values, count)

    def total(self) -> State:
        """Returns all slots merged, as a state of the metric."""
        count = int(self.updates.sum()) if self.device.type != "meta" else 0
        values: dict[str, StateValue] = {}
        for name, spec in self._states():
            if is_list(spec):
                lists = [getattr(self, f"slot_{name}_{k}") for k in range(self.size)]
                values[name] = _as_declared(spec, [entry for held in lists for entry in held])
                continue
            held = getattr(self, f"slot_{name}")
            empty = held.shape == (0,) or not count
            values[name] = spec.fresh() if empty else _merged(spec.reduce, held, self.updates)
        return State(values, count)

    def slot_values(self) -> Any:
        """Returns the metric's value in every slot, stacked; by name if it is a dict."""
        return stacked([self.metric.value_of(self.slot(k)) for k in range(self.size)])

    def extra_repr(self) -> str:
        """Shows the metric, which is no submodule."""
        return f"{self.metric}, {self.size}"

    def _states(self) -> list[tuple[str, StateSpec]]:
        specs = self.metric.specs
        return list(specs.items())

    def _empty_slots(self, name: str, spec: StateSpec, like: Tensor) -> Tensor:
        """Returns the identity in all slots, for rows like the given one."""
        default = torch.as_tensor(spec.default)
        if like.shape == (0,) and default.shape == (0,):
            return default.clone()  # waits for the shape that the first batch tells
        if spec.reduce == "mean" or default.shape == (0,):
            default = default.new_zeros(like.shape)
        return default.to(like.device).expand(self.size, *default.shape).clone()


class _InEverySlot:
    """A reduction of stacked values, applied to every slot by itself; a class, so that metrics can be pickled."""

    def __init__(self, reduce: Callable[[Any], Any]) -> None:
        self.reduce = reduce

    def __call__(self, stacked_slots: Tensor) -> Tensor:
        return torch.stack([torch.as_tensor(self.reduce(slot)) for slot in stacked_slots.unbind(1)])


class _PairInEverySlot:
    """The pairwise form of `_InEverySlot`.

    A state that waited for its shape has zeros in slots without data, which no rule promises to be its identity.
    """

    def __init__(self, rule: Merge, waits: bool) -> None:
        self.rule = rule
        self.waits = waits

    def __call__(self, mine: Tensor, other: Tensor) -> Tensor:
        merged = torch.stack([self.rule.pair(a, b) for a, b in zip(mine, other, strict=True)])
        if not self.waits:
            return merged
        axes = tuple(range(1, mine.ndim))
        fresh_a, fresh_b = ((side == 0).all(axes, keepdim=True) if axes else side == 0 for side in (mine, other))
        return torch.where(fresh_b, mine, torch.where(fresh_a, other, merged))


def require_states(metric: Any) -> None:
    """Raises a `TypeError` unless `metric` is a metric whose own states merge by their reductions."""
    require_metric(metric, "metric")
    name = type(metric).__name__
    if not metric.specs:
        raise TypeError(f"{name} holds no state of its own; wrap the metrics inside of it")
    if metric.full_state_update:
        raise TypeError(f"{name}.update reads earlier state, so that states of single batches do not make up its value")
    if metric.dist_sync_on_step:
        raise TypeError(f"pass dist_sync_on_step to the outer metric, not to {name}")
    for state, spec in metric.specs.items():
        if spec.reduce is None and not isinstance(spec.default, list):
            raise TypeError(f"state {state!r} of {name} declares no reduction, so that it cannot be merged")


def is_list(spec: StateSpec) -> bool:
    """Returns whether a state grows with the data, so that slots of it have different sizes."""
    return isinstance(spec.default, list) or spec.reduce == "cat"


def entries(value: StateValue) -> list[Tensor]:
    """Returns the tensors of a list state, or a tensor state as one."""
    return value if isinstance(value, list) else [value]


def stacked(values: Sequence[Any]) -> Any:
    """Returns values stacked; dicts and tuples entry by entry, a list where shapes differ."""
    first = values[0]
    if isinstance(first, dict):
        return {key: stacked([value[key] for value in values]) for key in first}
    if isinstance(first, tuple):
        return tuple(stacked(parts) for parts in zip(*values, strict=True))
    if not isinstance(first, Tensor) or len({value.shape for value in values}) > 1:
        return list(values)
    return torch.stack(list(values))


def num_samples(args: Sequence[Any]) -> int:
    """Returns the number of samples: the length of the first tensor, array or list that has one.

    Raises:
        ValueError: If there is none.
    """
    for value in args:
        if isinstance(value, (list, tuple)) or (isinstance(value, (Tensor, np.ndarray)) and value.ndim):
            return len(value)
    raise ValueError("update needs at least one tensor, array or list with samples in its first dimension")


def take(value: Any, index: Tensor, num: int) -> Any:
    """Returns the samples of an input that `index` names; an input without `num` samples is passed on."""
    if isinstance(value, Tensor):
        return value[index.to(value.device)] if value.ndim and len(value) == num else value
    if isinstance(value, np.ndarray):
        return value[index.numpy()] if value.ndim and len(value) == num else value
    return [value[i] for i in index.tolist()] if isinstance(value, (list, tuple)) and len(value) == num else value


def weight_place(metric: Metric) -> int | None:
    """Returns the place of `sample_weight` among the arguments of a metric's update; `None` if samples have none."""
    names = list(inspect.signature(metric.update).parameters)
    return names.index("sample_weight") if metric.weight_is_repetition and "sample_weight" in names else None


def without_weight(
    args: tuple[Any, ...], kwargs: Mapping[str, Any], place: int
) -> tuple[tuple[Any, ...], dict[str, Any], Any]:
    """Returns the arguments of an update without the sample weight, and the weight, if there is one."""
    if len(args) > place:
        return args[:place], dict(kwargs), args[place]
    return args, {name: value for name, value in kwargs.items() if name != "sample_weight"}, kwargs.get("sample_weight")


def times_weight(weight: Any, factor: Tensor) -> Tensor:
    """Returns a user's sample weight (or none) times one factor per sample."""
    if weight is None:
        return factor
    given: Tensor = as_tensor(weight, "sample_weight").to(factor)
    return given * factor.reshape(-1, *[1] * (given.ndim - 1))


def _weighted(spec: StateSpec, value: StateValue, count: int) -> Tensor:
    assert isinstance(value, Tensor)
    return value * count if spec.reduce == "mean" else value


def _as_declared(spec: StateSpec, held: list[Tensor]) -> StateValue:
    if isinstance(spec.default, list):
        return list(held)
    return torch.cat([spec.default, *held])


def _merged(reduce: Reduction, held: Tensor, updates: Tensor) -> Tensor:
    if reduce == "sum":
        return held.sum(0, dtype=held.dtype)
    if reduce == "mean":
        return held.sum(0) / updates.sum()
    if reduce == "max":
        return held.amax(0)
    if reduce == "min":
        return held.amin(0)
    assert callable(reduce)
    return torch.as_tensor(reduce(held[updates > 0]))
