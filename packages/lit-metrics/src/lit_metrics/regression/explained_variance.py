"""Metrics that compare errors with the spread of targets."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from lit_metrics.functional.regression._moments import MERGE_MOMENTS, known_moments
from lit_metrics.functional.regression._scores import require_num_outputs
from lit_metrics.functional.regression.explained_variance import (
    Multioutput,
    Normalization,
    explained_variance_value,
    normalized_rmse_state,
    normalized_rmse_value,
    r2_value,
    relative_squared_error_value,
    require_adjusted,
    require_multioutput,
    require_normalization,
)
from lit_metrics.metric import Metric
from lit_metrics.regression._moments import MomentsMetric


class R2Score(MomentsMetric):
    """Coefficient of determination of everything seen; see `lit_metrics.functional.r2_score`.

    Args:
        adjusted: Number of independent regressors to adjust for.
        multioutput: `"uniform_average"`, `"variance_weighted"` or `"raw_values"`.
        num_outputs: Number of outputs, which inputs are then checked for; metrics that say the same number share their
            state in a collection.
        kwargs: Arguments of `Metric`.

    Raises:
        ValueError: If an argument is out of its range.

    Example:
        >>> from lit_metrics import R2Score
        >>> metric = R2Score()
        >>> metric.update([2.5, 0.0], [3.0, -0.5])
        >>> metric.update([2.0, 8.0], [2.0, 7.0])
        >>> metric.compute()
        tensor(0.9486, dtype=torch.float64)
    """

    higher_is_better = True

    def __init__(
        self,
        adjusted: int = 0,
        multioutput: Multioutput = "uniform_average",
        *,
        num_outputs: int | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(num_outputs, **kwargs)
        require_adjusted(adjusted)
        require_multioutput(multioutput)
        self.adjusted = adjusted
        self.multioutput = multioutput

    def compute(self) -> Tensor:
        """Returns R2; nan for less than two samples."""
        return r2_value(self.seen, self.adjusted, self.multioutput)


class ExplainedVariance(MomentsMetric):
    """Share of the targets' variance that is explained; see `lit_metrics.functional.explained_variance`.

    Args:
        multioutput: `"uniform_average"`, `"variance_weighted"` or `"raw_values"`.
        num_outputs: As in `R2Score`.
        kwargs: Arguments of `Metric`.

    Raises:
        ValueError: If an argument is out of its range.

    Example:
        >>> from lit_metrics import ExplainedVariance
        >>> metric = ExplainedVariance()
        >>> metric.update([2.5, 0.0, 2.0, 8.0], [3.0, -0.5, 2.0, 7.0])
        >>> metric.compute()
        tensor(0.9572, dtype=torch.float64)
    """

    higher_is_better = True

    def __init__(
        self, multioutput: Multioutput = "uniform_average", *, num_outputs: int | None = None, **kwargs: Any
    ) -> None:
        super().__init__(num_outputs, **kwargs)
        require_multioutput(multioutput)
        self.multioutput = multioutput

    def compute(self) -> Tensor:
        """Returns explained variance; nan for less than two samples."""
        return explained_variance_value(self.seen, self.multioutput)


class RelativeSquaredError(MomentsMetric):
    """Squared errors relative to those of the best constant; see `lit_metrics.functional.relative_squared_error`.

    Args:
        num_outputs: Number of outputs; the value is their mean.
        squared: False gives the root.
        kwargs: Arguments of `Metric`.

    Raises:
        ValueError: If `num_outputs` is not a positive integer.

    Example:
        >>> from lit_metrics import RelativeSquaredError
        >>> RelativeSquaredError()([2.5, 0.0, 2.0, 8.0], [3.0, -0.5, 2.0, 7.0])
        tensor(0.0514, dtype=torch.float64)
    """

    higher_is_better = False

    def __init__(self, num_outputs: int = 1, squared: bool = True, **kwargs: Any) -> None:
        super().__init__(num_outputs, **kwargs)
        self.squared = squared

    def compute(self) -> Tensor:
        """Returns the relative error; inf or nan for constant targets."""
        return relative_squared_error_value(self.seen, self.squared)


class NormalizedRootMeanSquaredError(Metric):
    """Root of the mean squared error over a size of targets; see `lit_metrics.functional` for the function.

    Args:
        normalization: `"mean"`, `"range"`, `"std"` or `"l2"` of all targets seen.
        num_outputs: Number of outputs; with several, inputs are `(N, num_outputs)` and the value has one entry each.
        kwargs: Arguments of `Metric`.

    Raises:
        ValueError: If an argument is out of its range.

    Example:
        >>> from lit_metrics import NormalizedRootMeanSquaredError
        >>> NormalizedRootMeanSquaredError(normalization="range")([0.0, 1.0, 2.0, 3.0], [0.0, 1.0, 2.0, 2.0])
        tensor(0.2500, dtype=torch.float64)
    """

    higher_is_better = False
    is_differentiable = True
    pure_update = True

    moments: Tensor
    extent: Tensor

    def __init__(self, normalization: Normalization = "mean", num_outputs: int = 1, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        require_normalization(normalization)
        self.normalization = normalization
        self.num_outputs = require_num_outputs(num_outputs)
        self.add_state("moments", torch.zeros(0, dtype=torch.float64), dist_reduce_fx=MERGE_MOMENTS)
        if normalization == "range":
            shape = (2,) if num_outputs == 1 else (2, num_outputs)
            self.add_state("extent", torch.full(shape, -torch.inf, dtype=torch.float64), dist_reduce_fx="max")

    @property
    def group_key(self) -> Any:
        """Equal for all sizes that are read from the same state."""
        if self.num_outputs > 1 and self.normalization != "range":
            return ("moments", self.num_outputs)
        return ("flat moments", self.num_outputs, self.normalization == "range")

    def update(self, preds: Any, target: Any, sample_weight: Any = None) -> None:
        """Takes in one batch; `sample_weight` is `(N,)` or one weight per element."""
        self.accumulate(normalized_rmse_state(preds, target, self.normalization, self.num_outputs, sample_weight))

    def compute(self) -> Tensor:
        """Returns the normalised error; nan if nothing was seen."""
        extent = self.extent if self.normalization == "range" else None
        return normalized_rmse_value(known_moments(self.moments), self.normalization, extent)
