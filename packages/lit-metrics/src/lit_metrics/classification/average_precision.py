"""Average precision, for all tasks."""

from __future__ import annotations

from typing import Any

from torch import Tensor

from lit_metrics._inputs import Validation
from lit_metrics.classification._curves import BinaryCurve, CurveMetric, MulticlassScore, MultilabelScore
from lit_metrics.functional.classification._curves import CurveAverage, Curves, Thresholds
from lit_metrics.functional.classification._task import Task, require_average
from lit_metrics.functional.classification.auroc import SCORE_AVERAGES
from lit_metrics.functional.classification.average_precision import average_precision_value


class AveragePrecision(CurveMetric):
    """Average precision for any task.

    See `lit_metrics.functional.binary_average_precision` for the value, `PrecisionRecallCurve` for other arguments.

    Args:
        average: `"macro"`, `"weighted"`, `"micro"` or `"none"`.

    Example:
        >>> from lit_metrics import AveragePrecision
        >>> AveragePrecision(task="binary")([0.1, 0.4, 0.35, 0.8], [0, 0, 1, 1])
        tensor(0.8333, dtype=torch.float64)
    """

    higher_is_better = True

    def __init__(
        self,
        task: Task,
        thresholds: Thresholds = None,
        num_classes: int | None = None,
        num_labels: int | None = None,
        average: CurveAverage = "macro",
        ignore_index: int | None = None,
        validate_args: Validation = True,
        *,
        logits: bool = False,
        **kwargs: Any,
    ) -> None:
        super().__init__(
            task, thresholds, num_classes, num_labels, ignore_index, validate_args, logits=logits, **kwargs
        )
        require_average(average, SCORE_AVERAGES)
        self.average = average

    def value(self, curves: Curves) -> Tensor:
        """Returns the value from curves."""
        return average_precision_value(curves, self.average)


class BinaryAveragePrecision(BinaryCurve, AveragePrecision):
    """Average precision of a binary task; see `lit_metrics.functional.binary_average_precision`.

    Example:
        >>> from lit_metrics import BinaryAveragePrecision
        >>> BinaryAveragePrecision()([2.5, -1.0, 3.1, 0.2], [1, 0, 0, 1])
        tensor(0.5833, dtype=torch.float64)
    """


class MulticlassAveragePrecision(MulticlassScore, AveragePrecision):
    """Average precision of each class against the rest, or their mean; see `functional.multiclass_average_precision`.

    Example:
        >>> from lit_metrics import MulticlassAveragePrecision
        >>> preds = [[0.8, 0.1, 0.1], [0.2, 0.7, 0.1], [0.6, 0.3, 0.1], [0.3, 0.3, 0.4]]
        >>> MulticlassAveragePrecision(num_classes=3)(preds, [0, 1, 1, 2])
        tensor(0.9444, dtype=torch.float64)
    """


class MultilabelAveragePrecision(MultilabelScore, AveragePrecision):
    """Average precision of each label, or their mean; see `lit_metrics.functional.multilabel_average_precision`.

    Example:
        >>> from lit_metrics import MultilabelAveragePrecision
        >>> MultilabelAveragePrecision(num_labels=2)([[0.9, 0.2], [0.3, 0.8], [0.4, 0.6]], [[1, 0], [0, 1], [1, 1]])
        tensor(1., dtype=torch.float64)
    """
