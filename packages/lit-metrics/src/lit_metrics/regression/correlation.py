"""Correlations of values."""

from __future__ import annotations

from typing import Any

from torch import Tensor

from lit_metrics.functional.regression.correlation import concordance_value, pearson_value
from lit_metrics.regression._moments import MomentsMetric


class PearsonCorrCoef(MomentsMetric):
    """Pearson's correlation of everything seen; see `lit_metrics.functional.pearson_corrcoef`.

    Args:
        num_outputs: Number of outputs; with several, inputs are `(N, num_outputs)` and the value has one entry each.
        kwargs: Arguments of `Metric`.

    Raises:
        ValueError: If `num_outputs` is not a positive integer.

    Example:
        >>> from lit_metrics import PearsonCorrCoef
        >>> metric = PearsonCorrCoef()
        >>> metric.update([2.5, 0.0], [3.0, -0.5])
        >>> metric.update([2.0, 8.0], [2.0, 7.0])
        >>> metric.compute()
        tensor(0.9849, dtype=torch.float64)
    """

    def __init__(self, num_outputs: int = 1, **kwargs: Any) -> None:
        super().__init__(num_outputs, **kwargs)

    def compute(self) -> Tensor:
        """Returns the correlation; nan if either side is constant."""
        return pearson_value(self.seen)


class ConcordanceCorrCoef(MomentsMetric):
    """Concordance correlation of everything seen; see `lit_metrics.functional.concordance_corrcoef`.

    Args:
        num_outputs: Number of outputs; with several, inputs are `(N, num_outputs)` and the value has one entry each.
        kwargs: Arguments of `Metric`.

    Raises:
        ValueError: If `num_outputs` is not a positive integer.

    Example:
        >>> from lit_metrics import ConcordanceCorrCoef
        >>> metric = ConcordanceCorrCoef()
        >>> metric.update([2.5, 0.0, 2.0, 8.0], [3.0, -0.5, 2.0, 7.0])
        >>> metric.compute()
        tensor(0.9777, dtype=torch.float64)
    """

    higher_is_better = True

    def __init__(self, num_outputs: int = 1, **kwargs: Any) -> None:
        super().__init__(num_outputs, **kwargs)

    def compute(self) -> Tensor:
        """Returns the correlation; nan for less than two samples."""
        return concordance_value(self.seen)
