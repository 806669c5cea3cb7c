"""Area under the ROC, for all tasks."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from lit_metrics._inputs import as_tensor
from lit_metrics.functional.classification._curves import CurveAverage, Curves, Points, Thresholds, read_curves
from lit_metrics.functional.classification._task import Task, require_average
from lit_metrics.functional.classification.roc import interpolate

SCORE_AVERAGES = ("macro", "micro", "weighted", "none", None)


def require_max_fpr(max_fpr: Any, task: Any) -> None:
    """Raises a `ValueError` unless `max_fpr` is `None`, or in (0, 1] for a binary task."""
    if max_fpr is not None and not (isinstance(max_fpr, (int, float)) and 0 < max_fpr <= 1):
        raise ValueError(f"max_fpr must be None or in (0, 1], got {max_fpr!r}")
    if max_fpr not in (None, 1) and task not in (None, "binary"):
        raise ValueError(f"max_fpr is for binary tasks, got max_fpr={max_fpr} for task={task!r}")


def auroc_value(curves: Curves, average: CurveAverage = "macro", max_fpr: float | None = None) -> Tensor:
    """Returns the area under each ROC by the trapezoidal rule, averaged; nan without positives or negatives."""
    if max_fpr is not None and max_fpr < 1:
        return _partial_area(curves.each, max_fpr)
    return curves.average(points_area, average)


def points_area(points: Points) -> Tensor:
    """Returns the area under each ROC, `(G,)`."""
    width, height = points.fp.diff(dim=0), points.tp[1:] + points.tp[:-1]
    return (width * height).sum(0) / 2 / (points.positives * points.negatives)


def _partial_area(points: Points, max_fpr: float) -> Tensor:
    """Returns the area left of `max_fpr`, rescaled so that chance is 0.5 and the best 1 (McClish 1989)."""
    fpr, tpr = points.fpr[:, 0], points.tpr[:, 0]
    if fpr.isnan().any() or tpr.isnan().any():
        return fpr.new_tensor(torch.nan)
    end = fpr.new_tensor([max_fpr])
    inside = int(torch.searchsorted(fpr.contiguous(), end, right=True))
    x, y = torch.cat([fpr[:inside], end]), torch.cat([tpr[:inside], interpolate(end, fpr, tpr)])
    least, most = max_fpr**2 / 2, max_fpr
    area: Tensor = torch.trapezoid(y, x)
    return 0.5 * (1 + (area - least) / (most - least))


def auc(x: Any, y: Any, reorder: bool = False) -> Tensor:
    """Area under the line through points, by the trapezoidal rule.

    Args:
        x: Positions `(N,)`, rising or falling.
        y: Values `(N,)`.
        reorder: Whether the points are sorted by `x` first.

    Returns:
        The area, float64; 0 for one point, nan for none.

    Raises:
        ValueError: If the shapes are not equal and one-dimensional, or `x` goes up and down without `reorder`.

    Example:
        >>> from lit_metrics.functional import auc
        >>> auc([0, 1, 2, 3], [0, 1, 2, 2])
        tensor(4., dtype=torch.float64)
    """
    x, y = as_tensor(x, "x").double(), as_tensor(y, "y").double()
    if x.ndim != 1 or x.shape != y.shape:
        raise ValueError(f"x and y must have one shape (N,), got {tuple(x.shape)} and {tuple(y.shape)}")
    if x.numel() == 0:
        return torch.full((), torch.nan, dtype=torch.float64, device=x.device)
    if reorder:
        x, order = x.sort(stable=True)
        y = y[order]
    steps = x.diff()
    if bool((steps < 0).any()):
        if bool((steps > 0).any()):
            raise ValueError("x must rise or fall throughout; it does neither: pass reorder=True to sort the points")
        return -torch.trapezoid(y, x)
    return torch.trapezoid(y, x)


def auroc(
    preds: Any,
    target: Any,
    task: Task | None = None,
    thresholds: Thresholds = None,
    num_classes: int | None = None,
    num_labels: int | None = None,
    average: CurveAverage = "macro",
    max_fpr: float | None = None,
    ignore_index: int | None = None,
    validate_args: bool = True,
    *,
    logits: bool = False,
    sample_weight: Any = None,
) -> Tensor:
    """Area under the ROC for any task; see `binary_auroc` and its siblings. Without `task` the shapes decide.

    Example:
        >>> from lit_metrics.functional import auroc
        >>> auroc([0.1, 0.4, 0.35, 0.8], [0, 0, 1, 1])
        tensor(0.7500, dtype=torch.float64)
    """
    require_average(average, SCORE_AVERAGES)
    require_max_fpr(max_fpr, task)
    options: dict[str, Any] = {"thresholds": thresholds, "ignore_index": ignore_index, "validate_args": validate_args}
    curves = read_curves(
        preds, target, task, sample_weight, num_classes=num_classes, num_labels=num_labels, logits=logits, **options
    )
    return auroc_value(curves, average, max_fpr)


def binary_auroc(
    preds: Any,
    target: Any,
    max_fpr: float | None = None,
    thresholds: Thresholds = None,
    ignore_index: int | None = None,
    validate_args: bool = True,
    *,
    logits: bool = False,
    sample_weight: Any = None,
) -> Tensor:
    """Area under the ROC: the probability that a positive scores higher than a negative, ties counting half.

    Other arguments and errors are those of `binary_precision_recall_curve`. Scores need no scale: only their order
    counts, so logits and probabilities give one value, whatever the batches.

    Args:
        preds: `(N, ...)` scores.
        target: `(N, ...)` labels 0 and 1.
        max_fpr: If below 1, the area up to this false positive rate, rescaled to 0.5 for chance and 1 at best
            (McClish 1989), as `roc_auc_score` of scikit-learn gives it.
        thresholds: `None` for the exact value. With thresholds the value is that of scores rounded down to them: scores
            between two thresholds count as ties.
        ignore_index: Targets of this value are left out.
        validate_args: Whether values are checked.
        logits: Only for thresholds: whether `preds` are logits.
        sample_weight: `(N,)` or `(N, ...)` weights.

    Returns:
        Value in [0, 1], float64; nan without positives or without negatives.

    Example:
        >>> from lit_metrics.functional import binary_auroc
        >>> binary_auroc([2.5, -1.0, 3.1, 0.2], [1, 0, 1, 1])
        tensor(1., dtype=torch.float64)
    """
    require_max_fpr(max_fpr, "binary")
    options: dict[str, Any] = {"thresholds": thresholds, "ignore_index": ignore_index, "validate_args": validate_args}
    curves = read_curves(preds, target, "binary", sample_weight, logits=logits, **options)
    return auroc_value(curves, "none", max_fpr)


def multiclass_auroc(
    preds: Any,
    target: Any,
    num_classes: int | None = None,
    average: CurveAverage = "macro",
    thresholds: Thresholds = None,
    ignore_index: int | None = None,
    validate_args: bool = True,
    *,
    logits: bool = False,
    sample_weight: Any = None,
) -> Tensor:
    """Area under the ROC of each class against the rest, averaged; arguments as in `binary_auroc`.

    `average="macro"` is the mean over classes with positives and negatives, `"weighted"` weights it by positives,
    `"micro"` ranks all elements together, `"none"` gives `(C,)`. `preds` are `(N, C, ...)` scores; they are compared
    across samples as they come, so pass probabilities, or `logits=True` for a softmax over the classes.

    Example:
        >>> from lit_metrics.functional import multiclass_auroc
        >>> preds = [[0.8, 0.1, 0.1], [0.2, 0.7, 0.1], [0.6, 0.3, 0.1], [0.3, 0.3, 0.4]]
        >>> target = [0, 1, 1, 2]
        >>> multiclass_auroc(preds, target, num_classes=3, average="none")
        tensor([1.0000, 0.8750, 1.0000], dtype=torch.float64)
    """
    require_average(average, SCORE_AVERAGES)
    options: dict[str, Any] = {"thresholds": thresholds, "ignore_index": ignore_index, "validate_args": validate_args}
    curves = read_curves(preds, target, "multiclass", sample_weight, num_classes=num_classes, logits=logits, **options)
    return auroc_value(curves, average)


def multilabel_auroc(
    preds: Any,
    target: Any,
    num_labels: int,
    average: CurveAverage = "macro",
    thresholds: Thresholds = None,
    ignore_index: int | None = None,
    validate_args: bool = True,
    *,
    logits: bool = False,
    sample_weight: Any = None,
) -> Tensor:
    """Area under the ROC of each label, `(N, L, ...)`, averaged as in `multiclass_auroc`.

    Example:
        >>> from lit_metrics.functional import multilabel_auroc
        >>> preds, target = [[0.9, 0.2], [0.3, 0.8], [0.4, 0.6]], [[1, 0], [0, 1], [1, 1]]
        >>> multilabel_auroc(preds, target, num_labels=2)
        tensor(1., dtype=torch.float64)
    """
    require_average(average, SCORE_AVERAGES)
    options: dict[str, Any] = {"thresholds": thresholds, "ignore_index": ignore_index, "validate_args": validate_args}
    curves = read_curves(preds, target, "multilabel", sample_weight, num_labels=num_labels, logits=logits, **options)
    return auroc_value(curves, average)
