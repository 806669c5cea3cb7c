"""Kullback-Leibler and Jensen-Shannon divergence of rows of probabilities."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor

from lit_metrics.functional.regression._scores import ScoreReduction, real_pair, reduce_scores, require_values

NEGATIVE = "p and q must hold probabilities or counts of at least 0"


def _log_probabilities(p: Any, q: Any, log_prob: bool) -> tuple[Tensor, Tensor, Tensor | int]:
    """Returns the logarithms of both, normalised unless they came as logarithms, and how many values are negative."""
    p, q = real_pair(p, q, ("p", "q"))
    if p.ndim != 2:
        raise ValueError(f"p and q must have shape (N, D), got {tuple(p.shape)}")
    p, q = p.double(), q.double()
    if log_prob:
        return p, q, 0
    invalid = require_values(~(torch.stack([p, q]) < 0), NEGATIVE)
    return (p / p.sum(1, keepdim=True)).log(), (q / q.sum(1, keepdim=True)).log(), invalid


def _divergence(log_p: Tensor, log_q: Tensor) -> Tensor:
    # Where p is 0 the difference of logarithms is infinite or undefined, and the summand is 0.
    absent = log_p == -math.inf
    ratio = torch.where(absent, 0.0, log_p) - torch.where(absent, 0.0, log_q)
    return (log_p.exp() * ratio).sum(1)


def kl_divergences(p: Any, q: Any, log_prob: bool = False) -> tuple[Tensor, Tensor | int]:
    """Returns the Kullback-Leibler divergence of each row, in float64, and the number of negative inputs."""
    log_p, log_q, invalid = _log_probabilities(p, q, log_prob)
    return _divergence(log_p, log_q), invalid


def js_divergences(p: Any, q: Any, log_prob: bool = False) -> tuple[Tensor, Tensor | int]:
    """Returns the Jensen-Shannon divergence of each row, in float64, and the number of negative inputs."""
    log_p, log_q, invalid = _log_probabilities(p, q, log_prob)
    mixture = torch.logaddexp(log_p, log_q) - math.log(2)
    return (_divergence(log_p, mixture) + _divergence(log_q, mixture)) / 2, invalid


def kl_divergence(
    p: Any, q: Any, log_prob: bool = False, reduction: ScoreReduction = "mean", *, sample_weight: Any = None
) -> Tensor:
    """Kullback-Leibler divergence of rows, `sum_d p_d log(p_d / q_d)`, in nats.

    Args:
        p: `(N, D)` probabilities of the data; rows are divided by their sums.
        q: `(N, D)` probabilities of the model, alike.
        log_prob: Whether `p` and `q` are logarithms of probabilities; they are taken as they are.
        reduction: `"mean"`, `"sum"`, or `"none"` (also `None`) for one value per row.
        sample_weight: `(N,)` weights; with `"none"` each row's value is multiplied by its weight.

    Returns:
        Float64, in [0, inf]; inf if q is 0 where p is not, nan for a row of zeros or no rows.

    Raises:
        ValueError: If the shapes differ or are not `(N, D)`, or values in host memory are negative.

    Example:
        >>> from lit_metrics.functional import kl_divergence
        >>> kl_divergence([[0.36, 0.48, 0.16]], [[1 / 3, 1 / 3, 1 / 3]])
        tensor(0.0853, dtype=torch.float64)
    """
    return reduce_scores(kl_divergences(p, q, log_prob)[0], sample_weight=sample_weight, reduction=reduction)


def jensen_shannon_divergence(
    p: Any, q: Any, log_prob: bool = False, reduction: ScoreReduction = "mean", *, sample_weight: Any = None
) -> Tensor:
    """Jensen-Shannon divergence of rows, `(KL(p, m) + KL(q, m)) / 2` with `m = (p + q) / 2`, in nats.

    The square of what scipy's `jensenshannon` gives.

    Args:
        p: `(N, D)` probabilities; rows are divided by their sums.
        q: `(N, D)` probabilities, alike.
        log_prob: Whether `p` and `q` are logarithms of probabilities; they are taken as they are.
        reduction: `"mean"`, `"sum"`, or `"none"` (also `None`) for one value per row.
        sample_weight: `(N,)` weights; with `"none"` each row's value is multiplied by its weight.

    Returns:
        Float64; each row's value is in [0, log 2]; nan for a row of zeros or no rows.

    Raises:
        ValueError: If the shapes differ or are not `(N, D)`, or values in host memory are negative.

    Example:
        >>> from lit_metrics.functional import jensen_shannon_divergence
        >>> jensen_shannon_divergence([[1.0, 0.0]], [[0.0, 1.0]])
        tensor(0.6931, dtype=torch.float64)
    """
    return reduce_scores(js_divergences(p, q, log_prob)[0], sample_weight=sample_weight, reduction=reduction)
