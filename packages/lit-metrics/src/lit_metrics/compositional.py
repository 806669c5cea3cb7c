"""A metric computed from other metrics by one operator."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from torch import Tensor

from lit_metrics._composite import Composite, Inputs
from lit_metrics.metric import Metric


class CompositionalMetric(Composite):
    """`operator(metric_a, metric_b)`, as written by `metric_a + metric_b` and its like.

    A metric that appears several times in one expression is updated once. The operands stay ordinary metrics: they
    keep their own state; all of them are synchronised across processes together.

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

    def __init__(self, operator: Callable[..., Any], metric_a: Any, metric_b: Any = None) -> None:
        super().__init__()
        self.operator = operator
        self._unary = metric_b is None
        self._hold("metric_a", metric_a)
        self._hold("metric_b", metric_b)

    def _hold(self, name: str, operand: Any) -> None:
        if isinstance(operand, Tensor):
            self.register_buffer(name, operand, persistent=False)
        else:
            setattr(self, name, operand)

    def parts(self) -> Sequence[Metric]:
        """Returns the metrics of the expression."""
        found: dict[int, Metric] = {}
        for operand in (self.metric_a, self.metric_b):
            if isinstance(operand, CompositionalMetric):
                found.update((id(part), part) for part in operand.parts())
            elif isinstance(operand, Metric):
                found[id(operand)] = operand
        return list(found.values())

    def route(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Sequence[Inputs]:
        """Gives every metric everything."""
        return [(args, kwargs) for _ in self.parts()]

    def combine(self, values: Sequence[Any]) -> Any:
        """Returns the operator applied to the operands' values."""
        return self.evaluate({id(part): value for part, value in zip(self.parts(), values, strict=True)})

    def evaluate(self, values: dict[int, Any]) -> Any:
        """Returns the expression's value, given the values of its metrics by `id`."""
        operands = [self.metric_a] if self._unary else [self.metric_a, self.metric_b]
        return self.operator(*(_value(operand, values) for operand in operands))

    def extra_repr(self) -> str:
        """Shows the operator's name."""
        return getattr(self.operator, "__name__", repr(self.operator))


def _value(operand: Any, values: dict[int, Any]) -> Any:
    if isinstance(operand, CompositionalMetric):
        return operand.evaluate(values)
    return values[id(operand)] if isinstance(operand, Metric) else operand
