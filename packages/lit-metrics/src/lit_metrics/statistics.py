"""Confidence intervals: how far a value may be from what more data would give.

All functions take whole samples, not batches, and return an `Interval`. Arguments may have leading dimensions, one
interval each. For metrics without a formula here, `BootStrapper` gives error bars while the data stream in.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
from torch import Tensor

from lit_metrics._inputs import as_tensor


class Interval(NamedTuple):
    """An estimate and the bounds of its confidence interval, float64."""

    value: Tensor
    lower: Tensor
    upper: Tensor


def wilson_interval(successes: Any, total: Any, level: float = 0.95) -> Interval:
    """Interval of a proportion, such as an accuracy or a recall: `k` successes among `n` independent trials.

    With `z` the normal quantile of `(1 + level) / 2`, the bounds are the proportions `p` for which
    `|k / n - p| = z sqrt(p (1 - p) / n)`. Never outside of [0, 1], and of positive length at 0 and 1 too.

    Args:
        successes: Any shape; from 0 to `total`.
        total: Numbers of trials, broadcast to `successes`; without trials the value is nan and the bounds are 0 and 1.
        level: Probability that the interval covers the true proportion.

    Raises:
        ValueError: If there are more successes than trials, or `level` is not between 0 and 1.

    Example:
        >>> from lit_metrics.statistics import wilson_interval
        >>> value, lower, upper = wilson_interval(90, 100)
        >>> [round(float(bound), 3) for bound in (value, lower, upper)]
        [0.9, 0.826, 0.945]

    Source: E. B. Wilson, Probable Inference, the Law of Succession, and Statistical Inference, 1927.
    """
    z2 = _quantile(level) ** 2
    k, n = as_tensor(successes, "successes").double(), as_tensor(total, "total").double()
    k, n = torch.broadcast_tensors(k, n.to(k.device))
    if bool(((k < 0) | (k > n)).any()):
        raise ValueError("successes must be between 0 and total")
    middle = (k + z2 / 2) / (n + z2)
    half = (z2 * (k * (n - k) / n.clamp(min=1e-300) + z2 / 4)).sqrt() / (n + z2)
    # At the ends rounding may leave a bound 1e-17 beside the value.
    lower = torch.where(k == 0, 0.0, middle - half)
    return Interval(k / n, lower, torch.where(k == n, 1.0, middle + half))


def ratio_interval(
    numerator: Any, denominator: Any = 1.0, level: float = 0.95, *, sample_weight: Any = None, groups: Any = None
) -> Interval:
    """Interval of a ratio of sums over samples, `sum_i w_i a_i / sum_i w_i b_i`, by the delta method.

    Many metrics are such ratios: the mean squared error (`a` the squared errors, `b` ones), precision (`a` true
    positives, `b` predicted positives, 0 or 1 per sample), F1 (`a = 2 tp`, `b = 2 tp + fp + fn`), R2 (1 minus the ratio
    of squared errors to squared deviations). With `R` the ratio and `r_i = w_i (a_i - R b_i)`, its variance is
    `n / (n - 1) sum_i r_i^2 / (sum_i w_i b_i)^2`, and the bounds are the value plus and minus as many standard errors
    as a normal distribution says. For 30 samples or more; for proportions near 0 or 1 `wilson_interval` is better.

    Args:
        numerator: `(..., N)` values of `a`.
        denominator: `(..., N)` values of `b`, or one number for all.
        level: Probability that the interval covers the true ratio.
        sample_weight: `(..., N)` weights.
        groups: `(N,)` integers from 0: samples of one group (speaker, document) depend on each other, groups do not;
            `r` is summed by group and `n` is the number of groups.

    Returns:
        Bounds of shape `(...)`; nan for fewer than two samples or groups.

    Raises:
        ValueError: If shapes do not fit, or `level` is not between 0 and 1.

    Example:
        >>> from lit_metrics.statistics import ratio_interval
        >>> value, lower, upper = ratio_interval([1.0, 4.0, 1.0, 2.0])
        >>> [round(float(bound), 3) for bound in (value, lower, upper)]
        [2.0, 0.614, 3.386]

    Source: W. G. Cochran, Sampling Techniques, 1977, chapter 6.
    """
    z = _quantile(level)
    a = as_tensor(numerator, "numerator").double()
    b = as_tensor(denominator, "denominator").double().to(a.device)
    w = as_tensor(1.0 if sample_weight is None else sample_weight, "sample_weight").double().to(a.device)
    if a.ndim == 0:
        raise ValueError("numerator must hold one value per sample, got a single number")
    try:
        a, b, w = torch.broadcast_tensors(a, b, w)
    except RuntimeError as error:
        raise ValueError(f"numerator, denominator and sample_weight must have one shape: {error}") from error
    total = (w * b).sum(-1)
    value = (w * a).sum(-1) / total
    residuals = w * (a - value[..., None] * b)
    num = (w > 0).sum(-1).double()
    if groups is not None:
        ids = as_tensor(groups, "groups").to(a.device)
        if ids.shape != a.shape[-1:] or ids.is_floating_point():
            raise ValueError(f"groups must hold one integer for each of {a.shape[-1]} samples, got {tuple(ids.shape)}")
        if ids.numel() and int(ids.min()) < 0:
            raise ValueError(f"groups must be numbered from 0, got {int(ids.min())}")
        size = int(ids.max()) + 1 if ids.numel() else 0
        residuals = residuals.new_zeros(*residuals.shape[:-1], size).index_add_(-1, ids, residuals)
        num = num.new_zeros(*w.shape[:-1], size).index_add_(-1, ids, (w > 0).double()).gt(0).sum(-1).double()
    variance = num / (num - 1) * residuals.square().sum(-1) / total.square()
    half = z * torch.where(num > 1, variance, torch.nan).sqrt()
    return Interval(value, value - half, value + half)


def delong_interval(preds: Any, target: Any, level: float = 0.95) -> Interval:
    """Interval of the area under the ROC curve of a binary classifier, by DeLong's variance.

    The area is the share of pairs of a positive and a negative sample in which the positive one has the higher score
    (ties count half). Its variance follows from how this share spreads over the positives and over the negatives. The
    bounds are made on the scale of log-odds, so that they stay inside (0, 1) and are not symmetric near the ends.

    Args:
        preds: `(N,)` scores of any kind.
        target: `(N,)` labels 0 and 1.
        level: Probability that the interval covers the true area.

    Returns:
        Area and bounds; all nan without two samples of either class or with a score of nan. Where all pairs are in one
        order there is no variance to go by: the bounds are nan.

    Raises:
        ValueError: If shapes differ, labels are other numbers, or `level` is not between 0 and 1.

    Example:
        >>> from lit_metrics.statistics import delong_interval
        >>> value, lower, upper = delong_interval([0.1, 0.4, 0.35, 0.8, 0.7, 0.2], [0, 0, 1, 1, 1, 0])
        >>> [round(float(bound), 3) for bound in (value, lower, upper)]
        [0.889, 0.261, 0.995]

    Source: DeLong, DeLong and Clarke-Pearson, 1988; ranks as in Sun and Xu, Fast Implementation of DeLong's Algorithm,
    2014.
    """
    z = _quantile(level)
    scores, labels = as_tensor(preds, "preds"), as_tensor(target, "target")
    if scores.ndim != 1 or scores.shape != labels.shape:
        raise ValueError(
            f"preds and target must have one shape (N,), got {tuple(scores.shape)} and {tuple(labels.shape)}"
        )
    if bool(((labels != 0) & (labels != 1)).any()):
        raise ValueError(f"target must hold 0 and 1, got {labels.unique().tolist()[:5]}")
    positive, negative = scores[labels == 1], scores[labels == 0]
    m, n = len(positive), len(negative)
    if m < 2 or n < 2 or bool(scores.isnan().any()):
        undefined = torch.tensor(torch.nan, dtype=torch.float64, device=scores.device)
        return Interval(undefined, undefined.clone(), undefined.clone())
    over_negatives = _share_below(positive, negative)  # of every positive: share of negatives below it
    over_positives = 1 - _share_below(negative, positive)
    area = over_negatives.mean()
    error = (over_negatives.var() / m + over_positives.var() / n).sqrt()
    half = torch.where(error > 0, z * error / (area * (1 - area)), torch.nan)
    odds = area.logit()
    return Interval(area, torch.sigmoid(odds - half), torch.sigmoid(odds + half))


def _share_below(values: Tensor, others: Tensor) -> Tensor:
    """Returns for every value the share of `others` below it, ties counting half."""
    ordered = others.sort().values
    below = torch.searchsorted(ordered, values, right=False) + torch.searchsorted(ordered, values, right=True)
    return below.double() / (2 * len(others))


def _quantile(level: float) -> float:
    if not isinstance(level, (int, float)) or not 0 < level < 1:
        raise ValueError(f"level must be between 0 and 1, got {level!r}")
    return float(torch.special.ndtri(torch.tensor((1 + level) / 2, dtype=torch.float64)))
