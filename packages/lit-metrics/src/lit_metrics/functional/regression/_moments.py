"""Moments of targets, predictions and errors in one tensor that merges exactly: the state of seven metrics.

Sums of squares lose every digit to an offset of the data, so means and centred sums are kept and merged by the formula
of Chan, Golub and LeVeque, Updating formulae and a pairwise algorithm for computing sample variances, 1979. Means are
counted from a sample, so that the differences of two means keep their digits too. Errors have moments of their own:
taken from those of targets and predictions they would lose their digits again.

The rows of the tensor, of shape `(12,)` or `(12, D)`, are named below; T, P and E are target, prediction and error.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from lit_metrics._inputs import as_weights
from lit_metrics._state import Merge
from lit_metrics.functional.regression._scores import real_pair, require_outputs

WEIGHT, COUNT = 0, 1  # sum of weights, number of samples
ORIGIN = slice(2, 5)  # a sample of T, P and E that their means are counted from
MEAN = slice(5, 8)
SQUARES = slice(8, 11)  # centred sums of squares
SQUARES_T, SQUARES_P, SQUARES_E = 8, 9, 10
PRODUCT_TP = 11  # centred sum of products
_ROWS = 12

_TINY = torch.finfo(torch.float64).tiny


def batch_moments(preds: Any, target: Any, num_outputs: int | None = None, sample_weight: Any = None) -> Tensor:
    """Returns the moments of one batch.

    Args:
        preds: `(N,)` or `(N, D, ...)`.
        target: The same shape.
        num_outputs: D, to be checked; 1 also stands for `(N,)`; `None` takes any.
        sample_weight: `(N,)` weights, or one per element.

    Raises:
        ValueError: If the shapes differ or do not fit `num_outputs`.
    """
    preds, target = real_pair(preds, target)
    if preds.ndim == 0:
        preds, target = preds.reshape(1), target.reshape(1)
    if num_outputs is not None and (num_outputs > 1 or preds.ndim > 1):
        require_outputs(preds.shape, num_outputs)
    if preds.ndim == 2 and preds.shape[1] == 1:
        preds, target = preds[:, 0], target[:, 0]
        if sample_weight is not None and getattr(sample_weight, "ndim", 1) == 2:
            sample_weight = sample_weight[:, 0]
    size = preds.shape[0]
    if not size:
        return torch.zeros((_ROWS, *preds.shape[1:]), dtype=torch.float64, device=preds.device)
    preds, target = preds.double(), target.double()
    values = torch.stack([target, preds, preds - target])
    # Counted from the first sample, constant data also have moments of exactly 0.
    origin = values[:, 0]
    values = values - values[:, :1]
    if sample_weight is None:
        mean = values.mean(1)
        values = values - mean.unsqueeze(1)
        scaled = values
        counts = torch.full((2, *mean.shape[1:]), float(size), dtype=mean.dtype, device=mean.device)
    else:
        weights = as_weights(sample_weight, preds.shape, preds.device)
        total = weights.sum(0)
        mean = (values * weights).sum(1) / total.clamp_min(_TINY)
        values = values - mean.unsqueeze(1)
        scaled = values * weights
        counts = torch.stack([total, (weights != 0).sum(0, dtype=total.dtype)])
    squares = (values * scaled).sum(1)
    return torch.cat([counts, origin, mean, squares, (values[0] * scaled[1]).sum(0, keepdim=True)])


def _merge_pair(mine: Tensor, other: Tensor) -> Tensor:
    merged = mine + other
    delta = (other[ORIGIN] - mine[ORIGIN]) + (other[MEAN] - mine[MEAN])
    step = delta * (other[WEIGHT] / merged[WEIGHT].clamp_min(_TINY))
    merged[ORIGIN] = mine[ORIGIN]
    merged[MEAN] = mine[MEAN] + step
    step *= mine[WEIGHT]
    merged[SQUARES] += delta * step
    merged[PRODUCT_TP] += delta[0] * step[1]
    return merged


MERGE_MOMENTS = Merge(_merge_pair)
"""How moments of two sets of samples become those of their union; the default `zeros(0)` is its identity."""


def known_moments(moments: Tensor) -> Tensor:
    """Returns the moments; those of no samples if nothing was seen."""
    return moments.new_zeros(_ROWS) if moments.shape == (0,) else moments


def squared_error_sum(moments: Tensor) -> Tensor:
    """Returns the weighted sum of squared errors."""
    return moments[SQUARES_E] + moments[WEIGHT] * mean_error(moments).square()


def mean_target(moments: Tensor) -> Tensor:
    """Returns the mean of targets."""
    return moments[ORIGIN.start] + moments[MEAN.start]


def mean_error(moments: Tensor) -> Tensor:
    """Returns the mean of errors."""
    return moments[ORIGIN.stop - 1] + moments[MEAN.stop - 1]


def averaged(values: Tensor, weights: Tensor, multioutput: str) -> Tensor:
    """Returns one value per output (`"raw_values"`), their mean, or their mean weighted by the targets' variances."""
    if multioutput == "raw_values" or values.ndim == 0:
        return values
    if multioutput == "uniform_average":
        return values.mean()
    weights = torch.where((weights == 0).all(), 1.0, weights)
    return (values * weights).sum() / weights.sum()
