"""A metric computed from other metrics by one operator."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from lit_metrics.metric import Metric

if TYPE_CHECKING:
    from collections.abc import Callable

    from typing_extensions import Self


class CompositionalMetric(Metric):
    """`operator(metric_a, metric_b)`, as written by `metric_a + metric_b` and its like.

    A metric that appears several times in one expression is updated once. The operands stay ordinary metrics: they
    keep their own state, and each is synchronised across processes by its own rules.

    Args:
        operator: Function of one or two values; a named function (such as those of the module `operator`) can be
            pickled.
        metric_a: Metric, tensor or number.
        metric_b: Metric, tensor, number or index; `None` for an operator of one value.

    Example:
        >>> from lit_metrics import MaxMetric, MinMetric
        >>> spread = MaxMetric() - MinMetric()
        >>> spread.update([1.0, 4.0, 2.5])
        >>> spread.compute()
        tensor(3., dtype=torch.float64)
    """

    pure_update = True

    def __init__(self, operator: Callable[..., Any], metric_a: Any, metric_b: Any = None) -> None:
        super().__init__(compute_with_cache=False, sync_on_compute=False)
        self.operator = operator
        self._unary = metric_b is None
        self._hold("metric_a", metric_a)
        self._hold("metric_b", metric_b)

    def _hold(self, name: str, operand: Any) -> None:
        if isinstance(operand, Tensor):
            self.register_buffer(name, operand, persistent=False)
        else:
            setattr(self, name, operand)

    def leaves(self) -> list[Metric]:
        """Returns the metrics of the expression, each once."""
        found: dict[int, Metric] = {}
        for operand in (self.metric_a, self.metric_b):
            if isinstance(operand, CompositionalMetric):
                found.update((id(leaf), leaf) for leaf in operand.leaves())
            elif isinstance(operand, Metric):
                found[id(operand)] = operand
        return list(found.values())

    def update(self, *args: Any, **kwargs: Any) -> None:
        """Updates every metric of the expression once; each takes the keyword arguments that it knows."""
        for leaf in self.leaves():
            leaf.update(*args, **leaf.filter_kwargs(kwargs))

    def compute(self) -> Any:
        """Returns the operator applied to the operands' values."""
        return self.evaluate({id(leaf): leaf.compute() for leaf in self.leaves()})

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        """Updates every metric of the expression and returns the value for this batch."""
        values = {id(leaf): leaf(*args, **leaf.filter_kwargs(kwargs)) for leaf in self.leaves()}
        return None if any(value is None for value in values.values()) else self.evaluate(values)

    def evaluate(self, values: dict[int, Any]) -> Any:
        """Returns the expression's value, given the values of its leaves by `id`."""
        operands = [self.metric_a] if self._unary else [self.metric_a, self.metric_b]
        return self.operator(*(_value(operand, values) for operand in operands))

    def reset(self) -> None:
        """Resets every metric of the expression."""
        super().reset()
        for leaf in self.leaves():
            leaf.reset()

    def merge_state(self, other: Any) -> None:
        """Merges leaf by leaf with an expression of the same shape."""
        if not isinstance(other, CompositionalMetric) or len(other.leaves()) != len(self.leaves()):
            raise TypeError("merge_state of an expression needs an expression of the same metrics")
        for mine, theirs in zip(self.leaves(), other.leaves(), strict=True):
            mine.merge_state(theirs)

    def persistent(self, mode: bool = True) -> None:
        """Says for every metric of the expression whether checkpoints hold its state."""
        for leaf in self.leaves():
            leaf.persistent(mode)

    def set_dtype(self, dtype: torch.dtype) -> Self:
        """Converts the floating-point states of every metric of the expression."""
        for leaf in self.leaves():
            leaf.set_dtype(dtype)
        return self

    def extra_repr(self) -> str:
        """Shows the operator's name."""
        return getattr(self.operator, "__name__", repr(self.operator))


def _value(operand: Any, values: dict[int, Any]) -> Any:
    if isinstance(operand, CompositionalMetric):
        return operand.evaluate(values)
    return values[id(operand)] if isinstance(operand, Metric) else operand
