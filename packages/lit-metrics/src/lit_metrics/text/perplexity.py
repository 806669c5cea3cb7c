"""Perplexity."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from lit_metrics.functional.text.perplexity import perplexity_state, perplexity_value
from lit_metrics.metric import Metric


class Perplexity(Metric):
    """Exponential of the mean loss per token over everything seen; see `lit_metrics.functional.perplexity`.

    Arguments and errors: see there and `Metric`.

    Example:
        >>> import torch
        >>> from lit_metrics import Perplexity
        >>> metric = Perplexity(ignore_index=-100)
        >>> metric.update(torch.zeros(2, 3, 50), torch.tensor([[1, 2, 3], [4, 5, -100]]))
        >>> metric.compute()
        tensor(50.0000, dtype=torch.float64)
    """

    higher_is_better = False
    is_differentiable = True
    pure_update = True

    total_log_probs: Tensor
    count: Tensor
    invalid: Tensor

    def __init__(self, ignore_index: int | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        if ignore_index is not None and (not isinstance(ignore_index, int) or isinstance(ignore_index, bool)):
            raise ValueError(f"ignore_index must be an integer or None, got {ignore_index!r}")
        self.ignore_index = ignore_index
        self.add_state("total_log_probs", torch.tensor(0.0, dtype=torch.float64), dist_reduce_fx="sum")
        self.add_state("count", torch.tensor(0), dist_reduce_fx="sum")
        self.add_state("invalid", torch.tensor(0), dist_reduce_fx="sum")

    def update(self, preds: Any, target: Any, sample_weight: Any = None) -> None:
        """Takes in `(B, S, V)` logits and `(B, S)` token ids; `sample_weight` is `(B,)` or `(B, S)`."""
        self.accumulate(perplexity_state(preds, target, self.ignore_index, sample_weight))

    def check_state(self) -> None:
        """Raises for token ids out of range that an accelerator counted."""
        if not self.invalid.is_meta and int(self.invalid):
            raise ValueError(f"target must hold token ids of the vocabulary; {int(self.invalid)} were out of range")

    def compute(self) -> Tensor:
        """Returns the perplexity; nan if no token was seen."""
        return perplexity_value(self.total_log_probs, self.count)
