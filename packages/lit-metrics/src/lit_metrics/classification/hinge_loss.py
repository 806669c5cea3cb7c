"""Hinge loss, for binary and multiclass tasks."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

import torch
from torch import Tensor

from lit_metrics._inputs import Validation
from lit_metrics.functional.classification.hinge_loss import (
    MulticlassMode,
    hinge_loss_state,
    hinge_loss_value,
    invalid_hinge_inputs,
    require_hinge,
)
from lit_metrics.metric import Metric


class HingeLoss(Metric):
    """Mean hinge loss of raw decision values; see `lit_metrics.functional.multiclass_hinge_loss`.

    Other arguments: see there and `Metric`.

    Args:
        task: `"binary"` or `"multiclass"`.

    Raises:
        ValueError: If an argument is out of its range, or one that the task needs is missing.

    Example:
        >>> from lit_metrics import HingeLoss
        >>> metric = HingeLoss(task="binary")
        >>> metric.update([2.0, -3.0, 0.5], [1, 0, 0])
        >>> metric.compute()
        tensor(0.5000, dtype=torch.float64)
    """

    higher_is_better = False
    is_differentiable = True
    pure_update = True

    measures: Tensor
    total: Tensor

    def __init__(
        self,
        task: Literal["binary", "multiclass"],
        num_classes: int | None = None,
        squared: bool = False,
        multiclass_mode: MulticlassMode = "crammer-singer",
        ignore_index: int | None = None,
        validate_args: Validation = True,
        **kwargs: Any,
    ) -> None:
        super().__init__(validate_args=validate_args, **kwargs)
        require_hinge(task, num_classes, multiclass_mode)
        self._options: Mapping[str, Any] = {
            "num_classes": num_classes if task == "multiclass" else None,
            "squared": squared,
            "multiclass_mode": multiclass_mode,
            "ignore_index": ignore_index,
            "validate_args": bool(validate_args),
        }
        per_class = task == "multiclass" and multiclass_mode == "one-vs-all"
        shape = (num_classes or 0,) if per_class else ()
        self.add_state("measures", torch.zeros(shape, dtype=torch.float64), dist_reduce_fx="sum")
        self.add_state("total", torch.zeros((), dtype=torch.float64), dist_reduce_fx="sum")

    def update(self, preds: Any, target: Any, sample_weight: Any = None) -> None:
        """Takes in one batch; `sample_weight` is `(N,)` or one weight per target."""
        self.accumulate(hinge_loss_state(preds, target, sample_weight=sample_weight, **self._options))

    def check_state(self) -> None:
        """Raises for invalid labels and scores that an accelerator took in."""
        if not self.measures.is_meta and bool(self.measures.isnan().any()):
            raise ValueError(invalid_hinge_inputs(self._options["num_classes"], self._options["ignore_index"]))

    def compute(self) -> Tensor:
        """Returns the mean loss; nan if nothing was seen."""
        return hinge_loss_value(self.measures, self.total)


class BinaryHingeLoss(HingeLoss):
    """Binary hinge loss; see `lit_metrics.functional.binary_hinge_loss`.

    Example:
        >>> from lit_metrics import BinaryHingeLoss
        >>> BinaryHingeLoss()([2.0, -3.0, 0.5], [1, 0, 0])
        tensor(0.5000, dtype=torch.float64)
    """

    def __init__(
        self, squared: bool = False, ignore_index: int | None = None, validate_args: Validation = True, **kwargs: Any
    ) -> None:
        super().__init__("binary", None, squared, "crammer-singer", ignore_index, validate_args, **kwargs)


class MulticlassHingeLoss(HingeLoss):
    """Multiclass hinge loss; see `lit_metrics.functional.multiclass_hinge_loss`.

    Example:
        >>> from lit_metrics import MulticlassHingeLoss
        >>> MulticlassHingeLoss(num_classes=3)([[0.2, 1.4, -0.5], [2.0, 0.3, 0.1]], [1, 2])
        tensor(1.4500, dtype=torch.float64)
    """

    def __init__(
        self,
        num_classes: int,
        squared: bool = False,
        multiclass_mode: MulticlassMode = "crammer-singer",
        ignore_index: int | None = None,
        validate_args: Validation = True,
        **kwargs: Any,
    ) -> None:
        super().__init__("multiclass", num_classes, squared, multiclass_mode, ignore_index, validate_args, **kwargs)
