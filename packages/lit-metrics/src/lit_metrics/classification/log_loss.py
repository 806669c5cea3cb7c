"""Proper scores of probabilities: log loss and Brier score."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from lit_metrics._inputs import Validation
from lit_metrics.functional.classification._probabilities import raise_if_invalid_probabilities
from lit_metrics.functional.classification._task import Task
from lit_metrics.functional.classification.log_loss import brier_score_state, log_loss_state, mean_value, score_config
from lit_metrics.metric import Metric


class ProperScore(Metric):
    """Mean loss of probabilities; subclasses say which loss.

    Args:
        task: `"binary"`, `"multiclass"` or `"multilabel"`.
        num_classes: Number of classes of a multiclass task.
        num_labels: Number of labels of a multilabel task.
        ignore_index: Targets of this value are left out.
        validate_args: Whether values are checked: at once where that is free (host memory), else in `compute`.
        logits: Whether scores are logits; never guessed from the values.
        kwargs: Arguments of `Metric`.

    Raises:
        ValueError: If an argument is out of its range, or one that the task needs is missing.
    """

    higher_is_better = False
    is_differentiable = True
    pure_update = True

    total: Tensor
    weight: Tensor
    invalid: Tensor

    def __init__(
        self,
        task: Task,
        num_classes: int | None = None,
        num_labels: int | None = None,
        ignore_index: int | None = None,
        validate_args: Validation = True,
        *,
        logits: bool = False,
        **kwargs: Any,
    ) -> None:
        super().__init__(validate_args=validate_args, **kwargs)
        self.config = score_config(task, num_classes, num_labels, ignore_index, logits, bool(validate_args))
        for name in ("total", "weight"):
            self.add_state(name, torch.zeros((), dtype=torch.float64), dist_reduce_fx="sum")
        self.add_state("invalid", torch.zeros(2, dtype=torch.long), dist_reduce_fx="sum")

    def update(self, preds: Any, target: Any, sample_weight: Any = None) -> None:
        """Takes in one batch.

        Args:
            preds: Probabilities or logits; see the functional form.
            target: Integer labels.
            sample_weight: `(N,)` weights, or one per target.
        """
        self.accumulate(self.losses(preds, target, sample_weight))

    def compute(self) -> Tensor:
        """Returns the mean loss of all batches; nan where nothing was counted."""
        return mean_value(self.total, self.weight)

    def check_state(self) -> None:
        """Raises for invalid labels and scores that an accelerator counted."""
        if self.device.type != "meta":
            raise_if_invalid_probabilities(self.config, self.invalid)

    @abstractmethod
    def losses(self, preds: Any, target: Any, sample_weight: Any) -> Mapping[str, Tensor]:
        """Returns the state of one batch."""


class LogLoss(ProperScore):
    """Negative log likelihood of the targets; see `lit_metrics.functional.log_loss`.

    Example:
        >>> from lit_metrics import LogLoss
        >>> LogLoss(task="binary")([0.9, 0.1, 0.2, 0.65], [1, 0, 0, 1])
        tensor(0.2162, dtype=torch.float64)
    """

    def losses(self, preds: Any, target: Any, sample_weight: Any) -> Mapping[str, Tensor]:
        """Returns the state of one batch."""
        return log_loss_state(self.config, preds, target, sample_weight)


class BrierScore(ProperScore):
    """Mean squared error of probabilities; see `lit_metrics.functional.brier_score`.

    Example:
        >>> from lit_metrics import BrierScore
        >>> BrierScore(task="binary")([0.1, 0.9, 0.8, 0.3], [0, 1, 1, 0])
        tensor(0.0375, dtype=torch.float64)
    """

    def losses(self, preds: Any, target: Any, sample_weight: Any) -> Mapping[str, Tensor]:
        """Returns the state of one batch."""
        return brier_score_state(self.config, preds, target, sample_weight)
