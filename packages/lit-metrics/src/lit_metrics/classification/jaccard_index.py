"""Jaccard index, for all tasks."""

from __future__ import annotations

from typing import Any

from torch import Tensor

from lit_metrics._inputs import Validation
from lit_metrics.classification.stat_scores import StatScoresMetric
from lit_metrics.functional.classification._task import Average, Task
from lit_metrics.functional.classification.jaccard_index import jaccard_index_value
from lit_metrics.functional.classification.stat_scores import Counts


class JaccardIndex(StatScoresMetric):
    """Intersection of predicted and true over their union, for any task; averages `"macro"` unless told otherwise.

    See `lit_metrics.functional.multiclass_jaccard_index` for the averages.

    Arguments and errors: see `StatScores` and `Metric`.

    Example:
        >>> from lit_metrics import JaccardIndex
        >>> metric = JaccardIndex(task="multiclass", num_classes=3)
        >>> metric.update([0, 1, 1, 2], [0, 1, 2, 2])
        >>> metric.compute()
        tensor(0.6667, dtype=torch.float64)
    """

    higher_is_better = True

    def __init__(
        self,
        task: Task | None = None,
        threshold: float = 0.5,
        num_classes: int | None = None,
        num_labels: int | None = None,
        average: Average = "macro",
        ignore_index: int | None = None,
        validate_args: Validation = True,
        zero_division: float = 0,
        *,
        logits: bool = False,
        **kwargs: Any,
    ) -> None:
        options = {"ignore_index": ignore_index, "validate_args": validate_args, "logits": logits, **kwargs}
        super().__init__(task, threshold, num_classes, num_labels, average, zero_division=zero_division, **options)

    def value(self, counts: Counts) -> Tensor:
        """Returns the Jaccard index from counts."""
        return jaccard_index_value(counts, self.average, self.zero_division)


class BinaryJaccardIndex(JaccardIndex):
    """Jaccard index of the positive class; see `lit_metrics.functional.binary_jaccard_index`.

    Example:
        >>> from lit_metrics import BinaryJaccardIndex
        >>> BinaryJaccardIndex()([0.9, 0.4, 0.6, 0.1], [1, 0, 0, 0])
        tensor(0.5000, dtype=torch.float64)
    """

    def __init__(
        self,
        threshold: float = 0.5,
        ignore_index: int | None = None,
        validate_args: Validation = True,
        zero_division: float = 0,
        *,
        logits: bool = False,
        **kwargs: Any,
    ) -> None:
        options = {"ignore_index": ignore_index, "validate_args": validate_args, "logits": logits, **kwargs}
        super().__init__("binary", threshold, zero_division=zero_division, **options)


class MulticlassJaccardIndex(JaccardIndex):
    """Multiclass Jaccard index, by default the mean; see `lit_metrics.functional.multiclass_jaccard_index`.

    Example:
        >>> from lit_metrics import MulticlassJaccardIndex
        >>> MulticlassJaccardIndex(num_classes=3, average="none")([0, 1, 1, 2], [0, 1, 2, 2])
        tensor([1.0000, 0.5000, 0.5000], dtype=torch.float64)
    """

    def __init__(
        self,
        num_classes: int,
        average: Average = "macro",
        ignore_index: int | None = None,
        validate_args: Validation = True,
        zero_division: float = 0,
        **kwargs: Any,
    ) -> None:
        options = {"ignore_index": ignore_index, "validate_args": validate_args, **kwargs}
        super().__init__("multiclass", 0.5, num_classes, None, average, zero_division=zero_division, **options)


class MultilabelJaccardIndex(JaccardIndex):
    """Jaccard index of each label, by default their mean; see `lit_metrics.functional.multilabel_jaccard_index`.

    Example:
        >>> from lit_metrics import MultilabelJaccardIndex
        >>> MultilabelJaccardIndex(num_labels=2)([[0.9, 0.2], [0.3, 0.8]], [[1, 0], [1, 1]])
        tensor(0.7500, dtype=torch.float64)
    """

    def __init__(
        self,
        num_labels: int,
        threshold: float = 0.5,
        average: Average = "macro",
        ignore_index: int | None = None,
        validate_args: Validation = True,
        zero_division: float = 0,
        *,
        logits: bool = False,
        **kwargs: Any,
    ) -> None:
        options = {"ignore_index": ignore_index, "validate_args": validate_args, "logits": logits, **kwargs}
        super().__init__("multilabel", threshold, None, num_labels, average, zero_division=zero_division, **options)
