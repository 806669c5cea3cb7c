"""The state of metric objects inside an epoch, which no state dict holds."""

from collections.abc import Iterator, Mapping
from typing import Any, Protocol, TypeVar, runtime_checkable

from torch import Tensor, nn

_COUNT = "_update_count"
M = TypeVar("M", bound=nn.Module)


@runtime_checkable
class StatefulMetric(Protocol):
    """A metric whose state can be read and merged, as those of lit-metrics and torchmetrics can."""

    metric_state: Mapping[str, Any]

    def reset(self) -> Any:
        """Forget everything."""

    def merge_state(self, state: Any) -> Any:
        """Take in a state."""


def metric_states(module: nn.Module) -> dict[str, dict[str, Any]]:
    """Copies of the states of all metrics of a module that have seen something, by their path in it."""
    states: dict[str, dict[str, Any]] = {}
    for path, metric in _metrics(module):
        count = getattr(metric, "update_count", 1)
        if count:
            states[path] = {name: _copy(value) for name, value in metric.metric_state.items()} | {_COUNT: int(count)}
    return states


def restore_metric_states(module: nn.Module, *ranks: dict[str, dict[str, Any]]) -> None:
    """Give the metrics of a module the states of one rank, or of several whose work this one takes over."""
    metrics = dict(_metrics(module))
    for states in ranks:
        for path, state in states.items():
            if path in metrics:
                metrics[path].merge_state(state)


def return_metrics(module: nn.Module, states: Mapping[str, dict[str, Any]]) -> None:
    """Let the metrics of a module forget what they have seen since :func:`metric_states` gave ``states``."""
    for path, metric in _metrics(module):
        state = states.get(path)
        if getattr(metric, "update_count", None) != (0 if state is None else state[_COUNT]):
            metric.reset()
            if state is not None:
                metric.merge_state(state)


def without_metrics(module: M) -> M:
    """The module with an identity in place of each metric: they measure, and are no part of the forward pass."""
    for path, child in list(module.named_modules()):
        if path and isinstance(child, StatefulMetric):
            parent, _, name = path.rpartition(".")
            module.get_submodule(parent).register_module(name, nn.Identity())
    return module


def _metrics(module: nn.Module) -> Iterator[tuple[str, StatefulMetric]]:
    """The metrics themselves, not the collections and combinations that hold them."""
    # To ask the protocol takes tens of microseconds, which a module of thousands would pay at each validation.
    likely = ((path, child) for path, child in module.named_modules() if hasattr(type(child), "merge_state"))
    found = {path: child for path, child in likely if isinstance(child, StatefulMetric)}
    for path, child in found.items():
        if not any(other.startswith(f"{path}.") for other in found):
            yield path, child


def _copy(value: Any) -> Any:
    if isinstance(value, Tensor):
        return value.detach().clone()
    return [_copy(item) for item in value] if isinstance(value, list) else value
