"""Perplexity of a language model."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from lit_metrics._inputs import as_tensor, as_weights, checks_are_free, to_float


def perplexity_state(
    preds: Any, target: Any, ignore_index: int | None = None, sample_weight: Any = None
) -> dict[str, Tensor | int]:
    """Returns the float64 sum of negative log probabilities of the targets and the number (or weight) of tokens."""
    preds, target = as_tensor(preds, "preds"), as_tensor(target, "target")
    if preds.ndim != target.ndim + 1 or preds.shape[:-1] != target.shape or not target.ndim:
        raise ValueError(
            "preds must have one score per word for each token of target, (B, S, V) for (B, S),"
            f" got {tuple(preds.shape)} for {tuple(target.shape)}"
        )
    if not preds.is_floating_point():
        raise TypeError(f"preds must hold floating-point scores, got {preds.dtype}")
    if target.is_floating_point() or target.is_complex() or target.dtype == torch.bool:
        raise TypeError(f"target must hold integer token ids, got {target.dtype}")
    target = target.long()
    kept = None if ignore_index is None else target != ignore_index
    words = target if kept is None else torch.where(kept, target, 0)
    if checks_are_free(words) and words.numel():
        ids = words.numpy()
        if ids.min() < 0 or ids.max() >= preds.shape[-1]:
            raise ValueError(
                f"target must hold token ids in [0, {preds.shape[-1] - 1}], got {ids.min()} to {ids.max()}"
            )
    in_range = (words >= 0) & (words < preds.shape[-1])
    invalid: Tensor | int = 0 if checks_are_free(words) else (~in_range).sum()
    words = torch.where(in_range, words, 0)
    scores = to_float(preds)
    largest = scores.amax(-1, keepdim=True).detach()
    log_total = (scores - largest).exp().sum(-1, dtype=torch.float64).log()
    loss = log_total - (scores.gather(-1, words[..., None]).squeeze(-1).double() - largest.squeeze(-1).double())
    if sample_weight is None:
        if kept is None:
            return {"total_log_probs": loss.sum(), "count": loss.numel(), "invalid": invalid}
        return {"total_log_probs": torch.where(kept, loss, 0).sum(), "count": kept.sum(), "invalid": invalid}
    weights = as_weights(sample_weight, loss.shape, loss.device)
    if kept is not None:
        weights = torch.where(kept, weights, 0)
        loss = torch.where(kept, loss, 0)
    return {"total_log_probs": (weights * loss).sum(), "count": weights.sum(), "invalid": invalid}


def perplexity_value(total_log_probs: Tensor, count: Tensor | int) -> Tensor:
    """Returns the exponential of the mean negative log probability; nan without tokens."""
    return (total_log_probs / count).exp()


def perplexity(preds: Any, target: Any, ignore_index: int | None = None, *, sample_weight: Any = None) -> Tensor:
    """Perplexity, `exp(-mean_i log p(target_i))`: how many words the model hesitates between.

    Logarithms of probabilities are taken from the scores directly, so that no probability underflows; the sum is
    float64. Differentiable in `preds`.

    Args:
        preds: `(B, S, V)` logits, or any scores that a softmax turns into probabilities (their logarithm too); other
            leading shapes are fine.
        target: `(B, S)` ids of the right words, in [0, V).
        ignore_index: Tokens with this target are left out, such as padding; any integer.
        sample_weight: `(B,)` or `(B, S)` weights.

    Returns:
        Value in [1, inf], float64; V if the model knows nothing; nan without tokens.

    Raises:
        ValueError: If the shapes do not fit or a token id is out of range.
        TypeError: If scores are not floating-point or targets not integer.

    Example:
        >>> import torch
        >>> from lit_metrics.functional import perplexity
        >>> logits = torch.tensor([[[0.5, 0.25, 0.25], [0.1, 0.8, 0.1]]]).log()
        >>> perplexity(logits, [[0, 1]])
        tensor(1.5811, dtype=torch.float64)
        >>> perplexity(logits, [[0, -100]], ignore_index=-100)
        tensor(2., dtype=torch.float64)
    """
    state = perplexity_state(preds, target, ignore_index, sample_weight)
    total = state["total_log_probs"]
    assert isinstance(total, Tensor)
    return perplexity_value(total, state["count"])
