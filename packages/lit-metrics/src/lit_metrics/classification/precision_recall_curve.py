"""Precision-recall curves, for all tasks."""

from __future__ import annotations

from typing import Any

from lit_metrics._inputs import Validation
from lit_metrics.classification._curves import BinaryCurve, CurveMetric, MulticlassCurve, MultilabelCurve
from lit_metrics.functional.classification._curves import CurveAverage, Curves, SomeCurves, Thresholds
from lit_metrics.functional.classification._task import Task, require_average
from lit_metrics.functional.classification.precision_recall_curve import LINE_AVERAGES, precision_recall_curve_value


class PrecisionRecallCurve(CurveMetric):
    """Precision-recall curve for any task.

    See `lit_metrics.functional.binary_precision_recall_curve` for the value.

    Args:
        task: `"binary"`, `"multiclass"` or `"multilabel"`.
        thresholds: `None` for the exact value; a number for as many between 0 and 1; or the thresholds.
        num_classes: Number of classes of a multiclass task.
        num_labels: Number of labels of a multilabel task.
        ignore_index: Targets of this value are left out.
        validate_args: Whether values are checked: at once where that is free (host memory), else in `compute`.
        logits: Whether scores are logits; see the functional form of the task.
        kwargs: Arguments of `Metric`.
        average: Multiclass: `None`, `"micro"` or `"macro"`.

    Raises:
        ValueError: If an argument is out of its range, or one that the task needs is missing.

    Example:
        >>> from lit_metrics import PrecisionRecallCurve
        >>> precision, recall, thresholds = PrecisionRecallCurve(task="binary")([0.1, 0.4, 0.35, 0.8], [0, 0, 1, 1])
        >>> precision
        tensor([0.5000, 0.6667, 0.5000, 1.0000, 1.0000], dtype=torch.float64)
    """

    def __init__(
        self,
        task: Task,
        thresholds: Thresholds = None,
        num_classes: int | None = None,
        num_labels: int | None = None,
        average: CurveAverage = None,
        ignore_index: int | None = None,
        validate_args: Validation = True,
        *,
        logits: bool = False,
        **kwargs: Any,
    ) -> None:
        super().__init__(
            task, thresholds, num_classes, num_labels, ignore_index, validate_args, logits=logits, **kwargs
        )
        require_average(average, LINE_AVERAGES)
        self.average = average

    def value(self, curves: Curves) -> SomeCurves:
        """Returns the value from curves."""
        return precision_recall_curve_value(curves, self.average)


class BinaryPrecisionRecallCurve(BinaryCurve, PrecisionRecallCurve):
    """Precision-recall curve of a binary task; see `lit_metrics.functional.binary_precision_recall_curve`.

    Example:
        >>> from lit_metrics import BinaryPrecisionRecallCurve
        >>> precision, recall, thresholds = BinaryPrecisionRecallCurve()([0.1, 0.4, 0.35, 0.8], [0, 0, 1, 1])
        >>> precision
        tensor([0.5000, 0.6667, 0.5000, 1.0000, 1.0000], dtype=torch.float64)
    """


class MulticlassPrecisionRecallCurve(MulticlassCurve, PrecisionRecallCurve):
    """Precision-recall curve of each class against the rest, or of all.

    See `lit_metrics.functional.multiclass_precision_recall_curve`.

    Example:
        >>> from lit_metrics import MulticlassPrecisionRecallCurve
        >>> preds = [[0.8, 0.1, 0.1], [0.2, 0.7, 0.1], [0.6, 0.3, 0.1], [0.3, 0.3, 0.4]]
        >>> precision, recall, thresholds = MulticlassPrecisionRecallCurve(num_classes=3)(preds, [0, 1, 1, 2])
        >>> precision[1]
        tensor([0.5000, 0.6667, 1.0000, 1.0000], dtype=torch.float64)
    """


class MultilabelPrecisionRecallCurve(MultilabelCurve, PrecisionRecallCurve):
    """Precision-recall curve of each label; see `lit_metrics.functional.multilabel_precision_recall_curve`.

    Example:
        >>> from lit_metrics import MultilabelPrecisionRecallCurve
        >>> metric = MultilabelPrecisionRecallCurve(num_labels=2)
        >>> precision, recall, thresholds = metric([[0.9, 0.2], [0.3, 0.8], [0.4, 0.6]], [[1, 0], [0, 1], [1, 1]])
        >>> recall[1]
        tensor([1.0000, 1.0000, 0.5000, 0.0000], dtype=torch.float64)
    """
