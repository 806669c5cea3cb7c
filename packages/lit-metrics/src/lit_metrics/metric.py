"""The metric contract: states that merge, and everything that follows from it."""

from __future__ import annotations

import copy
import inspect
from abc import abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, ClassVar

import torch
from torch import Tensor, nn

from lit_metrics import _sync
from lit_metrics._guards import guard_compute, guard_update
from lit_metrics._inputs import Validation
from lit_metrics._operators import Arithmetic
from lit_metrics._state import (
    REDUCTIONS,
    Reduction,
    State,
    StateSpec,
    StateValue,
    copy_out,
    merge_into,
    merge_value,
    misfit,
    ordinary_tensors,
)

if TYPE_CHECKING:
    from typing_extensions import Self

COUNT_KEY = "_update_count"


class Metric(nn.Module, Arithmetic):
    """Base of every metric: declare states, say how a batch changes them and what value they give.

    A subclass calls `add_state` in `__init__` and implements `update` and `compute`; it gets `forward` (value of this
    batch while accumulating), `reset`, merging, synchronisation across processes, checkpoints, pickling, device care
    and arithmetic. A metric is an `nn.Module`, so it nests in modules and moves with them; its states are plain
    attributes, not buffers, and `.half()` and its like leave their dtype alone.

    `update` runs without autograd, ignores an empty batch, and changes nothing if it raises. `compute` never resets.
    `update` and `forward` may stand inside `torch.compile(fullgraph=True)`, as far as the operations of the subclass
    and tensor states allow: invalid values then raise in `compute`.

    Args:
        compute_on_step: Whether `forward` returns the batch value; if not, it returns `None`.
        dist_sync_on_step: Whether the value returned by `forward` is that of all processes' batches.
        process_group: Group to synchronise in; `None` is the default group.
        sync_on_compute: Whether `compute` gives the value of all processes.
        compute_on_cpu: Whether list states are kept in host memory.
        compute_with_cache: Whether `compute` remembers its value until the state changes.
        dist_sync_fn: Own gather function, `fn(tensor, group=...) -> list of tensors by rank`; `None` packs everything
            into at most three collectives.
        distributed_available_fn: Says whether there are other processes; `None` asks `torch.distributed`.
        validate_args: When values (labels in range, probabilities, NaN) are checked; shapes and types always are.
            `True` checks at once where that stalls nothing (host memory), else in `compute`. `"deferred"` always checks
            in `compute`: `update` takes in what is invalid, and `compute` raises until `reset`. `False` never checks.

    Raises:
        ValueError: If `validate_args` is none of these.

    Example:
        >>> import torch
        >>> from lit_metrics import Metric
        >>> class LargestError(Metric):
        ...     def __init__(self) -> None:
        ...         super().__init__()
        ...         self.add_state("worst", torch.tensor(0.0), dist_reduce_fx="max")
        ...     def update(self, preds: torch.Tensor, target: torch.Tensor) -> None:
        ...         self.worst = torch.maximum(self.worst, (preds - target).abs().max())
        ...     def compute(self) -> torch.Tensor:
        ...         return self.worst
        >>> metric = LargestError()
        >>> metric(torch.tensor([1.0, 2.0]), torch.tensor([1.5, 2.0]))
        tensor(0.5000)
        >>> metric(torch.tensor([3.0]), torch.tensor([3.25]))
        tensor(0.2500)
        >>> metric.compute()
        tensor(0.5000)
    """

    higher_is_better: ClassVar[bool | None] = None
    is_differentiable: ClassVar[bool | None] = None
    full_state_update: bool | None = None
    """True says that `update` reads earlier state, so that `forward` may not compute the batch alone and merge it."""
    weight_is_repetition: ClassVar[bool] = True
    """Whether a `sample_weight` says how often its sample counts, so that wrappers may leave a sample out with 0."""
    pure_update: ClassVar[bool] = False
    """True promises that `update` touches state by one call of `accumulate` only; saves a copy of the state."""

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        for name, guard in (("update", guard_update), ("compute", guard_compute)):
            if name in cls.__dict__:
                setattr(cls, name, guard(cls.__dict__[name]))

    def __init__(
        self,
        compute_on_step: bool = True,
        dist_sync_on_step: bool = False,
        process_group: Any = None,
        *,
        sync_on_compute: bool = True,
        compute_on_cpu: bool = False,
        compute_with_cache: bool = True,
        dist_sync_fn: Callable[..., list[Tensor]] | None = None,
        distributed_available_fn: Callable[[], bool] | None = None,
        validate_args: Validation = True,
    ) -> None:
        super().__init__()
        if not isinstance(validate_args, bool) and validate_args != "deferred":
            raise ValueError(f"validate_args must be True, False or 'deferred', got {validate_args!r}")
        self.compute_on_step = compute_on_step
        self.dist_sync_on_step = dist_sync_on_step
        self.process_group = process_group
        self.sync_on_compute = sync_on_compute
        self.compute_on_cpu = compute_on_cpu
        self.compute_with_cache = compute_with_cache
        self.dist_sync_fn = dist_sync_fn
        self.distributed_available_fn = distributed_available_fn
        self.validate_args: Validation = validate_args
        self._specs: dict[str, StateSpec] = {}
        self._store = State({})
        self._unsynced: State | None = None
        self._shares_store = False
        self._cache: tuple[tuple[State, int, bool], Any] | None = None
        self._device = torch.device("cpu")
        self._mergeable: bool = True
        self._warned = False

    def add_state(self, name: str, default: Any, dist_reduce_fx: Reduction = None, persistent: bool = False) -> None:
        """Declares a state, readable and writable as `self.<name>`.

        Args:
            name: Python identifier that is no attribute yet.
            default: Value of "no data yet": a tensor (copied), or an empty list to which `update` appends tensors.
            dist_reduce_fx: How two values become one: `"sum"`, `"max"`, `"min"`, `"cat"`, `"mean"` (weighted by the
                number of updates), a function of the stacked values of all processes (a `Merge` if it merges any two
                values exactly), or `None` (values of all processes, stacked).
            persistent: Whether `state_dict` holds it.

        Raises:
            ValueError: If the name, the default or the reduction is not one of these.
        """
        if not name.isidentifier() or (name not in self._specs and hasattr(self, name)):
            raise ValueError(f"add_state needs a new Python identifier as name, got {name!r}")
        if isinstance(default, list):
            if default:
                raise ValueError(
                    f"the default of list state {name!r} must be an empty list, got {len(default)} entries"
                )
            default = []
        elif isinstance(default, Tensor):
            default = default.detach().clone()
        else:
            raise ValueError(f"the default of state {name!r} must be a tensor or an empty list, got {default!r}")
        if not (dist_reduce_fx is None or callable(dist_reduce_fx) or dist_reduce_fx in REDUCTIONS):
            raise ValueError(f"dist_reduce_fx must be one of {REDUCTIONS}, a function or None, got {dist_reduce_fx!r}")
        self._mergeable = self._mergeable and StateSpec(default, dist_reduce_fx, persistent).mergeable
        self._specs[name] = spec = StateSpec(default, dist_reduce_fx, persistent).to(self._device)
        self._store.set(name, spec.fresh())

    @abstractmethod
    def update(self, *args: Any, **kwargs: Any) -> None:
        """Takes in one batch."""

    @abstractmethod
    def compute(self) -> Any:
        """Returns the value of everything taken in since the last reset, on all processes."""

    def accumulate(self, batch: Mapping[str, Tensor | int]) -> None:
        """Merges the state of a batch into the metric's state, by the declared reductions; for use in `update`.

        Args:
            batch: State of the batch by state name: tensors that nobody else holds, or numbers.
        """
        values = self._store.values
        for name, value in batch.items():
            spec = self._specs[name]
            mine = values.get(name)
            if isinstance(value, (int, float)):
                if mine is not None and spec.reduce == "sum":
                    mine.add_(value)  # type: ignore[union-attr]
                    continue
                value = torch.full_like(spec.default, value)  # type: ignore[arg-type]
            if isinstance(spec.default, list):
                values.setdefault(name, []).append(value.detach())  # type: ignore[union-attr]
            elif mine is None:
                values[name] = value
            else:
                counts = (self._store.count, 1) if spec.reduce == "mean" else (0, 0)
                values[name] = merge_value(spec.reduce, mine, value, counts)

    def check_state(self) -> None:
        """Raises in `compute` for what `update` only noted, so that no update waits for an accelerator."""

    @property
    def group_key(self) -> Any:
        """Hashable key of what `update` does, or `None`; metrics of one collection with equal keys are updated once."""
        return None

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        """Takes in one batch and returns the value of this batch alone."""
        if not self.compute_on_step:
            self.update(*args, **kwargs)
            return None
        if self.full_state_update or not self._mergeable:
            self.update(*args, **kwargs)
            return self.value_of(self.batch_state(*args, **kwargs))
        batch = self.batch_state(*args, **kwargs)
        value = self.value_of(batch)
        merge_into(self._own_store() if self._shares_store else self._store, batch, self._specs)
        return value

    def batch_state(self, *args: Any, **kwargs: Any) -> State:
        """Returns the state that `update` makes of these inputs alone; the metric's own state stays as it is."""
        current = self._store
        if not current.checked:
            current = self._prepare(args, kwargs, writes=False)
        batch = State({} if self.pure_update else self._fresh_values(), one_batch=True)
        batch.mark_checked(shared=False)
        self.__dict__["_store"] = batch
        try:
            self.update(*args, **kwargs)
        finally:
            self.__dict__["_store"] = current
        if len(batch.values) < len(self._specs):
            batch.complete(self._fresh_values())
        return batch

    def value_of(self, state: State) -> Any:
        """Returns the value of a state made by `batch_state`; synchronised if `dist_sync_on_step`."""
        current, unsynced = self._store, self._unsynced
        self.__dict__["_store"] = state
        try:
            if self.dist_sync_on_step:
                self.__dict__["_unsynced"] = None
                self.sync()
            self._store.begin()
            return self.compute()
        finally:
            self._store.end()
            self.__dict__["_store"], self.__dict__["_unsynced"] = current, unsynced

    def merge_state(self, other: Metric | State | Mapping[str, StateValue]) -> None:
        """Takes in everything another metric of the same configuration has seen.

        Args:
            other: Metric, state made by `batch_state`, or mapping of state names to values (`metric_state`), counted as
                `"_update_count"` updates if it has that key, else as one.

        Raises:
            RuntimeError: If a state declares no reduction, or shapes or devices differ.
        """
        if isinstance(other, Metric):
            if type(other) is not type(self):
                raise TypeError(f"cannot merge {type(other).__name__} into {type(self).__name__}")
            theirs = other.store
        else:
            theirs = other if isinstance(other, State) else _state_of(other)
        if theirs.values.keys() != self._specs.keys():
            raise ValueError(f"expected the states {sorted(self._specs)}, got {sorted(theirs.values)}")
        mine = self._prepare((), {}, writes=True)
        if mine.count:
            merge_into(mine, theirs, self._specs)
        else:
            mine.adopt(theirs, self._device)

    def reset(self) -> None:
        """Forgets everything seen; the identity of merging. Lists handed out earlier stay as they are."""
        self.__dict__.update(_store=State(self._fresh_values()), _unsynced=None, _cache=None, _shares_store=False)

    def clone(self) -> Self:
        """Returns an independent copy, state included."""
        return copy.deepcopy(self, {id(self.process_group): self.process_group})

    def filter_kwargs(self, kwargs: dict[str, Any]) -> dict[str, Any]:
        """Returns the keyword arguments that `update` knows."""
        if not kwargs:
            return kwargs
        known = inspect.signature(self.update).parameters
        if any(p.kind is inspect.Parameter.VAR_KEYWORD for p in known.values()):
            return kwargs
        return {k: v for k, v in kwargs.items() if k in known}

    @property
    def store(self) -> State:
        """The state object; what `batch_state` returns for one batch."""
        return self._store

    @property
    def specs(self) -> Mapping[str, StateSpec]:
        """The declared states."""
        return self._specs

    @property
    def metric_state(self) -> dict[str, StateValue]:
        """Current value of every state by name."""
        return dict(self._store.values)

    @property
    def update_count(self) -> int:
        """Number of updates since the last reset."""
        return self._store.count

    @property
    def update_called(self) -> bool:
        """Whether anything was taken in since the last reset."""
        return self._store.count > 0

    @property
    def is_synced(self) -> bool:
        """Whether the state is that of all processes at the moment."""
        return self._unsynced is not None

    @property
    def device(self) -> torch.device:
        """Device of the states; that of the first batch unless the metric was moved by hand."""
        return self._device

    def share_store(self, owner: Metric) -> None:
        """Reads the state of `owner` from now on; the first update of either alone separates them again."""
        self._move(owner.device)
        for metric in (self, owner):
            metric.__dict__.update(_store=owner.store, _shares_store=True)
        self._store.mark_shared()

    def update_shared(self, *args: Any, **kwargs: Any) -> None:
        """Takes in one batch for all metrics that read this one's state."""
        state = self._store if self._store.checked else self._prepare(args, kwargs, writes=False)
        state.mark_checked(shared=False)
        try:
            self.update(*args, **kwargs)
        finally:
            state.mark_shared()

    def _own_store(self) -> State:
        self.__dict__.update(_store=self._store.copy(), _shares_store=False)
        return self._store

    def _fresh_values(self) -> dict[str, StateValue]:
        with ordinary_tensors():
            return {name: spec.fresh() for name, spec in self._specs.items()}

    def _prepare(self, args: tuple[Any, ...], kwargs: dict[str, Any], writes: bool) -> State:
        """Does what is needed once per reset, not once per update; returns the state to update."""
        if self._unsynced is not None:
            raise RuntimeError(f"{type(self).__name__} is synchronised and cannot take in data; call unsync() first")
        state = self._own_store() if self._shares_store and writes else self._store
        state.make_ordinary()
        if state.count == 0:
            for value in (*args, *kwargs.values()):
                if isinstance(value, Tensor):
                    if value.device != self._device:
                        self._move(value.device)
                    break
        state.mark_checked(shared=self._shares_store)
        return state

    def sync(
        self,
        dist_sync_fn: Callable[..., list[Tensor]] | None = None,
        process_group: Any = None,
        should_sync: bool = True,
        distributed_available: Callable[[], bool] | None = None,
    ) -> None:
        """Replaces the local state by that of all processes, until `unsync`; every process of the group must call it.

        Raises:
            RuntimeError: If the metric is synchronised already, or the processes' states do not fit together.
        """
        if not should_sync or not self.is_distributed(distributed_available):
            return
        if self._unsynced is not None:
            raise RuntimeError(f"{type(self).__name__} is synchronised already; call unsync() first")
        fn, group = dist_sync_fn or self.dist_sync_fn, process_group or self.process_group
        self.adopt_synced(_sync.sync_states([self.sync_entries()], group, fn)[0])

    def unsync(self, should_unsync: bool = True) -> None:
        """Puts the local state back."""
        if not should_unsync:
            return
        if self._unsynced is None:
            raise RuntimeError(f"{type(self).__name__} is not synchronised; nothing to undo")
        self.__dict__.update(_store=self._unsynced, _unsynced=None)

    @contextmanager
    def sync_context(
        self,
        dist_sync_fn: Callable[..., list[Tensor]] | None = None,
        process_group: Any = None,
        should_sync: bool = True,
        should_unsync: bool = True,
        distributed_available: Callable[[], bool] | None = None,
    ) -> Iterator[None]:
        """Holds the state of all processes inside the `with` block; afterwards the local one, whatever happens."""
        self.sync(dist_sync_fn, process_group, should_sync, distributed_available)
        try:
            yield
        finally:
            if should_unsync and self._unsynced is not None:
                self.unsync()

    def is_distributed(self, available: Callable[[], bool] | None = None) -> bool:
        """Returns whether there are other processes to synchronise with."""
        return bool((available or self.distributed_available_fn or _sync.is_available)())

    def has_cached_value(self) -> bool:
        """Returns whether `compute` would give the value of all processes without communicating."""
        return self._cache is not None and self._cache[0] == (self._store, self._store.version, True)

    def sync_entries(self) -> _sync.Bundle:
        """Returns what synchronisation sends: the update count and every state with its reduction."""
        entries = [(self._store.values[name], spec.reduce) for name, spec in self._specs.items()]
        return _sync.Bundle(self._store.count, entries)

    def adopt_synced(self, bundle: _sync.Bundle) -> None:
        """Takes over what synchronisation returned; `unsync` undoes it."""
        values = {name: value for name, (value, _) in zip(self._specs, bundle.entries, strict=True)}
        self.__dict__.update(_unsynced=self._store, _store=State(values, bundle.count))

    def __getattr__(self, name: str) -> Any:
        store = self.__dict__.get("_store")
        if store is not None and name in store.values:
            return store.values[name]
        return super().__getattr__(name)

    def __setattr__(self, name: str, value: Any) -> None:
        if name in self.__dict__.get("_specs", ()):
            self._store.set(name, value)
        else:
            super().__setattr__(name, value)

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> Self:
        super()._apply(fn, recurse)
        # fn may also change the dtype (half, bfloat16): only its device is followed, accumulators keep their dtype.
        device = fn(torch.empty(0, device=self._device)).device
        if device != self._device:
            self._move(device)
        return self

    def _move(self, device: torch.device) -> None:
        self.__dict__["_device"] = device
        self.__dict__["_specs"] = {name: spec.to(device) for name, spec in self._specs.items()}
        for state in filter(None, (self._store, self._unsynced)):
            for name, value in state.values.items():
                if isinstance(value, list):
                    moved: StateValue = value if self.compute_on_cpu else [entry.to(device) for entry in value]
                else:
                    moved = value.to(device)
                state.set(name, moved)

    def set_dtype(self, dtype: torch.dtype) -> Self:
        """Converts the floating-point states; the only way to change their dtype."""

        def convert(value: Tensor) -> Tensor:
            return value.to(dtype) if value.is_floating_point() else value

        for name, spec in self._specs.items():
            value = self._store.values[name]
            if isinstance(value, list):
                self._store.set(name, [convert(entry) for entry in value])
            elif isinstance(spec.default, Tensor):
                self._specs[name] = StateSpec(convert(spec.default), spec.reduce, spec.persistent)
                self._store.set(name, convert(value))
        return self

    def persistent(self, mode: bool = True) -> None:
        """Says for all states whether `state_dict` holds them."""
        for name, spec in self._specs.items():
            self._specs[name] = StateSpec(spec.default, spec.reduce, mode)

    def _save_to_state_dict(self, destination: Any, prefix: str, keep_vars: bool) -> None:
        super()._save_to_state_dict(destination, prefix, keep_vars)
        saved = {name: self._store.values[name] for name, spec in self._specs.items() if spec.persistent}
        for name, value in saved.items():
            destination[prefix + name] = list(value) if isinstance(value, list) else value.clone()
        if saved:
            destination[prefix + COUNT_KEY] = torch.tensor(self._store.count)

    def _load_from_state_dict(
        self,
        state_dict: Any,
        prefix: str,
        local_metadata: Any,
        strict: bool,
        missing_keys: list[str],
        unexpected_keys: list[str],
        error_msgs: list[str],
    ) -> None:
        loaded: dict[str, StateValue] = {}
        for name, spec in self._specs.items():
            if prefix + name in state_dict:
                loaded[name] = copy_out(state_dict.pop(prefix + name))
                error_msgs.extend(misfit(prefix + name, spec, loaded[name]))
            elif spec.persistent and strict:
                missing_keys.append(prefix + name)
        count = state_dict.pop(prefix + COUNT_KEY, 1)
        if loaded and not error_msgs:
            self.__dict__.update(_store=State(self._store.values | loaded, int(count)), _shares_store=False)
            self._move(self._device)
        super()._load_from_state_dict(
            state_dict, prefix, local_metadata, strict, missing_keys, unexpected_keys, error_msgs
        )


def _state_of(values: Mapping[str, Any]) -> State:
    return State({k: v for k, v in values.items() if k != COUNT_KEY}, count=int(values.get(COUNT_KEY, 1)))


def sync_together(metrics: Sequence[Metric], group: Any = None) -> None:
    """Synchronises many metrics with the collectives of one; metrics that share a state send it once."""
    stores = {id(metric.store): metric for metric in metrics}
    bundles = _sync.sync_states([metric.sync_entries() for metric in stores.values()], group)
    by_store = dict(zip(stores, bundles, strict=True))
    for metric in metrics:
        metric.adopt_synced(by_store[id(metric.store)])
