"""Means over elements and over classes, as the 1.0 API spells them."""

from __future__ import annotations

from typing import Any, Literal, TypeAlias

import torch
from torch import Tensor

from lit_metrics._inputs import as_tensor

ClassReduction: TypeAlias = Literal["micro", "macro", "weighted", "none"] | None


def reduce(to_reduce: Any, reduction: Literal["elementwise_mean", "sum", "none"]) -> Tensor:
    """Returns the mean or the sum of all elements, or the tensor as it is.

    Args:
        to_reduce: Tensor of any shape.
        reduction: `"elementwise_mean"`, `"sum"` or `"none"`.

    Raises:
        ValueError: If `reduction` is none of these.

    Example:
        >>> from lit_metrics.functional import reduce
        >>> reduce([1.0, 2.0, 6.0], "elementwise_mean")
        tensor(3., dtype=torch.float64)
    """
    values = as_tensor(to_reduce, "to_reduce")
    if reduction == "elementwise_mean":
        return values.mean()
    if reduction == "sum":
        return values.sum()
    if reduction == "none":
        return values
    raise ValueError(f"reduction must be 'elementwise_mean', 'sum' or 'none', got {reduction!r}")


def class_reduce(num: Any, denom: Any, weights: Any, class_reduction: ClassReduction = "none") -> Tensor:
    """Returns `num / denom` per class, reduced over classes; `0 / 0` counts as 0.

    Args:
        num: Numerators per class.
        denom: Denominators per class.
        weights: Weights of the classes, for `"weighted"`; they need not add up to 1.
        class_reduction: `"micro"` divides the sums, `"macro"` is the mean, `"weighted"` the weighted mean, `"none"` or
            `None` one value per class.

    Raises:
        ValueError: If `class_reduction` is none of these.

    Example:
        >>> from lit_metrics.functional import class_reduce
        >>> class_reduce([1.0, 2.0], [2.0, 2.0], [3.0, 1.0], "weighted")
        tensor(0.6250, dtype=torch.float64)
    """
    top, bottom, weight = as_tensor(num, "num"), as_tensor(denom, "denom"), as_tensor(weights, "weights").double()
    if class_reduction == "micro":
        return (top.sum() / bottom.sum()).nan_to_num(0)
    shares = torch.where(bottom == 0, 0.0, top / bottom)
    if class_reduction == "macro":
        return shares.mean()
    if class_reduction == "weighted":
        return (shares * weight / weight.sum()).sum()
    if class_reduction in ("none", None):
        return shares
    raise ValueError(f"class_reduction must be 'micro', 'macro', 'weighted' or 'none', got {class_reduction!r}")
