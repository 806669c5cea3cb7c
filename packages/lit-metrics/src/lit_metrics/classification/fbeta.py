"""F-scores, for all tasks."""

from __future__ import annotations

from typing import Any

from torch import Tensor

from lit_metrics._inputs import Validation
from lit_metrics.classification.stat_scores import BinaryTask, MulticlassTask, MultilabelTask, StatScoresMetric
from lit_metrics.functional.classification._task import Average, MultidimAverage, Task
from lit_metrics.functional.classification.fbeta import fbeta_value, require_beta
from lit_metrics.functional.classification.stat_scores import Counts


class F1Score(StatScoresMetric):
    """Harmonic mean of precision and recall, for any task; averages `"micro"` unless told otherwise.

    See `StatScores` for the arguments and `lit_metrics.functional.multiclass_f1_score` for the averages.

    Example:
        >>> from lit_metrics import F1Score
        >>> metric = F1Score(task="multiclass", num_classes=3)
        >>> metric([0, 1, 1, 2], [0, 1, 2, 2])
        tensor(0.7500, dtype=torch.float64)
        >>> metric.update([0, 0], [1, 0])
        >>> metric.compute()
        tensor(0.6667, dtype=torch.float64)
    """

    higher_is_better = True
    classless = True

    def value(self, counts: Counts) -> Tensor:
        """Returns the F1 score from counts."""
        return fbeta_value(counts, self.average, self.zero_division)


class BinaryF1Score(BinaryTask, F1Score):
    """Binary F1 score; see `lit_metrics.functional.binary_f1_score`.

    Example:
        >>> from lit_metrics import BinaryF1Score
        >>> BinaryF1Score()([0.9, 0.4, 0.6, 0.1], [1, 0, 0, 0])
        tensor(0.6667, dtype=torch.float64)
    """


class MulticlassF1Score(MulticlassTask, F1Score):
    """Multiclass F1 score, by default the mean over classes; see `lit_metrics.functional.multiclass_f1_score`.

    Example:
        >>> from lit_metrics import MulticlassF1Score
        >>> MulticlassF1Score(num_classes=3)([0, 1, 1, 2], [0, 1, 2, 2])
        tensor(0.7778, dtype=torch.float64)
    """


class MultilabelF1Score(MultilabelTask, F1Score):
    """F1 score of each label, by default their mean; see `lit_metrics.functional.multilabel_f1_score`.

    Example:
        >>> from lit_metrics import MultilabelF1Score
        >>> MultilabelF1Score(num_labels=2, average="none")([[0.9, 0.2], [0.3, 0.8]], [[1, 0], [1, 1]])
        tensor([0.6667, 1.0000], dtype=torch.float64)
    """


class FBetaScore(StatScoresMetric):
    """Weighted harmonic mean of precision and recall, for any task; averages `"micro"` unless told otherwise.

    See `lit_metrics.functional.multiclass_fbeta_score` for the averages.

    Args:
        task: As for `StatScores`, and all arguments that follow `beta`.
        beta: Recall counts `beta` times as much as precision.
        threshold: Binary and multilabel scores above it count as 1.
        num_classes: Number of classes of a multiclass task.
        num_labels: Number of labels of a multilabel task.
        average: How classes or labels become one value.
        multidim_average: `"global"` for one value, `"samplewise"` for one per sample.
        top_k: A multiclass prediction is right if the target is among its `top_k` best scores.
        ignore_index: Targets of this value are left out.
        validate_args: Whether values are checked.
        zero_division: Value of `0 / 0`; nan leaves the class or label out of means.
        logits: Whether binary and multilabel scores are logits.
        kwargs: Arguments of `Metric`, and `multilabel` in the 1.0 spelling.

    Raises:
        ValueError: If `beta` is not above 0.

    Example:
        >>> from lit_metrics import FBetaScore
        >>> metric = FBetaScore(task="multiclass", beta=2.0, num_classes=3, average="macro")
        >>> metric.update([0, 1, 1, 2], [0, 1, 2, 2])
        >>> metric.compute()
        tensor(0.7963, dtype=torch.float64)
    """

    higher_is_better = True
    classless = True

    def __init__(
        self,
        task: Task | None = None,
        beta: float = 1.0,
        threshold: float = 0.5,
        num_classes: int | None = None,
        num_labels: int | None = None,
        average: Average = "micro",
        multidim_average: MultidimAverage = "global",
        top_k: int = 1,
        ignore_index: int | None = None,
        validate_args: Validation = True,
        zero_division: float = 0,
        *,
        logits: bool = False,
        **kwargs: Any,
    ) -> None:
        super().__init__(
            task,
            threshold,
            num_classes,
            num_labels,
            average,
            multidim_average,
            top_k,
            ignore_index,
            validate_args,
            zero_division,
            logits=logits,
            **kwargs,
        )
        require_beta(beta)
        self.beta = beta

    def value(self, counts: Counts) -> Tensor:
        """Returns the F-score from counts."""
        return fbeta_value(counts, self.average, self.zero_division, self.beta)


class BinaryFBetaScore(BinaryTask, FBetaScore):
    """Binary F-score; see `lit_metrics.functional.binary_fbeta_score`, and `FBetaScore` for the arguments.

    Example:
        >>> from lit_metrics import BinaryFBetaScore
        >>> BinaryFBetaScore(beta=2.0)([0.9, 0.4, 0.6, 0.1], [1, 0, 0, 0])
        tensor(0.8333, dtype=torch.float64)
    """

    def __init__(
        self,
        beta: float,
        threshold: float = 0.5,
        multidim_average: MultidimAverage = "global",
        ignore_index: int | None = None,
        validate_args: Validation = True,
        zero_division: float = 0,
        *,
        logits: bool = False,
        **kwargs: Any,
    ) -> None:
        options = {"logits": logits, **kwargs}
        super().__init__(threshold, multidim_average, ignore_index, validate_args, zero_division, beta=beta, **options)


class MulticlassFBetaScore(MulticlassTask, FBetaScore):
    """Multiclass F-score, by default the mean over classes; see `lit_metrics.functional.multiclass_fbeta_score`.

    Example:
        >>> from lit_metrics import MulticlassFBetaScore
        >>> MulticlassFBetaScore(beta=2.0, num_classes=3)([0, 1, 1, 2], [0, 1, 2, 2])
        tensor(0.7963, dtype=torch.float64)
    """

    def __init__(
        self,
        beta: float,
        num_classes: int | None = None,
        top_k: int = 1,
        average: Average = "macro",
        multidim_average: MultidimAverage = "global",
        ignore_index: int | None = None,
        validate_args: Validation = True,
        zero_division: float = 0,
        **kwargs: Any,
    ) -> None:
        options = {"beta": beta, "zero_division": zero_division, **kwargs}
        super().__init__(num_classes, top_k, average, multidim_average, ignore_index, validate_args, **options)


class MultilabelFBetaScore(MultilabelTask, FBetaScore):
    """F-score of each label, by default their mean; see `lit_metrics.functional.multilabel_fbeta_score`.

    Example:
        >>> from lit_metrics import MultilabelFBetaScore
        >>> MultilabelFBetaScore(beta=2.0, num_labels=2)([[0.9, 0.2], [0.3, 0.8]], [[1, 0], [1, 1]])
        tensor(0.7778, dtype=torch.float64)
    """

    def __init__(
        self,
        beta: float,
        num_labels: int,
        threshold: float = 0.5,
        average: Average = "macro",
        multidim_average: MultidimAverage = "global",
        ignore_index: int | None = None,
        validate_args: Validation = True,
        zero_division: float = 0,
        *,
        logits: bool = False,
        **kwargs: Any,
    ) -> None:
        options = {"beta": beta, "zero_division": zero_division, "logits": logits, **kwargs}
        super().__init__(num_labels, threshold, average, multidim_average, ignore_index, validate_args, **options)


class Fbeta(FBetaScore):
    """F-score with the constructor of the 1.0 API; `FBetaScore` is today's.

    Arguments: see `FBetaScore`, `StatScores` and `Metric`.

    Example:
        >>> from lit_metrics import Fbeta
        >>> Fbeta(num_classes=3, beta=0.5)([0, 1, 1, 2], [0, 1, 2, 2])
        tensor(0.7500, dtype=torch.float64)
    """

    def __init__(
        self,
        num_classes: int = 1,
        beta: float = 1.0,
        threshold: float = 0.5,
        average: Average = "micro",
        multilabel: bool = False,
        **kwargs: Any,
    ) -> None:
        options = {"average": average, "multilabel": multilabel, **kwargs}
        super().__init__(beta=beta, threshold=threshold, num_classes=num_classes, **options)
