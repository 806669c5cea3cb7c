"""Confusion matrix, for all tasks."""

from __future__ import annotations

from typing import Any

from torch import Tensor

from lit_metrics._inputs import Validation
from lit_metrics.classification.stat_scores import StatScoresMetric
from lit_metrics.functional.classification._task import Task
from lit_metrics.functional.classification.confusion_matrix import Normalize, confusion_matrix_value, require_normalize
from lit_metrics.functional.classification.stat_scores import Counts


class ConfusionMatrix(StatScoresMetric):
    """Counts of predictions (columns) by target (rows), for any task; see `lit_metrics.functional.confusion_matrix`.

    Other arguments: see `StatScores` and `Metric`.

    Args:
        normalize: `"true"` divides rows by their sums, `"pred"` columns, `"all"` everything.

    Raises:
        ValueError: If an argument is out of its range, or one that the task needs is missing.

    Example:
        >>> from lit_metrics import ConfusionMatrix
        >>> metric = ConfusionMatrix(task="multiclass", num_classes=3)
        >>> metric.update([0, 1, 1, 2], [0, 1, 2, 2])
        >>> metric.compute()
        tensor([[1, 0, 0],
                [0, 1, 0],
                [0, 1, 1]])
    """

    averages = (None,)
    is_ratio = False

    def __init__(
        self,
        task: Task | None = None,
        threshold: float = 0.5,
        num_classes: int | None = None,
        num_labels: int | None = None,
        normalize: Normalize = None,
        ignore_index: int | None = None,
        validate_args: Validation = True,
        *,
        logits: bool = False,
        **kwargs: Any,
    ) -> None:
        require_normalize(normalize)
        options = {"ignore_index": ignore_index, "validate_args": validate_args, "logits": logits, **kwargs}
        super().__init__(task, threshold, num_classes, num_labels, None, matrix=True, **options)
        self.normalize = normalize

    def value(self, counts: Counts) -> Tensor:
        """Returns the matrix, or its shares."""
        return confusion_matrix_value(counts, self.normalize)


class BinaryConfusionMatrix(ConfusionMatrix):
    """`[[tn, fp], [fn, tp]]`; see `lit_metrics.functional.binary_confusion_matrix`.

    Example:
        >>> from lit_metrics import BinaryConfusionMatrix
        >>> BinaryConfusionMatrix()([0.9, 0.4, 0.6, 0.1], [1, 0, 0, 0])
        tensor([[2, 1],
                [0, 1]])
    """

    def __init__(
        self,
        threshold: float = 0.5,
        ignore_index: int | None = None,
        normalize: Normalize = None,
        validate_args: Validation = True,
        *,
        logits: bool = False,
        **kwargs: Any,
    ) -> None:
        options = {"ignore_index": ignore_index, "validate_args": validate_args, "logits": logits, **kwargs}
        super().__init__("binary", threshold, normalize=normalize, **options)


class MulticlassConfusionMatrix(ConfusionMatrix):
    """Counts by true and predicted class, `(C, C)`; see `lit_metrics.functional.multiclass_confusion_matrix`.

    Example:
        >>> from lit_metrics import MulticlassConfusionMatrix
        >>> MulticlassConfusionMatrix(num_classes=3, normalize="true")([0, 1, 1, 2], [0, 1, 2, 2])
        tensor([[1.0000, 0.0000, 0.0000],
                [0.0000, 1.0000, 0.0000],
                [0.0000, 0.5000, 0.5000]], dtype=torch.float64)
    """

    def __init__(
        self,
        num_classes: int,
        ignore_index: int | None = None,
        normalize: Normalize = None,
        validate_args: Validation = True,
        **kwargs: Any,
    ) -> None:
        options = {"ignore_index": ignore_index, "validate_args": validate_args, **kwargs}
        super().__init__("multiclass", num_classes=num_classes, normalize=normalize, **options)


class MultilabelConfusionMatrix(ConfusionMatrix):
    """Binary matrix of each label, `(L, 2, 2)`; see `lit_metrics.functional.multilabel_confusion_matrix`.

    Example:
        >>> from lit_metrics import MultilabelConfusionMatrix
        >>> MultilabelConfusionMatrix(num_labels=2)([[0.9, 0.2], [0.3, 0.8]], [[1, 0], [1, 1]]).tolist()
        [[[0, 0], [1, 1]], [[1, 0], [0, 1]]]
    """

    def __init__(
        self,
        num_labels: int,
        threshold: float = 0.5,
        ignore_index: int | None = None,
        normalize: Normalize = None,
        validate_args: Validation = True,
        *,
        logits: bool = False,
        **kwargs: Any,
    ) -> None:
        options = {"ignore_index": ignore_index, "validate_args": validate_args, "logits": logits, **kwargs}
        super().__init__("multilabel", threshold, num_labels=num_labels, normalize=normalize, **options)
