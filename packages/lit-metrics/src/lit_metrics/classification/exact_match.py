"""Exact match, for multiclass and multilabel tasks."""

from __future__ import annotations

from typing import Any, Literal

import torch
from torch import Tensor

from lit_metrics._inputs import Validation
from lit_metrics.functional.classification._task import MultidimAverage
from lit_metrics.functional.classification.exact_match import (
    exact_match_config,
    exact_match_state,
    exact_match_value,
    raise_if_any,
)
from lit_metrics.metric import Metric


class ExactMatch(Metric):
    """Share of samples all of whose elements are right; see `lit_metrics.functional.multiclass_exact_match`.

    Other arguments: see there and `Metric`.

    Args:
        task: `"multiclass"` or `"multilabel"`.
        threshold: Multilabel scores above it count as 1.
        num_labels: Number of labels of a multilabel task.
        logits: Whether multilabel scores are logits.

    Raises:
        ValueError: If an argument is out of its range, or one that the task needs is missing.

    Example:
        >>> from lit_metrics import ExactMatch
        >>> metric = ExactMatch(task="multiclass", num_classes=3)
        >>> metric.update([[0, 1], [2, 1]], [[0, 1], [2, 2]])
        >>> metric.compute()
        tensor(0.5000, dtype=torch.float64)
    """

    higher_is_better = True
    is_differentiable = False
    pure_update = True

    correct: Any
    total: Any
    invalid: Tensor

    def __init__(
        self,
        task: Literal["multiclass", "multilabel"],
        threshold: float = 0.5,
        num_classes: int | None = None,
        num_labels: int | None = None,
        multidim_average: MultidimAverage = "global",
        ignore_index: int | None = None,
        validate_args: Validation = True,
        *,
        logits: bool = False,
        **kwargs: Any,
    ) -> None:
        super().__init__(validate_args=validate_args, **kwargs)
        self._config = exact_match_config(
            task, num_classes, num_labels, threshold, multidim_average, ignore_index, bool(validate_args), logits
        )
        for name in ("correct", "total"):
            if self._config.samplewise:
                self.add_state(name, [], dist_reduce_fx="cat")
            else:
                self.add_state(name, torch.zeros((), dtype=torch.long), dist_reduce_fx="sum")
        self.add_state("invalid", torch.zeros(2, dtype=torch.long), dist_reduce_fx="sum")

    def update(self, preds: Any, target: Any, sample_weight: Any = None) -> None:
        """Takes in one batch; `sample_weight` is `(N,)`."""
        self.accumulate(exact_match_state(self._config, preds, target, sample_weight))

    def compute(self) -> Tensor:
        """Returns the share, or that of every sample; nan if nothing was counted."""
        correct, total = self.correct, self.total
        if isinstance(correct, list):
            none = torch.zeros(0, dtype=torch.long, device=self.device)
            correct, total = torch.cat([*correct, none]), torch.cat([*total, none])
        return exact_match_value(correct, total)

    def check_state(self) -> None:
        """Raises for invalid labels and scores that an accelerator counted."""
        if self.device.type != "meta":
            raise_if_any(self._config, self.invalid)


class MulticlassExactMatch(ExactMatch):
    """Multiclass exact match; see `lit_metrics.functional.multiclass_exact_match`.

    Example:
        >>> from lit_metrics import MulticlassExactMatch
        >>> MulticlassExactMatch(num_classes=3)([[0, 1], [2, 1]], [[0, 1], [2, 2]])
        tensor(0.5000, dtype=torch.float64)
    """

    def __init__(
        self,
        num_classes: int,
        multidim_average: MultidimAverage = "global",
        ignore_index: int | None = None,
        validate_args: Validation = True,
        **kwargs: Any,
    ) -> None:
        super().__init__("multiclass", 0.5, num_classes, None, multidim_average, ignore_index, validate_args, **kwargs)


class MultilabelExactMatch(ExactMatch):
    """Subset accuracy of labels; see `lit_metrics.functional.multilabel_exact_match`.

    Example:
        >>> from lit_metrics import MultilabelExactMatch
        >>> MultilabelExactMatch(num_labels=2)([[0.9, 0.2], [0.3, 0.8]], [[1, 0], [1, 1]])
        tensor(0.5000, dtype=torch.float64)
    """

    def __init__(
        self,
        num_labels: int,
        threshold: float = 0.5,
        multidim_average: MultidimAverage = "global",
        ignore_index: int | None = None,
        validate_args: Validation = True,
        *,
        logits: bool = False,
        **kwargs: Any,
    ) -> None:
        options = {"ignore_index": ignore_index, "validate_args": validate_args, "logits": logits, **kwargs}
        super().__init__("multilabel", threshold, None, num_labels, multidim_average, **options)
