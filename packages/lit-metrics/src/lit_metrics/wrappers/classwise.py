"""One named result per class."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from torch import Tensor

from lit_metrics._composite import Composite, Inputs
from lit_metrics.metric import Metric


class ClasswiseWrapper(Composite):
    """Names the entries of a metric that gives one value per class (`average="none"`).

    Keys are `prefix + label + postfix`; without either, the label comes after the lower-case name of the metric's class
    and an underscore.

    Args:
        metric: Metric whose value is a vector.
        labels: Name of each entry; their indices if left out.
        prefix: Put before every label.
        postfix: Put after every label.

    Raises:
        TypeError: If `metric` is no metric or `labels` no list of strings.
        ValueError: In `compute`, if there are not as many labels as entries.

    Example:
        >>> from lit_metrics import ClasswiseWrapper, MulticlassAccuracy
        >>> accuracy = MulticlassAccuracy(num_classes=2, average="none")
        >>> ClasswiseWrapper(accuracy, labels=["cat", "dog"], prefix="accuracy_")([0, 1, 0, 0], [0, 1, 1, 0])
        {'accuracy_cat': tensor(1., dtype=torch.float64), 'accuracy_dog': tensor(0.5000, dtype=torch.float64)}
    """

    def __init__(
        self, metric: Metric, labels: Sequence[str] | None = None, prefix: str | None = None, postfix: str | None = None
    ) -> None:
        super().__init__()
        require_metric(metric, "metric")
        if labels is not None and (isinstance(labels, str) or not all(isinstance(label, str) for label in labels)):
            raise TypeError(f"labels must be a list of strings, got {labels!r}")
        self.metric = metric
        self.labels = None if labels is None else list(labels)
        self.prefix = prefix
        self.postfix = postfix

    def parts(self) -> Sequence[Metric]:
        """Returns the metric."""
        return [self.metric]

    def route(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Sequence[Inputs]:
        """Passes the inputs on."""
        return [(args, kwargs)]

    def combine(self, values: Sequence[Tensor]) -> dict[str, Tensor]:
        """Returns the entries of the metric's value by name."""
        value = values[0]
        if value.ndim == 0:
            raise ValueError(f"{type(self.metric).__name__} gives a single value; ask it for one per class")
        labels = [str(i) for i in range(len(value))] if self.labels is None else self.labels
        if len(labels) != len(value):
            raise ValueError(f"there are {len(labels)} labels for {len(value)} values of {type(self.metric).__name__}")
        prefix = self.prefix
        if prefix is None:
            prefix = f"{type(self.metric).__name__.lower()}_" if self.postfix is None else ""
        return {f"{prefix}{label}{self.postfix or ''}": entry for label, entry in zip(labels, value, strict=True)}


def require_metric(metric: Any, name: str) -> None:
    """Raises a `TypeError` unless `metric` is a `Metric`."""
    if not isinstance(metric, Metric):
        raise TypeError(f"{name} must be a Metric, got {type(metric).__name__}")
