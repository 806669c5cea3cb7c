"""One logged key: its options, its values since the last flush, its running reduction."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol, runtime_checkable

import torch
from torch import Tensor

REDUCTIONS = ("mean", "sum", "min", "max")
_FUNCTIONS: dict[Any, str] = {
    torch.mean: "mean",
    torch.sum: "sum",
    torch.min: "min",
    torch.max: "max",
    sum: "sum",
    min: "min",
    max: "max",
}
_OLDER = {
    "enable_graph",
    "metric_attribute",
    "sync_dist_group",
    "sync_dist_op",
    "tbptt_pad_token",
    "tbptt_reduce_fx",
}
_OWN = "own"  # in a checkpoint: a function of the user's, which is not saved
_FOLD_AT = 32  # values kept before they are folded into the running reduction: memory does not grow with steps


@runtime_checkable
class MetricLike(Protocol):
    """All that is asked of a metric object given to ``self.log``."""

    def update(self, *args: Any, **kwargs: Any) -> Any:
        """Take a batch in."""

    def compute(self) -> Any:
        """The value so far."""

    def reset(self) -> Any:
        """Forget everything."""


class Options(NamedTuple):
    """What a call of ``self.log`` asked for; the same key must ask for the same each time."""

    prog_bar: bool
    logger: bool
    on_step: bool
    on_epoch: bool
    reduce_fx: str | Callable[..., Any]
    sync_dist: bool
    rank_zero_only: bool


@dataclass(frozen=True)
class Reduced:
    """What one rank knows of a key at a flush: enough to reduce over ranks exactly."""

    options: Options
    total: float
    weight: float
    values: tuple[float, ...] = ()
    """Every value, for a reduction of the user's own."""


class Entry:
    """Values of one key. Appending never reads a device; :meth:`reduced` does, at a flush."""

    __slots__ = (
        "_each",
        "_kept",
        "_total",
        "_values",
        "_weight",
        "adds",
        "fresh",
        "gathers",
        "keeps",
        "key",
        "latest",
        "logged",
        "metric",
        "metric_path",
        "options",
        "weighted",
    )

    def __init__(self, key: str, options: Options) -> None:
        self.key = key
        self.options = options
        self.gathers = options.on_epoch
        self.weighted = options.on_epoch and options.reduce_fx == "mean"
        self.adds = options.reduce_fx in ("mean", "sum")
        self.keeps = callable(options.reduce_fx) or options.reduce_fx == _OWN
        self.latest: Tensor | float | None = None
        self.fresh = False
        self.metric: MetricLike | None = None
        self.metric_path: str | None = None
        self.clear()

    def clear(self) -> None:
        """Forget what was reduced so far (the last value stays readable)."""
        self._values: list[Tensor] = []
        self._kept: list[Tensor | float] = []
        self._each = 1.0
        self._total: Tensor | float | None = None
        self._weight = 0.0
        self.fresh = False
        self.logged = False
        if self.metric is not None and not self.options.on_epoch:
            self.metric.reset()

    def set_metric(self, metric: MetricLike, path: str | None) -> None:
        """This key's value is computed by ``metric``, found at ``path`` in the module."""
        self.metric, self.metric_path = metric, path

    @property
    def measures(self) -> bool:
        """Whether this key's value is computed by a metric."""
        return self.metric is not None or self.metric_path is not None

    def mark_logged(self) -> None:
        """The metric of this key was logged."""
        self.fresh = self.logged = True

    def mark_read(self) -> None:
        """The last value was written out."""
        self.fresh = False

    def take_over(self, other: "Entry") -> None:
        """Go on from the running reduction of an entry that was restored."""
        self._total, self._weight, self._kept = other.total, other.weight, list(other.kept)

    def join(self, other: "Entry") -> None:
        """Take in the running reduction of another rank's entry."""
        self._kept += other.kept
        if other.fresh:
            self.latest, self.fresh = other.latest, True
        if other.total is not None and not self.keeps:
            self._join(other.total)
            self._weight += other.weight

    def add(self, value: Any, weight: float) -> None:
        """Append a value; a tensor on an accelerator stays there, detached from its graph and the caller's buffer."""
        if isinstance(value, Tensor):
            if not value.is_cpu:
                self._add_on_device(value, weight)
                return
            try:
                value = value.item()  # in host memory already: reading it waits for nobody, and costs less than a copy
            except (RuntimeError, ValueError):
                self._check_scalar(value)
                raise
        elif not isinstance(value, (int, float)):
            value = self._number(value)
        self.latest = value
        self.fresh = self.logged = True
        if self.keeps:
            self._kept.append(value)
        elif self.gathers:
            self._join(value * weight if self.weighted else value)
            self._weight += weight

    def _add_on_device(self, value: Tensor, weight: float) -> None:
        self._check_scalar(value)
        # A copy: `loss += penalty` after the call changes a loss in place, graph or not.
        self.latest = value = value.detach().reshape(()).clone()
        self.fresh = self.logged = True
        if self.keeps:
            self._kept.append(value)
        elif self.gathers:
            if weight != self._each:
                self._fold()
                self._each = weight
            self._values.append(value)
            if len(self._values) == _FOLD_AT:
                self._fold()

    def _check_scalar(self, value: Tensor) -> None:
        if value.numel() != 1:
            raise ValueError(
                f"self.log({self.key!r}, ...) takes one number, got a tensor of shape {tuple(value.shape)}: "
                "reduce it first (value.mean())."
            ) from None

    def _number(self, value: Any) -> float:
        try:
            return float(value)
        except (TypeError, ValueError):
            raise TypeError(
                f"self.log({self.key!r}, ...) takes a number, a tensor with one element or a metric, "
                f"got {type(value).__name__}. For a dict use self.log_dict."
            ) from None

    def _fold(self) -> None:
        """Reduce the buffered values into the running total, on their device, in float64 where it exists."""
        if not self._values:
            return
        stacked = _wide(torch.stack(self._values))
        if self.options.reduce_fx == "mean":
            self._join(stacked.sum() * self._each)
        elif self.options.reduce_fx == "sum":
            self._join(stacked.sum())
        else:
            self._join(stacked.amin() if self.options.reduce_fx == "min" else stacked.amax())
        self._weight += self._each * len(self._values)
        self._values = []

    def _join(self, part: Tensor | float) -> None:
        if self._total is None:
            self._total = part
        elif self.adds:
            self._total = self._total + part
        else:
            self._total = combine(str(self.options.reduce_fx), self._total, part)

    @property
    def total(self) -> Tensor | float | None:
        """The running reduction, on its device; None where nothing was added since :meth:`clear`."""
        if self.keeps:
            return 0.0 if self._kept else None
        self._fold()
        return self._total

    @property
    def kept(self) -> list[Tensor | float]:
        """Every value, for a reduction of the user's own."""
        return self._kept

    @property
    def weight(self) -> float:
        """Sum of the weights behind :attr:`total`."""
        self._fold()
        return self._weight

    def newest(self) -> Tensor | float:
        """The last value, unread; of a metric, its value so far."""
        if self.metric is not None:
            return float(self.metric.compute())
        assert self.latest is not None
        return self.latest

    def reduced(self, total: float) -> Reduced:
        """This rank's part; ``total`` is the value of :attr:`total`, read on the host."""
        return Reduced(self.options, total, self._weight, tuple(to_host(self._kept)))

    def state_dict(self) -> dict[str, Any]:
        """The running reduction, for a checkpoint taken inside an epoch."""
        total = self.total
        options = self.options._replace(reduce_fx=_OWN) if self.keeps else self.options
        waits = self.fresh and options.on_step and self.latest is not None
        return {
            "key": self.key,
            "options": list(options),
            "total": total.item() if isinstance(total, Tensor) else total,
            "weight": self._weight,
            "values": to_host(self._kept),
            "unwritten": to_host([self.newest()]) if waits else [],
            "metric": self.metric_path,
        }

    @classmethod
    def from_state(cls, state: dict[str, Any]) -> "Entry":
        """Build from :meth:`state_dict`."""
        entry = cls(state["key"], Options(*state["options"]))
        entry._total, entry._weight = state["total"], state["weight"]
        entry._kept = list(state.get("values", ()))
        for value in state.get("unwritten", ()):
            entry.latest, entry.fresh = value, True
        entry.metric_path = state.get("metric")
        entry.logged = entry.measures
        return entry


def combine(reduce_fx: str, a: Any, b: Any) -> Any:
    """Join two parts of a sum, minimum or maximum; parts of a mean are sums."""
    if reduce_fx in ("mean", "sum"):
        return a + b
    if isinstance(a, Tensor) or isinstance(b, Tensor):
        pair = torch.stack([torch.as_tensor(a, dtype=torch.float64), torch.as_tensor(b, dtype=torch.float64)])
        return pair.amin() if reduce_fx == "min" else pair.amax()
    if a != a or b != b:
        return float("nan")
    return min(a, b) if reduce_fx == "min" else max(a, b)


def merge(parts: list[Reduced]) -> float:
    """The value of a key from the parts of all ranks: sums are added and divided once."""
    reduce_fx = parts[0].options.reduce_fx
    if parts[0].options.rank_zero_only:
        parts = parts[:1]
    if reduce_fx == _OWN:
        raise RuntimeError(
            "A key with a reduce_fx of your own was logged in this epoch before the run was resumed and not after it, "
            "so its function is not known: log it in every epoch, or save at the end of epochs."
        )
    if callable(reduce_fx):
        return float(reduce_fx(torch.tensor([v for part in parts for v in part.values], dtype=torch.float64)))
    total = parts[0].total
    for part in parts[1:]:
        total = combine(reduce_fx, total, part.total)
    if reduce_fx != "mean":
        return float(total)
    weight = sum(part.weight for part in parts)
    return float(total / weight) if weight else float("nan")


def named_reduction(reduce_fx: Any) -> Any:
    """``reduce_fx`` by its name where it has one of ours; a function of the user's own as it is.

    Raises:
        ValueError: if it is neither.
    """
    name = _FUNCTIONS.get(reduce_fx, reduce_fx) if callable(reduce_fx) else reduce_fx
    if name not in REDUCTIONS and not callable(name):
        raise ValueError(f"reduce_fx must be one of {REDUCTIONS} or a function of all values, got {reduce_fx!r}.")
    return name


def refuse_unknown(older: Mapping[str, Any]) -> None:
    """Accept arguments that ``self.log`` once had and that have no use any more.

    Raises:
        TypeError: for any other.
    """
    unknown = sorted(set(older) - _OLDER)
    if unknown:
        raise TypeError(f"self.log takes no argument {', '.join(map(repr, unknown))}.")


def _wide(value: Tensor) -> Tensor:
    return value.float() if value.device.type == "mps" else value.double()


def to_host(values: list[Tensor | float]) -> list[float]:
    """Read many values at once: one copy per device, whatever their number."""
    result: list[float] = [0.0] * len(values)
    by_device: dict[torch.device, list[int]] = {}
    for i, value in enumerate(values):
        if isinstance(value, Tensor):
            by_device.setdefault(value.device, []).append(i)
        else:
            result[i] = float(value)
    for places in by_device.values():
        tensors = [values[i] for i in places]
        packed = torch.stack([_wide(t) for t in tensors if isinstance(t, Tensor)]).tolist()
        for i, number in zip(places, packed, strict=True):
            result[i] = number
    return result
