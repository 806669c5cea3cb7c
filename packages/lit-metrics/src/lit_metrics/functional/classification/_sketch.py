"""A mergeable summary of scores in bounded memory that knows how wrong it can be (q-digest, Shrivastava et al. 2004).

A node is an interval of scores of dyadic size on the scale of their float32 bit patterns, with the weight of the
negatives and of the positives in it: a row `(start, height, negatives, positives)`; the interval holds `2**height` bit
patterns. A score of its own is a node of height 0. Two summaries merge by putting their rows together.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from lit_metrics.functional.classification._curves import IGNORED, INVALID, Points, ranked

BITS = 32


def sketch_resolution(eps: float) -> int:
    """Returns into how many parts each class may be cut, so that AUROC is known to `eps`.

    No interval wider than one score gets more than this part of either class, and at most 32 of them contain a score.
    So at most `64 / resolution` of all pairs of a positive and a negative are of unknown order, each wrong by a half.

    Raises:
        ValueError: If `eps` is not in (0, 0.5].
    """
    if isinstance(eps, bool) or not isinstance(eps, (int, float)) or not 0 < eps <= 0.5:
        raise ValueError(f"eps must be in (0, 0.5], got {eps!r}")
    return math.ceil(BITS / eps)


def sketch_rows(scores: Tensor, labels: Tensor, weights: Tensor) -> Tensor:
    """Returns one node per score, `(N, 4)`; ignored labels weigh nothing."""
    # Adding zero turns a negative zero into a zero.
    bits = (scores.float() + 0.0).contiguous().view(torch.int32).long()
    order = torch.where(bits < 0, -1 - (bits & 0x7FFFFFFF), bits) + 2 ** (BITS - 1)
    weights = weights.double()
    columns = [order.double(), torch.zeros_like(weights), weights * (labels == 0), weights * (labels == 1)]
    return torch.stack(columns, -1)


def invalid_elements(scores: Tensor, labels: Tensor) -> Tensor:
    """Returns how many labels are none, or scores NaN."""
    return ((labels == INVALID) | (scores.isnan() & (labels != IGNORED))).sum()


def compress(rows: Tensor, resolution: int) -> Tensor:
    """Joins equal nodes; if more than `6 * resolution` are left, moves light ones into their parents, bottom up."""
    rows = rows[(rows[:, 2:] > 0).any(-1)]
    keys, counts = _joined(rows[:, 0].long() * (BITS + 1) + rows[:, 1].long(), rows[:, 2:])
    start, height = keys // (BITS + 1), keys % (BITS + 1)
    if len(keys) > 6 * resolution:
        start, height, counts = _lifted(start, height, counts, counts.sum(0) / resolution)
    return torch.cat([start.double().unsqueeze(-1), height.double().unsqueeze(-1), counts], -1)


def _lifted(start: Tensor, height: Tensor, counts: Tensor, most: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Moves siblings into their parent wherever the three together weigh at most `most` in each class."""
    kept: list[tuple[Tensor, Tensor, Tensor]] = []
    level_start, level_counts = start[height == 0], counts[height == 0]
    for level in range(BITS):
        above = height == level + 1
        children = len(level_start)
        parents = torch.cat([level_start, start[above]]) >> (level + 1) << (level + 1)
        ids, inverse = torch.unique(parents, return_inverse=True)
        own = torch.cat([level_counts, counts[above]])
        sums = own.new_zeros(len(ids), 2).index_add_(0, inverse, own)
        light = (sums <= most).all(-1)
        stays = ~light[inverse[:children]]
        kept.append((level_start[stays], torch.full_like(level_start[stays], level), level_counts[stays]))
        mine = own.new_zeros(len(ids), 2).index_add_(0, inverse[children:], own[children:])
        mine = torch.where(light.unsqueeze(-1), sums, mine)
        filled = (mine > 0).any(-1)
        level_start, level_counts = ids[filled], mine[filled]
    kept.append((level_start, torch.full_like(level_start, BITS), level_counts))
    first, second, third = zip(*kept, strict=True)
    return torch.cat(first), torch.cat(second), torch.cat(third)


def _joined(keys: Tensor, counts: Tensor) -> tuple[Tensor, Tensor]:
    ids, inverse = torch.unique(keys, return_inverse=True)
    return ids, counts.new_zeros(len(ids), 2).index_add_(0, inverse, counts)


def extreme_points(rows: Tensor) -> tuple[Points, Points]:
    """Returns the worst and the best curve of all data sets that the nodes may stand for.

    A curve gets better when a positive moves up past a negative. So the best has all positives at the upper ends of
    their intervals and all negatives at the lower ends, and the worst the other way round.
    """
    low, high = rows[:, 0], rows[:, 0] + 2.0 ** rows[:, 1] - 1
    weights = torch.cat([rows[:, 2], rows[:, 3]]).unsqueeze(-1)
    positive = (torch.arange(2 * len(rows), device=rows.device) >= len(rows)).unsqueeze(-1)
    worst = ranked(torch.cat([high, low]).unsqueeze(-1), positive, weights)
    return worst, ranked(torch.cat([low, high]).unsqueeze(-1), positive, weights)
