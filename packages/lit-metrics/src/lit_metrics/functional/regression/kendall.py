"""Kendall's rank correlation in O(n log n)."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

import torch
from torch import Tensor

from lit_metrics.functional.regression.correlation import paired_samples

Variant: TypeAlias = Literal["a", "b", "c"]
Alternative: TypeAlias = Literal["two-sided", "less", "greater"]


def require_kendall_options(variant: Any, t_test: Any, alternative: Any) -> None:
    """Raises a `ValueError` unless the arguments are among those that `kendall_rank_corrcoef` names."""
    if variant not in ("a", "b", "c"):
        raise ValueError(f"variant must be 'a', 'b' or 'c', got {variant!r}")
    if not isinstance(t_test, bool):
        raise ValueError(f"t_test must be True or False, got {t_test!r}")
    if t_test and alternative not in ("two-sided", "less", "greater"):
        raise ValueError(f"alternative must be 'two-sided', 'less' or 'greater', got {alternative!r}")


def count_inversions(values: Tensor, weights: Tensor) -> Tensor:
    """Returns the weight of pairs `i < j` with `values[i] > values[j]`: the sum of the products of their weights.

    Bit by bit from the highest: in each group of equal higher bits, every 1 before a 0 is an inversion; then the group
    is split by the bit, order kept. One pass of sums for each of log2(n) bits.

    Args:
        values: `(N,)` integers from 0 to N - 1.
        weights: `(N,)`.
    """
    bits = max(values.numel() - 1, 0).bit_length()
    total = weights.new_zeros(())
    positions = torch.arange(values.numel(), device=values.device)
    less = torch.searchsorted(values.sort().values, torch.arange((1 << bits) + 1, device=values.device))
    for bit in reversed(range(bits)):
        prefix = values >> (bit + 1) << (bit + 1)
        start = less[prefix]
        ones = values >> bit & 1
        before = torch.cat([ones.new_zeros(1), ones.cumsum(0)])
        ones_before = before[:-1] - before[start]
        heavy = torch.cat([weights.new_zeros(1), (ones * weights).cumsum(0)])
        total += ((1 - ones) * weights * (heavy[:-1] - heavy[start])).sum()
        zeros_before = positions - start - ones_before
        place = torch.where(ones == 1, less[prefix + (1 << bit)] + ones_before, start + zeros_before)
        values = torch.empty_like(values).index_copy_(0, place, values)
        weights = torch.empty_like(weights).index_copy_(0, place, weights)
    return total


@dataclass(frozen=True)
class PairCounts:
    """How samples and pairs of samples compare; a sample of weight w counts as w samples."""

    size: float
    """Sum of weights."""
    concordance: float
    """Concordant less discordant pairs."""
    ties_x: Tensor
    ties_y: Tensor
    """Float64 sizes of the groups of equal values."""

    def untied(self, ties: Tensor) -> float:
        """Returns the number of pairs of different groups."""
        return (self.size**2 - _squares(ties)) / 2


def _squares(groups: Tensor) -> float:
    return float(groups.double().square().sum())


def _groups(keys: Tensor, weights: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Returns the different keys in order, the place of each key among them, and the weight of each."""
    unique, inverse = keys.unique(return_inverse=True)
    return unique, inverse, weights.new_zeros(unique.numel()).index_add_(0, inverse, weights)


def count_pairs(x: Tensor, y: Tensor, weights: Tensor | None = None) -> PairCounts:
    """Returns what Kendall's coefficients are made of."""
    if weights is None:
        weights = torch.ones(x.shape, dtype=torch.long, device=x.device)  # counts stay exact
    _, x, ties_x = _groups(x, weights)
    _, y, ties_y = _groups(y, weights)
    cells, _, ties_both = _groups(x * y.numel() + y, weights)
    # Sorted by x and, where x is tied, by y: what is out of order in y is discordant.
    discordant = float(count_inversions(cells % y.numel(), ties_both))
    size = float(weights.sum())
    untied = (size**2 - _squares(ties_x) - _squares(ties_y) + _squares(ties_both)) / 2
    return PairCounts(size, untied - 2 * discordant, ties_x.double(), ties_y.double())


def tau(counts: PairCounts, variant: Variant) -> float:
    """Returns Kendall's coefficient; nan where it is undefined."""
    untied_x, untied_y = counts.untied(counts.ties_x), counts.untied(counts.ties_y)
    if not untied_x or not untied_y:
        return math.nan
    if variant == "a":
        pairs = counts.size * (counts.size - 1) / 2
        return counts.concordance / pairs if pairs > 0 else math.nan
    if variant == "b":
        return counts.concordance / math.sqrt(untied_x * untied_y)
    classes = min(counts.ties_x.numel(), counts.ties_y.numel())
    return 2 * counts.concordance / (counts.size**2 * (classes - 1) / classes)


def tau_p_value(counts: PairCounts, alternative: Alternative) -> float:
    """Returns the probability of so large a coefficient without association, by the normal limit with ties."""
    n = counts.size
    ordered = n * (n - 1)
    cubic, linear, square = [], [], []
    for ties in (counts.ties_x, counts.ties_y):
        products = ties * (ties - 1)
        square.append(float(products.sum()))
        cubic.append(float((products * (ties - 2)).sum()))
        linear.append(float((products * (2 * ties + 5)).sum()))
    if ordered <= 0 or ordered in square:
        return math.nan
    variance = (ordered * (2 * n + 5) - sum(linear)) / 18 + square[0] * square[1] / (2 * ordered)
    if n > 2:
        variance += cubic[0] * cubic[1] / (9 * ordered * (n - 2))
    if variance <= 0:
        return math.nan
    z = counts.concordance / math.sqrt(variance)
    if alternative == "two-sided":
        return math.erfc(abs(z) / math.sqrt(2))
    return math.erfc((z if alternative == "greater" else -z) / math.sqrt(2)) / 2


def kendall_value(
    preds: Tensor,
    target: Tensor,
    weights: Tensor | None = None,
    variant: Variant = "b",
    t_test: bool = False,
    alternative: Any = "two-sided",
) -> Tensor | tuple[Tensor, Tensor]:
    """Returns Kendall's coefficient of `(N,)` or of the columns of `(N, D)`, and its p-value if `t_test`."""
    if weights is not None:
        kept = weights != 0
        preds, target, weights = preds[kept], target[kept], weights[kept]
    columns = [(preds, target)] if preds.ndim == 1 else list(zip(preds.unbind(1), target.unbind(1), strict=True))
    values, p_values = [], []
    for x, y in columns:
        if not x.numel() or bool((x.isnan() | y.isnan()).any()):
            values.append(math.nan)
            p_values.append(math.nan)
            continue
        counts = count_pairs(x, y, weights)
        values.append(tau(counts, variant))
        p_values.append(tau_p_value(counts, alternative) if t_test else math.nan)
    shape = preds.shape[1:]
    value = torch.tensor(values, dtype=torch.float64, device=preds.device).reshape(shape)
    if not t_test:
        return value
    return value, torch.tensor(p_values, dtype=torch.float64, device=preds.device).reshape(shape)


def kendall_rank_corrcoef(
    preds: Any,
    target: Any,
    variant: Variant = "b",
    t_test: bool = False,
    alternative: Alternative | None = "two-sided",
    *,
    sample_weight: Any = None,
) -> Tensor | tuple[Tensor, Tensor]:
    """Kendall's rank correlation: concordant pairs of samples less discordant ones, relative to a number of pairs.

    Takes O(n log n) steps. See Kendall, A new measure of rank correlation, 1938, and The treatment of ties in ranking
    problems, 1945.

    Args:
        preds: `(N,)`, or `(N, D)` for D outputs.
        target: The same shape.
        variant: `"a"` divides by the number of all pairs (torchmetrics: of all pairs without ties), `"b"` by the
            geometric mean of the numbers of pairs that are not tied in `preds` and in `target`, `"c"` by
            `n^2 (m - 1) / (2 m)`, where m is the smaller number of different values.
        t_test: Whether to return a p-value too: of no association, by the normal limit of the number of concordant
            less discordant pairs, corrected for ties.
        alternative: What the test is against: `"two-sided"`, `"less"` or `"greater"`.
        sample_weight: `(N,)` weights; a sample of weight 2 counts as two samples.

    Returns:
        Value in [-1, 1], float64, with `t_test` a tuple of value and p-value; `(D,)` for several outputs; nan if
        either side is constant or a value is NaN.

    Raises:
        ValueError: If the shapes differ, or an argument is none of these.
        TypeError: If the inputs are not real numbers.

    Example:
        >>> from lit_metrics.functional import kendall_rank_corrcoef
        >>> kendall_rank_corrcoef([2.5, 1.0, 4.0, 7.0], [3.0, -0.5, 2.0, 4.0])
        tensor(0.6667, dtype=torch.float64)
        >>> kendall_rank_corrcoef([2.5, 1.0, 4.0, 7.0], [3.0, -0.5, 2.0, 4.0], t_test=True)
        (tensor(0.6667, dtype=torch.float64), tensor(0.1742, dtype=torch.float64))
    """
    require_kendall_options(variant, t_test, alternative)
    return kendall_value(*paired_samples(preds, target, sample_weight=sample_weight), variant, t_test, alternative)
