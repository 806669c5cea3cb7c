"""Rows of the segmentation metrics."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import torch

import lit_metrics as lm
from tests.contracts.metric_rows.row import Row

if TYPE_CHECKING:
    from collections.abc import Callable


def indices(g: torch.Generator, n: int) -> tuple[Any, ...]:
    return torch.randint(3, (n, 4, 5), generator=g), torch.randint(2, (n, 4, 5), generator=g)


def masks(g: torch.Generator, n: int) -> tuple[Any, ...]:
    return torch.rand(n, 3, 4, 5, generator=g) < 0.3, (torch.rand(n, 3, 4, 5, generator=g) < 0.2).long()


def scores(g: torch.Generator, n: int) -> tuple[Any, ...]:
    return torch.rand(n, 3, 4, 5, generator=g), torch.randint(3, (n, 4, 5), generator=g)


def sets(p: torch.Tensor, t: torch.Tensor) -> list[list[tuple[np.ndarray, np.ndarray]]]:
    """Returns for each sample and each of three classes both masks."""
    p = p.argmax(1) if p.is_floating_point() else p
    return [[(a == c, b == c) for c in range(3)] for a, b in zip(p.numpy(), t.numpy(), strict=True)]


def dice(p: np.ndarray, t: np.ndarray) -> float:
    return 2 * (p & t).sum() / (p.sum() + t.sum()) if p.any() or t.any() else np.nan


def iou(p: np.ndarray, t: np.ndarray) -> float:
    return (p & t).sum() / (p | t).sum() if p.any() or t.any() else np.nan


def each(
    score: Callable[[np.ndarray, np.ndarray], float], first: int = 0
) -> Callable[[torch.Tensor, torch.Tensor], np.ndarray]:
    return lambda p, t: np.array([[score(a, b) for a, b in sample[first:]] for sample in sets(p, t)])


def all_pixels(p: torch.Tensor, t: torch.Tensor) -> float:
    return float(np.nanmean([dice(p.numpy() == c, t.numpy() == c) for c in range(3)]))


def generalized(p: torch.Tensor, t: torch.Tensor) -> float:
    values = []
    for sample in sets(p, t):
        there = [(a, b, 1 / b.sum() ** 2) for a, b in sample if b.any()]
        values.append(
            2 * sum(w * (a & b).sum() for a, b, w in there) / sum(w * (a.sum() + b.sum()) for a, b, w in there)
        )
    return float(np.mean(values))


def rim(mask: np.ndarray) -> np.ndarray:
    found = []
    for i, j in np.argwhere(mask):
        near = [(i - 1, j), (i + 1, j), (i, j - 1), (i, j + 1)]
        inside = [0 <= a < mask.shape[0] and 0 <= b < mask.shape[1] and mask[a, b] for a, b in near]
        if not all(inside):
            found.append((i, j))
    return np.array(found, dtype=float)


def hausdorff(p: np.ndarray, t: np.ndarray) -> float:
    a, b = rim(p), rim(t)
    if not len(a) or not len(b):
        return np.inf if len(a) or len(b) else np.nan
    apart = np.linalg.norm(a[:, None] - b[None], axis=2)
    return float(max(apart.min(1).max(), apart.min(0).max()))


def mask_dice(p: torch.Tensor, t: torch.Tensor) -> float:
    pairs = zip(p.numpy(), t.numpy().astype(bool), strict=True)
    return float(np.mean([np.nanmean([dice(a, b) for a, b in zip(x, y, strict=True)]) for x, y in pairs]))


ROWS: dict[str, Row] = {
    "DiceScore": Row(lambda: lm.DiceScore(3), masks, mask_dice),
    "DiceScore(global)": Row(
        lambda: lm.DiceScore(3, aggregation_level="global", input_format="index"), indices, all_pixels
    ),
    "DiceScore(none)": Row(
        lambda: lm.DiceScore(3, average="none", input_format="mixed"),
        scores,
        lambda p, t: np.nanmean(each(dice)(p, t), axis=0),
        {"dtypes": (torch.float64,)},
    ),
    "GeneralizedDiceScore": Row(lambda: lm.GeneralizedDiceScore(3, input_format="index"), indices, generalized),
    "HausdorffDistance": Row(
        lambda: lm.HausdorffDistance(2, input_format="index"),
        lambda g, n: (torch.randint(2, (n, 6, 7), generator=g), torch.randint(2, (n, 6, 7), generator=g)),
        lambda p, t: np.mean([hausdorff(*sample[1]) for sample in sets(p, t)]),
        # How many pixels an outline has is known to the accelerator alone: update must wait for it.
        {"skip": ("no_host_sync",)},
    ),
    "MeanIoU": Row(
        lambda: lm.MeanIoU(3, include_background=False, input_format="index"),
        indices,
        lambda p, t: np.nanmean(each(iou, 1)(p, t)),
    ),
    "MeanIoU(per class)": Row(
        lambda: lm.MeanIoU(per_class=True, input_format="mixed"),
        scores,
        lambda p, t: np.nanmean(each(iou)(p, t), axis=0),
        {"dtypes": (torch.float64,)},
    ),
}


def with_weights(
    make: Callable[[torch.Generator, int], tuple[Any, ...]],
) -> Callable[[torch.Generator, int], tuple[Any, ...]]:
    return lambda g, n: (*make(g, n), torch.randint(1, 4, (n,), generator=g) / 2)


ROWS |= {
    "DiceScore(global, sample_weight)": Row(
        lambda: lm.DiceScore(3, aggregation_level="global", input_format="index"),
        with_weights(indices),
        lambda p, t, w: all_pixels(p.repeat_interleave((2 * w).long(), 0), t.repeat_interleave((2 * w).long(), 0)),
    ),
    "HausdorffDistance(sample_weight)": Row(
        ROWS["HausdorffDistance"].make,
        with_weights(ROWS["HausdorffDistance"].data),
        lambda p, t, w: np.average([hausdorff(*sample[1]) for sample in sets(p, t)], weights=w),
        {"skip": ("no_host_sync",)},
    ),
    "GeneralizedDiceScore(sample_weight)": Row(
        lambda: lm.GeneralizedDiceScore(3, input_format="index"),
        with_weights(indices),
        lambda p, t, w: np.average([generalized(p[i : i + 1], t[i : i + 1]) for i in range(len(p))], weights=w),
    ),
    "MeanIoU(sample_weight)": Row(
        lambda: lm.MeanIoU(3, include_background=False, input_format="index"),
        with_weights(indices),
        lambda p, t, w: weighted_mean(np.asarray(each(iou, 1)(p, t)), w.numpy()[:, None]),
    ),
}


def weighted_mean(scores: np.ndarray, w: np.ndarray) -> float:
    """Mean over all defined scores."""
    return float(np.nansum(scores * w) / np.sum(~np.isnan(scores) * w))


for name in ("DiceScore(global)", "GeneralizedDiceScore", "HausdorffDistance", "MeanIoU"):
    ROWS[name].bad = lambda p, t: [(p + 1000, t), (p, t - 1000)]
ROWS["DiceScore"].bad = lambda p, t: [(p.long() * 2, t), (p, t.long() - 1)]
