"""Dice, generalized Dice and IoU of segmented regions.

Shapes: N samples, C classes (without the background if that is left out).
"""

from __future__ import annotations

from typing import Any, Literal, TypeAlias

import torch
from torch import Tensor

from lit_metrics.functional.clustering._labels import require_num_classes
from lit_metrics.functional.segmentation._regions import (
    InputFormat,
    raise_if_outside,
    region_state,
    require_segmentation,
)

DiceAverage: TypeAlias = Literal["micro", "macro", "weighted", "none"] | None
AggregationLevel: TypeAlias = Literal["global", "samplewise"] | None
WeightType: TypeAlias = Literal["square", "simple", "linear"]
AVERAGES = ("micro", "macro", "weighted", "none", None)
AGGREGATION_LEVELS = ("global", "samplewise")
WEIGHT_TYPES = ("square", "simple", "linear")


def require_dice(num_classes: Any, average: Any, aggregation_level: Any) -> None:
    """Raises a `ValueError` for arguments that `dice_score` does not know."""
    require_num_classes(num_classes)
    if average not in AVERAGES:
        raise ValueError(f"average must be one of {AVERAGES}, got {average!r}")
    require_aggregation_level(aggregation_level)


def require_aggregation_level(aggregation_level: Any) -> None:
    """Raises a `ValueError` unless it is one of `AGGREGATION_LEVELS`."""
    if aggregation_level not in AGGREGATION_LEVELS:
        raise ValueError(f"aggregation_level must be one of {AGGREGATION_LEVELS}, got {aggregation_level!r}")


def require_weight_type(weight_type: Any) -> None:
    """Raises a `ValueError` unless it is one of `WEIGHT_TYPES`."""
    if weight_type not in WEIGHT_TYPES:
        raise ValueError(f"weight_type must be one of {WEIGHT_TYPES}, got {weight_type!r}")


def dice_value(overlap: Tensor, preds: Tensor, target: Tensor, average: DiceAverage) -> Tensor:
    """Returns Dice from pixels per class, `(..., C)`; classes that occur in neither are nan and left out of means."""
    if average == "micro":
        return 2 * overlap.sum(-1).double() / (preds + target).sum(-1)
    scores = 2 * overlap.double() / (preds + target)
    if average == "macro":
        return scores.nanmean(-1)
    if average == "weighted":
        return (scores.nan_to_num(0.0) * target).sum(-1) / target.sum(-1)
    return scores


def generalized_dice_value(
    overlap: Tensor, preds: Tensor, target: Tensor, per_class: bool, weight_type: WeightType
) -> Tensor:
    """Returns generalized Dice from pixels per class, `(..., C)`; nan where nothing is to be found."""
    if per_class:
        return dice_value(overlap, preds, target, "none")
    if weight_type == "linear":
        return dice_value(overlap, preds, target, "micro")
    size = target.double()
    weights = torch.where(target > 0, 1 / (size if weight_type == "simple" else size.square()), 0.0)
    return 2 * (weights * overlap).sum(-1) / (weights * (preds + target)).sum(-1)


def iou_value(overlap: Tensor, preds: Tensor, target: Tensor) -> Tensor:
    """Returns IoU per class, `(..., C)`; nan for classes that occur in neither."""
    return overlap.double() / (preds + target - overlap)


def dice_score(
    preds: Any,
    target: Any,
    num_classes: int,
    include_background: bool = True,
    average: DiceAverage = "macro",
    input_format: InputFormat = "one-hot",
    aggregation_level: AggregationLevel = "samplewise",
) -> Tensor:
    """Dice score, `2 |P and T| / (|P| + |T|)`, of the pixels P predicted as a class and the pixels T of it.

    Args:
        preds: One-hot masks or floating-point scores `(N, C, ...)`, of which the largest counts, or class indices
            `(N, ...)`, as `input_format` says.
        target: Likewise.
        num_classes: Number of classes C, background included.
        include_background: Whether class 0 counts.
        average: `"macro"` is the mean over classes that occur, `"micro"` counts the pixels of all classes together,
            `"weighted"` weights by pixels in `target`, `"none"` gives every class.
        input_format: `"one-hot"`, `"index"`, or `"mixed"`: one of the inputs is one-hot.
        aggregation_level: `"samplewise"` for the score of each sample, `"global"` for that of all pixels.

    Returns:
        Values in [0, 1], float64, `(N,)` or `(N, C)` by sample, `()` or `(C,)` globally; nan for a class that occurs
        neither in `preds` nor in `target`.

    Raises:
        ValueError: If an argument is none of these, or shapes, channels or labels do not fit.
        TypeError: If class indices are not integers.

    Example:
        >>> from lit_metrics.functional import dice_score
        >>> dice_score([[[0, 0, 1, 1]]], [[[0, 1, 1, 1]]], num_classes=3, average="none", input_format="index")
        tensor([[0.6667, 0.8000,    nan]], dtype=torch.float64)

    Source:
        Dice (1945), "Measures of the Amount of Ecologic Association Between Species".
    """
    require_segmentation(num_classes, include_background, input_format)
    require_dice(num_classes, average, aggregation_level)
    overlap, p, t, invalid = region_state(preds, target, num_classes, include_background, input_format)
    raise_if_outside(invalid)
    if aggregation_level == "global":
        overlap, p, t = overlap.sum(0), p.sum(0), t.sum(0)
    return dice_value(overlap, p, t, average)


def generalized_dice_score(
    preds: Any,
    target: Any,
    num_classes: int,
    include_background: bool = True,
    per_class: bool = False,
    weight_type: WeightType = "square",
    input_format: InputFormat = "one-hot",
) -> Tensor:
    """Generalized Dice, `2 sum_c w_c |P_c and T_c| / sum_c w_c (|P_c| + |T_c|)`, of each sample.

    A class that is absent from the target of a sample has weight 0 there (1 with `"linear"`).

    Args:
        preds: As in `dice_score`.
        target: As in `dice_score`.
        num_classes: Number of classes C, background included.
        include_background: Whether class 0 counts.
        per_class: Whether to give the Dice score of every class instead.
        weight_type: `w_c`: `"square"` is `1 / |T_c|^2`, `"simple"` is `1 / |T_c|`, `"linear"` is 1.
        input_format: As in `dice_score`.

    Returns:
        Values in [0, 1], float64, `(N,)` or `(N, C)`; nan where the target has none of the classes.

    Raises:
        ValueError: If an argument is none of these, or shapes, channels or labels do not fit.

    Example:
        >>> from lit_metrics.functional import generalized_dice_score
        >>> generalized_dice_score([[[0, 0, 1, 1]]], [[[0, 1, 1, 1]]], num_classes=2, input_format="index")
        tensor([0.6875], dtype=torch.float64)

    Source:
        Sudre et al. (2017), "Generalised Dice Overlap as a Deep Learning Loss Function for Highly Unbalanced
        Segmentations". Peers fill the weight of an absent class from other samples of the batch.
    """
    require_segmentation(num_classes, include_background, input_format)
    require_num_classes(num_classes)
    require_weight_type(weight_type)
    overlap, p, t, invalid = region_state(preds, target, num_classes, include_background, input_format)
    raise_if_outside(invalid)
    return generalized_dice_value(overlap, p, t, per_class, weight_type)


def mean_iou(
    preds: Any,
    target: Any,
    num_classes: int | None = None,
    include_background: bool = True,
    per_class: bool = False,
    input_format: InputFormat = "one-hot",
    *,
    aggregation_level: AggregationLevel = "samplewise",
) -> Tensor:
    """Mean over classes of the intersection over union, `|P and T| / |P or T|`.

    Args:
        preds: As in `dice_score`.
        target: As in `dice_score`.
        num_classes: Number of classes C; may be left out for one-hot inputs.
        include_background: Whether class 0 counts.
        per_class: Whether to give every class.
        input_format: As in `dice_score`.
        aggregation_level: `"samplewise"` for the value of each sample, `"global"` for that of all pixels.

    Returns:
        Values in [0, 1], float64, `(N,)` or `(N, C)` by sample, `()` or `(C,)` globally; classes that occur in neither
        are nan and left out of means.

    Raises:
        ValueError: If an argument is none of these, or shapes, channels or labels do not fit.

    Example:
        >>> from lit_metrics.functional import mean_iou
        >>> mean_iou([[[0, 0, 1, 1]]], [[[0, 1, 1, 1]]], num_classes=2, per_class=True, input_format="index")
        tensor([[0.5000, 0.6667]], dtype=torch.float64)
    """
    require_segmentation(num_classes, include_background, input_format)
    require_aggregation_level(aggregation_level)
    overlap, p, t, invalid = region_state(preds, target, num_classes, include_background, input_format)
    raise_if_outside(invalid)
    if aggregation_level == "global":
        overlap, p, t = overlap.sum(0), p.sum(0), t.sum(0)
    value = iou_value(overlap, p, t)
    return value if per_class else value.nanmean(-1)
