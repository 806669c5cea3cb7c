"""The classes behind every metric that is a reading of the same counts, and the counts as a metric.

A family adds `value` and four small classes; the constructors of the tasks are those of `BinaryTask`, `MulticlassTask`
and `MultilabelTask`.
"""

from __future__ import annotations

from abc import abstractmethod
from typing import Any, ClassVar

import torch
from torch import Tensor

from lit_metrics._inputs import Validation
from lit_metrics.functional.classification._counting import count_batch, raise_if_invalid
from lit_metrics.functional.classification._task import (
    AVERAGES,
    TASKS,
    Average,
    MultidimAverage,
    StatScoresConfig,
    Task,
    infer_task,
    make_config,
    require_average,
)
from lit_metrics.functional.classification.stat_scores import Counts, stat_scores_value
from lit_metrics.metric import Metric


class StatScoresMetric(Metric):
    """Counts predictions and targets per class; subclasses say what value the counts give.

    Arguments and errors: see `StatScores`, and:

    Args:
        matrix: Whether `value` reads a confusion matrix, however many classes there are.
    """

    pure_update = True
    is_differentiable = False
    averages: ClassVar[tuple[Any, ...]] = AVERAGES
    """What `average` may be; a single entry says that the metric has none."""
    classless: ClassVar[bool] = False
    """Whether the micro average can be had without knowing the classes."""
    is_ratio: ClassVar[bool] = True
    """Whether `zero_division` has a meaning."""

    counts: Any
    inferred: Tensor

    def __init__(
        self,
        task: Task | int | None = None,
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
        multilabel: bool = False,
        matrix: bool = False,
        **kwargs: Any,
    ) -> None:
        super().__init__(validate_args=validate_args, **kwargs)
        require_average(average, self.averages)
        if zero_division != 0 and not self.is_ratio:
            raise ValueError(f"{type(self).__name__} divides nothing and must do without zero_division")
        self.average = average
        self.zero_division = zero_division
        if isinstance(task, int):
            task, num_classes = None, task
        if task is None and num_classes == 1:
            num_classes = None
        if multilabel:
            num_classes, num_labels = None, num_labels or num_classes
        if task is None and (num_classes is None) != (num_labels is None):
            task = "multiclass" if num_classes is not None else "multilabel"
        self._options: dict[str, Any] = {
            "threshold": threshold,
            "average": average,
            "multidim_average": multidim_average,
            "top_k": top_k,
            "ignore_index": ignore_index,
            "logits": logits,
            "validate_args": bool(validate_args),
            "classless": self.classless,
            "matrix": matrix,
        }
        self._config: StatScoresConfig | None = None
        if task is not None:
            self._config = make_config(task, num_classes=num_classes, num_labels=num_labels, **self._options)
        elif num_classes is not None:
            raise ValueError("num_classes and num_labels name different tasks; pass task= as well")
        else:
            make_config("multiclass", num_classes=max(top_k, 2) if isinstance(top_k, int) else 2, **self._options)
        self._infers = task is None
        if multidim_average == "samplewise":
            self.add_state("counts", [], dist_reduce_fx="cat")
        else:
            shape = (0,) if self._config is None else self._config.state_shape
            self.add_state("counts", torch.zeros(shape, dtype=torch.long), dist_reduce_fx="sum")
        if self._infers:
            # A state, so that a process without data and a checkpoint learn the task too: its index + 1, and its size.
            self.add_state("inferred", torch.zeros(2, dtype=torch.long), dist_reduce_fx="max")

    @property
    def config(self) -> StatScoresConfig | None:
        """How batches are counted; `None` as long as the task is not known."""
        if self._config is not None:
            return self._config
        state = self._store
        inferred = state.values.get("inferred")
        if not isinstance(inferred, Tensor) or not bool(inferred[0] > 0):
            return None
        number, size = inferred.tolist()
        return self._make({"task": TASKS[number - 1], "num_classes": size or None, "num_labels": size or None})

    @property
    def group_key(self) -> Any:
        """Equal for all metrics that count in the same way."""
        return None if self._infers else ("stat_scores", self._config)

    def update(self, preds: Any, target: Any, sample_weight: Any = None) -> None:
        """Counts one batch.

        Args:
            preds: Scores or labels; see the functional form of the task.
            target: Integer labels.
            sample_weight: `(N,)` weights, or one per element.
        """
        config = self._config
        if config is None:
            config = (self.config if self.update_called else None) or self._make(infer_task(preds, target))
        counts = count_batch(config, preds, target, sample_weight)
        if self._infers:
            code = [TASKS.index(config.task) + 1, config.num_classes or 0]
            self.accumulate({"counts": counts, "inferred": torch.tensor(code, device=counts.device)})
            self.__dict__["_config"] = config
        else:
            self.accumulate({"counts": counts})

    def compute(self) -> Tensor:
        """Returns the value of all batches; nan where nothing was counted."""
        config = self.config
        if config is None:
            return torch.tensor(torch.nan, dtype=torch.float64, device=self.device)
        return self.value(self._store.reading(lambda: Counts(config, self._all_counts(config))))

    def check_state(self) -> None:
        """Raises for invalid labels and scores that an accelerator counted."""
        config = self.config
        if config is not None and self.device.type != "meta":
            raise_if_invalid(config, self._all_counts(config))

    @abstractmethod
    def value(self, counts: Counts) -> Tensor:
        """Returns the metric's value from counts."""

    def _all_counts(self, config: StatScoresConfig) -> Tensor:
        state = self._store
        counts = state.values["counts"]
        if isinstance(counts, Tensor) and counts.shape != (0,):
            return counts
        if isinstance(counts, list) and counts:
            return torch.cat(counts)
        shape = (0, *config.state_shape) if config.samplewise else config.state_shape
        return torch.zeros(shape, dtype=torch.long, device=self.device)

    def _make(self, inferred: dict[str, Any]) -> StatScoresConfig:
        return make_config(**inferred, **self._options)

    def extra_repr(self) -> str:
        """Shows the task and the average: the averages' defaults differ between classes."""
        config = self.config
        size = "" if config is None or config.num_classes is None else f", classes={config.num_classes}"
        average = f", average={self.average!r}" if len(self.averages) > 1 else ""
        return f"task={None if config is None else config.task!r}{size}{average}"


class BinaryTask(StatScoresMetric):
    """Constructor of the binary form of a family; arguments: see `StatScores`."""

    def __init__(
        self,
        threshold: float = 0.5,
        multidim_average: MultidimAverage = "global",
        ignore_index: int | None = None,
        validate_args: Validation = True,
        zero_division: float = 0,
        *,
        logits: bool = False,
        **kwargs: Any,
    ) -> None:
        super().__init__(
            "binary",
            threshold=threshold,
            multidim_average=multidim_average,
            ignore_index=ignore_index,
            validate_args=validate_args,
            zero_division=zero_division,
            logits=logits,
            **kwargs,
        )


class MulticlassTask(StatScoresMetric):
    """Constructor of the multiclass form of a family; arguments: see `StatScores`."""

    def __init__(
        self,
        num_classes: int | None = None,
        top_k: int = 1,
        average: Average = "macro",
        multidim_average: MultidimAverage = "global",
        ignore_index: int | None = None,
        validate_args: Validation = True,
        zero_division: float = 0,
        **kwargs: Any,
    ) -> None:
        super().__init__(
            "multiclass",
            num_classes=num_classes,
            top_k=top_k,
            average=average,
            multidim_average=multidim_average,
            ignore_index=ignore_index,
            validate_args=validate_args,
            zero_division=zero_division,
            **kwargs,
        )


class MultilabelTask(StatScoresMetric):
    """Constructor of the multilabel form of a family; arguments: see `StatScores`."""

    def __init__(
        self,
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
        super().__init__(
            "multilabel",
            num_labels=num_labels,
            threshold=threshold,
            average=average,
            multidim_average=multidim_average,
            ignore_index=ignore_index,
            validate_args=validate_args,
            zero_division=zero_division,
            logits=logits,
            **kwargs,
        )


class StatScores(StatScoresMetric):
    """True and false positives and negatives and the number of targets, for any task; `"micro"` sums over classes.

    See `lit_metrics.functional.multiclass_stat_scores` for the averages. Metrics that read these counts (`Accuracy`,
    `F1Score`, ...) take the same arguments; `kwargs` are those of `Metric`.

    Args:
        task: `"binary"`, `"multiclass"`, `"multilabel"`, or `None`: told by `num_classes` or `num_labels`, else
            inferred once from the first batch.
        threshold: Binary and multilabel scores above it count as 1.
        num_classes: Number of classes of a multiclass task.
        num_labels: Number of labels of a multilabel task.
        average: How classes or labels become one value; see the family.
        multidim_average: `"global"` for one value, `"samplewise"` for one per sample.
        top_k: A multiclass prediction is right if the target is among its `top_k` best scores.
        ignore_index: Targets of this value are left out.
        validate_args: Whether values are checked: at once where that is free (host memory), else in `compute`.
        zero_division: Value of `0 / 0` in a class or label that has data; nan leaves it out of means.
        logits: Whether binary and multilabel scores are logits; never guessed from the values.
        multilabel: 1.0 spelling of `task="multilabel"`, with the labels' number in `num_classes`.

    The 1.0 arguments work too: `num_classes` may come first, and its default of then, 1, leaves the task to the data.

    Raises:
        ValueError: If an argument is out of its range, or one that the task needs is missing.

    Example:
        >>> from lit_metrics import StatScores
        >>> metric = StatScores(task="multiclass", num_classes=3)
        >>> metric.update([0, 1, 1, 2], [0, 1, 2, 2])
        >>> metric.compute()
        tensor([3, 1, 7, 1, 4])
    """

    is_ratio = False

    def value(self, counts: Counts) -> Tensor:
        """Returns `(tp, fp, tn, fn, support)`."""
        return stat_scores_value(counts, self.average)


class BinaryStatScores(BinaryTask, StatScores):
    """Binary counts; see `lit_metrics.functional.binary_stat_scores`.

    Example:
        >>> from lit_metrics import BinaryStatScores
        >>> BinaryStatScores()([0.9, 0.4, 0.6, 0.1], [1, 0, 0, 0])
        tensor([1, 1, 2, 0, 1])
    """


class MulticlassStatScores(MulticlassTask, StatScores):
    """Multiclass counts, by default their mean over classes; see `lit_metrics.functional.multiclass_stat_scores`.

    Example:
        >>> from lit_metrics import MulticlassStatScores
        >>> MulticlassStatScores(num_classes=2, average="none")([0, 1, 1], [0, 1, 0])
        tensor([[1, 0, 1, 1, 2],
                [1, 1, 1, 0, 1]])
    """


class MultilabelStatScores(MultilabelTask, StatScores):
    """Counts of labels, by default their mean; see `lit_metrics.functional.multilabel_stat_scores`.

    Example:
        >>> from lit_metrics import MultilabelStatScores
        >>> MultilabelStatScores(num_labels=2, average="none")([[0.9, 0.2], [0.3, 0.8]], [[1, 0], [1, 1]])
        tensor([[1, 0, 0, 1, 2],
                [1, 0, 1, 0, 1]])
    """
