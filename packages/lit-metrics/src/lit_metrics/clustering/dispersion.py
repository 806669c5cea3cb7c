"""How compact and how far apart clusters of points are."""

from __future__ import annotations

from abc import abstractmethod
from typing import Any

import torch
from torch import Tensor

from lit_metrics.functional.clustering.dispersion import (
    calinski_harabasz_value,
    davies_bouldin_value,
    dunn_value,
    points_state,
)
from lit_metrics.metric import Metric


class PointsMetric(Metric):
    """Keeps all points and their labels: distances to centroids need both.

    Arguments: see `Metric`.
    """

    higher_is_better = True
    is_differentiable = True

    data: list[Tensor]
    labels: list[Tensor]

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.add_state("data", [], dist_reduce_fx="cat")
        self.add_state("labels", [], dist_reduce_fx="cat")

    @property
    def group_key(self) -> Any:
        """Equal for all metrics of points and labels."""
        return "points"

    def update(self, data: Any, labels: Any) -> None:
        """Takes in points `(N, D)` and their cluster labels `(N,)`."""
        self.accumulate(points_state(data, labels))

    def compute(self) -> Tensor:
        """Returns the value of all points; nan where it is undefined."""
        if not self.data:
            return torch.tensor(torch.nan, dtype=torch.float64, device=self.device)
        return self.value(torch.cat(self.data), torch.cat(self.labels))

    @abstractmethod
    def value(self, data: Tensor, labels: Tensor) -> Tensor:
        """Returns the metric's value for these points."""


class CalinskiHarabaszScore(PointsMetric):
    """Ratio of variance between clusters to variance within; see `lit_metrics.functional.calinski_harabasz_score`.

    Arguments: see `Metric`.

    Example:
        >>> from lit_metrics import CalinskiHarabaszScore
        >>> metric = CalinskiHarabaszScore()
        >>> metric.update([[0.0, 0.0], [0.0, 1.0], [4.0, 0.0], [4.0, 1.0]], [0, 0, 1, 1])
        >>> metric.compute()
        tensor(32., dtype=torch.float64)
    """

    def value(self, data: Tensor, labels: Tensor) -> Tensor:
        """Returns it for these points."""
        return calinski_harabasz_value(data, labels)


class DaviesBouldinScore(PointsMetric):
    """Mean similarity of each cluster to its most similar one; see `lit_metrics.functional.davies_bouldin_score`.

    Arguments: see `Metric`.

    Example:
        >>> from lit_metrics import DaviesBouldinScore
        >>> DaviesBouldinScore()([[0.0, 0.0], [0.0, 1.0], [4.0, 0.0], [4.0, 1.0]], [0, 0, 1, 1])
        tensor(0.2500, dtype=torch.float64)
    """

    higher_is_better = False

    def value(self, data: Tensor, labels: Tensor) -> Tensor:
        """Returns it for these points."""
        return davies_bouldin_value(data, labels)


class DunnIndex(PointsMetric):
    """Smallest distance of two centroids over the largest radius; see `lit_metrics.functional.dunn_index`.

    Arguments: see there and `Metric`.

    Example:
        >>> from lit_metrics import DunnIndex
        >>> DunnIndex()([[0.0, 0.0], [0.0, 1.0], [4.0, 0.0], [4.0, 1.0]], [0, 0, 1, 1])
        tensor(8., dtype=torch.float64)
    """

    def __init__(self, p: float = 2, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.p = p

    def value(self, data: Tensor, labels: Tensor) -> Tensor:
        """Returns it for these points."""
        return dunn_value(data, labels, self.p)
