"""Boxes: formats, areas, and how far pairs of boxes overlap. Boxes are `(..., 4)`, corners `(x1, y1, x2, y2)`."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, Literal, TypeAlias

import torch
from torch import Tensor

from lit_metrics._inputs import as_tensor, to_float

BoxFormat: TypeAlias = Literal["xyxy", "xywh", "cxcywh"]
Overlap: TypeAlias = Literal["iou", "giou", "diou", "ciou"]
BOX_FORMATS = ("xyxy", "xywh", "cxcywh")


def require_box_format(box_format: Any) -> None:
    """Raises a `ValueError` unless it is one of `BOX_FORMATS`."""
    if box_format not in BOX_FORMATS:
        raise ValueError(f"box_format must be one of {BOX_FORMATS}, got {box_format!r}")


def as_boxes(value: Any, name: str) -> Tensor:
    """Returns boxes `(N, 4)` as float32 or float64; an empty input of any shape is no boxes.

    Raises:
        ValueError: If the shape is another one.
    """
    boxes = as_tensor(value, name)
    if boxes.is_complex():
        raise TypeError(f"{name} must be real, got {boxes.dtype}")
    if boxes.numel() == 0:
        boxes = boxes.reshape(0, 4)
    if boxes.ndim != 2 or boxes.shape[1] != 4:
        raise ValueError(f"{name} must have shape (N, 4), got {tuple(boxes.shape)}")
    return to_float(boxes)


def to_corners(boxes: Tensor, box_format: BoxFormat) -> Tensor:
    """Returns the boxes as corners."""
    if box_format == "xyxy":
        return boxes
    place, size = boxes[..., :2], boxes[..., 2:]
    if box_format == "cxcywh":
        place = place - size / 2
    return torch.cat([place, place + size], -1)


def overlap_of(preds: Tensor, target: Tensor, kind: Overlap) -> Tensor:
    """Returns the overlap of boxes that broadcast together; IoU of two empty boxes is 0."""
    preds, target = preds.double(), target.double()
    size_p, size_t = preds[..., 2:] - preds[..., :2], target[..., 2:] - target[..., :2]
    inner = (torch.minimum(preds[..., 2:], target[..., 2:]) - torch.maximum(preds[..., :2], target[..., :2])).clamp_min(
        0
    )
    inter = inner.prod(-1)
    union = size_p.prod(-1) + size_t.prod(-1) - inter
    iou = torch.where(union > 0, inter / torch.where(union > 0, union, 1.0), 0.0)
    if kind == "iou":
        return iou
    hull = torch.maximum(preds[..., 2:], target[..., 2:]) - torch.minimum(preds[..., :2], target[..., :2])
    if kind == "giou":
        area = hull.prod(-1)
        return iou - torch.where(area > 0, (area - union) / torch.where(area > 0, area, 1.0), 0.0)
    between = (preds[..., :2] + preds[..., 2:] - target[..., :2] - target[..., 2:]).square().sum(-1) / 4
    diagonal = hull.square().sum(-1)
    diou = iou - torch.where(diagonal > 0, between / torch.where(diagonal > 0, diagonal, 1.0), 0.0)
    if kind == "diou":
        return diou
    angle = torch.atan2(size_p[..., 0], size_p[..., 1]) - torch.atan2(size_t[..., 0], size_t[..., 1])
    shape = 4 / math.pi**2 * angle.square()
    with torch.no_grad():
        alpha = torch.where(shape > 0, shape / torch.where(shape > 0, 1 - iou + shape, 1.0), 0.0)
    return diou - alpha * shape


def require_images(preds: Any, target: Any) -> None:
    """Raises unless both are lists of one dictionary per image.

    Raises:
        TypeError: If they are not lists of dictionaries.
        ValueError: If their lengths differ.
    """
    for name, images in (("preds", preds), ("target", target)):
        if not isinstance(images, (list, tuple)) or not all(isinstance(image, dict) for image in images):
            raise TypeError(f"{name} must be a list of dictionaries, one for each image, got {type(images).__name__}")
    if len(preds) != len(target):
        raise ValueError(f"preds and target must hold as many images, got {len(preds)} and {len(target)}")


def entry(image: Mapping[str, Any], key: str, name: str) -> Any:
    """Returns an entry of an image's dictionary.

    Raises:
        ValueError: If there is none.
    """
    if key not in image:
        raise ValueError(f"every dictionary of {name} must have the key {key!r}, got {sorted(image)}")
    return image[key]


def labels_of(image: Mapping[str, Any], count: int, name: str) -> Tensor:
    """Returns the int64 labels of an image with `count` boxes or masks.

    Raises:
        ValueError: If their number is another one.
        TypeError: If they are not integers.
    """
    labels = as_tensor(entry(image, "labels", name), f"{name} labels").reshape(-1)
    if labels.numel() and (labels.is_floating_point() or labels.is_complex()):
        raise TypeError(f"{name} labels must be integers, got {labels.dtype}")
    if len(labels) != count:
        raise ValueError(f"{name} must have one label for each box or mask, got {len(labels)} and {count}")
    return labels.long()


def all_pairs(counts_p: Sequence[int], counts_t: Sequence[int], device: torch.device) -> tuple[Tensor, Tensor]:
    """Returns the row in preds and in target of every pair of boxes of one image, all images' boxes in one row each."""
    rows, columns = [], []
    start_p = start_t = 0
    for p, t in zip(counts_p, counts_t, strict=True):
        rows.append(torch.arange(start_p, start_p + p, device=device).repeat_interleave(t))
        columns.append(torch.arange(start_t, start_t + t, device=device).repeat(p))
        start_p, start_t = start_p + p, start_t + t
    return torch.cat(rows), torch.cat(columns)
