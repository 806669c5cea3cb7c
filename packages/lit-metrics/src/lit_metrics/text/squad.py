"""The scores of SQuAD."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from lit_metrics.functional.text.squad import squad_state, squad_value
from lit_metrics.metric import Metric


class SQuAD(Metric):
    """Exact match and F1 of answers, in percent; see `lit_metrics.functional.squad`.

    Arguments: see `Metric`.

    Example:
        >>> from lit_metrics import SQuAD
        >>> metric = SQuAD()
        >>> metric.update(
        ...     {"prediction_text": "in 1976", "id": "a"},
        ...     {"answers": {"answer_start": [97], "text": ["1976", "the year 1976"]}, "id": "a"},
        ... )
        >>> metric.compute()
        {'exact_match': tensor(0., dtype=torch.float64), 'f1': tensor(66.6667, dtype=torch.float64)}
    """

    higher_is_better = True
    is_differentiable = False
    pure_update = True

    exact_match: Tensor
    f1_score: Tensor
    total: Tensor

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.add_state("exact_match", torch.tensor(0), dist_reduce_fx="sum")
        self.add_state("f1_score", torch.tensor(0.0, dtype=torch.float64), dist_reduce_fx="sum")
        self.add_state("total", torch.tensor(0), dist_reduce_fx="sum")

    def update(self, preds: Any, target: Any) -> None:
        """Takes in answers and questions; a question's answer must be in the same call."""
        self.accumulate(squad_state(preds, target))

    def compute(self) -> dict[str, Tensor]:
        """Returns `"exact_match"` and `"f1"`; nan if nothing was seen."""
        return squad_value(self.exact_match, self.f1_score, self.total)
