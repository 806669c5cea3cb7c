"""Arithmetic between metrics; every operator is a named function, so that the result can be pickled."""

from __future__ import annotations

import operator
from abc import ABC
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

    from lit_metrics.compositional import CompositionalMetric


class Arithmetic(ABC):  # noqa: B024 - what is abstract is declared by Metric
    """Gives a metric `+ - * / // % ** @ < <= > >= abs() -m +m m[i]`; `==` and `hash` stay identity."""

    def __add__(self, other: Any) -> CompositionalMetric:
        return _compose(operator.add, self, other)

    def __radd__(self, other: Any) -> CompositionalMetric:
        return _compose(operator.add, other, self)

    def __sub__(self, other: Any) -> CompositionalMetric:
        return _compose(operator.sub, self, other)

    def __rsub__(self, other: Any) -> CompositionalMetric:
        return _compose(operator.sub, other, self)

    def __mul__(self, other: Any) -> CompositionalMetric:
        return _compose(operator.mul, self, other)

    def __rmul__(self, other: Any) -> CompositionalMetric:
        return _compose(operator.mul, other, self)

    def __truediv__(self, other: Any) -> CompositionalMetric:
        return _compose(operator.truediv, self, other)

    def __rtruediv__(self, other: Any) -> CompositionalMetric:
        return _compose(operator.truediv, other, self)

    def __floordiv__(self, other: Any) -> CompositionalMetric:
        return _compose(operator.floordiv, self, other)

    def __rfloordiv__(self, other: Any) -> CompositionalMetric:
        return _compose(operator.floordiv, other, self)

    def __mod__(self, other: Any) -> CompositionalMetric:
        return _compose(operator.mod, self, other)

    def __rmod__(self, other: Any) -> CompositionalMetric:
        return _compose(operator.mod, other, self)

    def __pow__(self, other: Any) -> CompositionalMetric:
        return _compose(operator.pow, self, other)

    def __rpow__(self, other: Any) -> CompositionalMetric:
        return _compose(operator.pow, other, self)

    def __matmul__(self, other: Any) -> CompositionalMetric:
        return _compose(operator.matmul, self, other)

    def __rmatmul__(self, other: Any) -> CompositionalMetric:
        return _compose(operator.matmul, other, self)

    def __lt__(self, other: Any) -> CompositionalMetric:
        return _compose(operator.lt, self, other)

    def __le__(self, other: Any) -> CompositionalMetric:
        return _compose(operator.le, self, other)

    def __gt__(self, other: Any) -> CompositionalMetric:
        return _compose(operator.gt, self, other)

    def __ge__(self, other: Any) -> CompositionalMetric:
        return _compose(operator.ge, self, other)

    def __abs__(self) -> CompositionalMetric:
        return _compose(operator.abs, self, None)

    def __neg__(self) -> CompositionalMetric:
        return _compose(operator.neg, self, None)

    def __pos__(self) -> CompositionalMetric:
        return _compose(operator.pos, self, None)

    def __getitem__(self, index: Any) -> CompositionalMetric:
        return _compose(operator.getitem, self, index)

    # Without this, __getitem__ alone would make a metric look like an endless sequence.
    __iter__ = None


def _compose(op: Callable[..., Any], left: Any, right: Any) -> CompositionalMetric:
    from lit_metrics.compositional import CompositionalMetric

    return CompositionalMetric(op, left, right)
