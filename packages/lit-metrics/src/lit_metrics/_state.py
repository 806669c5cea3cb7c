"""The state of a metric as a commutative monoid: named values, a reduction each, and how they merge."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, Literal, TypeAlias

import torch
from torch import Tensor
from torch.compiler import is_compiling

StateValue: TypeAlias = Tensor | list[Tensor]
Reduction: TypeAlias = Literal["sum", "mean", "max", "min", "cat"] | Callable[[Any], Any] | None


def ordinary_tensors() -> AbstractContextManager[Any]:
    """Returns a context in which new tensors are ordinary ones, also inside `torch.inference_mode`."""
    if is_compiling():  # which cannot trace the question
        return nullcontext()
    return torch.inference_mode(False) if torch.is_inference_mode_enabled() else nullcontext()


REDUCTIONS = ("sum", "mean", "max", "min", "cat")


@dataclass(frozen=True)
class Merge:
    """A reduction that merges two values, for states that no named reduction merges exactly, such as moments.

    Unlike any other function of stacked values it promises that merging is associative and commutative up to rounding
    and that the default is its identity, so that `forward`, `merge_state` and synchronisation need one update only. A
    value of shape `(0,)` waits for its shape, as with the named reductions.

    Attributes:
        pair: Merges two tensors of one shape into a new one; a function of a module, so that metrics can be pickled.
    """

    pair: Callable[[Tensor, Tensor], Tensor]

    def __call__(self, stacked: Tensor) -> Tensor:
        """Merges the values of all processes, in order."""
        return functools.reduce(self.merge, stacked.unbind(0))

    def merge(self, mine: Tensor, other: Tensor) -> Tensor:
        """Merges two values."""
        known = mine.shape == other.shape and mine.shape != (0,)
        return self.pair(mine, other) if known else _with_shape(mine, other)


@dataclass(frozen=True)
class StateSpec:
    """What `add_state` declared: the identity value, the reduction, and whether checkpoints hold it."""

    default: StateValue
    reduce: Reduction
    persistent: bool

    @cached_property
    def mergeable(self) -> bool:
        """Whether two values can be merged by the declared reduction alone, with the default as identity."""
        if isinstance(self.default, list):
            return self.reduce is None or self.reduce == "cat"
        if self.reduce == "sum":
            return not bool(self.default.any())
        return self.reduce in REDUCTIONS or isinstance(self.reduce, Merge)

    def fresh(self) -> StateValue:
        """Returns a new identity value that shares no memory with the default."""
        return list(self.default) if isinstance(self.default, list) else self.default.clone()

    def to(self, device: torch.device) -> StateSpec:
        """Returns the same declaration with its default on `device`."""
        return self if isinstance(self.default, list) else replace(self, default=self.default.to(device))


class State:
    """The values of one metric at one moment; several metrics of one compute group may share the object.

    Attributes:
        values: Value by state name.
        busy: True inside `update` or `compute`, so that `super().update(...)` runs plainly.
        checked: False until device and sync were looked at.
        ready: Checked, and nobody else's: an update may write to it.
        traced: Updates by compiled graphs that are not in `count` yet, if there was ever one.
    """

    __slots__ = ("_count", "_one_batch", "_reading", "_version", "busy", "checked", "ready", "traced", "values")

    def __init__(self, values: dict[str, StateValue], count: int = 0, one_batch: bool = False) -> None:
        self.values = values
        self._count = count
        self._version = 0
        self._one_batch = one_batch
        self.traced: Tensor | None = None
        self.busy = False
        self.checked = False
        self.ready = False
        self._reading: tuple[int, Any] | None = None

    def __getstate__(self) -> tuple[dict[str, StateValue], int]:
        return self.values, self.count

    def __setstate__(self, state: tuple[dict[str, StateValue], int]) -> None:
        self.__init__(*state)  # type: ignore[misc]

    @property
    def count(self) -> int:
        """Number of updates that went in."""
        if self.traced is not None:
            self._fold()
        return self._count

    @property
    def version(self) -> int:
        """Moves with every change, so that a cached result knows when it is stale."""
        if self.traced is not None:
            self._fold()
        return self._version

    def _fold(self) -> None:
        if is_compiling():
            raise RuntimeError("the number of updates is not known inside a compiled graph; keep it in a tensor state")
        updates = int(self.traced)  # type: ignore[arg-type]
        if updates:
            with ordinary_tensors():
                self.traced = torch.zeros_like(self.traced)  # type: ignore[arg-type]
            self.advance(updates)

    def copy(self) -> State:
        """Returns a state that shares no memory with this one, list entries apart: those are never written to."""
        return State({k: list(v) if isinstance(v, list) else v.clone() for k, v in self.values.items()}, self.count)

    def reading(self, make: Callable[[], Any]) -> Any:
        """Returns `make()`, remembered until the state changes, so that metrics that share a state read it once."""
        if self._reading is None or self._reading[0] != self.version:
            self._reading = (self.version, make())
        return self._reading[1]

    def begin(self) -> None:
        """An `update` or `compute` starts to work on it."""
        self.busy = True

    def end(self) -> None:
        """It is done, or failed."""
        self.busy = False

    def advance(self, updates: int = 1) -> None:
        """Counts updates that went in."""
        self._count += updates
        self._version += 1

    def advance_in_graph(self, updates: int = 1) -> None:
        """Counts updates inside a compiled graph: in a tensor, as numbers are compiled in, unless the graph made it."""
        if self._one_batch:
            self.advance(updates)
            return
        if self.traced is None:
            device = next((v.device for v in self.values.values() if isinstance(v, Tensor)), None)
            self.traced = torch.zeros((), dtype=torch.long, device=device)
        self.traced.add_(updates)

    def mark_checked(self, shared: bool) -> None:
        """Lets the next update skip the checks of device and sync, and of sharing unless it is shared."""
        self.checked, self.ready = True, not shared

    def mark_shared(self) -> None:
        """Several metrics read it from now on."""
        self.ready = False

    def adopt(self, other: State, device: torch.device) -> None:
        """Takes over a copy of `other`, count included: what merging into an empty state gives, whatever the rule."""
        with ordinary_tensors():
            for name, value in other.values.items():
                if isinstance(value, list):
                    self.values[name] = [entry.to(device) for entry in value]
                else:
                    self.values[name] = value.detach().to(device, copy=True)
        self._count = other.count
        self._version += 1

    def complete(self, identity: dict[str, StateValue]) -> None:
        """Gives the states that nobody wrote their identity value."""
        self.values = identity | self.values

    def set(self, name: str, value: StateValue) -> None:
        """Writes one value."""
        self.values[name] = value
        if not is_compiling():  # else `advance` says that something changed
            self._version += 1

    def backup(self) -> dict[str, tuple[StateValue, Tensor | int]]:
        """Returns what `restore` needs; constant time for list states however long they are."""
        return {k: (v, len(v) if isinstance(v, list) else v.clone()) for k, v in self.values.items()}

    def restore(self, backup: dict[str, tuple[StateValue, Tensor | int]]) -> None:
        """Puts every value back to what it was when `backup` was taken."""
        for name, (value, saved) in backup.items():
            if isinstance(value, list):
                del value[int(saved) :]
                self.values[name] = value
            elif isinstance(saved, Tensor):
                self.values[name] = saved

    def make_ordinary(self) -> None:
        """Replaces tensors made in inference mode, which could not be updated in place outside of it."""
        if is_compiling():
            return
        with ordinary_tensors():
            for name, value in self.values.items():
                if isinstance(value, Tensor) and value.is_inference():
                    self.values[name] = value.clone()
            if self.traced is not None and self.traced.is_inference():
                self.traced = self.traced.clone()

    def own(self, backup: dict[str, tuple[StateValue, Tensor | int]]) -> None:
        """Copies what an update stored since `backup`: the caller may write to its tensors afterwards."""
        for name, value in self.values.items():
            before, length = backup[name]
            if isinstance(value, list):
                start = int(length) if value is before else 0
                value[start:] = [entry.detach().clone() for entry in value[start:]]
            elif value is not before and isinstance(value, Tensor):
                self.values[name] = value.detach().clone()

    def lists_to_cpu(self) -> None:
        """Moves the newest entries of list states to host memory."""
        for value in self.values.values():
            if isinstance(value, list):
                for i in range(len(value) - 1, -1, -1):
                    if value[i].device.type == "cpu":
                        break
                    value[i] = value[i].cpu()


def merge_value(reduce: Reduction, mine: StateValue, other: StateValue, counts: tuple[int, int]) -> StateValue:
    """Merges two values of one state; `mine` may be changed in place.

    Args:
        reduce: The declared reduction.
        mine: Value that absorbs.
        other: Value that is absorbed; never changed.
        counts: Updates behind `mine` and `other`; they weight a `"mean"`.

    Raises:
        RuntimeError: If the state declares no reduction, or the values are on different devices.
    """
    if isinstance(mine, list):
        mine.extend(other)
        return mine
    if isinstance(other, list):
        raise TypeError("cannot merge a list of tensors into a tensor state")
    if reduce == "sum" and mine.shape == other.shape and mine.dtype is other.dtype and mine.is_cpu == other.is_cpu:
        return mine.add_(other)  # nearly every merge of every batch
    if other.device != mine.device:
        raise RuntimeError(
            f"metric state is on {mine.device}, the new data on {other.device}. A metric follows the device of its"
            f" first batch; move it with metric.to({str(other.device)!r}) or keep all batches on one device."
        )
    if reduce == "sum":
        return _add(mine, other)
    if reduce == "max":
        return torch.maximum(mine, other)
    if reduce == "min":
        return torch.minimum(mine, other)
    if reduce == "cat":
        return torch.cat([mine, other])
    if reduce == "mean":
        total = sum(counts)
        return mine if total == 0 else (mine * counts[0] + other * counts[1]) / total
    if reduce is None:
        raise RuntimeError(
            "a tensor state with dist_reduce_fx=None has no rule to merge by; declare 'sum', 'mean', 'max', 'min' or"
            " 'cat', or override merge_state"
        )
    if isinstance(reduce, Merge):
        return reduce.merge(mine, other)
    return _as_tensor_value(reduce(torch.stack([mine, other])))


def _as_tensor_value(value: Any) -> Tensor:
    return value if isinstance(value, Tensor) else torch.as_tensor(value)


def _add(mine: Tensor, other: Tensor) -> Tensor:
    if mine.shape != other.shape:
        return _with_shape(mine, other)
    if other.dtype != mine.dtype and torch.promote_types(mine.dtype, other.dtype) != mine.dtype:
        return mine + other  # counts turn into weighted sums with the first sample weight
    return mine.add_(other)


def _with_shape(mine: Tensor, other: Tensor) -> Tensor:
    """Returns the value that has its shape; one of shape (0,) waits for it: sizes that only the first batch tells."""
    if other.shape == (0,):
        return mine
    if mine.shape == (0,):
        return other.clone()
    raise RuntimeError(f"cannot merge states of shape {tuple(mine.shape)} and {tuple(other.shape)}")


def merge_into(mine: State, theirs: State, specs: Mapping[str, StateSpec]) -> None:
    """Merges `theirs` into `mine`, in place; a failure leaves `mine` with its old count."""
    compiling = is_compiling()
    if not compiling and torch.is_inference_mode_enabled():
        with torch.inference_mode(False):
            merge_into(mine, theirs, specs)
        return
    if mine.traced is not None:
        mine.make_ordinary()
    values = mine.values
    for name, spec in specs.items():
        counts = (mine.count, theirs.count) if spec.reduce == "mean" else (0, 0)
        values[name] = merge_value(spec.reduce, values[name], theirs.values[name], counts)
    if compiling:
        mine.advance_in_graph(theirs.count)
    else:
        mine.advance(theirs.count)


def copy_out(value: Any) -> Any:
    """Returns a copy of a value whose tensors share no memory with it; other objects pass through."""
    if isinstance(value, Tensor):
        return value.detach().clone()
    if isinstance(value, dict):
        return {k: copy_out(v) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        parts = [copy_out(v) for v in value]
        return type(value)(*parts) if hasattr(value, "_fields") else type(value)(parts)
    return value


def misfit(key: str, spec: StateSpec, value: Any) -> list[str]:
    """Returns what is wrong with a loaded value, as a list of at most one message."""
    default = spec.default
    if isinstance(default, list) or not isinstance(value, Tensor):
        expected = list if isinstance(default, list) else Tensor
        return [] if isinstance(value, expected) else [f"{key}: expected a {expected.__name__}, got {value!r}"]
    waits = spec.reduce == "cat" or default.shape == (0,)
    if not waits and value.shape != default.shape:
        return [f"{key}: expected shape {tuple(default.shape)}, got {tuple(value.shape)}"]
    return []
