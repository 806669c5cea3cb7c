"""Proper scores of probabilities: log loss and Brier score."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from lit_metrics._inputs import as_tensor, to_float
from lit_metrics.functional.classification._curves import CurveConfig
from lit_metrics.functional.classification._probabilities import probabilities, raise_if_invalid_probabilities
from lit_metrics.functional.classification._task import Task


def log_loss_state(config: CurveConfig, preds: Any, target: Any, sample_weight: Any = None) -> dict[str, Tensor]:
    """Returns `total`, the weighted sum of losses, `weight`, and the number of `invalid` elements."""
    preds = as_tensor(preds, "preds")
    batch = probabilities(config, preds, target, sample_weight, keep_logits=True)
    scores, labels = batch.scores, batch.labels
    if config.task == "multiclass":
        if config.logits:
            scores = scores.log_softmax(-1)
        own = scores.gather(-1, labels.unsqueeze(-1)).squeeze(-1)
    elif config.logits:
        own = torch.nn.functional.logsigmoid(torch.where(labels == 1, scores, -scores))
    else:
        own = torch.where(labels == 1, scores, 1 - scores)
    if not config.logits:
        own = own.clamp(min=torch.finfo(to_float(preds).dtype).eps).log()
    return {"total": -(batch.weights * own).sum(), "weight": batch.weights.sum(), "invalid": batch.invalid}


def brier_score_state(config: CurveConfig, preds: Any, target: Any, sample_weight: Any = None) -> dict[str, Tensor]:
    """Returns `total`, the weighted sum of squared errors, `weight`, and the number of `invalid` elements."""
    batch = probabilities(config, preds, target, sample_weight)
    scores, labels = batch.scores, batch.labels
    if config.task == "multiclass":
        classes = torch.arange(scores.shape[-1], device=labels.device)
        loss = (scores - (labels.unsqueeze(-1) == classes).double()).square().sum(-1)
    else:
        loss = (scores - labels).square()
    return {"total": (batch.weights * loss).sum(), "weight": batch.weights.sum(), "invalid": batch.invalid}


def mean_value(total: Tensor, weight: Tensor) -> Tensor:
    """Returns the mean loss; nan where nothing was counted."""
    return total / weight


def log_loss(
    preds: Any,
    target: Any,
    task: Task,
    num_classes: int | None = None,
    num_labels: int | None = None,
    ignore_index: int | None = None,
    validate_args: bool = True,
    *,
    logits: bool = False,
    sample_weight: Any = None,
) -> Tensor:
    """Negative log likelihood of the targets, `-mean(log p(target))`; multilabel elements count alike.

    Args:
        preds: Probabilities in [0, 1], or logits with `logits`: binary `(N, ...)`; multiclass `(N, C, ...)`, not
            rescaled to sum to 1; multilabel `(N, L, ...)`. A probability of 0 counts as the smallest step of its type,
            as in scikit-learn; logits need no such bound.
        target: Integer labels `(N, ...)`; multilabel `(N, L, ...)`.
        task: `"binary"`, `"multiclass"` or `"multilabel"`.
        num_classes: Number of classes of a multiclass task.
        num_labels: Number of labels of a multilabel task.
        ignore_index: Targets of this value are left out.
        validate_args: Whether values are checked.
        logits: Whether `preds` are logits; never guessed from the values.
        sample_weight: `(N,)` weights, or one per target.

    Returns:
        Value of at least 0, float64; nan where nothing is left to count. Differentiable.

    Raises:
        ValueError: If shapes do not fit, labels are out of range, or probabilities leave [0, 1].
        TypeError: If targets are not integers.

    Example:
        >>> from lit_metrics.functional import log_loss
        >>> log_loss([0.9, 0.1, 0.2, 0.65], [1, 0, 0, 1], task="binary")
        tensor(0.2162, dtype=torch.float64)
    """
    config = score_config(task, num_classes, num_labels, ignore_index, logits, validate_args)
    state = log_loss_state(config, preds, target, sample_weight)
    raise_if_invalid_probabilities(config, state["invalid"])
    return mean_value(state["total"], state["weight"])


def brier_score(
    preds: Any,
    target: Any,
    task: Task,
    num_classes: int | None = None,
    num_labels: int | None = None,
    ignore_index: int | None = None,
    validate_args: bool = True,
    *,
    logits: bool = False,
    sample_weight: Any = None,
) -> Tensor:
    """Mean squared error of probabilities: `mean((p - y)^2)`, over classes summed for multiclass (Brier 1950).

    Arguments and errors are those of `log_loss`.

    Returns:
        Value in [0, 1], for multiclass in [0, 2], float64; nan where nothing is left to count. Differentiable.

    Example:
        >>> from lit_metrics.functional import brier_score
        >>> brier_score([0.1, 0.9, 0.8, 0.3], [0, 1, 1, 0], task="binary")
        tensor(0.0375, dtype=torch.float64)
        >>> brier_score([[0.8, 0.1, 0.1], [0.2, 0.2, 0.6]], [0, 1], task="multiclass", num_classes=3)
        tensor(0.5500, dtype=torch.float64)
    """
    config = score_config(task, num_classes, num_labels, ignore_index, logits, validate_args)
    state = brier_score_state(config, preds, target, sample_weight)
    raise_if_invalid_probabilities(config, state["invalid"])
    return mean_value(state["total"], state["weight"])


def score_config(
    task: Any,
    num_classes: int | None,
    num_labels: int | None,
    ignore_index: int | None,
    logits: bool,
    validate_args: bool,
) -> CurveConfig:
    """Returns the configuration of a task; arguments of other tasks are left out."""
    size = num_classes if task == "multiclass" else num_labels if task == "multilabel" else None
    return CurveConfig(task, size, None, ignore_index, logits, validate_args)
