"""Deviance of the Tweedie family of distributions."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from lit_metrics.functional.regression._scores import real_pair, reduce_scores, require_values


def require_power(power: Any) -> None:
    """Raises a `ValueError` unless a Tweedie distribution of this power exists."""
    if not isinstance(power, (int, float)) or isinstance(power, bool) or 0 < power < 1 or power != power:
        raise ValueError(f"power must be a number outside (0, 1), where no Tweedie distribution exists, got {power!r}")


def tweedie_range(power: float) -> str:
    """Returns what values a distribution of this power takes."""
    needs_target = "of any sign" if power < 0 else "0 or more" if power < 2 else "above 0"
    return f"power={power} needs preds above 0 and targets {needs_target}"


def tweedie_deviances(preds: Any, targets: Any, power: float = 0.0) -> tuple[Tensor, Tensor | int]:
    """Returns the deviance of each element in float64, and how many are out of range (and nan), where none may look.

    Raises:
        ValueError: If `preds` or `targets` are out of range, where looking is free.
    """
    m, y = (value.double() for value in real_pair(preds, targets, ("preds", "targets")))
    if power == 0:
        return (y - m).square(), 0
    fits = m > 0
    if power >= 1:
        fits = fits & (y >= 0 if power < 2 else y > 0)
    invalid = require_values(fits | m.isnan() | y.isnan(), tweedie_range(power))
    # Values out of range are replaced before the formula, so that they give nan and finite gradients elsewhere.
    m, y = torch.where(fits, m, 1.0), torch.where(fits, y, 1.0)
    if power == 1:
        deviance = torch.xlogy(y, y / m) + m - y
    elif power == 2:
        ratio = y / m
        deviance = ratio - ratio.log() - 1
    else:
        deviance = (
            y.clamp_min(0).pow(2 - power) / ((1 - power) * (2 - power))
            - y * m.pow(1 - power) / (1 - power)
            + m.pow(2 - power) / (2 - power)
        )
    return torch.where(fits, 2 * deviance, torch.nan), invalid


def tweedie_deviance_score(preds: Any, targets: Any, power: float = 0.0, *, sample_weight: Any = None) -> Tensor:
    """Mean deviance of a Tweedie distribution: 0 is normal (squared error), 1 Poisson, 2 gamma, 3 inverse Gaussian.

    `d = 2 (max(y, 0)^(2-p) / ((1-p) (2-p)) - y m^(1-p) / (1-p) + m^(2-p) / (2-p))` for targets y, predicted means m and
    a power p, with its limits at 1 and 2; as in scikit-learn's `mean_tweedie_deviance`.

    Args:
        preds: Any shape; above 0 unless the power is 0.
        targets: The same shape; at least 0 for powers in [1, 2), above 0 from 2 on.
        power: Variance is proportional to the mean to this power; not in (0, 1).
        sample_weight: `(N,)` weights, or one per element.

    Returns:
        Value in [0, inf), float64; nan for no samples.

    Raises:
        ValueError: If the shapes differ, no distribution has this power, or values in host memory are out of its range
            (elsewhere they give nan).

    Example:
        >>> from lit_metrics.functional import tweedie_deviance_score
        >>> tweedie_deviance_score([4.0, 3.0, 2.0, 1.0], [1.0, 2.0, 3.0, 4.0], power=2)
        tensor(1.2083, dtype=torch.float64)
    """
    require_power(power)
    return reduce_scores(tweedie_deviances(preds, targets, power)[0], sample_weight=sample_weight)
