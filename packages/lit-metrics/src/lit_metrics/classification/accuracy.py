"""Accuracy and Hamming distance, for all tasks."""

from __future__ import annotations

from torch import Tensor

from lit_metrics.classification.stat_scores import BinaryTask, MulticlassTask, MultilabelTask, StatScoresMetric
from lit_metrics.functional.classification._task import RECALL_AVERAGES
from lit_metrics.functional.classification.accuracy import accuracy_value, hamming_distance_value
from lit_metrics.functional.classification.stat_scores import Counts


class Accuracy(StatScoresMetric):
    """Share of predictions that equal their target, for any task; averages `"micro"` unless told otherwise.

    Without `task` the first batch decides, where that is unambiguous: float scores `(N, C)` are multiclass, float
    scores of the target's shape are binary `(N,)` or multilabel `(N, L)`, integer labels are multiclass. Later batches
    must agree.

    See `StatScores` for the arguments and `lit_metrics.functional.multiclass_accuracy` for the averages.

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
    averages = RECALL_AVERAGES
    classless = True

    def value(self, counts: Counts) -> Tensor:
        """Returns accuracy from counts."""
        return accuracy_value(counts, self.average, self.zero_division)


class BinaryAccuracy(BinaryTask, Accuracy):
    """Binary accuracy; see `lit_metrics.functional.binary_accuracy`.

    Example:
        >>> from lit_metrics import BinaryAccuracy
        >>> BinaryAccuracy()([0.9, 0.4, 0.6, 0.1], [1, 0, 0, 0])
        tensor(0.7500, dtype=torch.float64)
    """


class MulticlassAccuracy(MulticlassTask, Accuracy):
    """Multiclass accuracy, by default the mean over classes; see `lit_metrics.functional.multiclass_accuracy`.

    Example:
        >>> from lit_metrics import MulticlassAccuracy
        >>> MulticlassAccuracy(num_classes=3)([0, 1, 1, 2], [0, 1, 2, 2])
        tensor(0.8333, dtype=torch.float64)
    """


class MultilabelAccuracy(MultilabelTask, Accuracy):
    """Accuracy of each label, by default their mean; see `lit_metrics.functional.multilabel_accuracy`.

    Example:
        >>> from lit_metrics import MultilabelAccuracy
        >>> MultilabelAccuracy(num_labels=2, average="none")([[0.9, 0.2], [0.3, 0.8]], [[1, 0], [1, 1]])
        tensor([0.5000, 1.0000], dtype=torch.float64)
    """


class HammingDistance(StatScoresMetric):
    """Hamming distance for any task; averages `"micro"` unless told otherwise.

    See `StatScores` for the arguments and `lit_metrics.functional.multiclass_hamming_distance` for the averages.

    Example:
        >>> from lit_metrics import HammingDistance
        >>> metric = HammingDistance(task="multiclass", num_classes=3)
        >>> metric([0, 1, 1, 2], [0, 1, 2, 2])
        tensor(0.2500, dtype=torch.float64)
        >>> metric.update([0, 0], [1, 0])
        >>> metric.compute()
        tensor(0.3333, dtype=torch.float64)
    """

    higher_is_better = False
    averages = RECALL_AVERAGES
    classless = True
    is_ratio = False

    def value(self, counts: Counts) -> Tensor:
        """Returns Hamming distance from counts."""
        return hamming_distance_value(counts, self.average)


class BinaryHammingDistance(BinaryTask, HammingDistance):
    """Binary hamming distance; see `lit_metrics.functional.binary_hamming_distance`.

    Example:
        >>> from lit_metrics import BinaryHammingDistance
        >>> BinaryHammingDistance()([0.9, 0.4, 0.6, 0.1], [1, 0, 0, 0])
        tensor(0.2500, dtype=torch.float64)
    """


class MulticlassHammingDistance(MulticlassTask, HammingDistance):
    """Multiclass hamming distance, by default the mean; see `lit_metrics.functional.multiclass_hamming_distance`.

    Example:
        >>> from lit_metrics import MulticlassHammingDistance
        >>> MulticlassHammingDistance(num_classes=3)([0, 1, 1, 2], [0, 1, 2, 2])
        tensor(0.1667, dtype=torch.float64)
    """


class MultilabelHammingDistance(MultilabelTask, HammingDistance):
    """Hamming distance of each label; see `lit_metrics.functional.multilabel_hamming_distance`.

    Example:
        >>> from lit_metrics import MultilabelHammingDistance
        >>> MultilabelHammingDistance(num_labels=2, average="none")([[0.9, 0.2], [0.3, 0.8]], [[1, 0], [1, 1]])
        tensor([0.5000, 0.0000], dtype=torch.float64)
    """
