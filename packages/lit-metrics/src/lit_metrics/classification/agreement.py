"""Matthews correlation coefficient for all tasks, and Cohen's kappa."""

from __future__ import annotations

from typing import Any

from torch import Tensor

from lit_metrics._inputs import Validation
from lit_metrics.classification.stat_scores import StatScoresMetric
from lit_metrics.functional.classification._task import Task
from lit_metrics.functional.classification.agreement import (
    KappaWeights,
    cohen_kappa_value,
    matthews_corrcoef_value,
    require_kappa_task,
    require_weights,
)
from lit_metrics.functional.classification.stat_scores import Counts


class MatthewsCorrCoef(StatScoresMetric):
    """Correlation of predictions and targets, for any task; see `lit_metrics.functional.multiclass_matthews_corrcoef`.

    Arguments and errors: see `StatScores` and `Metric`.

    Example:
        >>> from lit_metrics import MatthewsCorrCoef
        >>> metric = MatthewsCorrCoef(task="multiclass", num_classes=3)
        >>> metric.update([0, 1, 1, 2], [0, 1, 2, 2])
        >>> metric.compute()
        tensor(0.7000, dtype=torch.float64)
    """

    higher_is_better = True
    averages = (None,)
    is_ratio = False

    def __init__(
        self,
        task: Task | None = None,
        threshold: float = 0.5,
        num_classes: int | None = None,
        num_labels: int | None = None,
        ignore_index: int | None = None,
        validate_args: Validation = True,
        *,
        logits: bool = False,
        **kwargs: Any,
    ) -> None:
        options = {"ignore_index": ignore_index, "validate_args": validate_args, "logits": logits, **kwargs}
        super().__init__(task, threshold, num_classes, num_labels, None, **options)

    def value(self, counts: Counts) -> Tensor:
        """Returns the coefficient from counts."""
        return matthews_corrcoef_value(counts)


class BinaryMatthewsCorrCoef(MatthewsCorrCoef):
    """Correlation of binary predictions and targets; see `lit_metrics.functional.binary_matthews_corrcoef`.

    Example:
        >>> from lit_metrics import BinaryMatthewsCorrCoef
        >>> BinaryMatthewsCorrCoef()([0.9, 0.4, 0.6, 0.1], [1, 0, 0, 0])
        tensor(0.5774, dtype=torch.float64)
    """

    def __init__(
        self,
        threshold: float = 0.5,
        ignore_index: int | None = None,
        validate_args: Validation = True,
        *,
        logits: bool = False,
        **kwargs: Any,
    ) -> None:
        super().__init__("binary", threshold, None, None, ignore_index, validate_args, logits=logits, **kwargs)


class MulticlassMatthewsCorrCoef(MatthewsCorrCoef):
    """Correlation of predicted and true classes; see `lit_metrics.functional.multiclass_matthews_corrcoef`.

    Example:
        >>> from lit_metrics import MulticlassMatthewsCorrCoef
        >>> MulticlassMatthewsCorrCoef(num_classes=3)([0, 1, 1, 2], [0, 1, 2, 2])
        tensor(0.7000, dtype=torch.float64)
    """

    def __init__(
        self, num_classes: int, ignore_index: int | None = None, validate_args: Validation = True, **kwargs: Any
    ) -> None:
        super().__init__("multiclass", 0.5, num_classes, None, ignore_index, validate_args, **kwargs)


class MultilabelMatthewsCorrCoef(MatthewsCorrCoef):
    """Correlation over all labels together; see `lit_metrics.functional.multilabel_matthews_corrcoef`.

    Example:
        >>> from lit_metrics import MultilabelMatthewsCorrCoef
        >>> MultilabelMatthewsCorrCoef(num_labels=2)([[0.9, 0.2], [0.3, 0.8]], [[1, 0], [1, 1]])
        tensor(0.5774, dtype=torch.float64)
    """

    def __init__(
        self,
        num_labels: int,
        threshold: float = 0.5,
        ignore_index: int | None = None,
        validate_args: Validation = True,
        *,
        logits: bool = False,
        **kwargs: Any,
    ) -> None:
        super().__init__(
            "multilabel", threshold, None, num_labels, ignore_index, validate_args, logits=logits, **kwargs
        )


class CohenKappa(StatScoresMetric):
    """Agreement beyond chance, for binary and multiclass tasks; see `lit_metrics.functional.multiclass_cohen_kappa`.

    Arguments and errors: see `StatScores`, there and `Metric`.

    Example:
        >>> from lit_metrics import CohenKappa
        >>> CohenKappa(task="multiclass", num_classes=3)([0, 1, 1, 2], [0, 1, 2, 2])
        tensor(0.6364, dtype=torch.float64)
    """

    higher_is_better = True
    averages = (None,)
    is_ratio = False

    def __init__(
        self,
        task: Task,
        threshold: float = 0.5,
        num_classes: int | None = None,
        weights: KappaWeights = None,
        ignore_index: int | None = None,
        validate_args: Validation = True,
        *,
        logits: bool = False,
        **kwargs: Any,
    ) -> None:
        require_kappa_task(task)
        require_weights(weights)
        options = {"ignore_index": ignore_index, "validate_args": validate_args, "logits": logits, **kwargs}
        matrix = weights not in (None, "none")
        super().__init__(task, threshold, num_classes, None, None, matrix=matrix, **options)
        self.weights = weights

    def value(self, counts: Counts) -> Tensor:
        """Returns kappa from counts."""
        return cohen_kappa_value(counts, self.weights)


class BinaryCohenKappa(CohenKappa):
    """Agreement of binary predictions and targets; see `lit_metrics.functional.binary_cohen_kappa`.

    Example:
        >>> from lit_metrics import BinaryCohenKappa
        >>> BinaryCohenKappa()([0.9, 0.4, 0.6, 0.1], [1, 0, 0, 0])
        tensor(0.5000, dtype=torch.float64)
    """

    def __init__(
        self,
        threshold: float = 0.5,
        ignore_index: int | None = None,
        weights: KappaWeights = None,
        validate_args: Validation = True,
        *,
        logits: bool = False,
        **kwargs: Any,
    ) -> None:
        super().__init__("binary", threshold, None, weights, ignore_index, validate_args, logits=logits, **kwargs)


class MulticlassCohenKappa(CohenKappa):
    """Agreement of predicted and true classes; see `lit_metrics.functional.multiclass_cohen_kappa`.

    Example:
        >>> from lit_metrics import MulticlassCohenKappa
        >>> MulticlassCohenKappa(num_classes=3, weights="linear")([0, 1, 1, 2], [0, 1, 2, 2])
        tensor(0.7143, dtype=torch.float64)
    """

    def __init__(
        self,
        num_classes: int,
        ignore_index: int | None = None,
        weights: KappaWeights = None,
        validate_args: Validation = True,
        **kwargs: Any,
    ) -> None:
        super().__init__("multiclass", 0.5, num_classes, weights, ignore_index, validate_args, **kwargs)
