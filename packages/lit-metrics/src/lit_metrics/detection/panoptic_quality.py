"""Panoptic quality of segmentations."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any, ClassVar

import torch
from torch import Tensor

from lit_metrics.functional.detection.panoptic_quality import panoptic_state, panoptic_value, require_categories
from lit_metrics.metric import Metric


class PanopticMetric(Metric):
    """Sums overlaps and counts of segments per category; subclasses say which segments match.

    Args:
        things: Categories with instances.
        stuffs: Categories without.
        allow_unknown_preds_category: Whether other categories in predictions are void rather than an error.
        kwargs: Arguments of `Metric`.

    Raises:
        ValueError: If things and stuffs overlap or are both empty.
        TypeError: If categories are not integers.
    """

    higher_is_better = True
    is_differentiable = False
    pure_update = True
    modified: ClassVar[bool]

    iou_sum: Tensor
    true_positives: Tensor
    false_positives: Tensor
    false_negatives: Tensor
    invalid: Tensor

    def __init__(
        self,
        things: Collection[int],
        stuffs: Collection[int],
        allow_unknown_preds_category: bool = False,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.things, self.stuffs = require_categories(things, stuffs)
        self.allow_unknown_preds_category = allow_unknown_preds_category
        size = len(self.things) + len(self.stuffs)
        self.add_state("iou_sum", torch.zeros(size, dtype=torch.float64), dist_reduce_fx="sum")
        for name in ("true_positives", "false_positives", "false_negatives"):
            self.add_state(name, torch.zeros(size, dtype=torch.long), dist_reduce_fx="sum")
        self.add_state("invalid", torch.tensor(0), dist_reduce_fx="sum")

    @property
    def group_key(self) -> Any:
        """Equal for metrics with the same categories."""
        return ("panoptic", self.modified, self.things, self.stuffs, self.allow_unknown_preds_category)

    def update(self, preds: Any, target: Any) -> None:
        """Takes in category and instance of every pixel, `(B, ..., 2)`, twice."""
        options = (self.things, self.stuffs, self.allow_unknown_preds_category, self.modified)
        self.accumulate(panoptic_state(preds, target, *options))

    def check_state(self) -> None:
        """Raises for unknown categories in predictions that an accelerator counted."""
        if not self.invalid.is_meta and int(self.invalid):
            raise ValueError(f"{int(self.invalid)} pixels of preds had a category that is no thing and no stuff")

    def counts(self) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
        """Returns the states, for `panoptic_value`."""
        return self.iou_sum, self.true_positives, self.false_positives, self.false_negatives, self.invalid


class PanopticQuality(PanopticMetric):
    """Panoptic quality of all segments seen; see `lit_metrics.functional.panoptic_quality`.

    Arguments: see there and `Metric`.

    Example:
        >>> from lit_metrics import PanopticQuality
        >>> metric = PanopticQuality(things={1}, stuffs={7})
        >>> metric.update([[[1, 0], [1, 0], [1, 1], [7, 0]]], [[[1, 5], [1, 5], [7, 0], [7, 0]]])
        >>> metric.compute()
        tensor(0.3333, dtype=torch.float64)
    """

    modified = False

    def __init__(
        self,
        things: Collection[int],
        stuffs: Collection[int],
        allow_unknown_preds_category: bool = False,
        return_sq_and_rq: bool = False,
        return_per_class: bool = False,
        **kwargs: Any,
    ) -> None:
        super().__init__(things, stuffs, allow_unknown_preds_category, **kwargs)
        self.return_sq_and_rq = return_sq_and_rq
        self.return_per_class = return_per_class

    def compute(self) -> Tensor:
        """Returns the quality; nan where no segment was seen."""
        return panoptic_value(*self.counts(), self.return_sq_and_rq, self.return_per_class)


class ModifiedPanopticQuality(PanopticMetric):
    """Panoptic quality with stuff by its IoU; see `lit_metrics.functional.modified_panoptic_quality`.

    Args:
        things: Categories with instances.
        stuffs: Categories without.
        allow_unknown_preds_category: Whether other categories in predictions are void rather than an error.
        kwargs: Arguments of `Metric`.

    Example:
        >>> from lit_metrics import ModifiedPanopticQuality
        >>> metric = ModifiedPanopticQuality(things={1}, stuffs={7})
        >>> metric.update([[[1, 0], [1, 0], [1, 1], [7, 0]]], [[[1, 5], [1, 5], [7, 0], [7, 0]]])
        >>> metric.compute()
        tensor(0.5833, dtype=torch.float64)
    """

    modified = True

    def compute(self) -> Tensor:
        """Returns the quality; nan if no segment was seen."""
        return panoptic_value(*self.counts())
