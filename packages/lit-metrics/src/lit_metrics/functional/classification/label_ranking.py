"""How well scores order the labels of each sample: coverage error, ranking average precision, ranking loss.

All three follow from two counts for each relevant label: labels with a score at least as high, and relevant ones among
them. Only the order of scores matters, and ties count against the prediction.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from lit_metrics._inputs import as_weights, checks_are_free, require_same_shape, to_float
from lit_metrics.functional.classification._counting import label_tensors

COVERAGE, PRECISION, LOSS = range(3)


INVALID = "preds must hold no NaN, and target labels 0 and 1; got other values"


def label_ranking_state(
    num_labels: int,
    preds: Any,
    target: Any,
    ignore_index: int | None = None,
    validate_args: bool = True,
    sample_weight: Any = None,
) -> dict[str, Tensor | int]:
    """Returns the sums over samples of the three measures, in the order of the constants above, and their weight.

    On accelerators NaN scores and invalid targets make the sums nan.
    """
    preds, target = label_tensors(preds, target)
    require_same_shape(preds, target)
    if preds.ndim != 2 or preds.shape[1] != num_labels:
        raise ValueError(f"preds and target must have shape (N, {num_labels}), got {tuple(preds.shape)}")
    if not preds.is_floating_point():
        raise TypeError(f"preds must be floating-point scores, got {preds.dtype}")
    valid = torch.ones_like(target, dtype=torch.bool) if ignore_index is None else target != ignore_index
    wrong = (valid & (preds.isnan() | ((target != 0) & (target != 1)))).any(1)
    if validate_args and checks_are_free(wrong) and wrong.numpy().any():
        raise ValueError(INVALID)
    measures = _measures(to_float(preds), valid & (target == 1), valid)
    if validate_args:
        measures = torch.where(wrong.unsqueeze(-1), torch.nan, measures)
    if sample_weight is None:
        return {"measures": measures.sum(0), "total": len(measures)}
    weights = as_weights(sample_weight, target.shape[:1], target.device)
    return {"measures": (measures * weights.unsqueeze(-1)).sum(0), "total": weights.sum()}


def _measures(scores: Tensor, relevant: Tensor, valid: Tensor) -> Tensor:
    """Returns the three measures of every sample, `(N, 3)` in float64."""
    size = scores.shape[1]
    down = (-scores).contiguous()
    # Integer ranks keep ties and free a value, `size`, for labels that do not take part.
    rank = torch.searchsorted(down.sort(1).values, down)
    ahead = _at_most(rank, valid, size)
    relevant_ahead = _at_most(rank, relevant, size)
    number = relevant.sum(1)
    others = valid.sum(1) - number
    coverage = torch.where(relevant, ahead, 0).amax(1).double()
    precision = torch.where(relevant, relevant_ahead.double() / ahead.clamp(min=1), 0.0).sum(1) / number
    pairs = torch.where(relevant, ahead - relevant_ahead, 0).sum(1)
    loss = pairs.double() / (number * others).clamp(min=1)
    return torch.stack([coverage, torch.where((number == 0) | (others == 0), 1.0, precision), loss], -1)


def _at_most(rank: Tensor, taking_part: Tensor, size: int) -> Tensor:
    """Returns for every label how many of those taking part have its rank or a better one."""
    return torch.searchsorted(torch.where(taking_part, rank, size).sort(1).values, rank, right=True)


def label_ranking_value(measures: Tensor, total: Tensor | int, which: int) -> Tensor:
    """Returns the mean of one measure; nan without samples."""
    return measures[which] / total


def multilabel_coverage_error(
    preds: Any,
    target: Any,
    num_labels: int,
    ignore_index: int | None = None,
    validate_args: bool = True,
    *,
    sample_weight: Any = None,
) -> Tensor:
    """Mean number of best-scored labels that must be taken to have all relevant ones.

    Args:
        preds: `(N, L)` scores in any scale; only their order in a sample matters.
        target: `(N, L)` labels 0 and 1.
        num_labels: Number of labels L.
        ignore_index: Labels with this target are left out of their sample's ranking.
        validate_args: Whether values are checked.
        sample_weight: `(N,)` weights.

    Returns:
        Value in [0, L], float64; a sample without relevant labels counts 0; nan for no samples.

    Raises:
        ValueError: If shapes do not fit, scores are NaN or labels not 0 and 1.
        TypeError: If scores are not floats or targets not integers.

    Example:
        >>> from lit_metrics.functional import multilabel_coverage_error
        >>> multilabel_coverage_error([[0.75, 0.5, 0.1], [0.1, 0.8, 0.3]], [[1, 0, 0], [0, 0, 1]], num_labels=3)
        tensor(1.5000, dtype=torch.float64)

    Source: Tsoumakas, Katakis and Vlahavas, Data Mining and Knowledge Discovery Handbook (2010).
    """
    state = label_ranking_state(num_labels, preds, target, ignore_index, validate_args, sample_weight)
    return label_ranking_value(torch.as_tensor(state["measures"]), torch.as_tensor(state["total"]), COVERAGE)


def multilabel_ranking_average_precision(
    preds: Any,
    target: Any,
    num_labels: int,
    ignore_index: int | None = None,
    validate_args: bool = True,
    *,
    sample_weight: Any = None,
) -> Tensor:
    """Mean over relevant labels of the share of relevant ones among the labels scored at least as high.

    Arguments and errors are those of `multilabel_coverage_error`. The value is float64 in (0, 1]; a sample with no or
    only relevant labels counts 1.

    Example:
        >>> from lit_metrics.functional import multilabel_ranking_average_precision
        >>> multilabel_ranking_average_precision([[0.75, 0.5, 0.1], [0.1, 0.8, 0.3]], [[1, 0, 0], [0, 0, 1]], 3)
        tensor(0.7500, dtype=torch.float64)

    Source: Schapire and Singer, Machine Learning 39 (2000).
    """
    state = label_ranking_state(num_labels, preds, target, ignore_index, validate_args, sample_weight)
    return label_ranking_value(torch.as_tensor(state["measures"]), torch.as_tensor(state["total"]), PRECISION)


def multilabel_ranking_loss(
    preds: Any,
    target: Any,
    num_labels: int,
    ignore_index: int | None = None,
    validate_args: bool = True,
    *,
    sample_weight: Any = None,
) -> Tensor:
    """Mean share of pairs of a relevant and another label that the scores put in the wrong order; ties are wrong.

    Arguments and errors are those of `multilabel_coverage_error`. The value is float64 in [0, 1]; a sample with no or
    only relevant labels counts 0.

    Example:
        >>> from lit_metrics.functional import multilabel_ranking_loss
        >>> multilabel_ranking_loss([[0.75, 0.5, 0.1], [0.1, 0.8, 0.3]], [[1, 0, 0], [0, 0, 1]], num_labels=3)
        tensor(0.2500, dtype=torch.float64)

    Source: Tsoumakas, Katakis and Vlahavas, Data Mining and Knowledge Discovery Handbook (2010).
    """
    state = label_ranking_state(num_labels, preds, target, ignore_index, validate_args, sample_weight)
    return label_ranking_value(torch.as_tensor(state["measures"]), torch.as_tensor(state["total"]), LOSS)
