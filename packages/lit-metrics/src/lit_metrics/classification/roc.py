"""Receiver operating characteristics, for all tasks."""

from __future__ import annotations

from typing import Any

from lit_metrics._inputs import Validation
from lit_metrics.classification._curves import BinaryCurve, CurveMetric, MulticlassCurve, MultilabelCurve
from lit_metrics.functional.classification._curves import CurveAverage, Curves, SomeCurves, Thresholds
from lit_metrics.functional.classification._task import Task, require_average
from lit_metrics.functional.classification.precision_recall_curve import LINE_AVERAGES
from lit_metrics.functional.classification.roc import roc_value


class ROC(CurveMetric):
    """Receiver operating characteristic for any task.

    See `lit_metrics.functional.binary_roc` for the value, `PrecisionRecallCurve` for other arguments.

    Args:
        average: Multiclass: `None`, `"micro"` or `"macro"`.

    Example:
        >>> from lit_metrics import ROC
        >>> fpr, tpr, thresholds = ROC(task="binary")([0.1, 0.4, 0.35, 0.8], [0, 0, 1, 1])
        >>> tpr
        tensor([0.0000, 0.5000, 0.5000, 1.0000, 1.0000], dtype=torch.float64)
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
        return roc_value(curves, self.average)


class BinaryROC(BinaryCurve, ROC):
    """ROC of a binary task; see `lit_metrics.functional.binary_roc`.

    Example:
        >>> from lit_metrics import BinaryROC
        >>> fpr, tpr, thresholds = BinaryROC()([0.1, 0.4, 0.35, 0.8], [0, 0, 1, 1])
        >>> tpr
        tensor([0.0000, 0.5000, 0.5000, 1.0000, 1.0000], dtype=torch.float64)
    """


class MulticlassROC(MulticlassCurve, ROC):
    """ROC of each class against the rest, or of all; see `lit_metrics.functional.multiclass_roc`.

    Example:
        >>> from lit_metrics import MulticlassROC
        >>> preds = [[0.8, 0.1, 0.1], [0.2, 0.7, 0.1], [0.6, 0.3, 0.1], [0.3, 0.3, 0.4]]
        >>> fpr, tpr, thresholds = MulticlassROC(num_classes=3)(preds, [0, 1, 1, 2])
        >>> fpr[1]
        tensor([0.0000, 0.0000, 0.5000, 1.0000], dtype=torch.float64)
    """


class MultilabelROC(MultilabelCurve, ROC):
    """ROC of each label; see `lit_metrics.functional.multilabel_roc`.

    Example:
        >>> from lit_metrics import MultilabelROC
        >>> metric = MultilabelROC(num_labels=2)
        >>> fpr, tpr, thresholds = metric([[0.9, 0.2], [0.3, 0.8], [0.4, 0.6]], [[1, 0], [0, 1], [1, 1]])
        >>> tpr[1]
        tensor([0.0000, 0.5000, 1.0000, 1.0000], dtype=torch.float64)
    """
