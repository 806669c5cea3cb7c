"""Exact match: the share of samples all of whose elements are right."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from lit_metrics._inputs import as_weights, checks_are_free, require_same_shape
from lit_metrics.functional.classification._counting import binary_labels, class_labels, label_tensors, raise_invalid
from lit_metrics.functional.classification._task import MultidimAverage, StatScoresConfig, Task, make_config


def exact_match_config(
    task: Any,
    num_classes: int | None,
    num_labels: int | None,
    threshold: float,
    multidim_average: MultidimAverage,
    ignore_index: int | None,
    validate_args: bool,
    logits: bool,
) -> StatScoresConfig:
    """Returns how labels are read.

    Raises:
        ValueError: For binary tasks: exact match is accuracy there.
    """
    if task not in ("multiclass", "multilabel"):
        raise ValueError(f"task must be 'multiclass' or 'multilabel', got {task!r}")
    return make_config(
        task, threshold, num_classes, num_labels, None, multidim_average, 1, ignore_index, validate_args, logits
    )


def exact_match_state(
    config: StatScoresConfig, preds: Any, target: Any, sample_weight: Any = None
) -> dict[str, Tensor | int]:
    """Returns right samples and all samples of a batch (one entry per sample if samplewise), and what was invalid.

    Args:
        config: How labels are read.
        preds: Multiclass scores `(N, C, ...)` or labels `(N, ...)`; multilabel `(N, L, ...)`.
        target: Labels `(N, ...)`; multilabel `(N, L, ...)`.
        sample_weight: `(N,)` weights.
    """
    preds, target = label_tensors(preds, target)
    if config.task == "multilabel":
        require_same_shape(preds, target)
        if preds.ndim < 2 or preds.shape[1] != config.num_classes:
            raise ValueError(
                f"preds and target must have shape (N, {config.num_classes}, ...), got {tuple(preds.shape)}"
            )
        labels, bad = binary_labels(config, preds)
        # One row of labels for each position of each sample.
        target, labels = target.movedim(1, -1), labels.movedim(1, -1)
        bad = None if bad is None else bad.movedim(1, -1)
    else:
        labels, bad = class_labels(config, preds, target)
    kept = torch.ones_like(target, dtype=torch.bool) if config.ignore_index is None else target != config.ignore_index
    invalid = _invalid(config, target, bad, kept)
    right = (labels == target) | ~kept
    shape = (target.shape[0], -1, target.shape[-1]) if config.task == "multilabel" else (target.shape[0], 1, -1)
    right, counted = right.reshape(shape).all(-1), kept.reshape(shape).any(-1)
    weights = 1 if sample_weight is None else as_weights(sample_weight, target.shape[:1], target.device).unsqueeze(-1)
    hits, total = (right & counted) * weights, counted * weights
    if config.samplewise:
        return {"correct": hits.sum(-1), "total": total.sum(-1), "invalid": invalid}
    return {"correct": hits.sum(), "total": total.sum(), "invalid": invalid}


def _invalid(config: StatScoresConfig, target: Tensor, bad: Tensor | None, kept: Tensor) -> Tensor:
    """Returns the numbers of invalid targets and predictions; raises at once where reading them is free."""
    if not config.validate_args:
        return torch.zeros(2, dtype=torch.long, device=target.device)
    outside = kept & ((target < 0) | (target >= config.classes))
    wrong = outside.sum() if bad is None else (bad & kept).sum()
    found = torch.stack([outside.sum(), wrong if bad is not None else torch.zeros_like(wrong)])
    if checks_are_free(found):
        raise_if_any(config, found)
    return found


def raise_if_any(config: StatScoresConfig, invalid: Tensor) -> None:
    """Raises a `ValueError` if invalid targets or predictions were counted."""
    targets, preds = invalid.tolist()
    if targets or preds:
        raise_invalid(config, bool(preds))


def exact_match_value(correct: Tensor, total: Tensor) -> Tensor:
    """Returns the share of right samples; nan without any."""
    return correct.double() / total


def multiclass_exact_match(
    preds: Any,
    target: Any,
    num_classes: int,
    multidim_average: MultidimAverage = "global",
    ignore_index: int | None = None,
    validate_args: bool = True,
    *,
    sample_weight: Any = None,
) -> Tensor:
    """Share of samples all of whose elements are predicted right, for targets `(N, ...)`.

    Other arguments and errors are those of `multiclass_stat_scores`.

    Args:
        preds: `(N, C, ...)` scores, or `(N, ...)` labels.
        target: `(N, ...)` labels.
        num_classes: Number of classes C.
        multidim_average: `"global"` for one value, `"samplewise"` for 0 or 1 per sample.
        ignore_index: Elements with this target count as right; a sample without others is left out.
        validate_args: Whether values are checked.
        sample_weight: `(N,)` weights.

    Returns:
        Value in [0, 1], float64; nan where nothing was counted.

    Example:
        >>> from lit_metrics.functional import multiclass_exact_match
        >>> multiclass_exact_match([[0, 1], [2, 1]], [[0, 1], [2, 2]], num_classes=3)
        tensor(0.5000, dtype=torch.float64)
    """
    return exact_match(
        preds,
        target,
        "multiclass",
        num_classes,
        multidim_average=multidim_average,
        ignore_index=ignore_index,
        validate_args=validate_args,
        sample_weight=sample_weight,
    )


def multilabel_exact_match(
    preds: Any,
    target: Any,
    num_labels: int,
    threshold: float = 0.5,
    multidim_average: MultidimAverage = "global",
    ignore_index: int | None = None,
    validate_args: bool = True,
    *,
    logits: bool = False,
    sample_weight: Any = None,
) -> Tensor:
    """Share of samples all of whose labels are predicted right; also called subset accuracy.

    With more dimensions, `(N, L, ...)`, each position counts as a sample, and `"samplewise"` gives the share of each
    sample's positions. Other arguments and errors are those of `multilabel_stat_scores`, ignored elements and the
    value those of `multiclass_exact_match`.

    Example:
        >>> from lit_metrics.functional import multilabel_exact_match
        >>> multilabel_exact_match([[0.9, 0.2], [0.3, 0.8]], [[1, 0], [1, 1]], num_labels=2)
        tensor(0.5000, dtype=torch.float64)
    """
    return exact_match(
        preds,
        target,
        "multilabel",
        None,
        num_labels,
        threshold,
        multidim_average,
        ignore_index,
        validate_args,
        logits=logits,
        sample_weight=sample_weight,
    )


def exact_match(
    preds: Any,
    target: Any,
    task: Task,
    num_classes: int | None = None,
    num_labels: int | None = None,
    threshold: float = 0.5,
    multidim_average: MultidimAverage = "global",
    ignore_index: int | None = None,
    validate_args: bool = True,
    *,
    logits: bool = False,
    sample_weight: Any = None,
) -> Tensor:
    """Exact match for multiclass and multilabel tasks; see `multiclass_exact_match` and `multilabel_exact_match`.

    Example:
        >>> from lit_metrics.functional import exact_match
        >>> exact_match([[0, 1], [2, 1]], [[0, 1], [2, 2]], task="multiclass", num_classes=3)
        tensor(0.5000, dtype=torch.float64)
    """
    config = exact_match_config(
        task, num_classes, num_labels, threshold, multidim_average, ignore_index, validate_args, logits
    )
    state = exact_match_state(config, preds, target, sample_weight)
    return exact_match_value(torch.as_tensor(state["correct"]), torch.as_tensor(state["total"]))
