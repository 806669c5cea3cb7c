"""Metrics that are a mean (or sum) of one number per element or sample: checks of the inputs, sums, and the value."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal, TypeAlias

import torch
from torch import Tensor

from lit_metrics._inputs import as_tensor, as_weights, checks_are_free, require_same_shape, to_float

ScoreReduction: TypeAlias = Literal["mean", "sum", "none"] | None
OldReduction: TypeAlias = Literal["elementwise_mean", "sum", "none"]


def real_pair(preds: Any, target: Any, names: tuple[str, str] = ("preds", "target")) -> tuple[Tensor, Tensor]:
    """Returns two real tensors of one shape, in float32 or float64.

    Raises:
        ValueError: If the shapes differ.
        TypeError: If they are not real numbers.
    """
    preds, target = as_tensor(preds, names[0]), as_tensor(target, names[1])
    if preds.shape != target.shape:
        if names == ("preds", "target"):
            require_same_shape(preds, target)
        shapes = f"{tuple(preds.shape)} and {tuple(target.shape)}"
        raise ValueError(f"{names[0]} and {names[1]} must have the same shape, got {shapes}")
    if preds.is_complex() or target.is_complex():
        raise TypeError(f"{names[0]} and {names[1]} must be real, got {preds.dtype} and {target.dtype}")
    return to_float(preds), to_float(target)


def difference(preds: Any, target: Any, names: tuple[str, str] = ("preds", "target")) -> Tensor:
    """Returns `preds - target` in float64; subtracted in at least float32, so that half precision does not overflow."""
    p, t = real_pair(preds, target, names)
    return (p - t).double()


def require_num_outputs(num_outputs: Any) -> int:
    """Returns `num_outputs`; a `ValueError` unless it is a positive integer."""
    if not isinstance(num_outputs, int) or isinstance(num_outputs, bool) or num_outputs < 1:
        raise ValueError(f"num_outputs must be a positive integer, got {num_outputs!r}")
    return num_outputs


def require_outputs(shape: torch.Size, num_outputs: int) -> None:
    """Raises a `ValueError` unless `shape` is `(N, num_outputs)`."""
    if len(shape) != 2 or shape[1] != num_outputs:
        raise ValueError(f"preds and target must have shape (N, {num_outputs}), got {tuple(shape)}")


def require_score_reduction(reduction: Any) -> None:
    """Raises a `ValueError` unless `reduction` is one of the names or `None`."""
    if reduction not in ("mean", "sum", "none", None):
        raise ValueError(f"reduction must be 'mean', 'sum', 'none' or None, got {reduction!r}")


def require_values(fits: Tensor, message: str) -> Tensor | int:
    """Raises a `ValueError` with `message` if a value does not fit, where looking is free; elsewhere counts them."""
    if not checks_are_free(fits):
        return (~fits).sum()
    if not fits.numpy().all():
        raise ValueError(message)
    return 0


def score_sums(
    scores: Tensor, num_outputs: int = 1, sample_weight: Any = None, reduction: ScoreReduction = "mean"
) -> dict[str, Tensor | int]:
    """Returns what merges: the sum of scores and the number (or weight) of them, or the scores if they stay apart.

    Args:
        scores: One score per element or sample.
        num_outputs: With several, scores are `(N, num_outputs)` and summed per output.
        sample_weight: One weight per sample or per score.
        reduction: `"none"` or `None` keeps the scores, each times its weight.

    Raises:
        ValueError: If the shape does not fit `num_outputs` or the weights do not fit the scores.
    """
    if num_outputs > 1:
        require_outputs(scores.shape, num_outputs)
    total: Tensor | int = scores.shape[0] if num_outputs > 1 else scores.numel()
    if sample_weight is not None:
        weights = as_weights(sample_weight, scores.shape, scores.device)
        scores, total = scores * weights, weights.sum(0) if num_outputs > 1 else weights.sum()
    if reduction in ("none", None):
        return {"scores": scores}
    return {"sum_score": scores.sum(0) if num_outputs > 1 else scores.sum(), "total": total}


def score_value(sum_score: Any, total: Any, reduction: ScoreReduction = "mean", root: bool = False) -> Tensor:
    """Returns the mean of scores, its root, or their sum; nan without samples."""
    if reduction == "sum":
        return torch.where(torch.as_tensor(total, device=sum_score.device) != 0, sum_score, torch.nan)
    mean: Tensor = sum_score / total
    return mean.sqrt() if root else mean


def reduce_scores(
    scores: Tensor,
    num_outputs: int = 1,
    sample_weight: Any = None,
    reduction: ScoreReduction = "mean",
    root: bool = False,
) -> Tensor:
    """Returns the value of one batch of scores; see `score_sums`."""
    require_score_reduction(reduction)
    state = score_sums(scores, require_num_outputs(num_outputs), sample_weight, reduction)
    if "scores" in state:
        return torch.as_tensor(state["scores"])
    return score_value(state["sum_score"], state["total"], reduction, root)


def old_reduce(scores: Callable[[Any, Any], Tensor], pred: Any, target: Any, reduction: OldReduction) -> Tensor:
    """Returns scores reduced by the names of the 1.0 API.

    Raises:
        ValueError: If `reduction` is none of these.
    """
    if reduction not in ("elementwise_mean", "sum", "none"):
        raise ValueError(f"reduction must be 'elementwise_mean', 'sum' or 'none', got {reduction!r}")
    return reduce_scores(scores(pred, target), reduction="mean" if reduction == "elementwise_mean" else reduction)
