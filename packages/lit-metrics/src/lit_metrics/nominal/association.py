"""How far two nominal variables depend on each other."""

from __future__ import annotations

from abc import abstractmethod
from typing import Any

import torch
from torch import Tensor

from lit_metrics.functional.clustering._labels import raise_if_invalid, require_num_classes
from lit_metrics.functional.nominal.association import (
    NanStrategy,
    association_state,
    cramers_v_value,
    pearsons_contingency_coefficient_value,
    require_nan_strategy,
    theils_u_value,
    tschuprows_t_value,
)
from lit_metrics.metric import Metric


class AssociationMetric(Metric):
    """Counts pairs of categories; subclasses read a coefficient from the table.

    Args:
        num_classes: Number of categories; inputs are in [0, num_classes).
        nan_strategy: `"replace"` NaN by `nan_replace_value`, or `"drop"` the pair.
        nan_replace_value: What stands for NaN.
        kwargs: Arguments of `Metric`.

    Raises:
        ValueError: If an argument is none of these.
    """

    higher_is_better = True
    is_differentiable = False
    pure_update = True

    confmat: Tensor
    invalid: Tensor

    def __init__(
        self,
        num_classes: int,
        nan_strategy: NanStrategy = "replace",
        nan_replace_value: float | None = 0.0,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        require_num_classes(num_classes)
        require_nan_strategy(nan_strategy, nan_replace_value)
        self.num_classes = num_classes
        self.nan_strategy: NanStrategy = nan_strategy
        self.nan_replace_value = nan_replace_value
        self.add_state("confmat", torch.zeros(num_classes, num_classes, dtype=torch.long), dist_reduce_fx="sum")
        self.add_state("invalid", torch.tensor(0), dist_reduce_fx="sum")

    @property
    def group_key(self) -> Any:
        """Equal for all coefficients of one table."""
        return ("association", self.num_classes, self.nan_strategy, self.nan_replace_value)

    def update(self, preds: Any, target: Any) -> None:
        """Takes in `(N,)` categories, or `(N, C)` scores of which the largest counts, twice."""
        self.accumulate(association_state(preds, target, self.num_classes, self.nan_strategy, self.nan_replace_value))

    def check_state(self) -> None:
        """Raises for categories out of range that an accelerator counted."""
        raise_if_invalid(self.invalid, self.num_classes)

    def compute(self) -> Tensor:
        """Returns the coefficient; nan where it is undefined."""
        return self.value(self.confmat)

    @abstractmethod
    def value(self, confmat: Tensor) -> Tensor:
        """Returns the coefficient of a table with targets in rows."""


class CramersV(AssociationMetric):
    """Cramer's V of two nominal variables; see `lit_metrics.functional.cramers_v`.

    Args:
        num_classes: Number of categories; inputs are in [0, num_classes).
        bias_correction: Whether to correct for the bias of small samples.
        nan_strategy: `"replace"` NaN by `nan_replace_value`, or `"drop"` the pair.
        nan_replace_value: What stands for NaN.
        kwargs: Arguments of `Metric`.

    Example:
        >>> from lit_metrics import CramersV
        >>> metric = CramersV(num_classes=3, bias_correction=False)
        >>> metric.update([0, 0, 1, 1, 2, 2], [0, 0, 1, 1, 1, 0])
        >>> metric.compute()
        tensor(0.8165, dtype=torch.float64)
    """

    def __init__(
        self,
        num_classes: int,
        bias_correction: bool = True,
        nan_strategy: NanStrategy = "replace",
        nan_replace_value: float | None = 0.0,
        **kwargs: Any,
    ) -> None:
        super().__init__(num_classes, nan_strategy, nan_replace_value, **kwargs)
        self.bias_correction = bias_correction

    def value(self, confmat: Tensor) -> Tensor:
        """Returns it from a table."""
        return cramers_v_value(confmat, self.bias_correction)


class TschuprowsT(AssociationMetric):
    """Tschuprow's T of two nominal variables; see `lit_metrics.functional.tschuprows_t`.

    Other arguments: see `CramersV` and `Metric`.

    Args:
        bias_correction: Whether to correct for the bias of small samples.

    Example:
        >>> from lit_metrics import TschuprowsT
        >>> TschuprowsT(num_classes=3, bias_correction=False)([0, 0, 1, 1, 2, 2], [0, 0, 1, 1, 1, 0])
        tensor(0.6866, dtype=torch.float64)
    """

    def __init__(
        self,
        num_classes: int,
        bias_correction: bool = True,
        nan_strategy: NanStrategy = "replace",
        nan_replace_value: float | None = 0.0,
        **kwargs: Any,
    ) -> None:
        super().__init__(num_classes, nan_strategy, nan_replace_value, **kwargs)
        self.bias_correction = bias_correction

    def value(self, confmat: Tensor) -> Tensor:
        """Returns it from a table."""
        return tschuprows_t_value(confmat, self.bias_correction)


class PearsonsContingencyCoefficient(AssociationMetric):
    """Pearson's coefficient; see `lit_metrics.functional.pearsons_contingency_coefficient`.

    Arguments: see `CramersV` and `Metric`.

    Example:
        >>> from lit_metrics import PearsonsContingencyCoefficient
        >>> PearsonsContingencyCoefficient(num_classes=3)([0, 0, 1, 1, 2, 2], [0, 0, 1, 1, 1, 0])
        tensor(0.6325, dtype=torch.float64)
    """

    def value(self, confmat: Tensor) -> Tensor:
        """Returns it from a table."""
        return pearsons_contingency_coefficient_value(confmat)


class TheilsU(AssociationMetric):
    """Theil's U of two nominal variables; see `lit_metrics.functional.theils_u`.

    Arguments: see `CramersV` and `Metric`.

    Example:
        >>> from lit_metrics import TheilsU
        >>> TheilsU(num_classes=3)([0, 0, 1, 1, 2, 2], [0, 0, 1, 1, 1, 0])
        tensor(0.4206, dtype=torch.float64)
    """

    def value(self, confmat: Tensor) -> Tensor:
        """Returns it from a table."""
        return theils_u_value(confmat)
