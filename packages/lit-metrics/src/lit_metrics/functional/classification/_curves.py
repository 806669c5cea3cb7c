"""The one engine of ranking metrics: how many positives and negatives score at least as high, threshold by threshold.

Binary, multiclass (one class against the rest) and multilabel tasks are columns of one table of scores, and ROC,
precision-recall curves and their areas are readings of it. Two states exist:

* exact: lists of all scores, targets and weights; one sort in `compute`, equal scores form one point;
* binned: a histogram of the scores between given thresholds, `(G, T + 2, 2)`: negatives and positives; bin 0 holds
  scores below all thresholds, row `T + 1` counts ignored and invalid elements. It has constant size.

Scores are ranked as they come: no transform is guessed from their values.

Shape suffixes: N samples, G columns (classes, labels, or 1 for binary), T thresholds, R rows of a curve.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, TypeAlias

import numpy as np
import torch
from torch import Tensor

from lit_metrics._inputs import as_tensor, as_weights, checks_are_free, require_same_shape, to_float
from lit_metrics.functional.classification._counting import histogram, label_tensors
from lit_metrics.functional.classification._task import TASKS, Task, infer_task, lazy

Thresholds: TypeAlias = int | list[float] | Tensor | None
CurveAverage: TypeAlias = Literal["micro", "macro", "weighted", "none"] | None
OneCurve: TypeAlias = tuple[Tensor, Tensor, Tensor]
SomeCurves: TypeAlias = OneCurve | tuple[list[Tensor], list[Tensor], list[Tensor]]

IGNORED, INVALID = -1, -2


@dataclass(frozen=True)
class CurveConfig:
    """How scores are read, and what is kept of a batch; equal configurations share one state.

    Args:
        task: `"binary"`, `"multiclass"` or `"multilabel"`.
        num_classes: Classes, or labels for multilabel.
        thresholds: Increasing thresholds of the binned state; `None` keeps all scores.
        ignore_index: Elements with this target are left out; any integer.
        logits: Whether scores are logits: a softmax over the classes of each sample comes first; binary and multilabel
            thresholds are in probability.
        validate_args: Whether values are checked (labels in range, no NaN, probabilities in [0, 1] if thresholds are).

    Raises:
        ValueError: If a value is out of its range.
    """

    task: Task
    num_classes: int | None = None
    thresholds: tuple[float, ...] | None = None
    ignore_index: int | None = None
    logits: bool = False
    validate_args: bool = True
    _grids: dict[tuple[torch.dtype, torch.device], Tensor] = field(
        default_factory=dict, init=False, repr=False, compare=False
    )

    def __post_init__(self) -> None:
        if self.task not in TASKS:
            raise ValueError(f"task must be one of {TASKS}, got {self.task!r}")
        least = {"binary": 1, "multiclass": 2, "multilabel": 1}[self.task]
        size = "num_labels" if self.task == "multilabel" else "num_classes"
        if self.task != "binary" and (not _is_int(self.num_classes) or (self.num_classes or 0) < least):
            raise ValueError(f"{size} must be an integer of at least {least}, got {self.num_classes!r}")
        if self.ignore_index is not None and not _is_int(self.ignore_index):
            raise ValueError(f"ignore_index must be an integer or None, got {self.ignore_index!r}")

    @property
    def columns(self) -> int:
        """Number of curves G."""
        return 1 if self.task == "binary" else self.num_classes or 1

    @property
    def label_count(self) -> int:
        """Number of values a target may have."""
        return self.columns if self.task == "multiclass" else 2

    @property
    def is_bounded(self) -> bool:
        """Whether scores must be probabilities: only if all thresholds are."""
        grid = self.thresholds
        return not self.logits and grid is not None and grid[0] >= 0 and grid[-1] <= 1

    def grid(self, dtype: torch.dtype, device: torch.device) -> Tensor:
        """Returns the thresholds on the scale of the scores, in their type: 0.1 equals 0.1 in any precision."""
        found = self._grids.get((dtype, device))
        if found is None:
            found = torch.tensor(self.thresholds, dtype=torch.float64)
            if self.logits and self.task != "multiclass":
                found = found.logit()  # instead of the scores, which a sigmoid would round together
            self._grids[dtype, device] = found = found.to(device=device, dtype=dtype)
        return found


def make_curve_config(
    task: Any,
    thresholds: Thresholds = None,
    num_classes: int | None = None,
    num_labels: int | None = None,
    ignore_index: int | None = None,
    validate_args: bool = True,
    logits: bool = False,
) -> CurveConfig:
    """Returns the configuration of a task; arguments of other tasks are left out.

    Raises:
        ValueError: If an argument is out of its range, or one that the task needs is missing.
    """
    size = num_classes if task == "multiclass" else num_labels if task == "multilabel" else None
    return CurveConfig(task, size, _as_grid(thresholds), ignore_index, logits, validate_args)


def _as_grid(thresholds: Any) -> tuple[float, ...] | None:
    if thresholds is None:
        return None
    if _is_int(thresholds):
        if thresholds < 2:
            raise ValueError(f"thresholds must be at least 2 if it is a number, got {thresholds}")
        return tuple(i / (thresholds - 1) for i in range(thresholds))
    values = np.sort(np.asarray(as_tensor(thresholds, "thresholds").detach().cpu(), dtype=np.float64).reshape(-1))
    if not values.size or np.isnan(values).any():
        raise ValueError(f"thresholds must be None, a number, or numbers without NaN, got {thresholds!r}")
    return tuple(values.tolist())


def _is_int(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def curve_state(config: CurveConfig, preds: Any, target: Any, sample_weight: Any = None) -> dict[str, Tensor]:
    """Returns the state of one batch: `counts` if binned, else `scores`, `target` and `weights`.

    Args:
        config: What to keep.
        preds: Scores: binary `(N, ...)`; multiclass `(N, C, ...)`; multilabel `(N, L, ...)`.
        target: Integer labels `(N, ...)`; multilabel `(N, L, ...)` of 0 and 1.
        sample_weight: Weight per sample or per element of `target`.

    Raises:
        ValueError: If shapes do not fit, or (with `validate_args`, in host memory) values are out of range.
        TypeError: If targets are not integers.
    """
    preds, target = label_tensors(preds, target)
    require_shapes(config, preds, target)
    weights = None if sample_weight is None else as_weights(sample_weight, target.shape, target.device)
    scores = to_float(preds.detach())
    if config.task == "multiclass":
        scores = scores.movedim(1, -1).reshape(-1, config.columns)
        target, weights = target.reshape(-1), None if weights is None else weights.reshape(-1)
        if config.logits:
            scores = scores.double().softmax(-1)
    else:
        scores, target = _by_column(config, scores), _by_column(config, target)
        weights = None if weights is None else _by_column(config, weights)
    clean = _is_clean(config, target)
    labels = target if clean else _labels(config, target)
    if config.thresholds is not None:
        return {"counts": _binned(config, scores, labels, weights, clean)}
    labels = labels.to(torch.int8 if config.label_count <= 127 else torch.int32, copy=True)
    if config.validate_args and checks_are_free(scores):
        _require_valid(config, scores, labels)
    # Unit weights are one byte seen many times: an unweighted list costs no memory until it is concatenated.
    kept = torch.ones((), dtype=torch.bool, device=labels.device).expand(labels.shape) if weights is None else weights
    return {"scores": scores.clone(memory_format=torch.contiguous_format), "target": labels, "weights": kept.detach()}


def require_shapes(config: CurveConfig, preds: Tensor, target: Tensor) -> None:
    """Raises a `ValueError` unless scores and targets have the shapes of the task."""
    if config.task == "multiclass":
        shape = preds.shape
        if preds.ndim != target.ndim + 1 or shape[:1] + shape[2:] != target.shape or shape[1] != config.columns:
            raise ValueError(
                f"preds must be scores (N, {config.columns}, ...) for target (N, ...), got {tuple(shape)} and"
                f" {tuple(target.shape)}"
            )
        return
    require_same_shape(preds, target)
    if config.task == "multilabel" and (preds.ndim < 2 or preds.shape[1] != config.columns):
        raise ValueError(f"preds and target must have shape (N, {config.columns}, ...), got {tuple(preds.shape)}")


def _by_column(config: CurveConfig, value: Tensor) -> Tensor:
    return value.reshape(-1) if config.task == "binary" else value.movedim(1, -1).reshape(-1, config.columns)


def _is_clean(config: CurveConfig, target: Tensor) -> bool:
    """Returns whether all targets are known to be labels that count; `False` where looking would cost a wait."""
    k = config.label_count
    if config.ignore_index is not None and 0 <= config.ignore_index < k:
        return False
    # As unsigned numbers, negative labels are large.
    return checks_are_free(target) and target.numel() > 0 and bool(target.numpy().view(np.uint64).max() < k)


def _labels(config: CurveConfig, target: Tensor) -> Tensor:
    """Returns the targets, those to ignore as -1, those that are no label as -2."""
    labels = torch.where((target >= 0) & (target < config.label_count), target, INVALID)
    return labels if config.ignore_index is None else labels.masked_fill(target == config.ignore_index, IGNORED)


def _require_valid(config: CurveConfig, scores: Tensor, labels: Tensor) -> None:
    if _lowest(labels) == INVALID:
        raise ValueError(bad_target(config))
    if _has_nan(scores) and (config.ignore_index is None or _has_nan(scores[labels != IGNORED])):
        raise ValueError(_bad_scores(config))


def _lowest(labels: Tensor) -> int:
    if not labels.numel():
        return 0
    return int(labels.numpy().min()) if labels.is_cpu else int(labels.amin())


def _has_nan(scores: Tensor) -> bool:
    return bool(np.isnan(scores.numpy()).any()) if scores.is_cpu else bool(scores.isnan().any())


def bad_target(config: CurveConfig) -> str:
    """Returns what is said of targets that are no labels."""
    ignored = "" if config.ignore_index is None else f" or ignore_index={config.ignore_index}"
    return f"target must hold labels in [0, {config.label_count - 1}]{ignored}; got others"


def _bad_scores(config: CurveConfig) -> str:
    if config.is_bounded:
        return "preds must be probabilities in [0, 1] (pass logits=True for logits); got other values"
    return "preds must be scores without NaN; got NaN"


def _binned(config: CurveConfig, scores: Tensor, labels: Tensor, weights: Tensor | None, clean: bool) -> Tensor:
    """Counts scores `(N,)` or `(N, G)` between thresholds."""
    groups, rows = config.columns, len(config.thresholds or ()) + 2
    index = torch.bucketize(scores.contiguous(), config.grid(scores.dtype, scores.device), right=True)
    index = torch.add(_positives(config, labels) if config.task == "multiclass" else labels, index, alpha=2)
    free = checks_are_free(scores)
    if free and config.validate_args:
        _require_bounds(config, scores, labels, clean)
    elif config.validate_args:
        good = (scores >= 0) & (scores <= 1) if config.is_bounded else ~scores.isnan()
        index = torch.where(good, index, 2 * rows - 1)
    if not clean:
        special = labels.unsqueeze(-1) if config.task == "multiclass" else labels
        index = torch.where(special >= 0, index, 2 * rows - 1 + (special == IGNORED) * -1)
    if groups > 1:
        index = index.add_(torch.arange(groups, device=index.device) * (2 * rows))
    if weights is not None:
        weights = (weights.unsqueeze(-1) if config.task == "multiclass" else weights).expand(index.shape)
    counts = histogram(index.reshape(-1), groups * rows * 2, weights)
    return counts.view(groups, rows, 2)


def _require_bounds(config: CurveConfig, scores: Tensor, labels: Tensor, clean: bool) -> None:
    values = scores.numpy()
    if not clean and _lowest(labels) == INVALID:
        raise ValueError(bad_target(config))
    if not clean and config.ignore_index is not None:
        values = values[labels.numpy() != IGNORED]
    if values.size:
        low, high = values.min(), values.max()
        if not ((low >= 0 and high <= 1) if config.is_bounded else low == low):
            raise ValueError(_bad_scores(config))


def _positives(config: CurveConfig, labels: Tensor) -> Tensor:
    """Returns whether each sample is of each class, `(N, G)`."""
    return labels.unsqueeze(-1) == torch.arange(config.columns, dtype=labels.dtype, device=labels.device)


@dataclass(frozen=True)
class Points:
    """Curves as cumulated weights, one column each; row 0 lies above all scores.

    Args:
        tp: Weight of the positives that score at least the threshold, `(R, G)`; may repeat rows.
        fp: Weight of such negatives.
        thresholds: Decreasing thresholds, `(R, G)`; infinite in row 0.
        binned: Whether the rows are given thresholds, with one more row below all of them.
    """

    tp: Tensor
    fp: Tensor
    thresholds: Tensor
    binned: bool

    @property
    def positives(self) -> Tensor:
        """Weight of all positives, `(G,)`."""
        return self.tp[-1]

    @property
    def negatives(self) -> Tensor:
        """Weight of all negatives, `(G,)`."""
        return self.fp[-1]

    @lazy
    def tpr(self) -> Tensor:
        """Recall; nan without positives."""
        return self.tp / self.positives

    @lazy
    def fpr(self) -> Tensor:
        """False positive rate; nan without negatives."""
        return self.fp / self.negatives

    @lazy
    def precision(self) -> Tensor:
        """Precision; nan where nothing scores as high."""
        return self.tp / (self.tp + self.fp)

    @lazy
    def is_point(self) -> Tensor:
        """Which rows say something new, `(R, G)`: a given threshold, or a score that occurs."""
        if self.binned:
            rows = torch.ones_like(self.tp, dtype=torch.bool)
            rows[0], rows[-1] = False, False
            return rows
        total = self.tp + self.fp
        return torch.cat([torch.zeros_like(total[:1], dtype=torch.bool), total[1:] > total[:-1]])


class Curves:
    """A reading of the state of all batches.

    Args:
        config: How the state was made.
        state: What `curve_state` returned, summed or concatenated; lists are concatenated here.
    """

    def __init__(self, config: CurveConfig, state: Mapping[str, Any]) -> None:
        self.config = config
        self._state = {name: _joined(value) for name, value in state.items()}

    def require_valid(self) -> None:
        """Raises a `ValueError` for invalid labels or scores, which an accelerator could not refuse at once."""
        if not self.config.validate_args:
            return
        if self.config.thresholds is not None:
            counts = self._state["counts"]
            if not counts.is_meta and bool(counts[:, -1, 1].any()):
                raise ValueError(f"{_bad_scores(self.config)}, or: {bad_target(self.config)}")
        elif self._state["target"].numel() and not self._state["target"].is_meta:
            _require_valid(self.config, self._state["scores"], self._state["target"])

    @lazy
    def each(self) -> Points:
        """One curve per class or label, or the one of a binary task."""
        if self.config.thresholds is not None:
            return _binned_points(self.config, self._state["counts"])
        return ranked(*self._elements())

    @lazy
    def flat(self) -> Points:
        """The curve of all classes' or labels' elements together."""
        if self.config.thresholds is not None:
            return _binned_points(self.config, self._state["counts"].sum(0, keepdim=True))
        scores, positive, weights = self._elements()
        weights = None if weights is None else weights.expand(positive.shape).reshape(-1, 1)
        return ranked(scores.reshape(-1, 1), positive.reshape(-1, 1), weights)

    def average(self, value: Callable[[Points], Tensor], average: CurveAverage) -> Tensor:
        """Returns a value per curve, `(G,)`, averaged: undefined ones are left out of means; binary gives a scalar."""
        if self.config.task == "binary":
            return value(self.each)[0]
        if average == "micro":
            return value(self.flat)[0]
        values = value(self.each)
        if average == "macro":
            return values.nanmean()
        if average == "weighted":
            weights = self.each.positives * ~values.isnan()
            return (values.nan_to_num() * weights).sum() / weights.sum()
        return values

    def shown(self, thresholds: Tensor) -> Tensor:
        """Returns thresholds on the scale that was asked for: probabilities if the scores are logits."""
        ranks_logits = self.config.logits and self.config.task != "multiclass" and self.config.thresholds is None
        return thresholds.sigmoid() if ranks_logits else thresholds

    def _elements(self) -> tuple[Tensor, Tensor, Tensor | None]:
        """Returns scores and positives `(N, G)`, and weights that broadcast to them, if not all are 1."""
        scores, labels = self._state["scores"], self._state["target"]
        if scores.numel() == 0:
            scores = scores.new_zeros(0, self.config.columns)
            return scores, scores > 0, None
        given = self._state["weights"]
        weights = None if given.dtype == torch.bool else given.double()
        if _lowest(labels) < 0 and self.config.task == "multilabel":
            weights = (labels >= 0).double() if weights is None else weights * (labels >= 0)
        elif _lowest(labels) < 0:
            kept = labels >= 0
            scores, labels, weights = scores[kept], labels[kept], None if weights is None else weights[kept]
        if self.config.task == "binary":
            scores, labels = scores.unsqueeze(-1), labels.unsqueeze(-1)
        positive = _positives(self.config, labels) if self.config.task == "multiclass" else labels == 1
        return scores, positive, weights.unsqueeze(-1) if weights is not None and weights.ndim == 1 else weights


def _joined(value: Any) -> Tensor:
    if isinstance(value, Tensor):
        return value
    return torch.cat(value) if value else torch.zeros(0)


def _binned_points(config: CurveConfig, counts: Tensor) -> Points:
    below = counts[:, :-1].double().flip(1).cumsum(1)  # (G, T + 1, 2), from the highest bin down
    rows = torch.cat([torch.zeros_like(below[:, :1]), below], 1).movedim(1, 0)
    grid = torch.tensor(config.thresholds, dtype=torch.float64, device=counts.device).flip(0)
    edges = torch.cat([grid.new_tensor([torch.inf]), grid, grid.new_tensor([-torch.inf])])
    return Points(rows[..., 1], rows[..., 0], edges.unsqueeze(-1).expand(rows.shape[:2]), binned=True)


def ranked(scores: Tensor, positive: Tensor, weights: Tensor | None) -> Points:
    """Sorts each column once; rows inside a group of equal scores repeat the row before the group.

    Args:
        scores: Scores `(N, G)`.
        positive: Which of them are of positives.
        weights: Weights that broadcast to them, or `None`.
    """
    if weights is None and scores.is_cpu and scores.dtype == torch.float32:
        scores, positive = _sorted_packed(scores, positive)
        hit = positive.double()
        tp = hit.cumsum(0)
        fp = torch.arange(1, len(scores) + 1, dtype=torch.float64).unsqueeze(-1) - tp
    else:
        scores, order = scores.sort(dim=0, descending=True)
        hit = positive.gather(0, order).double()
        if weights is None:
            miss = 1 - hit
        else:
            weights = weights.expand(positive.shape).gather(0, order)
            hit, miss = hit * weights, (1 - hit) * weights
        tp, fp = hit.cumsum(0), miss.cumsum(0)
    inside = scores[:-1] == scores[1:]
    if bool(inside.any()):
        inside = torch.cat([inside, inside.new_zeros(1, inside.shape[1])])
        # Cumulated weights never fall, so the running maximum of the group ends is the last one passed.
        tp, fp = (x.masked_fill(inside, 0).cummax(0).values for x in (tp, fp))
    zero = tp.new_zeros(1, tp.shape[1])
    top = scores.new_full((1, scores.shape[1]), torch.inf)
    return Points(torch.cat([zero, tp]), torch.cat([zero, fp]), torch.cat([top, scores]), binned=False)


def _sorted_packed(scores: Tensor, positive: Tensor) -> tuple[Tensor, Tensor]:
    """Sorts scores with their labels in the last bit of one integer: numpy sorts integers several times faster."""
    columns = np.ascontiguousarray(scores.numpy().T) + np.float32(0)  # a negative zero equals zero
    bits = columns.view(np.int32)
    bits ^= (bits >> 31) & 0x7FFFFFFF  # order of integers = order of floats
    packed = ~bits.astype(np.int64)
    packed <<= 1
    packed |= positive.numpy().T
    packed.sort(axis=1)
    found = (packed & 1).astype(bool)
    bits = (~(packed >> 1)).astype(np.int32)
    bits ^= (bits >> 31) & 0x7FFFFFFF
    return torch.from_numpy(bits.view(np.float32)).T, torch.from_numpy(found).T


def read_curves(
    preds: Any,
    target: Any,
    task: Task | None,
    sample_weight: Any = None,
    *,
    num_classes: int | None = None,
    num_labels: int | None = None,
    **options: Any,
) -> Curves:
    """Returns the reading of one batch; without `task`, what the shapes tell."""
    if task is None:
        inferred = infer_task(preds, target)
        task = inferred.pop("task")
        num_classes = inferred.get("num_classes", num_classes)
        num_labels = inferred.get("num_labels", num_labels)
    if task == "multiclass" and num_classes is None:
        preds = as_tensor(preds, "preds")
        num_classes = preds.shape[1] if preds.ndim > 1 else None
    config = make_curve_config(task, num_classes=num_classes, num_labels=num_labels, **options)
    curves = Curves(config, curve_state(config, preds, target, sample_weight))
    curves.require_valid()
    return curves
