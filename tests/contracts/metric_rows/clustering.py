"""Rows of the clustering metrics."""

from __future__ import annotations

from itertools import combinations, permutations
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

import lit_metrics as lm
from tests.contracts.metric_rows.row import Row, bad_labels

if TYPE_CHECKING:
    from collections.abc import Callable


def pair_of_labels(g: torch.Generator, n: int) -> tuple[Any, ...]:
    return torch.randint(-2, 2, (n,), generator=g), torch.randint(3, (n,), generator=g)


def class_labels(g: torch.Generator, n: int) -> tuple[Any, ...]:
    return torch.randint(4, (n,), generator=g), torch.randint(4, (n,), generator=g)


def weighted_labels(g: torch.Generator, n: int) -> tuple[Any, ...]:
    return *pair_of_labels(g, n), torch.randint(3, (n,), generator=g)


def repeated(reference: Callable[..., float]) -> Callable[..., float]:
    """A weight is the sample that many times."""
    return lambda p, t, w: reference(p.repeat_interleave(w), t.repeat_interleave(w))


def points(g: torch.Generator, n: int) -> tuple[Any, ...]:
    return torch.randn(n, 2, generator=g), torch.randint(3, (n,), generator=g)


def together(p: torch.Tensor, t: torch.Tensor) -> np.ndarray:
    """Counts pairs of samples: [together in preds][together in target]."""
    counts = np.zeros((2, 2))
    for i, j in combinations(range(len(p)), 2):
        counts[int(p[i] == p[j]), int(t[i] == t[j])] += 1
    return counts


def rand(p: torch.Tensor, t: torch.Tensor) -> float:
    counts = together(p, t)
    return (counts[0, 0] + counts[1, 1]) / counts.sum()


def adjusted_rand(p: torch.Tensor, t: torch.Tensor) -> float:
    counts = together(p, t)
    expected = counts[1].sum() * counts[:, 1].sum() / counts.sum()
    return (counts[1, 1] - expected) / ((counts[1].sum() + counts[:, 1].sum()) / 2 - expected)


def fowlkes_mallows(p: torch.Tensor, t: torch.Tensor) -> float:
    counts = together(p, t)
    return counts[1, 1] / np.sqrt(counts[1].sum() * counts[:, 1].sum())


def entropy(*labels: torch.Tensor) -> float:
    """Entropy of the joint labels in nats."""
    _, counts = np.unique(np.stack([x.numpy() for x in labels]), axis=1, return_counts=True)
    share = counts / counts.sum()
    return float(-(share * np.log(share)).sum())


def information(p: torch.Tensor, t: torch.Tensor) -> float:
    return entropy(p) + entropy(t) - entropy(p, t)


def adjusted_information(p: torch.Tensor, t: torch.Tensor) -> float:
    """Expects the mutual information by the hypergeometric law, cell by cell."""
    from math import comb

    n, expected = len(p), 0.0
    for a in np.unique(p.numpy(), return_counts=True)[1].tolist():
        for b in np.unique(t.numpy(), return_counts=True)[1].tolist():
            for k in range(max(1, a + b - n), min(a, b) + 1):
                expected += k / n * np.log(n * k / (a * b)) * comb(a, k) * comb(n - a, b - k) / comb(n, b)
    return (information(p, t) - expected) / ((entropy(p) + entropy(t)) / 2 - expected)


def v_measure(p: torch.Tensor, t: torch.Tensor) -> float:
    h, c = information(p, t) / entropy(t), information(p, t) / entropy(p)
    return 3 * h * c / (2 * h + c)


def best_naming(p: torch.Tensor, t: torch.Tensor) -> float:
    return max(float(np.mean(np.array(names)[p.numpy()] == t.numpy())) for names in permutations(range(4)))


def spread(x: torch.Tensor, c: torch.Tensor) -> tuple[list[np.ndarray], np.ndarray]:
    groups = [x.double().numpy()[c.numpy() == k] for k in np.unique(c.numpy())]
    return groups, np.array([group.mean(0) for group in groups])


def variance_ratio(x: torch.Tensor, c: torch.Tensor) -> float:
    groups, centres = spread(x, c)
    between = sum(len(g) * ((m - x.double().numpy().mean(0)) ** 2).sum() for g, m in zip(groups, centres, strict=True))
    within = sum(((g - m) ** 2).sum() for g, m in zip(groups, centres, strict=True))
    return between / within * (len(x) - len(groups)) / (len(groups) - 1)


def davies_bouldin(x: torch.Tensor, c: torch.Tensor) -> float:
    groups, centres = spread(x, c)
    s = [np.linalg.norm(g - m, axis=1).mean() for g, m in zip(groups, centres, strict=True)]
    k = range(len(groups))
    return float(
        np.mean([max((s[i] + s[j]) / np.linalg.norm(centres[i] - centres[j]) for j in k if j != i) for i in k])
    )


def dunn(x: torch.Tensor, c: torch.Tensor) -> float:
    groups, centres = spread(x, c)
    radius = max(np.linalg.norm(g - m, axis=1).max() for g, m in zip(groups, centres, strict=True))
    return float(min(np.linalg.norm(a - b) for a, b in combinations(centres, 2)) / radius)


ROWS: dict[str, Row] = {
    "AdjustedMutualInfoScore": Row(lm.AdjustedMutualInfoScore, pair_of_labels, adjusted_information),
    "AdjustedRandScore": Row(lm.AdjustedRandScore, pair_of_labels, adjusted_rand),
    "CalinskiHarabaszScore": Row(lm.CalinskiHarabaszScore, points, variance_ratio),
    "ClusterAccuracy": Row(lambda: lm.ClusterAccuracy(4), class_labels, best_naming),
    "CompletenessScore": Row(lm.CompletenessScore, pair_of_labels, lambda p, t: information(p, t) / entropy(p)),
    "DaviesBouldinScore": Row(lm.DaviesBouldinScore, points, davies_bouldin),
    "DunnIndex": Row(lm.DunnIndex, points, dunn),
    "FowlkesMallowsIndex": Row(lm.FowlkesMallowsIndex, pair_of_labels, fowlkes_mallows),
    "HomogeneityScore": Row(lm.HomogeneityScore, pair_of_labels, lambda p, t: information(p, t) / entropy(t)),
    "MutualInfoScore": Row(lm.MutualInfoScore, pair_of_labels, information),
    "NormalizedMutualInfoScore": Row(
        lambda: lm.NormalizedMutualInfoScore("geometric"),
        pair_of_labels,
        lambda p, t: information(p, t) / np.sqrt(entropy(p) * entropy(t)),
    ),
    "RandScore": Row(lm.RandScore, pair_of_labels, rand),
    "VMeasureScore": Row(lambda: lm.VMeasureScore(beta=2.0), pair_of_labels, v_measure),
}

WEIGHTED = {
    "AdjustedMutualInfoScore": adjusted_information,
    "AdjustedRandScore": adjusted_rand,
    "FowlkesMallowsIndex": fowlkes_mallows,
    "MutualInfoScore": information,
    "RandScore": rand,
    "CompletenessScore": lambda p, t: information(p, t) / entropy(p),
    "HomogeneityScore": lambda p, t: information(p, t) / entropy(t),
    "NormalizedMutualInfoScore": lambda p, t: 2 * information(p, t) / (entropy(p) + entropy(t)),
    "VMeasureScore": lambda p, t: 2 * information(p, t) / (entropy(p) + entropy(t)),
}
for name, reference in WEIGHTED.items():
    ROWS[f"{name}(sample_weight)"] = Row(
        getattr(lm, name), weighted_labels, repeated(reference), bad=lambda p, t, w: [(p, t, -1 - w)]
    )
ROWS["ClusterAccuracy"].bad = bad_labels
