"""Critical success index of fields cut at a threshold."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from lit_metrics.functional.regression.critical_success_index import (
    critical_success_value,
    event_counts,
    require_threshold,
)
from lit_metrics.metric import Metric


class CriticalSuccessIndex(Metric):
    """Share of forecast or observed events that were both; see `lit_metrics.functional.critical_success_index`.

    Arguments and errors: see there and `Metric`.

    Example:
        >>> from lit_metrics import CriticalSuccessIndex
        >>> metric = CriticalSuccessIndex(threshold=0.5)
        >>> metric.update([[0.9, 0.2], [0.6, 0.1]], [[0.8, 0.7], [0.3, 0.1]])
        >>> metric.compute()
        tensor(0.3333, dtype=torch.float64)
    """

    higher_is_better = True
    is_differentiable = False
    pure_update = True

    counts: Tensor | list[Tensor]

    def __init__(self, threshold: float, keep_sequence_dim: int | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        require_threshold(threshold)
        if keep_sequence_dim is not None and (not isinstance(keep_sequence_dim, int) or keep_sequence_dim < 0):
            raise ValueError(f"keep_sequence_dim must be a non-negative integer or None, got {keep_sequence_dim!r}")
        self.threshold = threshold
        self.keep_sequence_dim = keep_sequence_dim
        if keep_sequence_dim is None:
            self.add_state("counts", torch.zeros((1, 2), dtype=torch.long), dist_reduce_fx="sum")
        else:
            self.add_state("counts", [], dist_reduce_fx="cat")

    def update(self, preds: Any, target: Any, sample_weight: Any = None) -> None:
        """Takes in one batch; `sample_weight` is `(N,)` or one weight per element."""
        self.accumulate({"counts": event_counts(preds, target, self.threshold, self.keep_sequence_dim, sample_weight)})

    def compute(self) -> Tensor:
        """Returns hits per event; nan where there was none."""
        counts = self.counts
        if isinstance(counts, list):
            counts = torch.cat(counts) if counts else torch.zeros((0, 2), device=self.device)
        return critical_success_value(counts, self.keep_sequence_dim)
