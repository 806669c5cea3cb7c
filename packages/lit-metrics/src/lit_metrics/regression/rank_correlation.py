"""Correlations of ranks, which need all samples at once."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from lit_metrics.functional.regression._scores import require_num_outputs
from lit_metrics.functional.regression.correlation import paired_samples, spearman_value
from lit_metrics.functional.regression.kendall import Alternative, Variant, kendall_value, require_kendall_options
from lit_metrics.metric import Metric


class RankCorrelation(Metric):
    """Keeps all samples: ranks depend on all of them. Metrics with the same number of outputs share them.

    Args:
        num_outputs: Number of outputs; with several, inputs are `(N, num_outputs)` and the value has one entry each.
        kwargs: Arguments of `Metric`.

    Raises:
        ValueError: If `num_outputs` is not a positive integer.
    """

    is_differentiable = False
    pure_update = True

    preds: list[Tensor]
    target: list[Tensor]
    weights: list[Tensor]

    def __init__(self, num_outputs: int = 1, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.num_outputs = require_num_outputs(num_outputs)
        for name in ("preds", "target", "weights"):
            self.add_state(name, [], dist_reduce_fx="cat")

    @property
    def group_key(self) -> Any:
        """Equal for all rank correlations of this number of outputs."""
        return ("rank correlation", self.num_outputs)

    def update(self, preds: Any, target: Any, sample_weight: Any = None) -> None:
        """Takes in one batch of `(N,)` or `(N, num_outputs)`; `sample_weight` is `(N,)`."""
        preds, target, weights = paired_samples(preds, target, self.num_outputs, sample_weight)
        if weights is None:  # ones that take no memory
            weights = torch.ones((), dtype=torch.bool, device=preds.device).expand(preds.shape[0])
        else:
            weights = weights.clone()
        self.accumulate({"preds": preds.clone(), "target": target.clone(), "weights": weights})

    def samples(self) -> tuple[Tensor, Tensor, Tensor | None]:
        """Returns all predictions, targets, and weights if any sample has one."""
        if not self.preds:
            empty = torch.zeros((0,) if self.num_outputs == 1 else (0, self.num_outputs), device=self.device)
            return empty, empty, None
        weights = torch.cat(self.weights)
        return torch.cat(self.preds), torch.cat(self.target), None if weights.dtype == torch.bool else weights


class SpearmanCorrCoef(RankCorrelation):
    """Spearman's correlation of everything seen; see `lit_metrics.functional.spearman_corrcoef`.

    Args:
        num_outputs: Number of outputs; with several, inputs are `(N, num_outputs)` and the value has one entry each.
        kwargs: Arguments of `Metric`.

    Raises:
        ValueError: If `num_outputs` is not a positive integer.

    Example:
        >>> from lit_metrics import SpearmanCorrCoef
        >>> metric = SpearmanCorrCoef()
        >>> metric.update([2.5, 0.0, 2.0, 8.0], [3.0, -0.5, 2.0, 1.0])
        >>> metric.compute()
        tensor(0.4000, dtype=torch.float64)
    """

    higher_is_better = True

    def compute(self) -> Tensor:
        """Returns the correlation; nan if either side is constant."""
        return spearman_value(*self.samples())


class KendallRankCorrCoef(RankCorrelation):
    """Kendall's rank correlation of everything seen; see `lit_metrics.functional.kendall_rank_corrcoef`.

    Other arguments: see there and `Metric`.

    Args:
        num_outputs: Number of outputs; with several, inputs are `(N, num_outputs)` and the value has one entry each.

    Raises:
        ValueError: If an argument is none of these.

    Example:
        >>> from lit_metrics import KendallRankCorrCoef
        >>> KendallRankCorrCoef()([2.5, 1.0, 4.0, 7.0], [3.0, -0.5, 2.0, 4.0])
        tensor(0.6667, dtype=torch.float64)
    """

    def __init__(
        self,
        variant: Variant = "b",
        t_test: bool = False,
        alternative: Alternative | None = "two-sided",
        num_outputs: int = 1,
        **kwargs: Any,
    ) -> None:
        super().__init__(num_outputs, **kwargs)
        require_kendall_options(variant, t_test, alternative)
        self.variant = variant
        self.t_test = t_test
        self.alternative = alternative

    def compute(self) -> Tensor | tuple[Tensor, Tensor]:
        """Returns the coefficient, and the p-value if `t_test`; nan if either side is constant."""
        return kendall_value(*self.samples(), self.variant, self.t_test, self.alternative)
