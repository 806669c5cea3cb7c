"""Metrics of several tasks that come in one batch."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from torch import nn

from lit_metrics._composite import Composite, Inputs
from lit_metrics.collection import MetricCollection
from lit_metrics.metric import Metric

if TYPE_CHECKING:
    from typing_extensions import Self


class MultitaskWrapper(Composite):
    """A metric or collection for each task; predictions and targets come as dicts by task.

    Args:
        task_metrics: Metric or collection by the name of its task.
        prefix: Put before the names of tasks in the result.
        postfix: Put after them.

    Returns:
        The value of each task by name; a dict for a collection.

    Raises:
        TypeError: If `task_metrics` holds something else.
        ValueError: In `update`, if the tasks of the inputs are not those of the metrics.

    Example:
        >>> from lit_metrics import BinaryAccuracy, MeanSquaredError, MultitaskWrapper
        >>> metric = MultitaskWrapper({"price": MeanSquaredError(), "sold": BinaryAccuracy()})
        >>> metric.update({"price": [3.0], "sold": [0.7]}, {"price": [5.0], "sold": [1]})
        >>> {task: float(value) for task, value in metric.compute().items()}
        {'price': 4.0, 'sold': 1.0}
    """

    def __init__(
        self,
        task_metrics: Mapping[str, Metric | MetricCollection],
        prefix: str | None = None,
        postfix: str | None = None,
    ) -> None:
        super().__init__()
        if not isinstance(task_metrics, Mapping) or not task_metrics:
            raise TypeError(f"task_metrics must be a dict of metrics by task, got {task_metrics!r}")
        for task, metric in task_metrics.items():
            if not isinstance(metric, (Metric, MetricCollection)):
                raise TypeError(f"task_metrics[{task!r}] must be a Metric or MetricCollection, got {metric!r}")
        for name, text in (("prefix", prefix), ("postfix", postfix)):
            if text is not None and not isinstance(text, str):
                raise TypeError(f"{name} must be a string, got {text!r}")
        self.task_metrics = nn.ModuleDict(task_metrics)
        self.prefix = prefix or ""
        self.postfix = postfix or ""

    def parts(self) -> Sequence[Any]:
        """Returns the metrics in the order of the tasks."""
        return list(self.task_metrics.values())

    def route(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Sequence[Inputs]:
        """Gives every metric the entries of its task; dicts by task among further arguments are split too."""
        tasks = list(self.task_metrics)
        if len(args) < 2:
            raise TypeError(f"predictions and targets by task are needed, got {len(args)} arguments")
        for name, value in zip(("task_preds", "task_targets"), args, strict=False):
            if not isinstance(value, Mapping) or set(value) != set(tasks):
                got = sorted(value) if isinstance(value, Mapping) else type(value).__name__
                raise ValueError(f"{name} must be a dict with the tasks {tasks}, got {got}")

        def entry(value: Any, task: str) -> Any:
            return value[task] if isinstance(value, Mapping) else value

        return [
            (tuple(entry(arg, task) for arg in args), {name: entry(arg, task) for name, arg in kwargs.items()})
            for task in tasks
        ]

    def combine(self, values: Sequence[Any]) -> dict[str, Any]:
        """Returns the values by task."""
        return dict(zip(self.keys(flatten=False), values, strict=True))

    def items(self, flatten: bool = True) -> Iterator[tuple[str, Any]]:
        """Yields names and metrics; those inside of collections too with `flatten`."""
        for task, metric in self.task_metrics.items():
            if flatten and isinstance(metric, MetricCollection):
                for name, inner in metric.items():
                    yield f"{self.prefix}{task}_{name}{self.postfix}", inner
            else:
                yield f"{self.prefix}{task}{self.postfix}", metric

    def keys(self, flatten: bool = True) -> Iterator[str]:
        """Yields the names of `items`."""
        return (name for name, _ in self.items(flatten))

    def values(self, flatten: bool = True) -> Iterator[Any]:
        """Yields the metrics of `items`."""
        return (metric for _, metric in self.items(flatten))

    def clone(self, prefix: str | None = None, postfix: str | None = None) -> Self:
        """Returns an independent copy, with another prefix or postfix if given."""
        new = super().clone()
        new.rename(self.prefix if prefix is None else prefix, self.postfix if postfix is None else postfix)
        return new

    def rename(self, prefix: str, postfix: str) -> None:
        """Changes what stands before and after the names of tasks."""
        self.prefix, self.postfix = prefix, postfix
