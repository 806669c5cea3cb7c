"""Procrustes disparity of point clouds."""

from __future__ import annotations

from typing import Any, Literal

from lit_metrics.functional.shape.procrustes_disparity import procrustes_fit
from lit_metrics.regression._scores import ScoreMetric


class ProcrustesDisparity(ScoreMetric):
    """Disparity of pairs of point clouds after alignment; see `lit_metrics.functional.procrustes_disparity`.

    Args:
        reduction: `"mean"` or `"sum"` over all pairs.
        kwargs: Arguments of `Metric`.

    Raises:
        ValueError: If `reduction` is neither.

    Example:
        >>> import torch
        >>> from lit_metrics import ProcrustesDisparity
        >>> square = torch.tensor([[[0.0, 0.0], [1.0, 0.0], [1.0, 1.0], [0.0, 1.0]]])
        >>> metric = ProcrustesDisparity()
        >>> metric.update(square, 3 * square.flip(-1) + 1)
        >>> metric.compute().round(decimals=6)
        tensor(0., dtype=torch.float64)
    """

    higher_is_better = False
    is_differentiable = False

    def __init__(self, reduction: Literal["mean", "sum"] = "mean", **kwargs: Any) -> None:
        if reduction not in ("mean", "sum"):
            raise ValueError(f"reduction must be 'mean' or 'sum', got {reduction!r}")
        super().__init__(reduction=reduction, **kwargs)

    def update(self, point_cloud1: Any, point_cloud2: Any, sample_weight: Any = None) -> None:
        """Takes in `(N, M, D)` pairs of point clouds; `sample_weight` is `(N,)`."""
        self.take(procrustes_fit(point_cloud1, point_cloud2)[0], sample_weight)
