"""The best point of a curve that meets a demand, for all tasks."""

from __future__ import annotations

from typing import Any

from torch import Tensor

from lit_metrics._inputs import Validation
from lit_metrics.classification._curves import CurveMetric
from lit_metrics.functional.classification._curves import Curves, Thresholds
from lit_metrics.functional.classification._task import Task
from lit_metrics.functional.classification.operating_points import (
    precision_at_fixed_recall_value,
    recall_at_fixed_precision_value,
    require_rate,
    sensitivity_at_specificity_value,
    specificity_at_sensitivity_value,
)


class RecallAtFixedPrecision(CurveMetric):
    """Highest recall at a precision for any task.

    See `lit_metrics.functional.binary_recall_at_fixed_precision` for the value,
    `PrecisionRecallCurve` for other arguments.

    Args:
        min_precision: What is demanded, in [0, 1].

    Example:
        >>> from lit_metrics import RecallAtFixedPrecision
        >>> RecallAtFixedPrecision(task="binary", min_precision=0.6)([0.1, 0.4, 0.35, 0.8], [0, 0, 1, 1])
        (tensor(1., dtype=torch.float64), tensor(0.3500, dtype=torch.float64))
    """

    def __init__(
        self,
        task: Task,
        min_precision: float,
        thresholds: Thresholds = None,
        num_classes: int | None = None,
        num_labels: int | None = None,
        ignore_index: int | None = None,
        validate_args: Validation = True,
        *,
        logits: bool = False,
        **kwargs: Any,
    ) -> None:
        super().__init__(
            task, thresholds, num_classes, num_labels, ignore_index, validate_args, logits=logits, **kwargs
        )
        require_rate(min_precision, "min_precision")
        self.min_precision = min_precision

    def value(self, curves: Curves) -> tuple[Tensor, Tensor]:
        """Returns the value from curves."""
        return recall_at_fixed_precision_value(curves, self.min_precision)


class BinaryRecallAtFixedPrecision(RecallAtFixedPrecision):
    """Recall at a precision of a binary task; see `lit_metrics.functional.binary_recall_at_fixed_precision`.

    Example:
        >>> from lit_metrics import BinaryRecallAtFixedPrecision
        >>> BinaryRecallAtFixedPrecision(min_precision=0.6)([0.1, 0.4, 0.35, 0.8], [0, 0, 1, 1])
        (tensor(1., dtype=torch.float64), tensor(0.3500, dtype=torch.float64))
    """

    def __init__(
        self,
        min_precision: float,
        thresholds: Thresholds = None,
        ignore_index: int | None = None,
        validate_args: Validation = True,
        *,
        logits: bool = False,
        **kwargs: Any,
    ) -> None:
        super().__init__(
            "binary", min_precision, thresholds, None, None, ignore_index, validate_args, logits=logits, **kwargs
        )


class MulticlassRecallAtFixedPrecision(RecallAtFixedPrecision):
    """Recall at a precision of each class against the rest; see `functional.multiclass_recall_at_fixed_precision`.

    Example:
        >>> from lit_metrics import MulticlassRecallAtFixedPrecision
        >>> preds = [[0.8, 0.1, 0.1], [0.2, 0.7, 0.1], [0.6, 0.3, 0.1], [0.3, 0.3, 0.4]]
        >>> MulticlassRecallAtFixedPrecision(num_classes=3, min_precision=0.5)(preds, [0, 1, 1, 2])[0]
        tensor([1., 1., 1.], dtype=torch.float64)
    """

    def __init__(
        self,
        num_classes: int,
        min_precision: float,
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
            min_precision=min_precision,
            thresholds=thresholds,
            ignore_index=ignore_index,
            validate_args=validate_args,
            logits=logits,
            **kwargs,
        )


class MultilabelRecallAtFixedPrecision(RecallAtFixedPrecision):
    """Recall at a precision of each label; see `lit_metrics.functional.multilabel_recall_at_fixed_precision`.

    Example:
        >>> from lit_metrics import MultilabelRecallAtFixedPrecision
        >>> metric = MultilabelRecallAtFixedPrecision(num_labels=2, min_precision=0.5)
        >>> metric([[0.9, 0.2], [0.3, 0.8], [0.4, 0.6]], [[1, 0], [0, 1], [1, 1]])[0]
        tensor([1., 1.], dtype=torch.float64)
    """

    def __init__(
        self,
        num_labels: int,
        min_precision: float,
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
            min_precision=min_precision,
            thresholds=thresholds,
            ignore_index=ignore_index,
            validate_args=validate_args,
            logits=logits,
            **kwargs,
        )


class PrecisionAtFixedRecall(CurveMetric):
    """Highest precision at a recall for any task.

    See `lit_metrics.functional.binary_precision_at_fixed_recall` for the value,
    `PrecisionRecallCurve` for other arguments.

    Args:
        min_recall: What is demanded, in [0, 1].

    Example:
        >>> from lit_metrics import PrecisionAtFixedRecall
        >>> PrecisionAtFixedRecall(task="binary", min_recall=0.6)([0.1, 0.4, 0.35, 0.8], [0, 0, 1, 1])
        (tensor(0.6667, dtype=torch.float64), tensor(0.3500, dtype=torch.float64))
    """

    def __init__(
        self,
        task: Task,
        min_recall: float,
        thresholds: Thresholds = None,
        num_classes: int | None = None,
        num_labels: int | None = None,
        ignore_index: int | None = None,
        validate_args: Validation = True,
        *,
        logits: bool = False,
        **kwargs: Any,
    ) -> None:
        super().__init__(
            task, thresholds, num_classes, num_labels, ignore_index, validate_args, logits=logits, **kwargs
        )
        require_rate(min_recall, "min_recall")
        self.min_recall = min_recall

    def value(self, curves: Curves) -> tuple[Tensor, Tensor]:
        """Returns the value from curves."""
        return precision_at_fixed_recall_value(curves, self.min_recall)


class BinaryPrecisionAtFixedRecall(PrecisionAtFixedRecall):
    """Precision at a recall of a binary task; see `lit_metrics.functional.binary_precision_at_fixed_recall`.

    Example:
        >>> from lit_metrics import BinaryPrecisionAtFixedRecall
        >>> BinaryPrecisionAtFixedRecall(min_recall=0.6)([0.1, 0.4, 0.35, 0.8], [0, 0, 1, 1])
        (tensor(0.6667, dtype=torch.float64), tensor(0.3500, dtype=torch.float64))
    """

    def __init__(
        self,
        min_recall: float,
        thresholds: Thresholds = None,
        ignore_index: int | None = None,
        validate_args: Validation = True,
        *,
        logits: bool = False,
        **kwargs: Any,
    ) -> None:
        super().__init__(
            "binary", min_recall, thresholds, None, None, ignore_index, validate_args, logits=logits, **kwargs
        )


class MulticlassPrecisionAtFixedRecall(PrecisionAtFixedRecall):
    """Precision at a recall of each class against the rest; see `functional.multiclass_precision_at_fixed_recall`.

    Example:
        >>> from lit_metrics import MulticlassPrecisionAtFixedRecall
        >>> preds = [[0.8, 0.1, 0.1], [0.2, 0.7, 0.1], [0.6, 0.3, 0.1], [0.3, 0.3, 0.4]]
        >>> MulticlassPrecisionAtFixedRecall(num_classes=3, min_recall=0.5)(preds, [0, 1, 1, 2])[0]
        tensor([1., 1., 1.], dtype=torch.float64)
    """

    def __init__(
        self,
        num_classes: int,
        min_recall: float,
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
            min_recall=min_recall,
            thresholds=thresholds,
            ignore_index=ignore_index,
            validate_args=validate_args,
            logits=logits,
            **kwargs,
        )


class MultilabelPrecisionAtFixedRecall(PrecisionAtFixedRecall):
    """Precision at a recall of each label; see `lit_metrics.functional.multilabel_precision_at_fixed_recall`.

    Example:
        >>> from lit_metrics import MultilabelPrecisionAtFixedRecall
        >>> metric = MultilabelPrecisionAtFixedRecall(num_labels=2, min_recall=0.5)
        >>> metric([[0.9, 0.2], [0.3, 0.8], [0.4, 0.6]], [[1, 0], [0, 1], [1, 1]])[0]
        tensor([1., 1.], dtype=torch.float64)
    """

    def __init__(
        self,
        num_labels: int,
        min_recall: float,
        thresholds: Thresholds = None,
        ignore_index: int | None = None,
        validate_args: Validation = True,
        *,
        logits: bool = False,
        **kwargs: Any,
    ) -> None:
        super().__init__(
            "multilabel", min_recall, thresholds, None, num_labels, ignore_index, validate_args, logits=logits, **kwargs
        )


class SensitivityAtSpecificity(CurveMetric):
    """Highest sensitivity at a specificity for any task.

    See `lit_metrics.functional.binary_sensitivity_at_specificity` for the value,
    `PrecisionRecallCurve` for other arguments.

    Args:
        min_specificity: What is demanded, in [0, 1].

    Example:
        >>> from lit_metrics import SensitivityAtSpecificity
        >>> SensitivityAtSpecificity(task="binary", min_specificity=0.6)([0.1, 0.4, 0.35, 0.8], [0, 0, 1, 1])
        (tensor(0.5000, dtype=torch.float64), tensor(0.8000, dtype=torch.float64))
    """

    def __init__(
        self,
        task: Task,
        min_specificity: float,
        thresholds: Thresholds = None,
        num_classes: int | None = None,
        num_labels: int | None = None,
        ignore_index: int | None = None,
        validate_args: Validation = True,
        *,
        logits: bool = False,
        **kwargs: Any,
    ) -> None:
        super().__init__(
            task, thresholds, num_classes, num_labels, ignore_index, validate_args, logits=logits, **kwargs
        )
        require_rate(min_specificity, "min_specificity")
        self.min_specificity = min_specificity

    def value(self, curves: Curves) -> tuple[Tensor, Tensor]:
        """Returns the value from curves."""
        return sensitivity_at_specificity_value(curves, self.min_specificity)


class BinarySensitivityAtSpecificity(SensitivityAtSpecificity):
    """Sensitivity at a specificity of a binary task; see `lit_metrics.functional.binary_sensitivity_at_specificity`.

    Example:
        >>> from lit_metrics import BinarySensitivityAtSpecificity
        >>> BinarySensitivityAtSpecificity(min_specificity=0.6)([0.1, 0.4, 0.35, 0.8], [0, 0, 1, 1])
        (tensor(0.5000, dtype=torch.float64), tensor(0.8000, dtype=torch.float64))
    """

    def __init__(
        self,
        min_specificity: float,
        thresholds: Thresholds = None,
        ignore_index: int | None = None,
        validate_args: Validation = True,
        *,
        logits: bool = False,
        **kwargs: Any,
    ) -> None:
        super().__init__(
            "binary", min_specificity, thresholds, None, None, ignore_index, validate_args, logits=logits, **kwargs
        )


class MulticlassSensitivityAtSpecificity(SensitivityAtSpecificity):
    """Sensitivity at a specificity of each class against the rest.

    See `lit_metrics.functional.multiclass_sensitivity_at_specificity`.

    Example:
        >>> from lit_metrics import MulticlassSensitivityAtSpecificity
        >>> preds = [[0.8, 0.1, 0.1], [0.2, 0.7, 0.1], [0.6, 0.3, 0.1], [0.3, 0.3, 0.4]]
        >>> MulticlassSensitivityAtSpecificity(num_classes=3, min_specificity=0.5)(preds, [0, 1, 1, 2])[0]
        tensor([1., 1., 1.], dtype=torch.float64)
    """

    def __init__(
        self,
        num_classes: int,
        min_specificity: float,
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
            min_specificity=min_specificity,
            thresholds=thresholds,
            ignore_index=ignore_index,
            validate_args=validate_args,
            logits=logits,
            **kwargs,
        )


class MultilabelSensitivityAtSpecificity(SensitivityAtSpecificity):
    """Sensitivity at a specificity of each label; see `lit_metrics.functional.multilabel_sensitivity_at_specificity`.

    Example:
        >>> from lit_metrics import MultilabelSensitivityAtSpecificity
        >>> metric = MultilabelSensitivityAtSpecificity(num_labels=2, min_specificity=0.5)
        >>> metric([[0.9, 0.2], [0.3, 0.8], [0.4, 0.6]], [[1, 0], [0, 1], [1, 1]])[0]
        tensor([1., 1.], dtype=torch.float64)
    """

    def __init__(
        self,
        num_labels: int,
        min_specificity: float,
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
            min_specificity=min_specificity,
            thresholds=thresholds,
            ignore_index=ignore_index,
            validate_args=validate_args,
            logits=logits,
            **kwargs,
        )


class SpecificityAtSensitivity(CurveMetric):
    """Highest specificity at a sensitivity for any task.

    See `lit_metrics.functional.binary_specificity_at_sensitivity` for the value,
    `PrecisionRecallCurve` for other arguments.

    Args:
        min_sensitivity: What is demanded, in [0, 1].

    Example:
        >>> from lit_metrics import SpecificityAtSensitivity
        >>> SpecificityAtSensitivity(task="binary", min_sensitivity=0.6)([0.1, 0.4, 0.35, 0.8], [0, 0, 1, 1])
        (tensor(0.5000, dtype=torch.float64), tensor(0.3500, dtype=torch.float64))
    """

    def __init__(
        self,
        task: Task,
        min_sensitivity: float,
        thresholds: Thresholds = None,
        num_classes: int | None = None,
        num_labels: int | None = None,
        ignore_index: int | None = None,
        validate_args: Validation = True,
        *,
        logits: bool = False,
        **kwargs: Any,
    ) -> None:
        super().__init__(
            task, thresholds, num_classes, num_labels, ignore_index, validate_args, logits=logits, **kwargs
        )
        require_rate(min_sensitivity, "min_sensitivity")
        self.min_sensitivity = min_sensitivity

    def value(self, curves: Curves) -> tuple[Tensor, Tensor]:
        """Returns the value from curves."""
        return specificity_at_sensitivity_value(curves, self.min_sensitivity)


class BinarySpecificityAtSensitivity(SpecificityAtSensitivity):
    """Specificity at a sensitivity of a binary task; see `lit_metrics.functional.binary_specificity_at_sensitivity`.

    Example:
        >>> from lit_metrics import BinarySpecificityAtSensitivity
        >>> BinarySpecificityAtSensitivity(min_sensitivity=0.6)([0.1, 0.4, 0.35, 0.8], [0, 0, 1, 1])
        (tensor(0.5000, dtype=torch.float64), tensor(0.3500, dtype=torch.float64))
    """

    def __init__(
        self,
        min_sensitivity: float,
        thresholds: Thresholds = None,
        ignore_index: int | None = None,
        validate_args: Validation = True,
        *,
        logits: bool = False,
        **kwargs: Any,
    ) -> None:
        super().__init__(
            "binary", min_sensitivity, thresholds, None, None, ignore_index, validate_args, logits=logits, **kwargs
        )


class MulticlassSpecificityAtSensitivity(SpecificityAtSensitivity):
    """Specificity at a sensitivity of each class against the rest.

    See `lit_metrics.functional.multiclass_specificity_at_sensitivity`.

    Example:
        >>> from lit_metrics import MulticlassSpecificityAtSensitivity
        >>> preds = [[0.8, 0.1, 0.1], [0.2, 0.7, 0.1], [0.6, 0.3, 0.1], [0.3, 0.3, 0.4]]
        >>> MulticlassSpecificityAtSensitivity(num_classes=3, min_sensitivity=0.5)(preds, [0, 1, 1, 2])[0]
        tensor([1., 1., 1.], dtype=torch.float64)
    """

    def __init__(
        self,
        num_classes: int,
        min_sensitivity: float,
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
            min_sensitivity=min_sensitivity,
            thresholds=thresholds,
            ignore_index=ignore_index,
            validate_args=validate_args,
            logits=logits,
            **kwargs,
        )


class MultilabelSpecificityAtSensitivity(SpecificityAtSensitivity):
    """Specificity at a sensitivity of each label; see `lit_metrics.functional.multilabel_specificity_at_sensitivity`.

    Example:
        >>> from lit_metrics import MultilabelSpecificityAtSensitivity
        >>> metric = MultilabelSpecificityAtSensitivity(num_labels=2, min_sensitivity=0.5)
        >>> metric([[0.9, 0.2], [0.3, 0.8], [0.4, 0.6]], [[1, 0], [0, 1], [1, 1]])[0]
        tensor([1., 1.], dtype=torch.float64)
    """

    def __init__(
        self,
        num_labels: int,
        min_sensitivity: float,
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
            min_sensitivity=min_sensitivity,
            thresholds=thresholds,
            ignore_index=ignore_index,
            validate_args=validate_args,
            logits=logits,
            **kwargs,
        )
