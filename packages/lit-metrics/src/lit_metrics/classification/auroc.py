"""Area under the ROC, for all tasks."""

from __future__ import annotations

from typing import Any

from torch import Tensor

from lit_metrics._inputs import Validation
from lit_metrics.classification._curves import CurveMetric, MulticlassScore, MultilabelScore
from lit_metrics.functional.classification._curves import CurveAverage, Curves, Thresholds
from lit_metrics.functional.classification._task import Task, require_average
from lit_metrics.functional.classification.auroc import SCORE_AVERAGES, auroc_value, require_max_fpr


class AUROC(CurveMetric):
    """Area under the ROC for any task.

    See `lit_metrics.functional.binary_auroc` for the value, `PrecisionRecallCurve` for other arguments.

    Args:
        average: `"macro"`, `"weighted"`, `"micro"` or `"none"`.
        max_fpr: Binary: the area up to this false positive rate, rescaled.

    Example:
        >>> from lit_metrics import AUROC
        >>> AUROC(task="binary")([0.1, 0.4, 0.35, 0.8], [0, 0, 1, 1])
        tensor(0.7500, dtype=torch.float64)
    """

    higher_is_better = True

    def __init__(
        self,
        task: Task,
        thresholds: Thresholds = None,
        num_classes: int | None = None,
        num_labels: int | None = None,
        average: CurveAverage = "macro",
        max_fpr: float | None = None,
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
        require_max_fpr(max_fpr, task)
        self.average = average
        self.max_fpr = max_fpr

    def value(self, curves: Curves) -> Tensor:
        """Returns the value from curves."""
        return auroc_value(curves, self.average, self.max_fpr)


class BinaryAUROC(AUROC):
    """Area under the ROC of a binary task; see `lit_metrics.functional.binary_auroc`.

    Example:
        >>> from lit_metrics import BinaryAUROC
        >>> BinaryAUROC()([2.5, -1.0, 3.1, 0.2], [1, 0, 1, 1])
        tensor(1., dtype=torch.float64)
    """

    def __init__(
        self,
        max_fpr: float | None = None,
        thresholds: Thresholds = None,
        ignore_index: int | None = None,
        validate_args: Validation = True,
        *,
        logits: bool = False,
        **kwargs: Any,
    ) -> None:
        super().__init__(
            "binary", thresholds, None, None, "macro", max_fpr, ignore_index, validate_args, logits=logits, **kwargs
        )


class MulticlassAUROC(MulticlassScore, AUROC):
    """Area under the ROC of each class against the rest, or their mean; see `lit_metrics.functional.multiclass_auroc`.

    Example:
        >>> from lit_metrics import MulticlassAUROC
        >>> preds = [[0.8, 0.1, 0.1], [0.2, 0.7, 0.1], [0.6, 0.3, 0.1], [0.3, 0.3, 0.4]]
        >>> MulticlassAUROC(num_classes=3)(preds, [0, 1, 1, 2])
        tensor(0.9583, dtype=torch.float64)
    """


class MultilabelAUROC(MultilabelScore, AUROC):
    """Area under the ROC of each label, or their mean; see `lit_metrics.functional.multilabel_auroc`.

    Example:
        >>> from lit_metrics import MultilabelAUROC
        >>> MultilabelAUROC(num_labels=2)([[0.9, 0.2], [0.3, 0.8], [0.4, 0.6]], [[1, 0], [0, 1], [1, 1]])
        tensor(1., dtype=torch.float64)
    """
