"""How a batch is to be counted: from the arguments of the public functions and classes to one configuration."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any, Generic, Literal, TypeAlias, TypeVar

from lit_metrics._inputs import as_tensor

T = TypeVar("T")

Task: TypeAlias = Literal["binary", "multiclass", "multilabel"]
Average: TypeAlias = Literal["micro", "macro", "weighted", "none", "balanced"] | None
MultidimAverage: TypeAlias = Literal["global", "samplewise"]

TASKS = ("binary", "multiclass", "multilabel")
AVERAGES = ("micro", "macro", "weighted", "none", None)
RECALL_AVERAGES = (*AVERAGES, "balanced")
"""What metrics that divide by the support know: `"balanced"` is the mean over classes that have any."""

MATRIX_CLASSES = 128
"""Largest number of classes for which a confusion matrix is kept unasked; beyond, three counts per class."""


class lazy(Generic[T]):  # noqa: N801 - used as a decorator
    """A property that is computed once; `functools.cached_property` holds a lock that `torch.compile` cannot trace."""

    def __init__(self, fn: Callable[[Any], T]) -> None:
        self._fn = fn
        self._name = fn.__name__
        self.__doc__ = fn.__doc__

    def __get__(self, instance: Any, owner: Any = None) -> T:
        value = self._fn(instance)
        vars(instance)[self._name] = value
        return value


@dataclass(frozen=True)
class StatScoresConfig:
    """Everything that decides how a batch is counted; equal configurations share one state.

    Args:
        task: `"binary"`, `"multiclass"` or `"multilabel"`.
        num_classes: Classes, or labels for multilabel; `None` only for multiclass counts that need no classes.
        threshold: Binary and multilabel scores above it are positive; in probability, also with `logits`.
        top_k: A multiclass prediction is a hit if the target is among the `top_k` best scores (ties: lower index
            first).
        ignore_index: Elements with this target are left out; any integer.
        samplewise: One result per sample instead of one for all.
        logits: Whether binary and multilabel scores are logits; never guessed from the values.
        validate_args: Whether values are checked (labels in range, probabilities in [0, 1], no NaN).
        matrix: Whether a multiclass confusion matrix is needed however many classes there are.

    Raises:
        ValueError: If a value is out of its range.
    """

    task: Task
    num_classes: int | None = None
    threshold: float = 0.5
    top_k: int = 1
    ignore_index: int | None = None
    samplewise: bool = False
    logits: bool = False
    validate_args: bool = True
    matrix: bool = False

    def __post_init__(self) -> None:
        if self.task not in TASKS:
            raise ValueError(f"task must be one of {TASKS}, got {self.task!r}")
        size = "num_labels" if self.task == "multilabel" else "num_classes"
        if self.num_classes is not None and (not _is_int(self.num_classes) or self.num_classes < 1):
            raise ValueError(f"{size} must be a positive integer, got {self.num_classes!r}")
        if self.task == "multilabel" and self.num_classes is None:
            raise ValueError("num_labels must be given for task='multilabel'")
        if isinstance(self.threshold, bool) or not (0.0 <= float(self.threshold) <= 1.0):
            raise ValueError(f"threshold must be a probability in [0, 1], got {self.threshold!r}")
        if not _is_int(self.top_k) or self.top_k < 1:
            raise ValueError(f"top_k must be an integer of at least 1, got {self.top_k!r}")
        if self.num_classes is not None and self.task == "multiclass" and self.top_k > self.num_classes:
            raise ValueError(f"top_k must be at most num_classes={self.num_classes}, got {self.top_k}")
        if self.ignore_index is not None and not _is_int(self.ignore_index):
            raise ValueError(f"ignore_index must be an integer or None, got {self.ignore_index!r}")

    @lazy
    def classes(self) -> int:
        """Classes per confusion matrix: K, or 2 for binary and multilabel, or 1 where all classes fall together."""
        return (self.num_classes or 1) if self.task == "multiclass" else 2

    @lazy
    def is_matrix(self) -> bool:
        """Whether the state is a confusion matrix."""
        if self.task != "multiclass":
            return True
        return self.matrix or (
            self.num_classes is not None and self.num_classes <= MATRIX_CLASSES and not self.samplewise
        )

    @lazy
    def is_plain(self) -> bool:
        """Whether every element counts one, into a multiclass confusion matrix."""
        return self.task == "multiclass" and self.is_matrix and self.top_k == 1 and self.ignore_index is None

    @lazy
    def state_shape(self) -> tuple[int, ...]:
        """Shape of the state of one group of samples."""
        k = self.classes
        if self.task == "multilabel":
            return (self.num_classes or 0, k + 2, k)
        return (k + 2, k) if self.is_matrix else (3, k + 1)

    @lazy
    def dropped(self) -> int | None:
        """The multiclass class that `ignore_index` names, if any: it takes no part in averages."""
        index = self.ignore_index
        known = self.task == "multiclass" and index is not None and 0 <= index < (self.num_classes or 0)
        return index if known else None

    @lazy
    def cut(self) -> float:
        """The threshold on the scale of the scores."""
        if not self.logits:
            return float(self.threshold)
        if self.threshold in (0, 1):
            return -math.inf if self.threshold == 0 else math.inf
        return math.log(self.threshold / (1 - self.threshold))


def make_config(
    task: Any,
    threshold: float = 0.5,
    num_classes: int | None = None,
    num_labels: int | None = None,
    average: Any = "micro",
    multidim_average: Any = "global",
    top_k: int = 1,
    ignore_index: int | None = None,
    validate_args: bool = True,
    logits: bool = False,
    *,
    classless: bool = False,
    matrix: bool = False,
) -> StatScoresConfig:
    """Returns the configuration of a task; arguments of other tasks are left out.

    Args:
        task: `"binary"`, `"multiclass"` or `"multilabel"`.
        threshold: See `binary_stat_scores`, as for all that follow.
        num_classes: Number of classes of a multiclass task.
        num_labels: Number of labels of a multilabel task.
        average: How classes or labels become one value.
        multidim_average: `"global"` or `"samplewise"`.
        top_k: How many of the best scores may hold the target.
        ignore_index: Targets that are left out.
        validate_args: Whether values are checked.
        logits: Whether scores are logits.
        classless: Whether the micro average of this metric can be had without knowing the classes.
        matrix: Whether the metric reads a confusion matrix, however many classes there are.

    Raises:
        ValueError: If an argument is out of its range, or one that the task needs is missing.
    """
    if task not in TASKS:
        raise ValueError(f"task must be one of {TASKS}, got {task!r}")
    if multidim_average not in ("global", "samplewise"):
        raise ValueError(f"multidim_average must be 'global' or 'samplewise', got {multidim_average!r}")
    if task != "multiclass":
        size = num_labels if task == "multilabel" else None
        return StatScoresConfig(
            task, size, threshold, 1, ignore_index, multidim_average == "samplewise", logits, validate_args
        )
    if num_classes is None and not (classless and average == "micro"):
        raise ValueError("num_classes must be given" + (f" for average={average!r}" if classless else ""))
    many = matrix and num_classes is not None and num_classes > MATRIX_CLASSES
    samplewise = multidim_average == "samplewise"
    return StatScoresConfig(task, num_classes, 0.5, top_k, ignore_index, samplewise, False, validate_args, many)


classless_config = partial(make_config, classless=True)
"""`make_config` for metrics whose micro average can be had without knowing the classes."""


def binary_config(
    threshold: float, multidim_average: MultidimAverage, ignore_index: int | None, validate_args: bool, logits: bool
) -> StatScoresConfig:
    """Returns the configuration of a binary function."""
    return make_config("binary", threshold, None, None, None, multidim_average, 1, ignore_index, validate_args, logits)


def multiclass_config(
    num_classes: int | None,
    average: Average,
    top_k: int,
    multidim_average: MultidimAverage,
    ignore_index: int | None,
    validate_args: bool,
    *,
    classless: bool = False,
    matrix: bool = False,
) -> StatScoresConfig:
    """Returns the configuration of a multiclass function."""
    return make_config(
        "multiclass",
        num_classes=num_classes,
        average=average,
        multidim_average=multidim_average,
        top_k=top_k,
        ignore_index=ignore_index,
        validate_args=validate_args,
        classless=classless,
        matrix=matrix,
    )


def multilabel_config(
    num_labels: int,
    threshold: float,
    multidim_average: MultidimAverage,
    ignore_index: int | None,
    validate_args: bool,
    logits: bool,
) -> StatScoresConfig:
    """Returns the configuration of a multilabel function."""
    return make_config(
        "multilabel", threshold, None, num_labels, None, multidim_average, 1, ignore_index, validate_args, logits
    )


def infer_task(preds: Any, target: Any) -> dict[str, Any]:
    """Returns `task` and its size, as told by the shapes and dtypes of one batch.

    Float scores with one dimension more than the integer target are multiclass; float scores of the target's shape are
    binary in one dimension, multilabel in more; integer labels on both sides are multiclass with any number of classes.

    Raises:
        ValueError: If the batch fits no task.
    """
    preds, target = as_tensor(preds, "preds"), as_tensor(target, "target")
    if not target.is_floating_point():
        if preds.is_floating_point():
            if preds.ndim == target.ndim + 1 and preds.shape[1] > 1:
                return {"task": "multiclass", "num_classes": preds.shape[1]}
            if preds.shape == target.shape and preds.ndim == 1:
                return {"task": "binary"}
            if preds.shape == target.shape and preds.ndim > 1:
                return {"task": "multilabel", "num_labels": preds.shape[1]}
        elif preds.shape == target.shape:
            return {"task": "multiclass", "num_classes": None}
    raise ValueError(
        f"cannot tell the task from preds {tuple(preds.shape)} {preds.dtype} and target {tuple(target.shape)}"
        f" {target.dtype}; pass task='binary', 'multiclass' or 'multilabel'"
    )


def require_average(average: Any, allowed: tuple[Any, ...] = AVERAGES) -> None:
    """Raises a `ValueError` unless `average` is one of `allowed`."""
    if average not in allowed:
        raise ValueError(f"average must be one of {allowed}, got {average!r}")


def _is_int(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)
