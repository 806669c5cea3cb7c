"""What the image metrics share that are a mean or a sum of scores."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from lit_metrics._inputs import as_weights
from lit_metrics.functional.image._images import Reduction, require_reduction
from lit_metrics.metric import Metric


class ImageScore(Metric):
    """Base of metrics that give every image (or pixel) a score: the sum of scores and their number are kept.

    With `reduction="none"` all scores are kept, in the order of updates and ranks.

    Args:
        reduction: `"elementwise_mean"`, `"sum"` or `"none"`.
        kwargs: Arguments of `Metric`.

    Raises:
        ValueError: If `reduction` is none of these.
    """

    is_differentiable = True
    pure_update = True

    score_sum: Tensor
    num_scores: Tensor
    scores: list[Tensor]

    def __init__(self, reduction: Reduction = "elementwise_mean", **kwargs: Any) -> None:
        super().__init__(**kwargs)
        require_reduction(reduction)
        self.reduction = reduction
        if reduction in ("none", None):
            self.add_state("scores", [], dist_reduce_fx="cat")
        else:
            self.add_state("score_sum", torch.tensor(0.0, dtype=torch.float64), dist_reduce_fx="sum")
            self.add_state("num_scores", torch.tensor(0), dist_reduce_fx="sum")

    def score_state(self, scores: Tensor, sample_weight: Any = None) -> dict[str, Tensor | int]:
        """Returns what a batch with these scores adds to the state; weights are one per sample, or one per score.

        Raises:
            ValueError: If there are weights though all scores are kept, or they do not fit the scores.
        """
        if self.reduction in ("none", None):
            if sample_weight is not None:
                raise ValueError("sample_weight must be None when reduction='none' returns every score")
            return {"scores": scores}
        if sample_weight is None:
            return {"score_sum": scores.sum(), "num_scores": scores.numel()}
        weights = as_weights(sample_weight, scores.shape, scores.device)
        # A padded sample of weight 0 leaves no trace, even if its score is not finite.
        return {"score_sum": torch.where(weights == 0, 0.0, weights * scores).sum(), "num_scores": weights.sum()}

    def reduced_scores(self) -> Tensor:
        """Returns the mean or the sum of the scores, or the scores; the mean of nothing is nan."""
        if self.reduction in ("none", None):
            return torch.cat(self.scores) if self.scores else torch.empty(0, dtype=torch.float64, device=self.device)
        return self.score_sum.clone() if self.reduction == "sum" else self.score_sum / self.num_scores


class MeanImageScore(ImageScore):
    """An `ImageScore` whose value is the mean or the sum of its scores, or the scores."""

    def compute(self) -> Tensor:
        """Returns the scores, reduced; the mean of nothing is nan, the sum 0."""
        return self.reduced_scores()
