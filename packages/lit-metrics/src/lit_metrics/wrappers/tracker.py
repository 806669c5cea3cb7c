"""The history of a metric over epochs, or any other steps."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from lit_metrics._composite import Composite, Inputs
from lit_metrics.collection import MetricCollection
from lit_metrics.metric import Metric


class MetricTracker(Composite):
    """Keeps a copy of a metric or collection for every step: `increment()` starts one, `update` feeds the newest.

    `update`, `forward`, `compute` and `reset` are of the newest step; merging, saving and moving are of all of them.

    Args:
        metric: Metric or collection, copied at every step.
        maximize: Whether the best value is the largest; for a collection also a list, one per metric. `None` asks the
            metrics (`higher_is_better`).

    Raises:
        TypeError: If `metric` is neither a metric nor a collection.
        ValueError: If `maximize` does not fit.
        RuntimeError: If used before the first `increment()`.

    Example:
        >>> from lit_metrics import MeanSquaredError, MetricTracker
        >>> tracker = MetricTracker(MeanSquaredError())
        >>> for epoch in range(3):
        ...     tracker.increment()
        ...     tracker.update([0.0, 0.0], [2.0 - epoch, 0.0])
        >>> tracker.compute_all()
        tensor([2.0000, 0.5000, 0.0000], dtype=torch.float64)
        >>> tracker.best_metric(return_step=True)
        (0.0, 2)
    """

    def __init__(self, metric: Metric | MetricCollection, maximize: bool | Sequence[bool] | None = None) -> None:
        super().__init__()
        if not isinstance(metric, (Metric, MetricCollection)):
            raise TypeError(f"metric must be a Metric or MetricCollection, got {type(metric).__name__}")
        if maximize is not None and not isinstance(maximize, bool):
            if not isinstance(metric, MetricCollection) or len(maximize) != len(metric):
                raise ValueError("a list of maximize needs a MetricCollection of as many metrics")
            maximize = list(maximize)
        self.maximize = maximize
        self._template = (metric,)  # in a tuple it is no submodule: it is only ever copied
        self.steps = nn.ModuleList()

    @property
    def n_steps(self) -> int:
        """Number of steps so far."""
        return len(self.steps)

    def increment(self) -> None:
        """Starts a new step."""
        new = self._template[0].clone()
        new.reset()
        self.steps.append(new.to(self.device))

    def parts(self) -> Sequence[Any]:
        """Returns the metric of the newest step."""
        return list(self.steps)[-1:]

    def route(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Sequence[Inputs]:
        """Feeds the newest step."""
        self._require_steps()
        return [(args, kwargs)]

    def combine(self, values: Sequence[Any]) -> Any:
        """Returns the value of the newest step."""
        self._require_steps()
        return values[0]

    def compute_all(self) -> Any:
        """Returns the values of all steps: stacked tensors, by name for a collection, a list if they do not stack."""
        self._require_steps()
        steps: list[Any] = list(self.steps)
        return _stacked([step.compute() for step in steps])

    def best_metric(self, return_step: bool = False) -> Any:
        """Returns the best value of all steps, and the step it is of if asked; dicts of both for a collection.

        `None` stands for a metric without a single best value: all steps are nan, or the values are no single numbers.

        Raises:
            ValueError: If neither `maximize` nor the metric says which value is better.
        """
        history = self.compute_all()
        template = self._template[0]
        if isinstance(template, MetricCollection):
            wanted = self.maximize if isinstance(self.maximize, list) else [self.maximize] * len(template)
            found = {
                name: _best(history.get(name), _larger_is_better(metric, larger))
                for (name, metric), larger in zip(template.items(), wanted, strict=True)
            }
            values = {name: value for name, (value, _) in found.items()}
            return (values, {name: step for name, (_, step) in found.items()}) if return_step else values
        assert not isinstance(self.maximize, list)
        best = _best(history, _larger_is_better(template, self.maximize))
        return best if return_step else best[0]

    def reset_all(self) -> None:
        """Forgets all steps."""
        self.steps = nn.ModuleList()

    def __len__(self) -> int:
        return self.n_steps

    def _require_steps(self) -> None:
        if not self.n_steps:
            raise RuntimeError("the tracker has no step yet; call increment() first")

    def _load_from_state_dict(self, state_dict: Any, prefix: str, *args: Any, **kwargs: Any) -> None:
        start = f"{prefix}steps."
        saved = {int(key[len(start) :].partition(".")[0]) for key in state_dict if key.startswith(start)}
        while self.n_steps <= max(saved, default=-1):
            self.increment()
        super()._load_from_state_dict(state_dict, prefix, *args, **kwargs)


def _larger_is_better(metric: Metric, maximize: bool | None) -> bool:
    maximize = metric.higher_is_better if maximize is None else maximize
    if maximize is None:
        raise ValueError(f"{type(metric).__name__} does not say which value is better; pass maximize=")
    return maximize


def _stacked(values: list[Any]) -> Any:
    if isinstance(values[0], dict):
        return {name: _stacked([value[name] for value in values]) for name in values[0]}
    try:
        return torch.stack([torch.as_tensor(value) for value in values])
    except (TypeError, ValueError, RuntimeError):
        return values


def _best(history: Any, maximize: bool) -> tuple[float | None, int | None]:
    if not isinstance(history, Tensor) or history.ndim != 1 or bool(history.isnan().all()):
        return None, None
    worst = -torch.inf if maximize else torch.inf
    values = torch.where(history.isnan(), worst, history.double())
    step = int(values.argmax() if maximize else values.argmin())
    return float(history[step]), step
