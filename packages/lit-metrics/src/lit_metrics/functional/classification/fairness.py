"""Rates of binary predictions in groups of samples, and how far they are apart."""

from __future__ import annotations

from typing import Any, Literal, TypeAlias

import torch
from torch import Tensor

from lit_metrics._inputs import as_tensor, as_weights, checks_are_free, require_same_shape
from lit_metrics.functional.classification._counting import (
    binary_labels,
    histogram,
    label_tensors,
    matrix_rows,
    raise_if_invalid,
)
from lit_metrics.functional.classification._task import StatScoresConfig, binary_config

FairnessTask: TypeAlias = Literal["demographic_parity", "equal_opportunity", "all"]

_TASKS = ("demographic_parity", "equal_opportunity", "all")


def group_state(
    config: StatScoresConfig, num_groups: int, preds: Any, target: Any, groups: Any, sample_weight: Any = None
) -> Tensor:
    """Returns one binary count `(4, 2)` per group, and in a last entry what had no valid group.

    Args:
        config: How predictions and targets are read.
        num_groups: Number of groups.
        preds: `(N, ...)` scores or labels.
        target: `(N, ...)` labels 0 and 1.
        groups: `(N, ...)` group of each, in [0, num_groups).
        sample_weight: `(N,)` or `(N, ...)` weights.
    """
    preds, target = label_tensors(preds, target)
    groups = as_tensor(groups, "groups")
    require_same_shape(preds, target)
    if groups.is_floating_point() or groups.shape != target.shape:
        raise ValueError(
            f"groups must be integers of shape {tuple(target.shape)}, got {groups.dtype} {tuple(groups.shape)}"
        )
    weights = None if sample_weight is None else as_weights(sample_weight, target.shape, target.device)
    if config.ignore_index is not None:
        kept = target != config.ignore_index
        weights = kept.long() if weights is None else weights * kept
    hard, bad = binary_labels(config, preds)
    group = groups.to(target.device).long().clamp(-1, num_groups).remainder(num_groups + 1)
    index = (group * 4 + matrix_rows(config, target, bad)) * 2 + hard
    counts = histogram(index.reshape(-1), (num_groups + 1) * 8, weights).view(num_groups + 1, 4, 2)
    if checks_are_free(counts):
        raise_if_wrong(config, counts)
    return counts


def raise_if_wrong(config: StatScoresConfig, counts: Tensor) -> None:
    """Raises a `ValueError` if invalid groups, targets or predictions were counted."""
    if not config.validate_args:
        return
    if counts[-1].cpu().numpy().any():
        raise ValueError(f"groups must hold integers in [0, {len(counts) - 2}]; got others")
    raise_if_invalid(config, counts)


def stat_rates_value(counts: Tensor) -> dict[str, Tensor]:
    """Returns `(tp, fp, tn, fn)` of each group as shares of the group; nan for a group without samples."""
    rates = _by_group(counts) / counts[:-1, :2].sum((-2, -1)).unsqueeze(-1).double()
    return {f"group_{i}": rate for i, rate in enumerate(rates)}


def fairness_value(counts: Tensor, task: FairnessTask) -> dict[str, Tensor]:
    """Returns the ratio of the lowest to the highest rate of all groups, named by their numbers."""
    tp, fp, tn, fn = _by_group(counts).double().unbind(-1)
    rates = {}
    if task in ("demographic_parity", "all"):
        rates["DP"] = (tp + fp) / (tp + fp + tn + fn)
    if task in ("equal_opportunity", "all"):
        rates["EO"] = tp / (tp + fn)
    values = {}
    for name, rate in rates.items():
        low, high = (int(pick(rate.nan_to_num(fill)).item()) for pick, fill in ((torch.argmin, 2), (torch.argmax, -1)))
        values[f"{name}_{low}_{high}"] = rate[low] / rate[high]
    return values


def _by_group(counts: Tensor) -> Tensor:
    return torch.stack([counts[:-1, 1, 1], counts[:-1, 0, 1], counts[:-1, 0, 0], counts[:-1, 1, 0]], -1)


def require_fairness_task(task: Any) -> None:
    """Raises a `ValueError` for an unknown task."""
    if task not in _TASKS:
        raise ValueError(f"task must be one of {_TASKS}, got {task!r}")


def binary_groups_stat_rates(
    preds: Any,
    target: Any,
    groups: Any,
    num_groups: int,
    threshold: float = 0.5,
    ignore_index: int | None = None,
    validate_args: bool = True,
    *,
    logits: bool = False,
    sample_weight: Any = None,
) -> dict[str, Tensor]:
    """Shares of true and false positives and negatives in each group of samples.

    Other arguments and errors are those of `binary_stat_scores`.

    Args:
        preds: `(N, ...)` scores or labels.
        target: `(N, ...)` labels 0 and 1.
        groups: `(N, ...)` group of each, in [0, num_groups).
        num_groups: Number of groups.
        threshold: Scores above it count as 1.
        ignore_index: Targets of this value are left out.
        validate_args: Whether values are checked.
        logits: Whether scores are logits.
        sample_weight: `(N,)` or `(N, ...)` weights.

    Returns:
        `{"group_0": tensor([tp, fp, tn, fn]), ...}`, float64, adding up to 1; nan for a group without samples.

    Example:
        >>> from lit_metrics.functional import binary_groups_stat_rates
        >>> rates = binary_groups_stat_rates([0.9, 0.2, 0.6, 0.7], [1, 0, 0, 1], [0, 1, 0, 1], num_groups=2)
        >>> rates["group_0"]
        tensor([0.5000, 0.5000, 0.0000, 0.0000], dtype=torch.float64)
    """
    config = binary_config(threshold, "global", ignore_index, validate_args, logits)
    return stat_rates_value(group_state(config, num_groups, preds, target, groups, sample_weight))


def binary_fairness(
    preds: Any,
    target: Any,
    groups: Any,
    task: FairnessTask = "all",
    threshold: float = 0.5,
    ignore_index: int | None = None,
    validate_args: bool = True,
    *,
    logits: bool = False,
    sample_weight: Any = None,
) -> dict[str, Tensor]:
    """Demographic parity and equal opportunity: the lowest rate of a group divided by the highest.

    Demographic parity (`DP`) compares the rates of positive predictions, equal opportunity (`EO`) the recalls. Other
    arguments and errors are those of `binary_groups_stat_rates`; groups run from 0 to the largest number given.

    Args:
        preds: `(N, ...)` scores or labels.
        target: `(N, ...)` labels 0 and 1.
        groups: `(N, ...)` group of each.
        task: `"demographic_parity"`, `"equal_opportunity"` or `"all"`.
        threshold: Scores above it count as 1.
        ignore_index: Targets of this value are left out.
        validate_args: Whether values are checked.
        logits: Whether scores are logits.
        sample_weight: `(N,)` or `(N, ...)` weights.

    Returns:
        `{"DP_1_0": ratio, ...}`: the groups with the lowest and the highest rate, and the ratio, float64 in [0, 1].
        Groups whose rate is undefined are left out; nan if all are, or if the highest rate is 0.

    Raises:
        ValueError: If `task` is none of these.

    Example:
        >>> from lit_metrics.functional import binary_fairness
        >>> binary_fairness([0.9, 0.2, 0.6, 0.7], [1, 0, 0, 1], [0, 1, 0, 1])
        {'DP_1_0': tensor(0.5000, dtype=torch.float64), 'EO_0_0': tensor(1., dtype=torch.float64)}

    Source: Hardt, Price and Srebro, Advances in Neural Information Processing Systems 29 (2016).
    """
    require_fairness_task(task)
    config = binary_config(threshold, "global", ignore_index, validate_args, logits)
    groups = as_tensor(groups, "groups")
    number = int(groups.max()) + 1 if groups.numel() else 1
    return fairness_value(group_state(config, max(number, 1), preds, target, groups, sample_weight), task)


def demographic_parity(
    preds: Any,
    groups: Any,
    threshold: float = 0.5,
    ignore_index: int | None = None,
    validate_args: bool = True,
    *,
    logits: bool = False,
    sample_weight: Any = None,
) -> dict[str, Tensor]:
    """Lowest rate of positive predictions of a group divided by the highest; see `binary_fairness`.

    Example:
        >>> from lit_metrics.functional import demographic_parity
        >>> demographic_parity([0.9, 0.2, 0.6, 0.7], [0, 1, 0, 1])
        {'DP_1_0': tensor(0.5000, dtype=torch.float64)}
    """
    target = torch.zeros_like(as_tensor(preds, "preds"), dtype=torch.long)
    options = {"logits": logits, "sample_weight": sample_weight}
    return binary_fairness(
        preds, target, groups, "demographic_parity", threshold, ignore_index, validate_args, **options
    )


def equal_opportunity(
    preds: Any,
    target: Any,
    groups: Any,
    threshold: float = 0.5,
    ignore_index: int | None = None,
    validate_args: bool = True,
    *,
    logits: bool = False,
    sample_weight: Any = None,
) -> dict[str, Tensor]:
    """Lowest recall of a group divided by the highest; see `binary_fairness`.

    Example:
        >>> from lit_metrics.functional import equal_opportunity
        >>> equal_opportunity([0.9, 0.2, 0.6, 0.7], [1, 0, 0, 1], [0, 1, 0, 1])
        {'EO_0_0': tensor(1., dtype=torch.float64)}
    """
    options = {"logits": logits, "sample_weight": sample_weight}
    return binary_fairness(
        preds, target, groups, "equal_opportunity", threshold, ignore_index, validate_args, **options
    )
