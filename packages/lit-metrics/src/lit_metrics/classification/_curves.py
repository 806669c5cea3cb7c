"""The classes behind every metric that is a reading of `Curves`; a family adds `value` and a few classes."""

from __future__ import annotations

from abc import abstractmethod
from typing import Any

import torch

from lit_metrics._inputs import Validation
from lit_metrics.functional.classification._curves import (
    CurveAverage,
    Curves,
    Thresholds,
    curve_state,
    make_curve_config,
)
from lit_metrics.functional.classification._task import Task
from lit_metrics.metric import Metric


class CurveMetric(Metric):
    """Ranks scores against targets; subclasses say what value the curves give.

    Without thresholds all scores are kept, and the value is exact: nine bytes and more per score, one sort in
    `compute`. With thresholds the state is a histogram of constant size. Metrics of one collection with equal task,
    thresholds and options share one state and one sort. Scores are never transformed by a guess from their values.

    Arguments and errors: see `PrecisionRecallCurve`.
    """

    pure_update = True
    is_differentiable = False

    def __init__(
        self,
        task: Task,
        thresholds: Thresholds = None,
        num_classes: int | None = None,
        num_labels: int | None = None,
        ignore_index: int | None = None,
        validate_args: Validation = True,
        *,
        logits: bool = False,
        **kwargs: Any,
    ) -> None:
        super().__init__(validate_args=validate_args, **kwargs)
        self.config = make_curve_config(
            task, thresholds, num_classes, num_labels, ignore_index, bool(validate_args), logits
        )
        if self.config.thresholds is None:
            for name in ("scores", "target", "weights"):
                self.add_state(name, [], dist_reduce_fx="cat")
        else:
            shape = (self.config.columns, len(self.config.thresholds) + 2, 2)
            self.add_state("counts", torch.zeros(shape, dtype=torch.long), dist_reduce_fx="sum")

    @property
    def group_key(self) -> Any:
        """Equal for all metrics that keep the same of a batch."""
        return ("curves", self.config)

    def update(self, preds: Any, target: Any, sample_weight: Any = None) -> None:
        """Takes in one batch.

        Args:
            preds: Scores; see the functional form of the task.
            target: Integer labels.
            sample_weight: `(N,)` weights, or one per target.
        """
        self.accumulate(curve_state(self.config, preds, target, sample_weight))

    def compute(self) -> Any:
        """Returns the value of all batches."""
        return self.value(self._curves())

    def check_state(self) -> None:
        """Raises for invalid labels and scores that an accelerator took in."""
        self._curves().require_valid()

    def _curves(self) -> Curves:
        curves: Curves = self.store.reading(lambda: Curves(self.config, self.metric_state))
        return curves

    @abstractmethod
    def value(self, curves: Curves) -> Any:
        """Returns the metric's value from curves."""

    def extra_repr(self) -> str:
        """Shows what the curves are made of."""
        size = "" if self.config.num_classes is None else f", classes={self.config.num_classes}"
        grid = "exact" if self.config.thresholds is None else f"{len(self.config.thresholds)} thresholds"
        return f"task={self.config.task!r}{size}, {grid}"


class BinaryCurve(CurveMetric):
    """Constructor of the binary form of a family; arguments as in `PrecisionRecallCurve`."""

    def __init__(
        self,
        thresholds: Thresholds = None,
        ignore_index: int | None = None,
        validate_args: Validation = True,
        *,
        logits: bool = False,
        **kwargs: Any,
    ) -> None:
        super().__init__(
            "binary",
            thresholds=thresholds,
            ignore_index=ignore_index,
            validate_args=validate_args,
            logits=logits,
            **kwargs,
        )


class MulticlassCurve(CurveMetric):
    """Constructor of the multiclass form of a family of curves; arguments as in `PrecisionRecallCurve`."""

    def __init__(
        self,
        num_classes: int,
        thresholds: Thresholds = None,
        average: CurveAverage = None,
        ignore_index: int | None = None,
        validate_args: Validation = True,
        *,
        logits: bool = False,
        **kwargs: Any,
    ) -> None:
        super().__init__(
            "multiclass",
            thresholds=thresholds,
            num_classes=num_classes,
            average=average,
            ignore_index=ignore_index,
            validate_args=validate_args,
            logits=logits,
            **kwargs,
        )


class MultilabelCurve(CurveMetric):
    """Constructor of the multilabel form of a family of curves; arguments as in `PrecisionRecallCurve`."""

    def __init__(
        self,
        num_labels: int,
        thresholds: Thresholds = None,
        ignore_index: int | None = None,
        validate_args: Validation = True,
        *,
        logits: bool = False,
        **kwargs: Any,
    ) -> None:
        super().__init__(
            "multilabel",
            thresholds=thresholds,
            num_labels=num_labels,
            ignore_index=ignore_index,
            validate_args=validate_args,
            logits=logits,
            **kwargs,
        )


class MulticlassScore(CurveMetric):
    """Constructor of the multiclass form of a family of areas; arguments as in `PrecisionRecallCurve`."""

    def __init__(
        self,
        num_classes: int,
        average: CurveAverage = "macro",
        thresholds: Thresholds = None,
        ignore_index: int | None = None,
        validate_args: Validation = True,
        *,
        logits: bool = False,
        **kwargs: Any,
    ) -> None:
        super().__init__(
            "multiclass",
            thresholds=thresholds,
            num_classes=num_classes,
            average=average,
            ignore_index=ignore_index,
            validate_args=validate_args,
            logits=logits,
            **kwargs,
        )


class MultilabelScore(CurveMetric):
    """Constructor of the multilabel form of a family of areas; arguments as in `PrecisionRecallCurve`."""

    def __init__(
        self,
        num_labels: int,
        average: CurveAverage = "macro",
        thresholds: Thresholds = None,
        ignore_index: int | None = None,
        validate_args: Validation = True,
        *,
        logits: bool = False,
        **kwargs: Any,
    ) -> None:
        super().__init__(
            "multilabel",
            thresholds=thresholds,
            num_labels=num_labels,
            average=average,
            ignore_index=ignore_index,
            validate_args=validate_args,
            logits=logits,
            **kwargs,
        )
