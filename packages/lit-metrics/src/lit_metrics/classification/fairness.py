"""Rates of binary predictions in groups of samples, and how far they are apart."""

from __future__ import annotations

from abc import abstractmethod
from typing import Any

import torch
from torch import Tensor

from lit_metrics._inputs import Validation
from lit_metrics.functional.classification._task import binary_config
from lit_metrics.functional.classification.fairness import (
    FairnessTask,
    fairness_value,
    group_state,
    raise_if_wrong,
    require_fairness_task,
    stat_rates_value,
)
from lit_metrics.metric import Metric


class GroupCounts(Metric):
    """Binary counts of each group of samples; subclasses say what values they give.

    Args:
        num_groups: Number of groups.
        threshold: Scores above it count as 1.
        ignore_index: Targets of this value are left out.
        validate_args: Whether values are checked.
        logits: Whether scores are logits.
        kwargs: Arguments of `Metric`.

    Raises:
        ValueError: If an argument is out of its range.
    """

    is_differentiable = False
    pure_update = True

    counts: Tensor

    def __init__(
        self,
        num_groups: int,
        threshold: float = 0.5,
        ignore_index: int | None = None,
        validate_args: Validation = True,
        *,
        logits: bool = False,
        **kwargs: Any,
    ) -> None:
        super().__init__(validate_args=validate_args, **kwargs)
        if not isinstance(num_groups, int) or isinstance(num_groups, bool) or num_groups < 2:
            raise ValueError(f"num_groups must be an integer of at least 2, got {num_groups!r}")
        self.num_groups = num_groups
        self._config = binary_config(threshold, "global", ignore_index, bool(validate_args), logits)
        self.add_state("counts", torch.zeros((num_groups + 1, 4, 2), dtype=torch.long), dist_reduce_fx="sum")

    @property
    def group_key(self) -> Any:
        """Equal for all metrics that count in the same way."""
        return ("group_counts", self.num_groups, self._config)

    def update(self, preds: Any, target: Any, groups: Any, sample_weight: Any = None) -> None:
        """Takes in one batch.

        Args:
            preds: `(N, ...)` scores or labels.
            target: `(N, ...)` labels 0 and 1.
            groups: `(N, ...)` group of each, in [0, num_groups).
            sample_weight: `(N,)` or `(N, ...)` weights.
        """
        self.accumulate({"counts": group_state(self._config, self.num_groups, preds, target, groups, sample_weight)})

    def compute(self) -> dict[str, Tensor]:
        """Returns the values by name."""
        return self.value(self.counts)

    def check_state(self) -> None:
        """Raises for invalid groups, labels and scores that an accelerator counted."""
        if self.device.type != "meta":
            raise_if_wrong(self._config, self.counts)

    @abstractmethod
    def value(self, counts: Tensor) -> dict[str, Tensor]:
        """Returns the values from counts."""


class BinaryGroupStatRates(GroupCounts):
    """Shares of tp, fp, tn and fn in each group; see `lit_metrics.functional.binary_groups_stat_rates`.

    Example:
        >>> from lit_metrics import BinaryGroupStatRates
        >>> BinaryGroupStatRates(num_groups=2)([0.9, 0.2, 0.6, 0.7], [1, 0, 0, 1], [0, 1, 0, 1])["group_0"]
        tensor([0.5000, 0.5000, 0.0000, 0.0000], dtype=torch.float64)
    """

    def value(self, counts: Tensor) -> dict[str, Tensor]:
        """Returns the shares by group."""
        return stat_rates_value(counts)


class BinaryFairness(GroupCounts):
    """Demographic parity and equal opportunity; see `lit_metrics.functional.binary_fairness`.

    Other arguments: see there and `Metric`.

    Args:
        num_groups: Number of groups.

    Raises:
        ValueError: If an argument is out of its range.

    Example:
        >>> from lit_metrics import BinaryFairness
        >>> metric = BinaryFairness(num_groups=2)
        >>> metric.update([0.9, 0.2, 0.6, 0.7], [1, 0, 0, 1], [0, 1, 0, 1])
        >>> metric.compute()["DP_1_0"]
        tensor(0.5000, dtype=torch.float64)
    """

    higher_is_better = True

    def __init__(
        self,
        num_groups: int,
        task: FairnessTask = "all",
        threshold: float = 0.5,
        ignore_index: int | None = None,
        validate_args: Validation = True,
        *,
        logits: bool = False,
        **kwargs: Any,
    ) -> None:
        require_fairness_task(task)
        super().__init__(num_groups, threshold, ignore_index, validate_args, logits=logits, **kwargs)
        self.task = task

    def value(self, counts: Tensor) -> dict[str, Tensor]:
        """Returns the ratios by name."""
        return fairness_value(counts, self.task)
