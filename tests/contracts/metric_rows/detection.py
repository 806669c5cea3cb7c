"""Rows of the detection metrics."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import torch

import lit_metrics as lm
from tests.contracts.metric_rows.row import Row

if TYPE_CHECKING:
    from collections.abc import Callable

    Image = dict[str, torch.Tensor]


def boxes(g: torch.Generator, n: int) -> torch.Tensor:
    corner, size = 20 * torch.rand(n, 2, generator=g), 5 + 40 * torch.rand(n, 2, generator=g)
    return torch.cat([corner, corner + size], 1).double()


def images(g: torch.Generator, n: int) -> tuple[Any, ...]:
    """Detections that lie near true boxes or anywhere; images without the one or the other."""
    preds, target = [], []
    for _ in range(n):
        true = boxes(g, int(torch.randint(4, (), generator=g)))
        near = (true + 3 * torch.randn(true.shape, generator=g))[torch.rand(len(true), generator=g) < 0.8]
        found = torch.cat([near, boxes(g, int(torch.randint(3, (), generator=g)))])
        preds.append(
            {
                "boxes": found,
                "scores": torch.rand(len(found), generator=g).double(),
                "labels": torch.randint(2, (len(found),), generator=g),
            }
        )
        target.append(
            {
                "boxes": true,
                "labels": torch.randint(2, (len(true),), generator=g),
                "iscrowd": (torch.rand(len(true), generator=g) < 0.2).long(),
            }
        )
    return preds, target


def segments(g: torch.Generator, n: int) -> tuple[Any, ...]:
    coarse = torch.stack(
        [torch.randint(4, (n, 3, 3), generator=g), torch.randint(2, (n, 3, 3), generator=g)], -1
    ).repeat_interleave(2, 1)
    moved = torch.where(torch.rand(n, 6, 3, 1, generator=g) < 0.3, coarse.roll(1, 1), coarse)
    return moved.contiguous(), coarse.contiguous()


def parts(a: np.ndarray, b: np.ndarray) -> tuple[float, float, np.ndarray, np.ndarray]:
    """Returns intersection and union of two boxes, and the smallest box around both."""
    sides = np.minimum(a[2:], b[2:]) - np.maximum(a[:2], b[:2])
    inter = float(np.prod(np.maximum(sides, 0)))
    union = float(np.prod(a[2:] - a[:2]) + np.prod(b[2:] - b[:2])) - inter
    return inter, union, np.minimum(a[:2], b[:2]), np.maximum(a[2:], b[2:])


def iou(a: np.ndarray, b: np.ndarray) -> float:
    inter, union, _, _ = parts(a, b)
    return inter / union


def giou(a: np.ndarray, b: np.ndarray) -> float:
    inter, union, low, high = parts(a, b)
    hull = float(np.prod(high - low))
    return inter / union - (hull - union) / hull


def diou(a: np.ndarray, b: np.ndarray) -> float:
    inter, union, low, high = parts(a, b)
    centres = (a[:2] + a[2:]) / 2 - (b[:2] + b[2:]) / 2
    return inter / union - float((centres**2).sum() / ((high - low) ** 2).sum())


def ciou(a: np.ndarray, b: np.ndarray) -> float:
    wa, ha, wb, hb = *(a[2:] - a[:2]), *(b[2:] - b[:2])
    v = 4 / np.pi**2 * (np.arctan(wa / ha) - np.arctan(wb / hb)) ** 2
    return diou(a, b) - float(v**2 / (1 - iou(a, b) + v))


def mean_over_pairs(
    name: str, overlap: Callable[[np.ndarray, np.ndarray], float], by_class: bool = False
) -> Callable[[list[Image], list[Image]], dict[str, float]]:
    def reference(preds: list[Image], target: list[Image]) -> dict[str, float]:
        found: dict[int, list[float]] = {}
        for p, t in zip(preds, target, strict=True):
            for b, label in zip(t["boxes"].numpy(), t["labels"].tolist(), strict=True):
                values = [
                    overlap(a, b) for a, k in zip(p["boxes"].numpy(), p["labels"].tolist(), strict=True) if k == label
                ]
                found.setdefault(label, []).extend(values)
        value = {name: float(np.mean([v for values in found.values() for v in values]))}
        if by_class:
            value |= {f"{name}/cl_{label}": float(np.mean(values)) for label, values in found.items()}
        return value

    return reference


def one_image(p: Image, t: Image, label: int, limit: float, area: tuple[float, float], most: int) -> Any:
    """Returns (score, true or false) of the detections that count, and the number of objects that do; COCO's loops."""
    true = [(b, bool(c)) for b, k, c in zip(t["boxes"].numpy(), t["labels"], t["iscrowd"], strict=True) if k == label]
    sizes = [float(np.prod(b[2:] - b[:2])) for b, _ in true]
    skipped = [crowd or not area[0] <= size <= area[1] for (_, crowd), size in zip(true, sizes, strict=True)]
    found = [(float(s), b) for s, b, k in zip(p["scores"], p["boxes"].numpy(), p["labels"], strict=True) if k == label]
    taken, rows = set(), []
    for score, box in sorted(found, key=lambda pair: -pair[0])[:most]:
        size, best = float(np.prod(box[2:] - box[:2])), (-1, -1.0, -1)
        for j, (b, crowd) in enumerate(true):
            inter = parts(box, b)[0]
            value = inter / size if crowd else iou(box, b)
            if value >= limit and (j not in taken or crowd):
                best = max(best, (int(not skipped[j]), value, j))
        counts, _, j = best
        taken.add(j)
        if counts == 1 or (counts == -1 and area[0] <= size <= area[1]):
            rows.append((score, counts == 1))
    return rows, len(true) - sum(skipped)


def coco(preds: list[Image], target: list[Image], limit: float, area: tuple[float, float], most: int) -> Any:
    """Returns average precision and recall of each class at one overlap; nan without objects."""
    precisions, recalls = [], []
    for label in (0, 1):
        rows, number = [], 0
        for p, t in zip(preds, target, strict=True):
            more, count = one_image(p, t, label, limit, area, most)
            rows, number = rows + more, number + count
        hits = np.array([hit for _, hit in sorted(rows, key=lambda row: -row[0])], dtype=float)
        rate, exact = hits.cumsum() / max(number, 1), hits.cumsum() / np.arange(1, len(hits) + 1)
        reached = [max(exact[rate >= r], default=0.0) for r in np.linspace(0, 1, 101)]
        precisions.append(np.mean(reached) if number else np.nan)
        recalls.append(hits.sum() / number if number else np.nan)
    return precisions, recalls


def coco_summary(preds: list[Image], target: list[Image]) -> dict[str, Any]:
    areas = {"": (0, 1e10), "small": (0, 32**2), "medium": (32**2, 96**2), "large": (96**2, 1e10)}
    limits = np.linspace(0.5, 0.95, 10)
    value: dict[str, Any] = {"classes": [0, 1]}
    for name, area in areas.items():
        precision, recall = np.transpose([coco(preds, target, limit, area, 100) for limit in limits], (1, 0, 2))
        defined = not np.isnan(precision).all()
        key = f"_{name}" if name else ""
        value[f"map{key}"] = np.nanmean(precision) if defined else np.nan
        value[f"mar{key or '_100'}"] = np.nanmean(recall) if defined else np.nan
        if not name:
            value |= {"map_50": precision[0].mean(), "map_75": precision[5].mean()}
            value |= {"map_per_class": precision.mean(0), "mar_100_per_class": recall.mean(0)}
    for most in (1, 10):
        value[f"mar_{most}"] = np.mean([coco(preds, target, limit, areas[""], most)[1] for limit in limits])
    return value


def quality(p: torch.Tensor, t: torch.Tensor, loose: bool) -> float:
    """Returns panoptic quality with category 3 void, things 0 and 1, and stuff 2."""
    total = np.zeros((3, 4))  # sum of overlaps, hits, false positives, false negatives
    for a, b in zip(p.flatten(1, -2).tolist(), t.flatten(1, -2).tolist(), strict=True):
        a, b = ([(c, i if c < 2 else 0) for c, i in side] for side in (a, b))
        used = set()
        for one in {x for x in a if x[0] < 3}:
            mine = {k for k, x in enumerate(a) if x == one}
            void = {k for k in mine if b[k][0] == 3}
            for other in {x for x in b if x[0] == one[0]}:
                theirs = {k for k, x in enumerate(b) if x == other}
                hidden = {k for k in theirs if a[k][0] == 3}
                value = len(mine & theirs) / len((mine | theirs) - void - hidden) if mine & theirs else 0.0
                if value > 0.5 or (loose and one[0] == 2):
                    total[one[0]] += (value, not (loose and one[0] == 2), 0, 0)
                    used |= {("p", one), ("t", other)}
            if ("p", one) not in used and not (loose and one[0] == 2) and len(void) <= len(mine) / 2:
                total[one[0], 2] += 1
        for other in {x for x in b if x[0] < 3}:
            theirs = {k for k, x in enumerate(b) if x == other}
            if loose and other[0] == 2:
                total[2, 1] += 1
            elif ("t", other) not in used and len({k for k in theirs if a[k][0] == 3}) <= len(theirs) / 2:
                total[other[0], 3] += 1
    found = total[:, 1] + total[:, 2] / 2 + total[:, 3] / 2
    return float(np.mean((total[:, 0] / found)[found > 0]))


# The segments that occur are known to the accelerator alone: update must wait for it.
SEGMENTS = {"skip": ("no_host_sync",)}

ROWS: dict[str, Row] = {
    "CompleteIntersectionOverUnion": Row(lm.CompleteIntersectionOverUnion, images, mean_over_pairs("ciou", ciou)),
    "DistanceIntersectionOverUnion": Row(lm.DistanceIntersectionOverUnion, images, mean_over_pairs("diou", diou)),
    "GeneralizedIntersectionOverUnion": Row(
        lambda: lm.GeneralizedIntersectionOverUnion(class_metrics=True), images, mean_over_pairs("giou", giou, True)
    ),
    "IntersectionOverUnion": Row(lm.IntersectionOverUnion, images, mean_over_pairs("iou", iou)),
    "MeanAveragePrecision": Row(lambda: lm.MeanAveragePrecision(class_metrics=True), images, coco_summary),
    "MeanAveragePrecision(micro)": Row(
        lambda: lm.MeanAveragePrecision(average="micro", class_metrics=True, extended_summary=True),
        images,
        None,
        {"order_matters": True},  # overlaps are given by the number of the image
    ),
    "ModifiedPanopticQuality": Row(
        lambda: lm.ModifiedPanopticQuality({0, 1}, {2}, allow_unknown_preds_category=True),
        segments,
        lambda p, t: quality(p, t, loose=True),
        SEGMENTS,
    ),
    "PanopticQuality": Row(
        lambda: lm.PanopticQuality({0, 1}, {2}, allow_unknown_preds_category=True),
        segments,
        lambda p, t: quality(p, t, loose=False),
        SEGMENTS,
    ),
}
