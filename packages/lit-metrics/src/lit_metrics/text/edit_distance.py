"""Edit distance."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from lit_metrics.functional.text.edit_distance import EditReduction, edit_distances, require_edit_options
from lit_metrics.functional.text.error_rates import rate_value
from lit_metrics.metric import Metric


class EditDistance(Metric):
    """Levenshtein distance between strings; see `lit_metrics.functional.edit_distance`.

    Arguments and errors: see there and `Metric`.

    Example:
        >>> from lit_metrics import EditDistance
        >>> metric = EditDistance()
        >>> metric.update(["rain", "lnaguaeg"], ["shine", "language"])
        >>> metric.compute()
        tensor(3.5000, dtype=torch.float64)
    """

    higher_is_better = False
    is_differentiable = False
    pure_update = True

    edits: Tensor
    total: Tensor
    distances: list[Tensor]

    def __init__(self, substitution_cost: int = 1, reduction: EditReduction = "mean", **kwargs: Any) -> None:
        super().__init__(**kwargs)
        require_edit_options(substitution_cost, reduction)
        self.substitution_cost = substitution_cost
        self.reduction = reduction or "none"
        if self.reduction == "none":
            self.add_state("distances", [], dist_reduce_fx="cat")
        else:
            for name in ("edits", "total"):
                self.add_state(name, torch.tensor(0), dist_reduce_fx="sum")

    def update(self, preds: Any, target: Any) -> None:
        """Takes in a string, or a list of them, and as many references."""
        found = edit_distances(preds, target, self.substitution_cost)
        if self.reduction == "none":
            self.accumulate({"distances": torch.tensor(found, dtype=torch.long)})
        else:
            self.accumulate({"edits": sum(found), "total": len(found)})

    def compute(self) -> Tensor:
        """Returns the mean (nan if nothing was seen), the sum, or all distances in the order of updates."""
        if self.reduction == "none":
            return torch.cat(self.distances) if self.distances else torch.zeros(0, dtype=torch.long, device=self.device)
        return self.edits if self.reduction == "sum" else rate_value(self.edits, self.total)
