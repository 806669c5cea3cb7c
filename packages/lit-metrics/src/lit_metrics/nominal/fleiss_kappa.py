"""Agreement of several raters."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from lit_metrics.functional.nominal.fleiss_kappa import (
    Mode,
    fleiss_kappa_state,
    fleiss_kappa_value,
    raise_if_uneven,
    require_mode,
)
from lit_metrics.metric import Metric


class FleissKappa(Metric):
    """Agreement of raters beyond chance; see `lit_metrics.functional.fleiss_kappa`.

    Arguments and errors: see there and `Metric`.

    Example:
        >>> from lit_metrics import FleissKappa
        >>> metric = FleissKappa()
        >>> metric.update([[3, 0], [1, 2]])
        >>> metric.update([[0, 3]])
        >>> metric.compute()
        tensor(0.5500, dtype=torch.float64)
    """

    higher_is_better = True
    is_differentiable = False
    pure_update = True

    categories: Tensor
    squares: Tensor
    samples: Tensor
    fewest: Tensor
    most: Tensor

    def __init__(self, mode: Mode = "counts", **kwargs: Any) -> None:
        super().__init__(**kwargs)
        require_mode(mode)
        self.mode: Mode = mode
        self.add_state("categories", torch.zeros(0, dtype=torch.long), dist_reduce_fx="sum")
        self.add_state("squares", torch.tensor(0), dist_reduce_fx="sum")
        self.add_state("samples", torch.tensor(0), dist_reduce_fx="sum")
        self.add_state("fewest", torch.tensor(torch.iinfo(torch.long).max), dist_reduce_fx="min")
        self.add_state("most", torch.tensor(0), dist_reduce_fx="max")

    def update(self, ratings: Any) -> None:
        """Takes in the ratings of some samples by all raters."""
        self.accumulate(fleiss_kappa_state(ratings, self.mode))

    def check_state(self) -> None:
        """Raises if samples had different numbers of raters."""
        raise_if_uneven(self.fewest, self.most, self.samples)

    def compute(self) -> Tensor:
        """Returns kappa; nan where it is undefined."""
        return fleiss_kappa_value(self.categories, self.squares, self.samples, self.most)
