"""Readings of the ROC: the equal error rate, and the area over the logarithm of the false positive rate."""

from __future__ import annotations

from typing import Any

from torch import Tensor

from lit_metrics._inputs import Validation
from lit_metrics.classification._curves import BinaryCurve, CurveMetric, MulticlassCurve, MultilabelCurve
from lit_metrics.functional.classification._curves import CurveAverage, Curves, Thresholds
from lit_metrics.functional.classification._task import Task, require_average
from lit_metrics.functional.classification.eer import LOGAUC_AVERAGES, eer_value, logauc_value, require_fpr_range
from lit_metrics.functional.classification.precision_recall_curve import LINE_AVERAGES


class EER(CurveMetric):
    """Equal error rate for any task.

    See `lit_metrics.functional.binary_eer` for the value, `PrecisionRecallCurve` for other arguments.

    Args:
        average: Multiclass: `None`, `"micro"` or `"macro"`.

    Example:
        >>> from lit_metrics import EER
        >>> EER(task="binary")([0.1, 0.4, 0.35, 0.8], [0, 0, 1, 1])
        tensor(0.5000, dtype=torch.float64)
    """

    higher_is_better = False

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

    def value(self, curves: Curves) -> Tensor:
        """Returns the value from curves."""
        return eer_value(curves, self.average)


class BinaryEER(BinaryCurve, EER):
    """Equal error rate of a binary task; see `lit_metrics.functional.binary_eer`.

    Example:
        >>> from lit_metrics import BinaryEER
        >>> BinaryEER()([0.1, 0.4, 0.35, 0.8, 0.6], [0, 0, 1, 1, 0])
        tensor(0.4167, dtype=torch.float64)
    """


class MulticlassEER(MulticlassCurve, EER):
    """Equal error rate of each class against the rest, or of all; see `lit_metrics.functional.multiclass_eer`.

    Example:
        >>> from lit_metrics import MulticlassEER
        >>> preds = [[0.8, 0.1, 0.1], [0.2, 0.7, 0.1], [0.6, 0.3, 0.1], [0.3, 0.3, 0.4]]
        >>> MulticlassEER(num_classes=3)(preds, [0, 1, 1, 2])
        tensor([0.0000, 0.2500, 0.0000], dtype=torch.float64)
    """


class MultilabelEER(MultilabelCurve, EER):
    """Equal error rate of each label; see `lit_metrics.functional.multilabel_eer`.

    Example:
        >>> from lit_metrics import MultilabelEER
        >>> MultilabelEER(num_labels=2)([[0.9, 0.2], [0.3, 0.8], [0.4, 0.6]], [[1, 0], [0, 1], [1, 1]])
        tensor([0., 0.], dtype=torch.float64)
    """


class LogAUC(CurveMetric):
    """LogAUC for any task.

    See `lit_metrics.functional.binary_logauc` for the value, `PrecisionRecallCurve` for other arguments.

    Args:
        fpr_range: Lowest and highest false positive rate, above 0.
        average: `"macro"` for the mean over classes or labels, `None` for each.

    Example:
        >>> from lit_metrics import LogAUC
        >>> LogAUC(task="binary", fpr_range=(0.1, 1.0))([0.1, 0.4, 0.35, 0.8], [0, 0, 1, 1])
        tensor(0.6505, dtype=torch.float64)
    """

    higher_is_better = True

    def __init__(
        self,
        task: Task,
        thresholds: Thresholds = None,
        fpr_range: tuple[float, float] = (0.001, 0.1),
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
        require_average(average, LOGAUC_AVERAGES)
        require_fpr_range(fpr_range)
        self.average = average
        self.fpr_range = fpr_range

    def value(self, curves: Curves) -> Tensor:
        """Returns the value from curves."""
        return logauc_value(curves, self.fpr_range, self.average)


class BinaryLogAUC(LogAUC):
    """LogAUC of a binary task; see `lit_metrics.functional.binary_logauc`.

    Example:
        >>> from lit_metrics import BinaryLogAUC
        >>> BinaryLogAUC(fpr_range=(0.1, 1.0))([0.1, 0.4, 0.35, 0.8], [0, 0, 1, 1])
        tensor(0.6505, dtype=torch.float64)
    """

    def __init__(
        self,
        fpr_range: tuple[float, float] = (0.001, 0.1),
        thresholds: Thresholds = None,
        ignore_index: int | None = None,
        validate_args: Validation = True,
        *,
        logits: bool = False,
        **kwargs: Any,
    ) -> None:
        super().__init__(
            "binary", thresholds, fpr_range, None, None, None, ignore_index, validate_args, logits=logits, **kwargs
        )


class MulticlassLogAUC(LogAUC):
    """LogAUC of each class against the rest; see `lit_metrics.functional.multiclass_logauc`.

    Example:
        >>> from lit_metrics import MulticlassLogAUC
        >>> preds = [[0.8, 0.1, 0.1], [0.2, 0.7, 0.1], [0.6, 0.3, 0.1], [0.3, 0.3, 0.4]]
        >>> MulticlassLogAUC(num_classes=3, average="macro")(preds, [0, 1, 1, 2])
        tensor(0.8502, dtype=torch.float64)
    """

    def __init__(
        self,
        num_classes: int,
        fpr_range: tuple[float, float] = (0.001, 0.1),
        average: CurveAverage = None,
        thresholds: Thresholds = None,
        ignore_index: int | None = None,
        validate_args: Validation = True,
        *,
        logits: bool = False,
        **kwargs: Any,
    ) -> None:
        super().__init__(
            "multiclass",
            num_classes=num_classes,
            fpr_range=fpr_range,
            average=average,
            thresholds=thresholds,
            ignore_index=ignore_index,
            validate_args=validate_args,
            logits=logits,
            **kwargs,
        )


class MultilabelLogAUC(LogAUC):
    """LogAUC of each label; see `lit_metrics.functional.multilabel_logauc`.

    Example:
        >>> from lit_metrics import MultilabelLogAUC
        >>> MultilabelLogAUC(num_labels=2)([[0.9, 0.2], [0.3, 0.8], [0.4, 0.6]], [[1, 0], [0, 1], [1, 1]])
        tensor([1., 1.], dtype=torch.float64)
    """

    def __init__(
        self,
        num_labels: int,
        fpr_range: tuple[float, float] = (0.001, 0.1),
        average: CurveAverage = None,
        thresholds: Thresholds = None,
        ignore_index: int | None = None,
        validate_args: Validation = True,
        *,
        logits: bool = False,
        **kwargs: Any,
    ) -> None:
        super().__init__(
            "multilabel",
            num_labels=num_labels,
            fpr_range=fpr_range,
            average=average,
            thresholds=thresholds,
            ignore_index=ignore_index,
            validate_args=validate_args,
            logits=logits,
            **kwargs,
        )
