"""Dice, generalized Dice and IoU of segmented regions."""

from __future__ import annotations

from abc import abstractmethod
from typing import Any

import torch
from torch import Tensor

from lit_metrics._inputs import as_weights
from lit_metrics.functional.clustering._labels import require_num_classes
from lit_metrics.functional.segmentation._regions import (
    InputFormat,
    raise_if_outside,
    region_state,
    require_segmentation,
    sum_of_defined,
)
from lit_metrics.functional.segmentation.overlap import (
    AggregationLevel,
    DiceAverage,
    WeightType,
    dice_value,
    generalized_dice_value,
    iou_value,
    require_aggregation_level,
    require_dice,
    require_weight_type,
)
from lit_metrics.metric import Metric


class RegionMetric(Metric):
    """Sums pixels per class, or the scores of samples; subclasses say which scores.

    Args:
        num_classes: Number of classes, background included; `None` where one-hot inputs tell it.
        include_background: Whether class 0 counts.
        input_format: `"one-hot"`, `"index"` or `"mixed"`.
        aggregation_level: `"samplewise"` for means over samples, `"global"` for the score of all pixels.
        by_class: Whether the score of a sample has one entry per class.
        kwargs: Arguments of `Metric`.

    Raises:
        ValueError: If an argument is none of these.
    """

    higher_is_better = True
    is_differentiable = False
    pure_update = True

    overlap: Tensor
    preds: Tensor
    target: Tensor
    total: Tensor
    count: Tensor
    invalid: Tensor

    def __init__(
        self,
        num_classes: int | None,
        include_background: bool,
        input_format: InputFormat,
        aggregation_level: AggregationLevel,
        by_class: bool,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        require_segmentation(num_classes, include_background, input_format)
        require_aggregation_level(aggregation_level)
        self.num_classes = num_classes
        self.include_background = include_background
        self.input_format: InputFormat = input_format
        self.aggregation_level: AggregationLevel = aggregation_level
        self._by_class = by_class
        classes = 0 if num_classes is None else num_classes - (not include_background)
        if aggregation_level == "global":
            for name in ("overlap", "preds", "target"):
                self.add_state(name, torch.zeros(classes, dtype=torch.long), dist_reduce_fx="sum")
        else:
            shape = (classes,) if by_class else ()
            self.add_state("total", torch.zeros(shape, dtype=torch.float64), dist_reduce_fx="sum")
            self.add_state("count", torch.zeros(shape, dtype=torch.long), dist_reduce_fx="sum")
        self.add_state("invalid", torch.tensor(0), dist_reduce_fx="sum")

    def update(self, preds: Any, target: Any, sample_weight: Any = None) -> None:
        """Takes in segmentations of N samples, in the metric's input format, and maybe their `(N,)` weights."""
        overlap, p, t, invalid = region_state(
            preds, target, self.num_classes, self.include_background, self.input_format
        )
        weights = None if sample_weight is None else as_weights(sample_weight, p.shape[:1], p.device)
        if self.aggregation_level == "global":
            if weights is not None:
                overlap, p, t = (pixels * weights[:, None] for pixels in (overlap, p, t))
            sums = {"overlap": overlap.sum(0), "preds": p.sum(0), "target": t.sum(0)}
            self.accumulate({**sums, "invalid": invalid})
        else:
            scores = self.score(overlap, p, t)
            total, count = sum_of_defined(scores, weights)
            if not self._by_class:
                total, count = total.sum(), count.sum()
            self.accumulate({"total": total, "count": count, "invalid": invalid})

    def check_state(self) -> None:
        """Raises for class indices out of range that an accelerator counted."""
        raise_if_outside(self.invalid)

    def compute(self) -> Tensor:
        """Returns the value of all samples; nan where it is undefined."""
        if self.aggregation_level == "global":
            scores = self.score(self.overlap, self.preds, self.target)
            return scores if self._by_class else scores.nanmean()
        return self.total / self.count

    @abstractmethod
    def score(self, overlap: Tensor, preds: Tensor, target: Tensor) -> Tensor:
        """Returns scores from pixels `(..., C)` in both, in preds, in target."""


class DiceScore(RegionMetric):
    """Dice score, mean over samples or of all pixels; see `lit_metrics.functional.dice_score`.

    A sample in which the score is undefined is left out of the mean over samples.

    Args:
        num_classes: Number of classes, background included.
        include_background: Whether class 0 counts.
        average: `"macro"`, `"micro"`, `"weighted"` or `"none"` over classes.
        aggregation_level: `"samplewise"` or `"global"`.
        input_format: `"one-hot"`, `"index"` or `"mixed"`.
        kwargs: Arguments of `Metric`.

    Raises:
        ValueError: If an argument is none of these.

    Example:
        >>> from lit_metrics import DiceScore
        >>> metric = DiceScore(num_classes=3, average="none", input_format="index")
        >>> metric.update([[[0, 0, 1, 1]]], [[[0, 1, 1, 1]]])
        >>> metric.compute()
        tensor([0.6667, 0.8000,    nan], dtype=torch.float64)
    """

    def __init__(
        self,
        num_classes: int,
        include_background: bool = True,
        average: DiceAverage = "macro",
        aggregation_level: AggregationLevel = "samplewise",
        input_format: InputFormat = "one-hot",
        **kwargs: Any,
    ) -> None:
        require_dice(num_classes, average, aggregation_level)
        by_class = average in ("none", None)
        super().__init__(num_classes, include_background, input_format, aggregation_level, by_class, **kwargs)
        self.average: DiceAverage = average

    def score(self, overlap: Tensor, preds: Tensor, target: Tensor) -> Tensor:
        """Returns Dice scores."""
        return dice_value(overlap, preds, target, self.average)


class GeneralizedDiceScore(RegionMetric):
    """Generalized Dice, mean over samples; see `lit_metrics.functional.generalized_dice_score`.

    Other arguments: see there and `Metric`.

    Args:
        input_format: `"one-hot"`, `"index"` or `"mixed"`.

    Raises:
        ValueError: If an argument is none of these.

    Example:
        >>> from lit_metrics import GeneralizedDiceScore
        >>> GeneralizedDiceScore(num_classes=2, input_format="index")([[[0, 0, 1, 1]]], [[[0, 1, 1, 1]]])
        tensor(0.6875, dtype=torch.float64)
    """

    def __init__(
        self,
        num_classes: int,
        include_background: bool = True,
        per_class: bool = False,
        weight_type: WeightType = "square",
        input_format: InputFormat = "one-hot",
        **kwargs: Any,
    ) -> None:
        require_num_classes(num_classes)
        require_weight_type(weight_type)
        super().__init__(num_classes, include_background, input_format, "samplewise", per_class, **kwargs)
        self.per_class = per_class
        self.weight_type: WeightType = weight_type

    def score(self, overlap: Tensor, preds: Tensor, target: Tensor) -> Tensor:
        """Returns generalized Dice scores."""
        return generalized_dice_value(overlap, preds, target, self.per_class, self.weight_type)


class MeanIoU(RegionMetric):
    """Intersection over union, mean over the classes of all samples; see `lit_metrics.functional.mean_iou`.

    By sample, every class of every sample counts once if it occurs there.

    Other arguments: see there and `Metric`.

    Args:
        input_format: `"one-hot"`, `"index"` or `"mixed"`.

    Raises:
        ValueError: If an argument is none of these.

    Example:
        >>> from lit_metrics import MeanIoU
        >>> MeanIoU(num_classes=2, per_class=True, input_format="index")([[[0, 0, 1, 1]]], [[[0, 1, 1, 1]]])
        tensor([0.5000, 0.6667], dtype=torch.float64)
    """

    def __init__(
        self,
        num_classes: int | None = None,
        include_background: bool = True,
        per_class: bool = False,
        input_format: InputFormat = "one-hot",
        *,
        aggregation_level: AggregationLevel = "samplewise",
        **kwargs: Any,
    ) -> None:
        super().__init__(num_classes, include_background, input_format, aggregation_level, per_class, **kwargs)
        self.per_class = per_class

    def score(self, overlap: Tensor, preds: Tensor, target: Tensor) -> Tensor:
        """Returns the IoU of every class."""
        return iou_value(overlap, preds, target)
