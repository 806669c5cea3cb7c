"""Distances between the features of real and of generated images."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from lit_metrics.functional.image.feature_distances import (
    as_features,
    as_real_mask,
    frechet_value,
    kernel_distance,
    merge_moments,
    moments_state,
    require_kernel,
)
from lit_metrics.metric import Metric


class FrechetDistance(Metric):
    """Fréchet distance of two sets of features; see `lit_metrics.functional.frechet_distance`.

    Only the mean and the covariance of each side are kept, in float64; they merge exactly.

    Args:
        num_features: Length D of a feature vector; the state holds `2 (1 + D + D^2)` numbers.
        kwargs: Arguments of `Metric`.

    Raises:
        ValueError: If `num_features` is not a positive integer.

    Example:
        >>> import torch
        >>> from lit_metrics import FrechetDistance
        >>> x = torch.tensor([[0.0, 0.0], [1.0, 0.0], [0.0, 1.0], [1.0, 1.0]])
        >>> metric = FrechetDistance(num_features=2)
        >>> metric.update(x, real=True)
        >>> metric.update(x + 2, real=False)
        >>> round(metric.compute().item(), 6)
        8.0
    """

    higher_is_better = False
    is_differentiable = False
    pure_update = True

    real: Tensor
    fake: Tensor

    def __init__(self, num_features: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        if not isinstance(num_features, int) or isinstance(num_features, bool) or num_features < 1:
            raise ValueError(f"num_features must be a positive integer, got {num_features!r}")
        self.num_features = num_features
        for name in ("real", "fake"):
            empty = torch.zeros(1 + num_features + num_features**2, dtype=torch.float64)
            self.add_state(name, empty, dist_reduce_fx=merge_moments)

    def update(self, features: Any, real: Any) -> None:
        """Takes in features `(N, D)`; `real` says of all rows, or of each, whether they are of real images."""
        features = as_features(features, "features", self.num_features)
        if isinstance(real, bool):
            self.accumulate({"real" if real else "fake": moments_state(features)})
            return
        mask = as_real_mask(real, features)
        self.accumulate({"real": moments_state(features, mask), "fake": moments_state(features, ~mask)})

    def compute(self) -> Tensor:
        """Returns the distance; nan with fewer than two rows on a side."""
        return frechet_value(self.real, self.fake)


class KernelDistance(Metric):
    """Kernel distance of two sets of features; see `lit_metrics.functional.kernel_distance`.

    All features are kept, in float64.

    Arguments and errors: see there and `Metric`.

    Example:
        >>> import torch
        >>> from lit_metrics import KernelDistance
        >>> x = torch.tensor([[0.0], [1.0], [2.0]])
        >>> metric = KernelDistance(subset_size=None)
        >>> metric.update(x, real=True)
        >>> metric.update(x + 1, real=False)
        >>> mean, std = metric.compute()
        >>> mean
        tensor(21.6667, dtype=torch.float64)
    """

    higher_is_better = False
    is_differentiable = False
    pure_update = True

    features: list[Tensor]
    is_real: list[Tensor]

    def __init__(
        self,
        subsets: int = 100,
        subset_size: int | None = 1000,
        degree: int = 3,
        gamma: float | None = None,
        coef: float = 1.0,
        *,
        seed: int = 0,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        require_kernel(subsets, subset_size, degree, gamma)
        self.subsets = subsets
        self.subset_size = subset_size
        self.degree = degree
        self.gamma = gamma
        self.coef = coef
        self.seed = seed
        self.add_state("features", [], dist_reduce_fx="cat")
        self.add_state("is_real", [], dist_reduce_fx="cat")

    def update(self, features: Any, real: Any) -> None:
        """Takes in features `(N, D)`; `real` says of all rows, or of each, whether they are of real images."""
        features = as_features(features, "features")
        self.accumulate({"features": features.double().clone(), "is_real": as_real_mask(real, features).clone()})

    def compute(self) -> Tensor:
        """Returns the pair of mean and standard deviation; nan with fewer than two rows on a side."""
        if not self.features:
            return torch.full((2,), torch.nan, dtype=torch.float64, device=self.device)
        features, is_real = torch.cat(self.features), torch.cat(self.is_real)
        return kernel_distance(
            features[is_real],
            features[~is_real],
            self.subsets,
            self.subset_size,
            self.degree,
            self.gamma,
            self.coef,
            seed=self.seed,
        )
