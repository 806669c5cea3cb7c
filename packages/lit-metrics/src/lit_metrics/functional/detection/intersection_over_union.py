"""Overlap of boxes: IoU and its generalized, distance and complete forms."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from lit_metrics.functional.detection._boxes import (
    BoxFormat,
    Overlap,
    all_pairs,
    as_boxes,
    entry,
    labels_of,
    overlap_of,
    require_images,
    to_corners,
)


def _overlap(
    preds: Any, target: Any, iou_threshold: float | None, replacement_val: float, aggregate: bool, kind: Overlap
) -> Tensor:
    preds, target = as_boxes(preds, "preds"), as_boxes(target, "target")
    value = overlap_of(preds[:, None], target[None], kind)
    if iou_threshold is not None:
        value = torch.where(value < iou_threshold, replacement_val, value)
    return value.diagonal().mean() if aggregate else value


def overlap_state(
    preds: Sequence[Mapping[str, Any]],
    target: Sequence[Mapping[str, Any]],
    box_format: BoxFormat,
    iou_threshold: float | None,
    class_metrics: bool,
    respect_labels: bool,
    kind: Overlap,
) -> dict[str, Tensor]:
    """Returns sum and number of the overlaps that count; with `class_metrics`, rows (label, sum, number) as well."""
    require_images(preds, target)
    boxes_p = [as_boxes(entry(image, "boxes", "preds"), "boxes of preds") for image in preds]
    boxes_t = [as_boxes(entry(image, "boxes", "target"), "boxes of target") for image in target]
    labels_p = [labels_of(image, len(b), "preds") for image, b in zip(preds, boxes_p, strict=True)]
    labels_t = [labels_of(image, len(b), "target") for image, b in zip(target, boxes_t, strict=True)]
    rows, columns = all_pairs([len(b) for b in boxes_p], [len(b) for b in boxes_t], boxes_p[0].device)
    label_p, label_t = torch.cat(labels_p)[rows], torch.cat(labels_t)[columns]
    corners_p, corners_t = (to_corners(torch.cat(b), box_format) for b in (boxes_p, boxes_t))
    value = overlap_of(corners_p[rows], corners_t[columns], kind)
    counts = torch.ones_like(value, dtype=torch.bool) if iou_threshold is None else value >= iou_threshold
    if respect_labels:
        counts = counts & (label_p == label_t)
    value = torch.where(counts, value, 0.0)
    state = {"total": value.sum(), "count": counts.sum()}
    if class_metrics:
        # A target box without a pair that counts still names its class.
        seen = torch.cat(labels_t)
        pairs = torch.stack([label_t.double(), value, counts.double()], 1)
        state["by_class"] = _sum_by_class(
            torch.cat([pairs, torch.stack([seen.double(), *[torch.zeros(len(seen), device=seen.device)] * 2], 1)])
        )
    return state


def _sum_by_class(rows: Tensor) -> Tensor:
    labels, index = rows[:, 0].unique(return_inverse=True)
    sums = rows.new_zeros(len(labels), 2).index_add_(0, index, rows[:, 1:])
    return torch.cat([labels[:, None], sums], 1)


def overlap_value(total: Tensor, count: Tensor, by_class: Sequence[Tensor] | None, kind: Overlap) -> dict[str, Tensor]:
    """Returns the mean overlap, and that of each class of the targets if asked; nan where no pair counts."""
    value: dict[str, Tensor] = {kind: total / count}
    if by_class:
        for label, sums, number in _sum_by_class(torch.cat(list(by_class))):
            value[f"{kind}/cl_{int(label)}"] = sums / number
    return value


def intersection_over_union(
    preds: Any, target: Any, iou_threshold: float | None = None, replacement_val: float = 0, aggregate: bool = True
) -> Tensor:
    """Intersection over union of pairs of boxes, `|A and B| / |A or B|`.

    Args:
        preds: `(N, 4)` boxes as corners (x1, y1, x2, y2), in any unit.
        target: `(M, 4)` boxes; `N` of them to `aggregate`.
        iou_threshold: Values below it are replaced by `replacement_val`.
        replacement_val: What stands for values below the threshold.
        aggregate: Whether to give the mean of box i of `preds` with box i of `target`, or the `(N, M)` matrix.

    Returns:
        Values in [0, 1], float64; nan for the mean of no boxes. Differentiable in the boxes.

    Raises:
        ValueError: If a shape is not `(N, 4)`.

    Example:
        >>> from lit_metrics.functional import intersection_over_union
        >>> intersection_over_union([[0.0, 0.0, 3.0, 2.0]], [[0.0, 0.0, 2.0, 2.0]])
        tensor(0.6667, dtype=torch.float64)
    """
    return _overlap(preds, target, iou_threshold, replacement_val, aggregate, "iou")


def generalized_intersection_over_union(
    preds: Any, target: Any, iou_threshold: float | None = None, replacement_val: float = 0, aggregate: bool = True
) -> Tensor:
    """IoU less the share of the smallest box around both that neither covers.

    Arguments as in `intersection_over_union`.

    Returns:
        Values in [-1, 1], float64; nan for the mean of no boxes.

    Example:
        >>> from lit_metrics.functional import generalized_intersection_over_union
        >>> generalized_intersection_over_union([[0.0, 0.0, 3.0, 2.0]], [[0.0, 0.0, 2.0, 2.0]])
        tensor(0.6667, dtype=torch.float64)

    Source:
        Rezatofighi et al. (2019), "Generalized Intersection over Union: A Metric and A Loss for Bounding Box
        Regression".
    """
    return _overlap(preds, target, iou_threshold, replacement_val, aggregate, "giou")


def distance_intersection_over_union(
    preds: Any, target: Any, iou_threshold: float | None = None, replacement_val: float = 0, aggregate: bool = True
) -> Tensor:
    """IoU less the squared distance of the centres over the squared diagonal of the box around both.

    Arguments as in `intersection_over_union`.

    Returns:
        Values in [-1, 1], float64; nan for the mean of no boxes.

    Example:
        >>> from lit_metrics.functional import distance_intersection_over_union
        >>> distance_intersection_over_union([[0.0, 0.0, 3.0, 2.0]], [[0.0, 0.0, 2.0, 2.0]])
        tensor(0.6474, dtype=torch.float64)

    Source:
        Zheng et al. (2020), "Distance-IoU Loss: Faster and Better Learning for Bounding Box Regression".
    """
    return _overlap(preds, target, iou_threshold, replacement_val, aggregate, "diou")


def complete_intersection_over_union(
    preds: Any, target: Any, iou_threshold: float | None = None, replacement_val: float = 0, aggregate: bool = True
) -> Tensor:
    """Distance IoU less a term for the difference of the aspect ratios.

    Arguments as in `intersection_over_union`.

    Returns:
        Values in [-1.5, 1], float64; nan for the mean of no boxes.

    Example:
        >>> from lit_metrics.functional import complete_intersection_over_union
        >>> complete_intersection_over_union([[0.0, 0.0, 3.0, 2.0]], [[0.0, 0.0, 2.0, 2.0]])
        tensor(0.6467, dtype=torch.float64)

    Source:
        Zheng et al. (2020), "Distance-IoU Loss: Faster and Better Learning for Bounding Box Regression".
    """
    return _overlap(preds, target, iou_threshold, replacement_val, aggregate, "ciou")
