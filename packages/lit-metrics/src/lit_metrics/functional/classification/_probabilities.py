"""Probabilities and their targets, checked and flattened, for metrics that read the probabilities themselves.

Shape suffixes: N samples, C classes, L labels.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
from torch import Tensor

from lit_metrics._inputs import as_weights, checks_are_free, to_float
from lit_metrics.functional.classification._counting import label_tensors
from lit_metrics.functional.classification._curves import CurveConfig, bad_target, require_shapes


class ProbabilityBatch(NamedTuple):
    """One batch: `scores` `(N,)`, or `(N, C)` for multiclass; `labels` and `weights` `(N,)`; ignored ones weigh 0."""

    scores: Tensor
    labels: Tensor
    weights: Tensor
    invalid: Tensor


def probabilities(
    config: CurveConfig, preds: Any, target: Any, sample_weight: Any = None, *, keep_logits: bool = False
) -> ProbabilityBatch:
    """Returns the batch in float64; multilabel elements are flattened, label by label.

    Args:
        config: How to read it.
        preds: Probabilities or logits: `(N, ...)`; multiclass `(N, C, ...)`; multilabel `(N, L, ...)`.
        target: Integer labels.
        sample_weight: Weight per sample or per element of `target`.
        keep_logits: Whether logits are returned as they are.

    Raises:
        ValueError: If shapes do not fit, or (with `validate_args`, in host memory) values are out of range.
        TypeError: If targets are not integers.
    """
    preds, target = label_tensors(preds, target)
    require_shapes(config, preds, target)
    multiclass = config.task == "multiclass"
    preds = preds.movedim(1, -1).reshape(-1, config.columns) if multiclass else preds.reshape(-1)
    weights = torch.ones((), dtype=torch.float64, device=target.device).expand(target.shape)
    if sample_weight is not None:
        weights = as_weights(sample_weight, target.shape, target.device)
    target, weights = target.reshape(-1), weights.reshape(-1)
    scores = to_float(preds).double()
    good = ~scores.isnan() if config.logits else (scores >= 0) & (scores <= 1)
    kept = torch.ones_like(target, dtype=torch.bool)
    if config.ignore_index is not None:
        kept = target != config.ignore_index
    bad_scores = kept & ~(good.all(-1) if multiclass else good)
    bad_labels = kept & ((target < 0) | (target >= config.label_count))
    invalid = torch.stack([bad_scores.sum(), bad_labels.sum()])
    if checks_are_free(scores):
        raise_if_invalid_probabilities(config, invalid)
    kept = kept & ~bad_scores & ~bad_labels
    scores = torch.where(kept.unsqueeze(-1) if multiclass else kept, scores, 0)
    if config.logits and not keep_logits:
        scores = scores.softmax(-1) if multiclass else scores.sigmoid()
    return ProbabilityBatch(scores, torch.where(kept, target, 0), weights * kept, invalid)


def raise_if_invalid_probabilities(config: CurveConfig, invalid: Tensor) -> None:
    """Raises a `ValueError` if `invalid`, the number of bad scores and bad labels, is not zero; reads it."""
    if not config.validate_args:
        return
    bad_scores, bad_labels = invalid.tolist()
    if bad_scores:
        valid = "logits without NaN" if config.logits else "probabilities in [0, 1] (pass logits=True for logits)"
        raise ValueError(f"preds must be {valid}; {bad_scores} of them are not")
    if bad_labels:
        raise ValueError(bad_target(config))
