"""One metric per group of samples, in one pass."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from lit_metrics._inputs import as_tensor, checks_are_free
from lit_metrics.metric import Metric
from lit_metrics.wrappers._bank import StateBank, num_samples, take, times_weight, weight_place, without_weight
from lit_metrics.wrappers.multioutput import require_positive


class ByGroup(StateBank):
    """Value of a metric in every group: per speaker, data set, slice or user. The group of every sample comes along.

    Equal to one metric per group, fed its samples, but one metric to hold, merge, synchronise and save. Groups without
    samples have the metric's value of no data, nan for most. In a `MetricCollection` metrics that count the same share
    one update.

    On an accelerator nothing waits for the device if the metric takes a `sample_weight`: every group then weighs the
    whole batch. Otherwise samples are sorted by group, which needs their number in each.

    Args:
        metric: Metric whose states merge.
        num_groups: Number of groups G; groups are numbered from 0.
        kwargs: Arguments of `Metric`.

    Returns:
        The values, stacked: `(G, ...)`.

    Raises:
        TypeError: If `metric` is no metric that holds mergeable states itself.
        ValueError: If `num_groups` is not a positive integer, or groups are out of range.

    Example:
        >>> from lit_metrics import ByGroup, MeanSquaredError
        >>> metric = ByGroup(MeanSquaredError(), num_groups=2)
        >>> metric.update([1.0, 2.0, 3.0], [1.0, 2.0, 5.0], group=[0, 1, 1])
        >>> metric.compute()
        tensor([0., 2.], dtype=torch.float64)
    """

    pure_update = True

    strays: Tensor

    def __init__(self, metric: Metric, num_groups: int, **kwargs: Any) -> None:
        require_positive(num_groups, "num_groups")
        super().__init__(metric, num_groups, **kwargs)
        self._weight_place = weight_place(metric)
        self.add_state("strays", torch.tensor(0), dist_reduce_fx="sum")

    @property
    def group_key(self) -> Any:
        """Equal for the same groups of metrics that count the same."""
        key = self.metric.group_key
        return None if key is None else ("by_group", self.size, key, self.metric.validate_args)

    def update(self, *args: Any, group: Any, **kwargs: Any) -> None:
        """Takes in one batch.

        Args:
            args: What the metric takes, with samples in the first dimension.
            group: `(N,)` integers, the group of every sample.
            kwargs: Further arguments of the metric.
        """
        kwargs = self.metric.filter_kwargs(kwargs)
        num = num_samples([*args, *kwargs.values()])
        ids = as_tensor(group, "group")
        if ids.shape != (num,) or ids.is_floating_point() or ids.is_complex() or ids.dtype == torch.bool:
            raise ValueError(
                f"group must hold one integer for each of {num} samples, got {tuple(ids.shape)} {ids.dtype}"
            )
        if not checks_are_free(ids) and self._weight_place is not None:
            self._weigh(*without_weight(args, kwargs, self._weight_place), ids)
            return
        ids = ids.cpu()
        if num and (ids.numpy().min() < 0 or ids.numpy().max() >= self.size):
            found = f"{ids.numpy().min()} to {ids.numpy().max()}"
            raise ValueError(f"group must be in 0 to {self.size - 1}, got {found}")
        order = ids.argsort(stable=True)
        sizes = torch.bincount(ids, minlength=self.size).tolist()
        present = [k for k, size in enumerate(sizes) if size]
        batches = []
        for index in order.split([sizes[k] for k in present]):
            inputs = [take(value, index, num) for value in args]
            named = {name: take(value, index, num) for name, value in kwargs.items()}
            batches.append(self.metric.batch_state(*inputs, **named))
        self.accumulate_slots(batches, present)

    def _weigh(self, args: tuple[Any, ...], kwargs: dict[str, Any], weight: Any, ids: Tensor) -> None:
        batches = [
            self.metric.batch_state(*args, **kwargs, sample_weight=times_weight(weight, (ids == k).double()))
            for k in range(self.size)
        ]
        self.accumulate_slots(batches, range(self.size))
        self.accumulate({"strays": ((ids < 0) | (ids >= self.size)).sum()})

    def check_inputs(self) -> None:
        """Raises for groups out of range that an accelerator counted."""
        if self.device.type != "meta" and int(self.strays):
            raise ValueError(f"{int(self.strays)} samples were of a group outside of 0 to {self.size - 1}")

    def compute(self) -> Any:
        """Returns the value of every group."""
        return self.slot_values()
