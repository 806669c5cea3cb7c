"""Which detections match which true objects, by the rules of COCO, in numpy.

Shapes: D detections and G true objects of one image and class, A area ranges, T overlap thresholds, B groups of one
image and class each.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Array = NDArray[Any]

AREA_NAMES = ("all", "small", "medium", "large")
AREA_RANGES = np.array([(0, 1e10), (0, 32.0**2), (32.0**2, 96.0**2), (96.0**2, 1e10)])
MISS, HIT, IGNORED = 0, 1, 2

_CELLS_AT_ONCE = 1 << 21


@dataclass(frozen=True)
class Objects:
    """Detections or true objects of one image.

    Attributes:
        labels: `(N,)` classes.
        areas: `(N,)` areas in pixels.
        scores: `(N,)` scores of detections; zeros for true objects.
        crowd: `(N,)` whether a true object is a crowd.
    """

    labels: Array
    areas: Array
    scores: Array
    crowd: Array


@dataclass(frozen=True)
class Group:
    """Detections and true objects of one image and class.

    Attributes:
        image: Number of the image in its batch.
        label: The class.
        scores: `(D,)` scores, falling.
        areas: `(D,)` areas of the detections.
        overlaps: `(D, G)` overlaps.
        crowd: `(G,)` whether a true object is a crowd.
        ignored: `(A, G)` whether it does not count for an area range.
    """

    image: int
    label: int
    scores: Array
    areas: Array
    overlaps: Array
    crowd: Array
    ignored: Array


def box_overlaps(found: Array, true: Array, crowd: Array) -> Array:
    """Returns IoU of corners `(D, 4)` and `(G, 4)`; for a crowd, the share of the detection inside of it."""
    sides = np.minimum(found[:, None, 2:], true[None, :, 2:]) - np.maximum(found[:, None, :2], true[None, :, :2])
    inter = np.clip(sides, 0, None).prod(-1)
    return share(inter, (found[:, 2:] - found[:, :2]).prod(-1), (true[:, 2:] - true[:, :2]).prod(-1), crowd)


def share(inter: Array, area_found: Array, area_true: Array, crowd: Array) -> Array:
    """Returns intersections `(D, G)` over unions, or over the detection's area for a crowd; 0 for empty ones."""
    union = np.where(crowd, area_found[:, None], area_found[:, None] + area_true - inter)
    result: Array = np.divide(inter, union, out=np.zeros_like(union), where=union > 0)
    return result


def groups_of(image: int, found: Objects, true: Objects, overlaps: Array, most: int) -> Iterator[Group]:
    """Yields the groups of an image; the `most` best detections of each class, equal scores in the order given."""
    order = np.argsort(-found.scores, kind="stable")
    outside = (true.areas < AREA_RANGES[:, :1]) | (true.areas > AREA_RANGES[:, 1:])
    for label in np.union1d(found.labels, true.labels).tolist():
        mine = order[found.labels[order] == label][:most]
        theirs = np.flatnonzero(true.labels == label)
        yield Group(
            image,
            label,
            found.scores[mine],
            found.areas[mine],
            overlaps[np.ix_(mine, theirs)],
            true.crowd[theirs],
            outside[:, theirs] | true.crowd[theirs],
        )


def match(groups: Sequence[Group], thresholds: Array) -> list[Array]:
    """Returns for each group `(D, A, T)`: `MISS`, `HIT`, or `IGNORED` for detections that do not count."""
    limits = np.minimum(thresholds, 1 - 1e-10)
    found = [np.zeros((len(g.scores), len(AREA_RANGES), len(limits)), dtype=np.uint8) for g in groups]
    # A detection that reaches no threshold with any object matches none, and takes none from another.
    near = [np.flatnonzero((g.overlaps >= limits.min()).any(1)) for g in groups]
    busy = sorted((i for i in range(len(groups)) if len(near[i])), key=lambda i: -len(near[i]))
    start = 0
    while start < len(busy):
        widest, stop = 0, start
        while stop < len(busy):
            widest = max(widest, groups[busy[stop]].overlaps.shape[1])
            if stop > start and (stop - start + 1) * widest * len(AREA_RANGES) * len(limits) > _CELLS_AT_ONCE:
                break
            stop += 1
        _match_together(
            [groups[i] for i in busy[start:stop]],
            [near[i] for i in busy[start:stop]],
            limits,
            [found[i] for i in busy[start:stop]],
        )
        start = stop
    for group, status in zip(groups, found, strict=True):
        outside = (group.areas[:, None] < AREA_RANGES[:, 0]) | (group.areas[:, None] > AREA_RANGES[:, 1])
        status[(status == MISS) & outside[:, :, None]] = IGNORED
    return found


def _match_together(groups: list[Group], near: list[Array], limits: Array, found: list[Array]) -> None:
    """Matches the near detections of groups, most of them first; the n-th detections of all groups at once."""
    widest = max(g.overlaps.shape[1] for g in groups)
    crowd = np.zeros((len(groups), 1, 1, widest), dtype=bool)
    ignored = np.zeros((len(groups), len(AREA_RANGES), 1, widest), dtype=bool)
    overlaps = np.full((len(groups), len(near[0]), widest), -1.0)
    for b, group in enumerate(groups):
        size = group.overlaps.shape[1]
        crowd[b, 0, 0, :size] = group.crowd
        ignored[b, :, 0, :size] = group.ignored
        overlaps[b, : len(near[b]), :size] = group.overlaps[near[b]]
    taken = np.zeros((len(groups), len(AREA_RANGES), len(limits), widest), dtype=bool)
    numbers = np.array([len(rows) for rows in near])
    for d in range(len(near[0])):
        active = int((numbers > d).sum())
        overlap = overlaps[:active, d, None, None, :]
        free = (~taken[:active] | crowd[:active]) & (overlap >= limits[:, None])
        # Objects that count come first; among equals the last.
        counted = np.where(free & ~ignored[:active], overlap, -1.0)
        best = counted.max(-1, keepdims=True) >= 0
        choice = np.where(best, counted, np.where(free & ignored[:active], overlap, -1.0))
        which = widest - 1 - choice[..., ::-1].argmax(-1)[..., None]
        matched = np.take_along_axis(choice, which, -1) >= 0
        np.put_along_axis(taken[:active], which, np.take_along_axis(taken[:active], which, -1) | matched, -1)
        status = np.where(matched, np.where(best, HIT, IGNORED), MISS)[..., 0]
        for b in range(active):
            found[b][near[b][d]] = status[b]
