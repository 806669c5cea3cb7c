"""Calibration error: how far confidence is from accuracy, bin by bin."""

from __future__ import annotations

from typing import Any, Literal, TypeAlias

import torch
from torch import Tensor

from lit_metrics.functional.classification._curves import CurveConfig
from lit_metrics.functional.classification._probabilities import probabilities, raise_if_invalid_probabilities

Norm: TypeAlias = Literal["l1", "l2", "max"]
CALIBRATION_TASKS = ("binary", "multiclass")


def require_bins(n_bins: Any, norm: Any) -> None:
    """Raises a `ValueError` unless `n_bins` is a positive integer and `norm` one of the norms."""
    if not isinstance(n_bins, int) or isinstance(n_bins, bool) or n_bins < 1:
        raise ValueError(f"n_bins must be a positive integer, got {n_bins!r}")
    if norm not in ("l1", "l2", "max"):
        raise ValueError(f"norm must be 'l1', 'l2' or 'max', got {norm!r}")


def calibration_config(
    task: Any, num_classes: int | None, ignore_index: int | None, logits: bool, validate_args: bool
) -> CurveConfig:
    """Returns the configuration of a task.

    Raises:
        ValueError: If an argument is out of its range, or one that the task needs is missing.
    """
    if task not in CALIBRATION_TASKS:
        raise ValueError(f"task must be one of {CALIBRATION_TASKS}, got {task!r}")
    return CurveConfig(task, num_classes if task == "multiclass" else None, None, ignore_index, logits, validate_args)


def calibration_error_state(
    config: CurveConfig, n_bins: int, preds: Any, target: Any, sample_weight: Any = None
) -> dict[str, Tensor]:
    """Returns weight, confidence and accuracy per bin, `bins` `(n_bins, 3)`, and the weight of what was `invalid`."""
    batch = probabilities(config, preds, target, sample_weight)
    if config.task == "binary":
        confidence, correct = batch.scores, batch.labels == 1
    else:
        confidence, found = batch.scores.max(-1)
        correct = found == batch.labels
    edges = torch.arange(1, n_bins, dtype=torch.float64, device=confidence.device) / n_bins
    index = torch.bucketize(confidence, edges, right=True)
    rows = torch.stack([batch.weights, batch.weights * confidence, batch.weights * correct], -1)
    return {"bins": rows.new_zeros(n_bins, 3).index_add_(0, index, rows), "invalid": batch.invalid}


def calibration_error_value(bins: Tensor, norm: Norm) -> Tensor:
    """Returns the error; nan where nothing was counted."""
    weight = bins[:, 0]
    gap = torch.where(weight > 0, (bins[:, 2] - bins[:, 1]) / weight, 0).abs()
    share = weight / weight.sum()
    if norm == "max":
        return torch.where(weight.sum() > 0, gap.max(), torch.nan)
    return (gap * share).sum() if norm == "l1" else (gap.square() * share).sum().sqrt()


def _calibration_error(
    config: CurveConfig, n_bins: int, norm: Norm, preds: Any, target: Any, sample_weight: Any
) -> Tensor:
    require_bins(n_bins, norm)
    state = calibration_error_state(config, n_bins, preds, target, sample_weight)
    raise_if_invalid_probabilities(config, state["invalid"])
    return calibration_error_value(state["bins"], norm)


def binary_calibration_error(
    preds: Any,
    target: Any,
    n_bins: int = 15,
    norm: Norm = "l1",
    ignore_index: int | None = None,
    validate_args: bool = True,
    *,
    logits: bool = False,
    sample_weight: Any = None,
) -> Tensor:
    """Distance between the predicted probability of 1 and how often it is 1, over bins of equal width.

    With `n_b` of N samples in bin b, mean probability `p_b` and share of ones `y_b`: `"l1"` is
    `sum(n_b / N * |y_b - p_b|)` (expected calibration error), `"l2"` is `sqrt(sum(n_b / N * (y_b - p_b)^2))`, `"max"`
    is `max |y_b - p_b|`. Bins are closed on the left, the last one on both
    sides. Naeini et al. 2015, Kumar et al. 2019.

    Args:
        preds: `(N, ...)` probabilities in [0, 1], or logits with `logits`.
        target: `(N, ...)` labels 0 and 1.
        n_bins: Number of bins.
        norm: `"l1"`, `"l2"` or `"max"`.
        ignore_index: Targets of this value are left out.
        validate_args: Whether values are checked.
        logits: Whether `preds` are logits; never guessed from the values.
        sample_weight: `(N,)` or `(N, ...)` weights.

    Returns:
        Value in [0, 1], float64; nan where nothing is left to count.

    Raises:
        ValueError: If shapes differ, labels are not 0 and 1, or probabilities leave [0, 1].
        TypeError: If targets are not integers.

    Example:
        >>> from lit_metrics.functional import binary_calibration_error
        >>> binary_calibration_error([0.25, 0.25, 0.55, 0.75, 0.75], [0, 0, 1, 1, 1], n_bins=2)
        tensor(0.2900, dtype=torch.float64)
    """
    config = calibration_config("binary", None, ignore_index, logits, validate_args)
    return _calibration_error(config, n_bins, norm, preds, target, sample_weight)


def multiclass_calibration_error(
    preds: Any,
    target: Any,
    num_classes: int,
    n_bins: int = 15,
    norm: Norm = "l1",
    ignore_index: int | None = None,
    validate_args: bool = True,
    *,
    logits: bool = False,
    sample_weight: Any = None,
) -> Tensor:
    """Distance between the probability of the predicted class and how often it is right; the top label alone counts.

    `preds` are `(N, C, ...)` probabilities, or logits with `logits`; otherwise as `binary_calibration_error`.

    Example:
        >>> from lit_metrics.functional import multiclass_calibration_error
        >>> preds = [[0.25, 0.20, 0.55], [0.55, 0.05, 0.40], [0.10, 0.30, 0.60], [0.90, 0.05, 0.05]]
        >>> multiclass_calibration_error(preds, [0, 1, 2, 0], num_classes=3, n_bins=3)
        tensor(0.2000, dtype=torch.float64)
    """
    config = calibration_config("multiclass", num_classes, ignore_index, logits, validate_args)
    return _calibration_error(config, n_bins, norm, preds, target, sample_weight)


def calibration_error(
    preds: Any,
    target: Any,
    task: Literal["binary", "multiclass"],
    n_bins: int = 15,
    norm: Norm = "l1",
    num_classes: int | None = None,
    ignore_index: int | None = None,
    validate_args: bool = True,
    *,
    logits: bool = False,
    sample_weight: Any = None,
) -> Tensor:
    """Calibration error for a binary or multiclass task; see `binary_calibration_error`.

    Example:
        >>> from lit_metrics.functional import calibration_error
        >>> calibration_error([0.25, 0.25, 0.55, 0.75, 0.75], [0, 0, 1, 1, 1], task="binary", n_bins=2, norm="max")
        tensor(0.3167, dtype=torch.float64)
    """
    config = calibration_config(task, num_classes, ignore_index, logits, validate_args)
    return _calibration_error(config, n_bins, norm, preds, target, sample_weight)
