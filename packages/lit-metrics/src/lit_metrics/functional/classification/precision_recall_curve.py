"""Precision-recall curves, for all tasks."""

from __future__ import annotations

from typing import Any

import torch

from lit_metrics.functional.classification._curves import (
    CurveAverage,
    Curves,
    OneCurve,
    Points,
    SomeCurves,
    Thresholds,
    read_curves,
)
from lit_metrics.functional.classification._task import Task, require_average

LINE_AVERAGES = ("micro", "macro", "none", None)


def pack_lines(lines: list[OneCurve], curves: Curves, single: bool) -> SomeCurves:
    """Returns one curve as it is, binned ones stacked (one row of thresholds), exact ones as lists."""
    if single:
        return lines[0]
    first, second, thresholds = (list(parts) for parts in zip(*lines, strict=True))
    if curves.config.thresholds is None:
        return first, second, thresholds
    return torch.stack(first), torch.stack(second), thresholds[0]


def precision_recall_curve_value(curves: Curves, average: CurveAverage = None) -> SomeCurves:
    """Returns precision, recall and thresholds, thresholds increasing, with the point (1, 0) at the end."""
    binary = curves.config.task == "binary"
    points = curves.flat if average == "micro" and not binary else curves.each
    lines = [_line(curves, points, g) for g in range(points.tp.shape[1])]
    if average == "macro" and not binary:
        return _mean_line(curves, lines)
    return pack_lines(lines, curves, single=binary or average == "micro")


def _line(curves: Curves, points: Points, g: int) -> OneCurve:
    rows = points.is_point[:, g].nonzero().flatten().flip(0)
    precision, recall = points.precision[rows, g], points.tpr[rows, g]
    end = precision.new_tensor([1.0, 0.0])
    return (torch.cat([precision, end[:1]]), torch.cat([recall, end[1:]]), curves.shown(points.thresholds[rows, g]))


def _mean_line(curves: Curves, lines: list[OneCurve]) -> OneCurve:
    """Returns the mean precision at every recall that occurs; between its points a curve is a step."""
    thresholds = torch.cat([line[2] for line in lines]).sort().values
    defined = [(p[~p.isnan()], r[~p.isnan()]) for p, r, _ in lines if len(p) > 1 and not r.isnan().any()]
    if not defined:
        nothing = torch.full((1,), torch.nan, dtype=torch.float64)
        return nothing, nothing.clone(), thresholds
    grid = torch.cat([recall[:-1] for _, recall in defined]).sort().values
    total = torch.zeros_like(grid)
    for precision, recall in defined:
        rising = recall[:-1].flip(0).contiguous()
        at = torch.searchsorted(rising, grid).clamp(max=len(rising) - 1)
        total += precision[:-1].flip(0)[at]
    end = grid.new_tensor([1.0, 0.0])
    return torch.cat([(total / len(defined)).flip(0), end[:1]]), torch.cat([grid.flip(0), end[1:]]), thresholds


def precision_recall_curve(
    preds: Any,
    target: Any,
    task: Task | None = None,
    thresholds: Thresholds = None,
    num_classes: int | None = None,
    num_labels: int | None = None,
    average: CurveAverage = None,
    ignore_index: int | None = None,
    validate_args: bool = True,
    *,
    logits: bool = False,
    sample_weight: Any = None,
) -> SomeCurves:
    """Precision-recall curve of any task; see `binary_precision_recall_curve` and its siblings.

    Without `task` the shapes decide: scores `(N, C)` for targets `(N,)` are multiclass, scores of the target's shape
    are binary in one dimension and multilabel in more.

    Example:
        >>> from lit_metrics.functional import precision_recall_curve
        >>> precision, recall, thresholds = precision_recall_curve([0.1, 0.4, 0.35, 0.8], [0, 0, 1, 1])
        >>> precision
        tensor([0.5000, 0.6667, 0.5000, 1.0000, 1.0000], dtype=torch.float64)
    """
    require_average(average, LINE_AVERAGES)
    curves = read_curves(
        preds,
        target,
        task,
        sample_weight,
        thresholds=thresholds,
        num_classes=num_classes,
        num_labels=num_labels,
        ignore_index=ignore_index,
        validate_args=validate_args,
        logits=logits,
    )
    return precision_recall_curve_value(curves, average)


def binary_precision_recall_curve(
    preds: Any,
    target: Any,
    thresholds: Thresholds = None,
    ignore_index: int | None = None,
    validate_args: bool = True,
    *,
    logits: bool = False,
    sample_weight: Any = None,
) -> OneCurve:
    """Precision `tp / (tp + fp)` and recall `tp / (tp + fn)` of "score >= threshold", for every threshold.

    Args:
        preds: `(N, ...)` scores on any scale, ranked as they are. With thresholds in [0, 1] they must be probabilities,
            or logits with `logits`.
        target: `(N, ...)` labels 0 and 1.
        thresholds: `None` for all scores that occur (exact); a number for as many between 0 and 1; or the thresholds.
        ignore_index: Targets of this value are left out.
        validate_args: Whether values are checked.
        logits: Whether `preds` are logits; thresholds are then probabilities. Never guessed from the values.
        sample_weight: `(N,)` or `(N, ...)` weights.

    Returns:
        Precision and recall of length T + 1, float64, and the T thresholds, increasing. The last point (1, 0) belongs
        to no threshold. Precision is nan where no score reaches a given threshold, recall where there is no positive.

    Raises:
        ValueError: If shapes differ, labels are not 0 and 1, scores hold NaN or leave [0, 1] where that matters.
        TypeError: If targets are not integers.

    Example:
        >>> from lit_metrics.functional import binary_precision_recall_curve
        >>> precision, recall, thresholds = binary_precision_recall_curve([0.1, 0.4, 0.8], [0, 1, 1], thresholds=3)
        >>> recall
        tensor([1.0000, 0.5000, 0.0000, 0.0000], dtype=torch.float64)
        >>> thresholds
        tensor([0.0000, 0.5000, 1.0000], dtype=torch.float64)
    """
    options: dict[str, Any] = {"thresholds": thresholds, "ignore_index": ignore_index, "validate_args": validate_args}
    curves = read_curves(preds, target, "binary", sample_weight, logits=logits, **options)
    return precision_recall_curve_value(curves)  # type: ignore[return-value]


def multiclass_precision_recall_curve(
    preds: Any,
    target: Any,
    num_classes: int | None = None,
    thresholds: Thresholds = None,
    average: CurveAverage = None,
    ignore_index: int | None = None,
    validate_args: bool = True,
    *,
    logits: bool = False,
    sample_weight: Any = None,
) -> SomeCurves:
    """Precision-recall curve of each class against the rest.

    Other arguments and errors are those of `binary_precision_recall_curve`.

    Args:
        preds: `(N, C, ...)` scores; with `logits` a softmax over the classes comes first.
        target: `(N, ...)` labels.
        num_classes: Number of classes C; told by `preds` if left out.
        thresholds: As there.
        average: `None` for one curve per class; `"micro"` for the one of all elements together; `"macro"` for the mean
            precision at each recall, over classes with positives. Its area is the macro average precision; its
            thresholds are those of all classes, sorted, and belong to no point.
        ignore_index: As there.
        validate_args: As there.
        logits: As there.
        sample_weight: `(N,)` or `(N, ...)` weights.

    Returns:
        Precision, recall and thresholds: lists of one tensor per class; `(C, T + 1)`, `(C, T + 1)` and `(T,)` if
        thresholds are given; one tensor each with an average.

    Example:
        >>> from lit_metrics.functional import multiclass_precision_recall_curve
        >>> preds = [[0.8, 0.1, 0.1], [0.2, 0.7, 0.1], [0.3, 0.3, 0.4]]
        >>> precision, recall, thresholds = multiclass_precision_recall_curve(preds, [0, 1, 2], num_classes=3)
        >>> precision[0]
        tensor([0.3333, 0.5000, 1.0000, 1.0000], dtype=torch.float64)
    """
    require_average(average, LINE_AVERAGES)
    options: dict[str, Any] = {"thresholds": thresholds, "ignore_index": ignore_index, "validate_args": validate_args}
    curves = read_curves(preds, target, "multiclass", sample_weight, num_classes=num_classes, logits=logits, **options)
    return precision_recall_curve_value(curves, average)


def multilabel_precision_recall_curve(
    preds: Any,
    target: Any,
    num_labels: int,
    thresholds: Thresholds = None,
    ignore_index: int | None = None,
    validate_args: bool = True,
    *,
    logits: bool = False,
    sample_weight: Any = None,
) -> SomeCurves:
    """Precision-recall curve of each label; arguments and errors as in `binary_precision_recall_curve`.

    `preds` and `target` are `(N, L, ...)`. Returns lists of one tensor per label, or `(L, T + 1)`, `(L, T + 1)` and
    `(T,)` if thresholds are given.

    Example:
        >>> from lit_metrics.functional import multilabel_precision_recall_curve
        >>> precision, recall, thresholds = multilabel_precision_recall_curve(
        ...     [[0.9, 0.2], [0.3, 0.8]], [[1, 0], [1, 1]], num_labels=2
        ... )
        >>> precision[1]
        tensor([0.5000, 1.0000, 1.0000], dtype=torch.float64)
    """
    options: dict[str, Any] = {"thresholds": thresholds, "ignore_index": ignore_index, "validate_args": validate_args}
    curves = read_curves(preds, target, "multilabel", sample_weight, num_labels=num_labels, logits=logits, **options)
    return precision_recall_curve_value(curves)
