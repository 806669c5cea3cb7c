"""A metric in which old data count less and less."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from lit_metrics._state import State, StateValue
from lit_metrics.metric import Metric
from lit_metrics.wrappers._bank import require_states


class Decayed(Metric):
    """Value of a metric whose sums halve every `half_life` updates; `forward` returns that of the batch.

    With `d = 2^(-1 / half_life)` and the sums `s_t` of update `t`, the value is that of `sum_t d^(T - t) s_t`, T being
    the latest update: an exponentially weighted mean, accuracy, and so on. Across processes, and in merging, the latest
    updates count as simultaneous.

    Args:
        metric: Metric with states of reduction `"sum"` only.
        half_life: Updates until data count half; infinity forgets nothing.
        kwargs: Arguments of `Metric`.

    Raises:
        TypeError: If `metric` holds other states than sums.
        ValueError: If `half_life` is not a positive number.

    Example:
        >>> from lit_metrics import Decayed, MeanMetric
        >>> metric = Decayed(MeanMetric(), half_life=1)
        >>> metric.update(0.0)
        >>> metric.update(3.0)
        >>> metric.compute()
        tensor(2., dtype=torch.float64)
    """

    full_state_update = True

    def __init__(self, metric: Metric, half_life: float, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        require_states(metric)
        if not isinstance(half_life, (int, float)) or isinstance(half_life, bool) or not half_life > 0:
            raise ValueError(f"half_life must be a positive number of updates, got {half_life!r}")
        for name, spec in metric.specs.items():
            if spec.reduce != "sum" or not isinstance(spec.default, Tensor) or not spec.mergeable:
                raise TypeError(
                    f"only sums can decay: state {name!r} of {type(metric).__name__} has reduction {spec.reduce!r};"
                    " Running(metric, window) forgets old data for any metric"
                )
            dtype = spec.default.dtype if spec.default.is_floating_point() else torch.float64
            self.add_state(f"decayed_{name}", spec.default.to(dtype), "sum", spec.persistent)
        self._held = (metric,)  # in a tuple it is no submodule: nobody shall save it as a metric with data
        self.half_life = half_life

    @property
    def metric(self) -> Metric:
        """The metric whose states decay; empty itself."""
        return self._held[0]

    def update(self, *args: Any, **kwargs: Any) -> None:
        """Halves the past by as much as one update does, and adds the batch."""
        batch = self.metric.batch_state(*args, **self.metric.filter_kwargs(kwargs))
        if not batch.count:
            return
        for name, value in batch.values.items():
            past = getattr(self, f"decayed_{name}")
            assert isinstance(value, Tensor)
            waits = past.shape == (0,) and value.shape != past.shape
            setattr(self, f"decayed_{name}", value.to(past.dtype) if waits else past * self._factor + value)

    def compute(self) -> Any:
        """Returns the value of the decayed sums."""
        return self.metric.value_of(self._state())

    def check_state(self) -> None:
        """Raises for what the metric's updates only noted, as long as it has not decayed away."""
        if self.update_called:
            probe = self.metric.clone()
            probe.reset()
            probe.merge_state(self._state())
            probe.check_state()

    def extra_repr(self) -> str:
        """Shows the metric, which is no submodule."""
        return f"{self.metric}, half_life={self.half_life}"

    @property
    def _factor(self) -> float:
        return float(0.5 ** (1 / self.half_life))

    def _state(self) -> State:
        values: dict[str, StateValue] = {name: getattr(self, f"decayed_{name}") for name in self.metric.specs}
        return State(values, self.update_count)
