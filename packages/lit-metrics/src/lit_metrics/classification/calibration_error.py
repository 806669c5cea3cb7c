"""Calibration error, for binary and multiclass tasks."""

from __future__ import annotations

from typing import Any, Literal

import torch
from torch import Tensor

from lit_metrics._inputs import Validation
from lit_metrics.functional.classification._probabilities import raise_if_invalid_probabilities
from lit_metrics.functional.classification.calibration_error import (
    Norm,
    calibration_config,
    calibration_error_state,
    calibration_error_value,
    require_bins,
)
from lit_metrics.metric import Metric


class CalibrationError(Metric):
    """Distance between confidence and accuracy, bin by bin; the state is three sums per bin.

    See `lit_metrics.functional.binary_calibration_error` and `multiclass_calibration_error` for the value.

    Other arguments: see there and `Metric`.

    Args:
        task: `"binary"` or `"multiclass"`.
        num_classes: Number of classes of a multiclass task.

    Raises:
        ValueError: If an argument is out of its range.

    Example:
        >>> from lit_metrics import CalibrationError
        >>> CalibrationError(task="binary", n_bins=2)([0.25, 0.25, 0.55, 0.75, 0.75], [0, 0, 1, 1, 1])
        tensor(0.2900, dtype=torch.float64)
    """

    higher_is_better = False
    is_differentiable = False
    pure_update = True

    bins: Tensor
    invalid: Tensor

    def __init__(
        self,
        task: Literal["binary", "multiclass"],
        n_bins: int = 15,
        norm: Norm = "l1",
        num_classes: int | None = None,
        ignore_index: int | None = None,
        validate_args: Validation = True,
        *,
        logits: bool = False,
        **kwargs: Any,
    ) -> None:
        super().__init__(validate_args=validate_args, **kwargs)
        require_bins(n_bins, norm)
        self.config = calibration_config(task, num_classes, ignore_index, logits, bool(validate_args))
        self.n_bins = n_bins
        self.norm = norm
        self.add_state("bins", torch.zeros(n_bins, 3, dtype=torch.float64), dist_reduce_fx="sum")
        self.add_state("invalid", torch.zeros(2, dtype=torch.long), dist_reduce_fx="sum")

    @property
    def group_key(self) -> Any:
        """Equal for all metrics that fill the same bins."""
        return ("calibration", self.config, self.n_bins)

    def update(self, preds: Any, target: Any, sample_weight: Any = None) -> None:
        """Takes in one batch.

        Args:
            preds: Probabilities or logits; see the functional form of the task.
            target: Integer labels.
            sample_weight: `(N,)` weights, or one per target.
        """
        self.accumulate(calibration_error_state(self.config, self.n_bins, preds, target, sample_weight))

    def compute(self) -> Tensor:
        """Returns the error of all batches; nan where nothing was counted."""
        return calibration_error_value(self.bins, self.norm)

    def check_state(self) -> None:
        """Raises for invalid labels and scores that an accelerator counted."""
        if self.device.type != "meta":
            raise_if_invalid_probabilities(self.config, self.invalid)


class BinaryCalibrationError(CalibrationError):
    """Calibration error of a binary task; see `lit_metrics.functional.binary_calibration_error`.

    Example:
        >>> from lit_metrics import BinaryCalibrationError
        >>> BinaryCalibrationError(n_bins=2, norm="max")([0.25, 0.25, 0.55, 0.75, 0.75], [0, 0, 1, 1, 1])
        tensor(0.3167, dtype=torch.float64)
    """

    def __init__(
        self,
        n_bins: int = 15,
        norm: Norm = "l1",
        ignore_index: int | None = None,
        validate_args: Validation = True,
        *,
        logits: bool = False,
        **kwargs: Any,
    ) -> None:
        super().__init__("binary", n_bins, norm, None, ignore_index, validate_args, logits=logits, **kwargs)


class MulticlassCalibrationError(CalibrationError):
    """Calibration error of the predicted class; see `lit_metrics.functional.multiclass_calibration_error`.

    Example:
        >>> from lit_metrics import MulticlassCalibrationError
        >>> preds = [[0.25, 0.20, 0.55], [0.55, 0.05, 0.40], [0.10, 0.30, 0.60], [0.90, 0.05, 0.05]]
        >>> MulticlassCalibrationError(num_classes=3, n_bins=3)(preds, [0, 1, 2, 0])
        tensor(0.2000, dtype=torch.float64)
    """

    def __init__(
        self,
        num_classes: int,
        n_bins: int = 15,
        norm: Norm = "l1",
        ignore_index: int | None = None,
        validate_args: Validation = True,
        *,
        logits: bool = False,
        **kwargs: Any,
    ) -> None:
        super().__init__("multiclass", n_bins, norm, num_classes, ignore_index, validate_args, logits=logits, **kwargs)
