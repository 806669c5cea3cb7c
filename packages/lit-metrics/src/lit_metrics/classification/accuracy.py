"""Accuracy, for all tasks."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lit_metrics.classification.stat_scores import BinaryTask, MulticlassTask, MultilabelTask, StatScoresMetric
from lit_metrics.functional.classification.accuracy import ACCURACY_AVERAGES, accuracy_value

if TYPE_CHECKING:
    from torch import Tensor

    from lit_metrics.functional.classification.stat_scores import StatScores


class Accuracy(StatScoresMetric):
    """Share of predictions that equal their target, for any task; averages `"micro"` unless told otherwise.

    Without `task` the first batch decides, where that is unambiguous: float scores `(N, C)` are multiclass, float
    scores of the target's shape are binary `(N,)` or multilabel `(N, L)`, integer labels are multiclass. Later batches
    must agree.

    See `lit_metrics.functional.binary_accuracy`, `multiclass_accuracy` and `multilabel_accuracy` for shapes, averages
    and errors, and `StatScoresMetric` for the arguments. The value is float64 in [0, 1]; nan where nothing was counted.

    Example:
        >>> from lit_metrics import Accuracy
        >>> metric = Accuracy(task="multiclass", num_classes=3)
        >>> metric([0, 1, 1, 2], [0, 1, 2, 2])
        tensor(0.7500, dtype=torch.float64)
        >>> metric.update([0, 0], [1, 0])
        >>> metric.compute()
        tensor(0.6667, dtype=torch.float64)
    """

    higher_is_better = True
    averages = ACCURACY_AVERAGES

    def value(self, scores: StatScores) -> Tensor:
        """Returns accuracy from counts."""
        return accuracy_value(scores, self.average)


class BinaryAccuracy(BinaryTask, Accuracy):
    """Share of binary predictions that equal their target; see `lit_metrics.functional.binary_accuracy`.

    Example:
        >>> from lit_metrics import BinaryAccuracy
        >>> metric = BinaryAccuracy(logits=True)
        >>> metric([3.0, -2.0, 0.3, 0.4], [1, 0, 1, 1])
        tensor(1., dtype=torch.float64)
    """


class MulticlassAccuracy(MulticlassTask, Accuracy):
    """Multiclass accuracy, by default the mean over classes; see `lit_metrics.functional.multiclass_accuracy`.

    Example:
        >>> from lit_metrics import MulticlassAccuracy
        >>> metric = MulticlassAccuracy(num_classes=3)
        >>> metric([0, 1, 1, 2], [0, 1, 2, 2])
        tensor(0.8333, dtype=torch.float64)
    """


class MultilabelAccuracy(MultilabelTask, Accuracy):
    """Binary accuracy of each label, by default their mean; see `lit_metrics.functional.multilabel_accuracy`.

    Example:
        >>> from lit_metrics import MultilabelAccuracy
        >>> metric = MultilabelAccuracy(num_labels=2, average="none")
        >>> metric([[0.9, 0.2], [0.3, 0.8]], [[1, 0], [1, 1]])
        tensor([0.5000, 1.0000], dtype=torch.float64)
    """
