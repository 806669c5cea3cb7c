"""Recall and specificity, for all tasks."""

from __future__ import annotations

from torch import Tensor

from lit_metrics.classification.stat_scores import BinaryTask, MulticlassTask, MultilabelTask, StatScoresMetric
from lit_metrics.functional.classification._task import RECALL_AVERAGES
from lit_metrics.functional.classification.recall import recall_value, specificity_value
from lit_metrics.functional.classification.stat_scores import Counts


class Recall(StatScoresMetric):
    """Recall for any task; averages `"micro"` unless told otherwise.

    See `StatScores` for the arguments and `lit_metrics.functional.multiclass_recall` for the averages.

    Example:
        >>> from lit_metrics import Recall
        >>> metric = Recall(task="multiclass", num_classes=3)
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
        """Returns recall from counts."""
        return recall_value(counts, self.average, self.zero_division)


class BinaryRecall(BinaryTask, Recall):
    """Binary recall; see `lit_metrics.functional.binary_recall`.

    Example:
        >>> from lit_metrics import BinaryRecall
        >>> BinaryRecall()([0.9, 0.4, 0.6, 0.1], [1, 0, 0, 0])
        tensor(1., dtype=torch.float64)
    """


class MulticlassRecall(MulticlassTask, Recall):
    """Multiclass recall, by default the mean over classes; see `lit_metrics.functional.multiclass_recall`.

    Example:
        >>> from lit_metrics import MulticlassRecall
        >>> MulticlassRecall(num_classes=3)([0, 1, 1, 2], [0, 1, 2, 2])
        tensor(0.8333, dtype=torch.float64)
    """


class MultilabelRecall(MultilabelTask, Recall):
    """Recall of each label, by default their mean; see `lit_metrics.functional.multilabel_recall`.

    Example:
        >>> from lit_metrics import MultilabelRecall
        >>> MultilabelRecall(num_labels=2, average="none")([[0.9, 0.2], [0.3, 0.8]], [[1, 0], [1, 1]])
        tensor([0.5000, 1.0000], dtype=torch.float64)
    """


class Specificity(StatScoresMetric):
    """Specificity for any task; averages `"micro"` unless told otherwise.

    See `StatScores` for the arguments and `lit_metrics.functional.multiclass_specificity` for the averages.

    Example:
        >>> from lit_metrics import Specificity
        >>> metric = Specificity(task="multiclass", num_classes=3)
        >>> metric([0, 1, 1, 2], [0, 1, 2, 2])
        tensor(0.8750, dtype=torch.float64)
        >>> metric.update([0, 0], [1, 0])
        >>> metric.compute()
        tensor(0.8333, dtype=torch.float64)
    """

    higher_is_better = True

    def value(self, counts: Counts) -> Tensor:
        """Returns specificity from counts."""
        return specificity_value(counts, self.average, self.zero_division)


class BinarySpecificity(BinaryTask, Specificity):
    """Binary specificity; see `lit_metrics.functional.binary_specificity`.

    Example:
        >>> from lit_metrics import BinarySpecificity
        >>> BinarySpecificity()([0.9, 0.4, 0.6, 0.1], [1, 0, 0, 0])
        tensor(0.6667, dtype=torch.float64)
    """


class MulticlassSpecificity(MulticlassTask, Specificity):
    """Multiclass specificity, by default the mean over classes; see `lit_metrics.functional.multiclass_specificity`.

    Example:
        >>> from lit_metrics import MulticlassSpecificity
        >>> MulticlassSpecificity(num_classes=3)([0, 1, 1, 2], [0, 1, 2, 2])
        tensor(0.8889, dtype=torch.float64)
    """


class MultilabelSpecificity(MultilabelTask, Specificity):
    """Specificity of each label, by default their mean; see `lit_metrics.functional.multilabel_specificity`.

    Example:
        >>> from lit_metrics import MultilabelSpecificity
        >>> MultilabelSpecificity(num_labels=2, average="none")([[0.9, 0.2], [0.3, 0.8]], [[1, 0], [1, 1]])
        tensor([0., 1.], dtype=torch.float64)
    """
