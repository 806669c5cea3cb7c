"""Hausdorff distance of segmented regions."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from lit_metrics._inputs import as_weights
from lit_metrics.functional.segmentation._regions import (
    InputFormat,
    raise_if_outside,
    require_segmentation,
    sum_of_defined,
)
from lit_metrics.functional.segmentation.hausdorff_distance import DistanceMetric, hausdorff_state, require_distance
from lit_metrics.metric import Metric


class HausdorffDistance(Metric):
    """Mean Hausdorff distance of all samples and classes; see `lit_metrics.functional.hausdorff_distance`.

    A class that neither segmentation of a sample has is left out of the mean; one that only one has makes it inf.
    Finding outlines waits for an accelerator once per mask.

    Other arguments: see there and `Metric`.

    Args:
        input_format: `"one-hot"`, `"index"` or `"mixed"`.

    Raises:
        ValueError: If an argument is none of these.

    Example:
        >>> from lit_metrics import HausdorffDistance
        >>> metric = HausdorffDistance(num_classes=2, input_format="index")
        >>> metric.update([[[0, 1, 1, 0, 0, 0]]], [[[0, 1, 0, 0, 0, 1]]])
        >>> metric.compute()
        tensor(3., dtype=torch.float64)
    """

    higher_is_better = False
    is_differentiable = False
    pure_update = True

    total: Tensor
    count: Tensor

    def __init__(
        self,
        num_classes: int,
        include_background: bool = False,
        distance_metric: DistanceMetric = "euclidean",
        spacing: Any = None,
        directed: bool = False,
        input_format: InputFormat = "one-hot",
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        require_segmentation(num_classes, include_background, input_format)
        require_distance(num_classes, distance_metric, directed)
        self._options: dict[str, Any] = {
            "num_classes": num_classes,
            "include_background": include_background,
            "distance_metric": distance_metric,
            "spacing": spacing,
            "directed": directed,
            "input_format": input_format,
        }
        self.add_state("total", torch.tensor(0.0, dtype=torch.float64), dist_reduce_fx="sum")
        self.add_state("count", torch.tensor(0), dist_reduce_fx="sum")
        self.add_state("invalid", torch.tensor(0), dist_reduce_fx="sum")

    def update(self, preds: Any, target: Any, sample_weight: Any = None) -> None:
        """Takes in segmentations of N samples, in the metric's input format, and maybe their `(N,)` weights."""
        distances, invalid = hausdorff_state(preds, target, **self._options)
        weights = None
        if sample_weight is not None:
            weights = as_weights(sample_weight, distances.shape[:1], distances.device)
        total, count = sum_of_defined(distances, weights)
        self.accumulate({"total": total.sum(), "count": count.sum(), "invalid": invalid})

    def check_state(self) -> None:
        """Raises for labels out of range that an accelerator counted."""
        raise_if_outside(self.invalid)

    def compute(self) -> Tensor:
        """Returns the mean distance; nan if no class was seen."""
        return self.total / self.count
