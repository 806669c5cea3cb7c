"""Metrics that change their inputs before another metric sees them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from torch import Tensor

from lit_metrics._composite import Composite, Inputs
from lit_metrics._inputs import as_tensor
from lit_metrics.collection import MetricCollection
from lit_metrics.metric import Metric


class MetricInputTransformer(Composite):
    """Base of metrics that pass changed predictions and targets on to another; override one or both transforms.

    Args:
        wrapped_metric: Metric or collection; takes predictions and targets as its first two arguments.
        compute_on_step: Whether `forward` returns the batch value.

    Raises:
        TypeError: If `wrapped_metric` is neither.

    Example:
        >>> from lit_metrics import MeanSquaredError, MetricInputTransformer
        >>> class Rounded(MetricInputTransformer):
        ...     def transform_pred(self, pred):
        ...         return pred.round()
        >>> import torch
        >>> Rounded(MeanSquaredError())(torch.tensor([0.9, 2.4]), torch.tensor([1.0, 3.0]))
        tensor(0.5000, dtype=torch.float64)
    """

    def __init__(self, wrapped_metric: Metric | MetricCollection, compute_on_step: bool = True) -> None:
        super().__init__(compute_on_step)
        if not isinstance(wrapped_metric, (Metric, MetricCollection)):
            raise TypeError(f"wrapped_metric must be a Metric or MetricCollection, got {type(wrapped_metric).__name__}")
        self.wrapped_metric = wrapped_metric

    def transform_pred(self, pred: Any) -> Any:
        """Returns what the metric gets as predictions; they stay as they are by default."""
        return pred

    def transform_target(self, target: Any) -> Any:
        """Returns what the metric gets as targets; they stay as they are by default."""
        return target

    def parts(self) -> Sequence[Metric | MetricCollection]:
        """Returns the metric."""
        return [self.wrapped_metric]

    def route(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Sequence[Inputs]:
        """Transforms the first two arguments."""
        if len(args) < 2:
            raise TypeError(f"{type(self).__name__} takes predictions and targets first, got {len(args)} of them")
        return [((self.transform_pred(args[0]), self.transform_target(args[1]), *args[2:]), kwargs)]

    def combine(self, values: Sequence[Any]) -> Any:
        """Returns the metric's value."""
        return values[0]


class LambdaInputTransformer(MetricInputTransformer):
    """Passes predictions and targets through functions before another metric sees them.

    Args:
        wrapped_metric: Metric or collection.
        transform_pred: Applied to predictions; a function of a module, if the metric is to be pickled.
        transform_target: Applied to targets.
        compute_on_step: Whether `forward` returns the batch value.

    Raises:
        TypeError: If a transform cannot be called.

    Example:
        >>> import torch
        >>> from lit_metrics import BinaryAccuracy, LambdaInputTransformer
        >>> metric = LambdaInputTransformer(BinaryAccuracy(), transform_pred=lambda pred: 1 - pred)
        >>> metric(torch.tensor([0.9, 0.2, 0.3]), torch.tensor([0, 1, 0]))
        tensor(0.6667, dtype=torch.float64)
    """

    def __init__(
        self,
        wrapped_metric: Metric | MetricCollection,
        transform_pred: Callable[[Any], Any] | None = None,
        transform_target: Callable[[Any], Any] | None = None,
        compute_on_step: bool = True,
    ) -> None:
        super().__init__(wrapped_metric, compute_on_step)
        for name, transform in (("transform_pred", transform_pred), ("transform_target", transform_target)):
            if transform is not None and not callable(transform):
                raise TypeError(f"{name} must be a function, got {type(transform).__name__}")
        self._transforms = (transform_pred, transform_target)

    def transform_pred(self, pred: Any) -> Any:
        """Applies the function given for predictions."""
        return pred if self._transforms[0] is None else self._transforms[0](pred)

    def transform_target(self, target: Any) -> Any:
        """Applies the function given for targets."""
        return target if self._transforms[1] is None else self._transforms[1](target)


class BinaryTargetTransformer(MetricInputTransformer):
    """Turns targets into 0 and 1: 1 where they are above a threshold, as a metric of binary relevance needs them.

    Args:
        wrapped_metric: Metric or collection.
        threshold: Targets above it become 1.
        compute_on_step: Whether `forward` returns the batch value.

    Raises:
        TypeError: If `threshold` is not a number.

    Example:
        >>> from lit_metrics import BinaryAccuracy, BinaryTargetTransformer
        >>> BinaryTargetTransformer(BinaryAccuracy(), threshold=3)([0.9, 0.2, 0.3], [5, 3, 4])
        tensor(0.6667, dtype=torch.float64)
    """

    def __init__(
        self, wrapped_metric: Metric | MetricCollection, threshold: float = 0, compute_on_step: bool = True
    ) -> None:
        super().__init__(wrapped_metric, compute_on_step)
        if not isinstance(threshold, (int, float)) or isinstance(threshold, bool):
            raise TypeError(f"threshold must be a number, got {threshold!r}")
        self.threshold = threshold

    def transform_target(self, target: Any) -> Tensor:
        """Compares targets with the threshold."""
        return as_tensor(target, "target").gt(self.threshold).long()
