"""How well two clusterings of the same samples agree: readings of one contingency table."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

import numpy as np
import torch
from torch import Tensor

from lit_metrics._inputs import as_weights, checks_are_free
from lit_metrics.functional.clustering._assignment import best_assignment
from lit_metrics.functional.clustering._labels import joint_counts, label_pair, raise_if_invalid, require_num_classes

AverageMethod: TypeAlias = Literal["min", "geometric", "arithmetic", "max"]
AVERAGE_METHODS = ("min", "geometric", "arithmetic", "max")
NEGATIVE = "sample_weight must hold weights of at least 0; got others"
_FEW = 128  # samples that are not worth counting before they are kept


@dataclass(frozen=True)
class Contingency:
    """Number of samples in each pair of clusters that occurs; float64.

    Attributes:
        cells: Samples of each pair that occurs.
        in_pred: Samples of the pair's predicted cluster.
        in_target: Samples of the pair's true cluster.
        preds: Samples of each predicted cluster.
        target: Samples of each true cluster.
    """

    cells: Tensor
    in_pred: Tensor
    in_target: Tensor
    preds: Tensor
    target: Tensor

    @property
    def total(self) -> Tensor:
        """Number of samples."""
        return self.cells.sum()


def contingency_state(preds: Any, target: Any, sample_weight: Any = None) -> dict[str, Tensor]:
    """Returns `pairs`, rows `(label in preds, label in target)`, and `samples`, how many (or what weight) of each.

    Large batches on the host hold each pair once.
    """
    preds, target = label_pair(preds, target)
    pairs = torch.stack([preds, target], 1)
    if sample_weight is not None:
        samples = as_weights(sample_weight, preds.shape, preds.device).clone()
        if checks_are_free(samples) and not (samples.numpy() >= 0).all():
            raise ValueError(NEGATIVE)
        return {"pairs": pairs, "samples": samples}
    ones = torch.ones(len(preds), dtype=torch.float64, device=preds.device)
    if not checks_are_free(preds) or len(preds) < _FEW:
        return {"pairs": pairs, "samples": ones}
    p, t = preds.numpy(), target.numpy()
    low_p, low_t, span = int(p.min()), int(t.min()), int(t.max()) - int(t.min()) + 1
    if (int(p.max()) - low_p + 1) * span >= 2**62:
        return {"pairs": pairs, "samples": ones}
    keys, counts = np.unique((p - low_p) * span + (t - low_t), return_counts=True)
    rows = np.stack([keys // span + low_p, keys % span + low_t], axis=1)
    return {"pairs": torch.from_numpy(rows), "samples": torch.from_numpy(counts.astype(np.float64))}


def raise_if_negative(samples: Tensor) -> None:
    """Raises a `ValueError` for weights that are negative or NaN; reads them on the host."""
    if not samples.is_meta and not bool((samples >= 0).all()):
        raise ValueError(NEGATIVE)


def contingency(pairs: Tensor, samples: Tensor) -> Contingency:
    """Returns the table of all rows of `pairs`, which count as `samples` each."""
    pairs, samples = pairs[samples > 0], samples[samples > 0]
    clusters_p, p = pairs[:, 0].unique(return_inverse=True)
    clusters_t, t = pairs[:, 1].unique(return_inverse=True)
    keys, cell = (p * max(len(clusters_t), 1) + t).unique(return_inverse=True)
    counts = torch.zeros(len(keys), dtype=torch.float64, device=pairs.device).index_add_(0, cell, samples)
    row, column = keys // max(len(clusters_t), 1), keys % max(len(clusters_t), 1)
    preds = counts.new_zeros(len(clusters_p)).index_add_(0, row, counts)
    target = counts.new_zeros(len(clusters_t)).index_add_(0, column, counts)
    return Contingency(counts, preds[row], target[column], preds, target)


def _of(preds: Any, target: Any, sample_weight: Any) -> Contingency:
    state = contingency_state(preds, target, sample_weight)
    pairs, samples = state["pairs"], state["samples"]
    raise_if_negative(samples)
    return contingency(pairs, samples)


def _number(like: Tensor, value: float) -> Tensor:
    return torch.tensor(value, dtype=torch.float64, device=like.device)


def _entropy(counts: Tensor) -> Tensor:
    share = counts / counts.sum()
    return -(share * share.log()).sum() + 0.0


def _pair_counts(table: Contingency) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Returns ordered pairs of samples: together in both, in target only, in preds only, apart in both."""
    n = table.total
    together = table.cells.square().sum()
    preds, target = table.preds.square().sum(), table.target.square().sum()
    return together - n, target - together, preds - together, n.square() - preds - target + together


def rand_value(table: Contingency) -> Tensor:
    """Returns the Rand index of a table; 1 for a single sample, nan for none."""
    tp, fn, fp, tn = _pair_counts(table)
    pairs = tp + fn + fp + tn
    return torch.where((pairs == 0) & (table.total > 0), 1.0, (tp + tn) / pairs)


def adjusted_rand_value(table: Contingency) -> Tensor:
    """Returns the adjusted Rand index of a table; 1 for equal clusterings, nan for no samples."""
    tp, fn, fp, tn = _pair_counts(table)
    value = 2 * (tp * tn - fn * fp) / ((tp + fn) * (fn + tn) + (tp + fp) * (fp + tn))
    return torch.where((fn == 0) & (fp == 0) & (table.total > 0), 1.0, value)


def fowlkes_mallows_value(table: Contingency) -> Tensor:
    """Returns the Fowlkes-Mallows index of a table; 0 if no pair is together in both, nan for no samples."""
    tp, fn, fp, _ = _pair_counts(table)
    value = (tp / (tp + fp)).sqrt() * (tp / (tp + fn)).sqrt()
    return torch.where((tp == 0) & (table.total > 0), 0.0, value)


def mutual_info_value(table: Contingency) -> Tensor:
    """Returns the mutual information of a table in nats; nan for no samples."""
    n = table.total
    terms = table.cells * (table.cells.log() + n.log() - table.in_pred.log() - table.in_target.log())
    return (terms.sum() / n).clamp_min(0.0)


def _entropies(table: Contingency, average_method: AverageMethod) -> Tensor:
    preds, target = _entropy(table.preds), _entropy(table.target)
    if average_method == "min":
        return torch.minimum(preds, target)
    if average_method == "geometric":
        return (preds * target).sqrt()
    return torch.maximum(preds, target) if average_method == "max" else (preds + target) / 2


def require_average_method(average_method: Any) -> None:
    """Raises a `ValueError` unless it is one of `AVERAGE_METHODS`."""
    if average_method not in AVERAGE_METHODS:
        raise ValueError(f"average_method must be one of {AVERAGE_METHODS}, got {average_method!r}")


def _one_cluster_each(table: Contingency) -> bool:
    return len(table.preds) == len(table.target) == 1


def normalized_mutual_info_value(table: Contingency, average_method: AverageMethod) -> Tensor:
    """Returns mutual information over the averaged entropies; 1 for one cluster each, nan for no samples."""
    if _one_cluster_each(table):
        return _number(table.cells, 1.0)
    value = mutual_info_value(table)
    return torch.where(value <= 1e-15, value * 0.0, value / _entropies(table, average_method))


def expected_mutual_info(table: Contingency) -> Tensor:
    """Returns the mean mutual information of clusterings with these cluster sizes, under random labelling, in nats."""
    n = table.total
    sizes_a, times_a = table.preds.unique(return_counts=True)
    b, times_b = table.target.unique(return_counts=True)
    log_n, total = n.log(), torch.zeros_like(n)
    constant = (b + 1).lgamma() + (n - b + 1).lgamma() - (n + 1).lgamma()
    for a, times in zip(sizes_a, times_a, strict=True):
        shared = torch.arange(1, int(torch.minimum(a, b[-1])) + 1, dtype=torch.float64, device=n.device)[:, None]
        possible = (shared <= b) & (shared >= a + b - n)
        log_share = -((shared + 1).lgamma() + (a - shared + 1).lgamma())
        log_share = log_share - (b - shared + 1).clamp_min(1).lgamma() - (n - a - b + shared + 1).clamp_min(1).lgamma()
        log_share = log_share + (a + 1).lgamma() + (n - a + 1).lgamma() + constant
        information = shared / n * (log_n + shared.log() - a.log() - b.log())
        terms = torch.where(possible, information * log_share.exp(), 0.0)
        total = total + times * (terms.sum(0) * times_b).sum()
    return total


def adjusted_mutual_info_value(table: Contingency, average_method: AverageMethod) -> Tensor:
    """Returns mutual information adjusted for chance; 1 for one cluster each, nan for no samples."""
    if _one_cluster_each(table):
        return _number(table.cells, 1.0)
    if not len(table.cells):
        return _number(table.cells, torch.nan)
    if bool((table.cells != table.cells.round()).any()):
        raise ValueError("sample_weight must hold whole numbers here: chance is counted over orders of samples")
    information, expected = mutual_info_value(table), expected_mutual_info(table)
    span = _entropies(table, average_method) - expected
    eps = torch.finfo(torch.float64).eps
    gain = information - expected
    noise = 1e-13 * (1 + expected)
    if bool(gain.abs() <= noise) and bool(span.abs() <= noise):
        # 0 / 0 but for rounding: chance alone explains the agreement, or both have one sample in each cluster.
        return _number(table.cells, float(len(table.cells) == len(table.preds) == len(table.target)))
    return gain / torch.where(span < 0, span.clamp_max(-eps), span.clamp_min(eps))


def homogeneity_value(table: Contingency) -> Tensor:
    """Returns mutual information over the entropy of the target; 1 if that is zero, nan for no samples."""
    return _share_of_entropy(table, table.target)


def completeness_value(table: Contingency) -> Tensor:
    """Returns mutual information over the entropy of the predictions; 1 if that is zero, nan for no samples."""
    return _share_of_entropy(table, table.preds)


def _share_of_entropy(table: Contingency, counts: Tensor) -> Tensor:
    value = mutual_info_value(table) / _entropy(counts)
    return torch.where(torch.tensor(len(counts) == 1, device=counts.device), 1.0, value)


def v_measure_value(table: Contingency, beta: float) -> Tensor:
    """Returns the weighted harmonic mean of homogeneity and completeness; 0 if both are, nan for no samples."""
    homogeneity, completeness = homogeneity_value(table), completeness_value(table)
    value = (1 + beta) * homogeneity * completeness / (beta * homogeneity + completeness)
    return torch.where(homogeneity + completeness == 0, 0.0, value)


def require_beta(beta: Any) -> None:
    """Raises a `ValueError` unless it is a positive number."""
    if isinstance(beta, bool) or not isinstance(beta, (int, float)) or beta <= 0:
        raise ValueError(f"beta must be a positive number, got {beta!r}")


def rand_score(preds: Any, target: Any, *, sample_weight: Any = None) -> Tensor:
    """Rand index: the share of pairs of samples that both clusterings put together or both keep apart.

    Args:
        preds: `(N,)` cluster labels, any integers.
        target: `(N,)` cluster labels, any integers.
        sample_weight: `(N,)` weights; a weight of 2 is the sample twice.

    Returns:
        Value in [0, 1], float64; 1 for a single sample, nan for none.

    Raises:
        ValueError: If the shapes differ or are not `(N,)`.
        TypeError: If the labels are not integers.

    Example:
        >>> from lit_metrics.functional import rand_score
        >>> rand_score([0, 0, 1, 1], [1, 1, 0, 2])
        tensor(0.8333, dtype=torch.float64)

    Source:
        Rand (1971), "Objective Criteria for the Evaluation of Clustering Methods".
    """
    return rand_value(_of(preds, target, sample_weight))


def adjusted_rand_score(preds: Any, target: Any, *, sample_weight: Any = None) -> Tensor:
    """Rand index adjusted for chance, `(RI - E[RI]) / (max RI - E[RI])`; labels as in `rand_score`.

    Returns:
        Value in [-0.5, 1], float64; near 0 for independent labels, 1 for equal clusterings, nan for no samples.

    Example:
        >>> from lit_metrics.functional import adjusted_rand_score
        >>> adjusted_rand_score([0, 0, 1, 1], [0, 0, 1, 2])
        tensor(0.5714, dtype=torch.float64)

    Source:
        Hubert and Arabie (1985), "Comparing partitions".
    """
    return adjusted_rand_value(_of(preds, target, sample_weight))


def fowlkes_mallows_index(preds: Any, target: Any, *, sample_weight: Any = None) -> Tensor:
    """Geometric mean of precision and recall over pairs of samples put together; labels as in `rand_score`.

    Returns:
        Value in [0, 1], float64; nan for no samples.

    Example:
        >>> from lit_metrics.functional import fowlkes_mallows_index
        >>> fowlkes_mallows_index([0, 0, 1, 1], [0, 0, 1, 2])
        tensor(0.7071, dtype=torch.float64)

    Source:
        Fowlkes and Mallows (1983), "A Method for Comparing Two Hierarchical Clusterings".
    """
    return fowlkes_mallows_value(_of(preds, target, sample_weight))


def mutual_info_score(preds: Any, target: Any, *, sample_weight: Any = None) -> Tensor:
    """Mutual information of two clusterings in nats, `sum_ij n_ij/n log(n n_ij / (a_i b_j))`; see `rand_score`.

    Returns:
        Value in [0, log min(number of clusters)], float64; nan for no samples.

    Example:
        >>> from lit_metrics.functional import mutual_info_score
        >>> mutual_info_score([0, 0, 1, 1], [1, 1, 0, 0])
        tensor(0.6931, dtype=torch.float64)
    """
    return mutual_info_value(_of(preds, target, sample_weight))


def normalized_mutual_info_score(
    preds: Any, target: Any, average_method: AverageMethod = "arithmetic", *, sample_weight: Any = None
) -> Tensor:
    """Mutual information over an average of both entropies; labels as in `rand_score`.

    Args:
        preds: `(N,)` cluster labels.
        target: `(N,)` cluster labels.
        average_method: Which average: `"min"`, `"geometric"`, `"arithmetic"` or `"max"`.
        sample_weight: `(N,)` weights; a weight of 2 is the sample twice.

    Returns:
        Value in [0, 1], float64; 1 if both have one cluster, nan for no samples.

    Raises:
        ValueError: If `average_method` is none of these.

    Example:
        >>> from lit_metrics.functional import normalized_mutual_info_score
        >>> normalized_mutual_info_score([0, 0, 1, 1], [0, 0, 1, 2])
        tensor(0.8000, dtype=torch.float64)

    Source:
        Vinh, Epps and Bailey (2010), "Information Theoretic Measures for Clusterings Comparison".
    """
    require_average_method(average_method)
    return normalized_mutual_info_value(_of(preds, target, sample_weight), average_method)


def adjusted_mutual_info_score(
    preds: Any, target: Any, average_method: AverageMethod = "arithmetic", *, sample_weight: Any = None
) -> Tensor:
    """Mutual information adjusted for chance, `(MI - E[MI]) / (average entropy - E[MI])`.

    The expectation is over all clusterings with these cluster sizes, so weights must be whole numbers. Arguments as in
    `normalized_mutual_info_score`.

    Returns:
        Value of at most 1, float64; near 0 for independent labels, nan for no samples.

    Example:
        >>> from lit_metrics.functional import adjusted_mutual_info_score
        >>> adjusted_mutual_info_score([0, 0, 1, 1], [0, 0, 1, 2])
        tensor(0.5714, dtype=torch.float64)

    Source:
        Vinh, Epps and Bailey (2010), "Information Theoretic Measures for Clusterings Comparison".
    """
    require_average_method(average_method)
    return adjusted_mutual_info_value(_of(preds, target, sample_weight), average_method)


def homogeneity_score(preds: Any, target: Any, *, sample_weight: Any = None) -> Tensor:
    """How far each predicted cluster holds one true cluster only, `1 - H(target | preds) / H(target)`.

    Labels as in `rand_score`.

    Returns:
        Value in [0, 1], float64; 1 for one true cluster, nan for no samples.

    Example:
        >>> from lit_metrics.functional import homogeneity_score
        >>> homogeneity_score([0, 0, 1, 1], [0, 0, 1, 2])
        tensor(0.6667, dtype=torch.float64)

    Source:
        Rosenberg and Hirschberg (2007), "V-Measure: A conditional entropy-based external cluster evaluation measure".
    """
    return homogeneity_value(_of(preds, target, sample_weight))


def completeness_score(preds: Any, target: Any, *, sample_weight: Any = None) -> Tensor:
    """How far each true cluster lies in one predicted cluster, `1 - H(preds | target) / H(preds)`.

    Labels and source as in `homogeneity_score`.

    Returns:
        Value in [0, 1], float64; 1 for one predicted cluster, nan for no samples.

    Example:
        >>> from lit_metrics.functional import completeness_score
        >>> completeness_score([0, 0, 1, 2], [0, 0, 1, 1])
        tensor(0.6667, dtype=torch.float64)
    """
    return completeness_value(_of(preds, target, sample_weight))


def v_measure_score(preds: Any, target: Any, beta: float = 1.0, *, sample_weight: Any = None) -> Tensor:
    """Harmonic mean of homogeneity h and completeness c, `(1 + beta) h c / (beta h + c)`.

    Args:
        preds: `(N,)` cluster labels.
        target: `(N,)` cluster labels.
        beta: Above 1, completeness counts more.
        sample_weight: `(N,)` weights; a weight of 2 is the sample twice.

    Returns:
        Value in [0, 1], float64; nan for no samples.

    Raises:
        ValueError: If `beta` is not positive.

    Example:
        >>> from lit_metrics.functional import v_measure_score
        >>> v_measure_score([0, 0, 1, 2], [0, 0, 1, 1])
        tensor(0.8000, dtype=torch.float64)
    """
    require_beta(beta)
    return v_measure_value(_of(preds, target, sample_weight), beta)


def cluster_accuracy_state(preds: Any, target: Any, num_classes: int) -> dict[str, Tensor | int]:
    """Returns the confusion matrix of the labels and the number of pairs outside of it."""
    return joint_counts(*label_pair(preds, target), num_classes)


def cluster_accuracy_value(confmat: Tensor) -> Tensor:
    """Returns the accuracy under the best one-to-one renaming of predicted clusters; nan for no samples."""
    chosen = torch.from_numpy(best_assignment(confmat.cpu().numpy())).to(confmat.device)
    return confmat.gather(1, chosen[:, None]).sum().double() / confmat.sum()


def cluster_accuracy(preds: Any, target: Any, num_classes: int) -> Tensor:
    """Accuracy of clusters under the best one-to-one naming of predicted clusters by true ones.

    Args:
        preds: `(N,)` cluster labels in [0, num_classes).
        target: `(N,)` labels in [0, num_classes).
        num_classes: Number of clusters.

    Returns:
        Value in [0, 1], float64; nan for no samples.

    Raises:
        ValueError: If labels are out of range.

    Example:
        >>> from lit_metrics.functional import cluster_accuracy
        >>> cluster_accuracy([0, 0, 1, 1], [1, 1, 0, 1], num_classes=2)
        tensor(0.7500, dtype=torch.float64)

    Source:
        Yang, Xu, Nie, Yan and Zhuang (2010), "Image Clustering Using Local Discriminant Models and Global Integration".
    """
    require_num_classes(num_classes)
    state = cluster_accuracy_state(preds, target, num_classes)
    raise_if_invalid(state["invalid"], num_classes)
    confmat = state["confmat"]
    assert isinstance(confmat, Tensor)
    return cluster_accuracy_value(confmat)
