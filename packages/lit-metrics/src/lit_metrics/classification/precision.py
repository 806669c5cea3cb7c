"""Precision and negative predictive value, for all tasks."""

from __future__ import annotations

from torch import Tensor

from lit_metrics.classification.stat_scores import BinaryTask, MulticlassTask, MultilabelTask, StatScoresMetric
from lit_metrics.functional.classification.precision import negative_predictive_value_value, precision_value
from lit_metrics.functional.classification.stat_scores import Counts


class Precision(StatScoresMetric):
    """Precision for any task; averages `"micro"` unless told otherwise.

    See `StatScores` for the arguments and `lit_metrics.functional.multiclass_precision` for the averages.

    Example:
        >>> from lit_metrics import Precision
        >>> metric = Precision(task="multiclass", num_classes=3)
        >>> metric([0, 1, 1, 2], [0, 1, 2, 2])
        tensor(0.7500, dtype=torch.float64)
        >>> metric.update([0, 0], [1, 0])
        >>> metric.compute()
        tensor(0.6667, dtype=torch.float64)
    """

    higher_is_better = True
    classless = True

    def value(self, counts: Counts) -> Tensor:
        """Returns precision from counts."""
        return precision_value(counts, self.average, self.zero_division)


class BinaryPrecision(BinaryTask, Precision):
    """Binary precision; see `lit_metrics.functional.binary_precision`.

    Example:
        >>> from lit_metrics import BinaryPrecision
        >>> BinaryPrecision()([0.9, 0.4, 0.6, 0.1], [1, 0, 0, 0])
        tensor(0.5000, dtype=torch.float64)
    """


class MulticlassPrecision(MulticlassTask, Precision):
    """Multiclass precision, by default the mean over classes; see `lit_metrics.functional.multiclass_precision`.

    Example:
        >>> from lit_metrics import MulticlassPrecision
        >>> MulticlassPrecision(num_classes=3)([0, 1, 1, 2], [0, 1, 2, 2])
        tensor(0.8333, dtype=torch.float64)
    """


class MultilabelPrecision(MultilabelTask, Precision):
    """Precision of each label, by default their mean; see `lit_metrics.functional.multilabel_precision`.

    Example:
        >>> from lit_metrics import MultilabelPrecision
        >>> MultilabelPrecision(num_labels=2, average="none")([[0.9, 0.2], [0.3, 0.8]], [[1, 0], [1, 1]])
        tensor([1., 1.], dtype=torch.float64)
    """


class NegativePredictiveValue(StatScoresMetric):
    """Negative predictive value for any task; averages `"micro"` by default.

    See `StatScores`, and `lit_metrics.functional.multiclass_negative_predictive_value` for the averages.

    Example:
        >>> from lit_metrics import NegativePredictiveValue
        >>> metric = NegativePredictiveValue(task="multiclass", num_classes=3)
        >>> metric([0, 1, 1, 2], [0, 1, 2, 2])
        tensor(0.8750, dtype=torch.float64)
        >>> metric.update([0, 0], [1, 0])
        >>> metric.compute()
        tensor(0.8333, dtype=torch.float64)
    """

    higher_is_better = True

    def value(self, counts: Counts) -> Tensor:
        """Returns negative predictive value from counts."""
        return negative_predictive_value_value(counts, self.average, self.zero_division)


class BinaryNegativePredictiveValue(BinaryTask, NegativePredictiveValue):
    """Binary negative predictive value; see `lit_metrics.functional.binary_negative_predictive_value`.

    Example:
        >>> from lit_metrics import BinaryNegativePredictiveValue
        >>> BinaryNegativePredictiveValue()([0.9, 0.4, 0.6, 0.1], [1, 0, 0, 0])
        tensor(1., dtype=torch.float64)
    """


class MulticlassNegativePredictiveValue(MulticlassTask, NegativePredictiveValue):
    """Multiclass form; see `lit_metrics.functional.multiclass_negative_predictive_value`.

    Example:
        >>> from lit_metrics import MulticlassNegativePredictiveValue
        >>> MulticlassNegativePredictiveValue(num_classes=3)([0, 1, 1, 2], [0, 1, 2, 2])
        tensor(0.8889, dtype=torch.float64)
    """


class MultilabelNegativePredictiveValue(MultilabelTask, NegativePredictiveValue):
    """Negative predictive value of each label; see `lit_metrics.functional.multilabel_negative_predictive_value`.

    Example:
        >>> from lit_metrics import MultilabelNegativePredictiveValue
        >>> MultilabelNegativePredictiveValue(num_labels=2, average="none")([[0.9, 0.2], [0.3, 0.8]], [[1, 0], [1, 1]])
        tensor([0., 1.], dtype=torch.float64)
    """
