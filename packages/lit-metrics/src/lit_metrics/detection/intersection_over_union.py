"""Mean overlap of predicted and true boxes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import torch
from torch import Tensor

from lit_metrics.functional.detection._boxes import BoxFormat, Overlap, require_box_format
from lit_metrics.functional.detection.intersection_over_union import overlap_state, overlap_value
from lit_metrics.metric import Metric


class OverlapMetric(Metric):
    """Mean overlap of all pairs of a predicted and a true box of one image; subclasses say which overlap.

    Args:
        box_format: `"xyxy"` corners, `"xywh"` corner and size, or `"cxcywh"` centre and size.
        iou_threshold: Pairs of less overlap are left out.
        class_metrics: Whether to give the mean for each class of the true boxes too.
        respect_labels: Whether only pairs of one label count.
        kwargs: Arguments of `Metric`.

    Raises:
        ValueError: If `box_format` is none of these.
    """

    higher_is_better = True
    is_differentiable = False
    pure_update = True
    kind: ClassVar[Overlap]

    total: Tensor
    count: Tensor
    by_class: list[Tensor]

    def __init__(
        self,
        box_format: BoxFormat = "xyxy",
        iou_threshold: float | None = None,
        class_metrics: bool = False,
        respect_labels: bool = True,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        require_box_format(box_format)
        for name, flag in (("class_metrics", class_metrics), ("respect_labels", respect_labels)):
            if not isinstance(flag, bool):
                raise ValueError(f"{name} must be a bool, got {flag!r}")
        self.box_format: BoxFormat = box_format
        self.iou_threshold = iou_threshold
        self.class_metrics = class_metrics
        self.respect_labels = respect_labels
        self.add_state("total", torch.tensor(0.0, dtype=torch.float64), dist_reduce_fx="sum")
        self.add_state("count", torch.tensor(0), dist_reduce_fx="sum")
        if class_metrics:
            self.add_state("by_class", [], dist_reduce_fx="cat")

    def update(self, preds: Sequence[Mapping[str, Any]], target: Sequence[Mapping[str, Any]]) -> None:
        """Takes in images.

        Args:
            preds: One dictionary for each image, with `boxes` `(N, 4)` and `labels` `(N,)`.
            target: Likewise, with `(M, 4)` and `(M,)`.
        """
        options = (self.box_format, self.iou_threshold, self.class_metrics, self.respect_labels)
        state = overlap_state(preds, target, *options, self.kind)
        # Boxes lie inside lists, where a metric does not look for its device.
        self.accumulate({name: value.to(self.device) for name, value in state.items()})

    def compute(self) -> dict[str, Tensor]:
        """Returns the mean by name, and those by class; nan where no pair counted."""
        return overlap_value(self.total, self.count, self.by_class if self.class_metrics else None, self.kind)


class IntersectionOverUnion(OverlapMetric):
    """Mean IoU of boxes; see `lit_metrics.functional.intersection_over_union`.

    Args:
        box_format: `"xyxy"` corners, `"xywh"` corner and size, or `"cxcywh"` centre and size.
        iou_threshold: Pairs of less overlap are left out.
        class_metrics: Whether to give the mean for each class of the true boxes too, as `iou/cl_<label>`.
        respect_labels: Whether only pairs of one label count.
        kwargs: Arguments of `Metric`.

    Example:
        >>> from lit_metrics import IntersectionOverUnion
        >>> metric = IntersectionOverUnion()
        >>> preds = [{"boxes": [[0.0, 0.0, 3.0, 2.0], [5.0, 5.0, 6.0, 6.0]], "labels": [1, 2]}]
        >>> metric.update(preds, [{"boxes": [[0.0, 0.0, 2.0, 2.0]], "labels": [1]}])
        >>> metric.compute()
        {'iou': tensor(0.6667, dtype=torch.float64)}
    """

    kind = "iou"


class GeneralizedIntersectionOverUnion(OverlapMetric):
    """Mean GIoU of boxes; see `lit_metrics.functional.generalized_intersection_over_union`.

    Arguments as in `IntersectionOverUnion`.

    Example:
        >>> from lit_metrics import GeneralizedIntersectionOverUnion
        >>> metric = GeneralizedIntersectionOverUnion()
        >>> preds = [{"boxes": [[0.0, 0.0, 3.0, 2.0], [5.0, 5.0, 6.0, 6.0]], "labels": [1, 2]}]
        >>> metric.update(preds, [{"boxes": [[0.0, 0.0, 2.0, 2.0]], "labels": [1]}])
        >>> metric.compute()
        {'giou': tensor(0.6667, dtype=torch.float64)}
    """

    kind = "giou"


class DistanceIntersectionOverUnion(OverlapMetric):
    """Mean DIoU of boxes; see `lit_metrics.functional.distance_intersection_over_union`.

    Arguments as in `IntersectionOverUnion`.

    Example:
        >>> from lit_metrics import DistanceIntersectionOverUnion
        >>> metric = DistanceIntersectionOverUnion()
        >>> preds = [{"boxes": [[0.0, 0.0, 3.0, 2.0], [5.0, 5.0, 6.0, 6.0]], "labels": [1, 2]}]
        >>> metric.update(preds, [{"boxes": [[0.0, 0.0, 2.0, 2.0]], "labels": [1]}])
        >>> metric.compute()
        {'diou': tensor(0.6474, dtype=torch.float64)}
    """

    kind = "diou"


class CompleteIntersectionOverUnion(OverlapMetric):
    """Mean CIoU of boxes; see `lit_metrics.functional.complete_intersection_over_union`.

    Arguments as in `IntersectionOverUnion`.

    Example:
        >>> from lit_metrics import CompleteIntersectionOverUnion
        >>> metric = CompleteIntersectionOverUnion()
        >>> preds = [{"boxes": [[0.0, 0.0, 3.0, 2.0], [5.0, 5.0, 6.0, 6.0]], "labels": [1, 2]}]
        >>> metric.update(preds, [{"boxes": [[0.0, 0.0, 2.0, 2.0]], "labels": [1]}])
        >>> metric.compute()
        {'ciou': tensor(0.6467, dtype=torch.float64)}
    """

    kind = "ciou"
