"""Panoptic quality of segmentations in which every pixel has a category and an instance."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

import torch
from torch import Tensor

from lit_metrics._inputs import as_tensor, checks_are_free, require_same_shape


def require_categories(things: Any, stuffs: Any) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Returns the sorted categories.

    Raises:
        ValueError: If they share one, or there is none.
        TypeError: If they are not integers.
    """
    for name, group in (("things", things), ("stuffs", stuffs)):
        if any(not isinstance(category, int) or isinstance(category, bool) for category in group):
            raise TypeError(f"{name} must be integer categories, got {group!r}")
    things, stuffs = tuple(sorted(set(things))), tuple(sorted(set(stuffs)))
    if shared := set(things) & set(stuffs):
        raise ValueError(f"things and stuffs must not share categories, got {sorted(shared)} in both")
    if not things and not stuffs:
        raise ValueError("things and stuffs must not both be empty")
    return things, stuffs


def _segments(
    value: Any, name: str, things: tuple[int, ...], stuffs: tuple[int, ...], allow_unknown: bool
) -> tuple[Tensor, Tensor]:
    """Returns place of the category (one past the last for void) and instance of each pixel, `(B, pixels)` each."""
    value = as_tensor(value, name)
    if value.ndim < 3 or value.shape[-1] != 2:
        raise ValueError(f"{name} must have shape (B, ..., 2) with category and instance, got {tuple(value.shape)}")
    if value.is_floating_point() or value.is_complex():
        raise TypeError(f"{name} must hold integers, got {value.dtype}")
    value = value.long().flatten(1, -2)
    category, instance = value[..., 0], value[..., 1]
    known = torch.tensor(things + stuffs, device=value.device)
    order = known.argsort()
    near = torch.searchsorted(known[order], category.contiguous()).clamp_max(len(known) - 1)
    place = torch.where(known[order][near] == category, order[near], len(known))
    if not allow_unknown and checks_are_free(value) and bool((place == len(known)).numpy().any()):
        unknown = category[place == len(known)].unique().tolist()
        raise ValueError(f"{name} must hold categories of things and stuffs only, got {unknown}")
    return place, torch.where(place < len(things), instance, 0)


def panoptic_state(
    preds: Any,
    target: Any,
    things: tuple[int, ...],
    stuffs: tuple[int, ...],
    allow_unknown_preds_category: bool,
    modified: bool,
) -> dict[str, Tensor]:
    """Returns for each category the sum of overlaps of matches, and true and false positives and false negatives."""
    preds, target = as_tensor(preds, "preds"), as_tensor(target, "target")
    require_same_shape(preds, target)
    size = len(things) + len(stuffs)
    sides = (
        _segments(preds, "preds", things, stuffs, allow_unknown_preds_category),
        _segments(target, "target", things, stuffs, True),
    )
    sample = torch.arange(len(preds), device=preds.device)[:, None].expand_as(sides[0][0])
    keys, owners = [], []
    for place, instance in sides:
        names, number = instance.unique(return_inverse=True)
        segments, owner = ((sample * (size + 1) + place) * len(names) + number).flatten().unique(return_inverse=True)
        keys.append(segments // len(names))
        owners.append(owner)
    (key_p, key_t), (of_p, of_t) = keys, owners
    category_p, category_t = key_p % (size + 1), key_t % (size + 1)
    pairs, inter = (of_p * len(key_t) + of_t).unique(return_counts=True)
    p, t = pairs // len(key_t), pairs % len(key_t)
    area_p = inter.new_zeros(len(key_p)).index_add_(0, p, inter)
    area_t = inter.new_zeros(len(key_t)).index_add_(0, t, inter)
    void_p = inter.new_zeros(len(key_p)).index_add_(0, p, torch.where(category_t[t] == size, inter, 0))
    void_t = inter.new_zeros(len(key_t)).index_add_(0, t, torch.where(category_p[p] == size, inter, 0))
    union = area_p[p] + area_t[t] - inter - void_p[p] - void_t[t]
    same = (category_p[p] == category_t[t]) & (category_p[p] < size)
    overlap = torch.where(same, inter / union.clamp_min(1).double(), 0.0)
    loose = modified & (category_p >= len(things))  # any overlap counts, and every target segment once
    matched = same & ((overlap > 0.5) | loose[p])
    found_p = matched.new_zeros(len(key_p)).index_put((p,), matched, accumulate=True)
    found_t = matched.new_zeros(len(key_t)).index_put((t,), matched, accumulate=True)
    loose_t = modified & (category_t >= len(things))
    false_p = ~found_p & ~loose & (2 * void_p <= area_p)
    false_t = ~found_t & ~loose_t & (2 * void_t <= area_t)
    hit_t = torch.where(loose_t, torch.ones_like(found_t), found_t)
    zeros = torch.zeros(size + 1, dtype=torch.float64, device=preds.device)

    def count(category: Tensor, flags: Tensor) -> Tensor:
        return zeros.long().index_add(0, category, flags.long())[:size]

    strays = sides[0][0] == size
    return {
        "iou_sum": zeros.index_add(0, category_p[p], torch.where(matched, overlap, 0.0))[:size],
        "true_positives": count(category_t, hit_t),
        "false_positives": count(category_p, false_p),
        "false_negatives": count(category_t, false_t),
        "invalid": strays.sum() * (not allow_unknown_preds_category),
    }


def panoptic_value(
    iou_sum: Tensor,
    true_positives: Tensor,
    false_positives: Tensor,
    false_negatives: Tensor,
    invalid: Tensor,
    return_sq_and_rq: bool = False,
    return_per_class: bool = False,
) -> Tensor:
    """Returns the quality, its mean over the categories that occur, or of each; with its two factors if asked."""
    found = true_positives + (false_positives + false_negatives) / 2
    quality = iou_sum / found
    segmentation = torch.where(true_positives > 0, iou_sum / true_positives, torch.where(found > 0, 0.0, torch.nan))
    parts = torch.stack([quality, segmentation, true_positives / found], -1)
    if not return_sq_and_rq:
        parts = parts[:, :1]
    if return_per_class:
        return parts if return_sq_and_rq else parts.T
    mean = parts.double().nanmean(0)
    return mean if return_sq_and_rq else mean[0]


def panoptic_quality(
    preds: Any,
    target: Any,
    things: Collection[int],
    stuffs: Collection[int],
    allow_unknown_preds_category: bool = False,
    return_sq_and_rq: bool = False,
    return_per_class: bool = False,
) -> Tensor:
    """Panoptic quality, `sum of IoU of matches / (TP + FP / 2 + FN / 2)`, mean over the categories that occur.

    A predicted and a true segment of one category match if their IoU is above 0.5. Pixels of unknown category are void:
    they count in no IoU, and a segment of which more than half is void on the other side is no error.

    Args:
        preds: `(B, ..., 2)` integers: category and instance of every pixel; the instance of stuff is ignored.
        target: Likewise.
        things: Categories with instances.
        stuffs: Categories without.
        allow_unknown_preds_category: Whether other categories in `preds` are void rather than an error. On an
            accelerator they are void.
        return_sq_and_rq: Whether to give (quality, segmentation quality, recognition quality): the mean IoU of matches,
            and `TP / (TP + FP / 2 + FN / 2)`; quality is their product for each category.
        return_per_class: Whether to give each category: things, then stuffs, sorted.

    Returns:
        Value in [0, 1], float64; `(3,)`, `(1, categories)` or `(categories, 3)` if more is asked for; nan for a
        category that does not occur.

    Raises:
        ValueError: If shapes differ, categories are unknown, or things and stuffs overlap.
        TypeError: If categories are not integers.

    Example:
        >>> from lit_metrics.functional import panoptic_quality
        >>> preds = [[[1, 0], [1, 0], [1, 1], [7, 0]]]
        >>> target = [[[1, 5], [1, 5], [7, 0], [7, 0]]]
        >>> panoptic_quality(preds, target, things={1}, stuffs={7})
        tensor(0.3333, dtype=torch.float64)

    Source:
        Kirillov et al. (2019), "Panoptic Segmentation".
    """
    categories = require_categories(things, stuffs)
    state = panoptic_state(preds, target, *categories, allow_unknown_preds_category, modified=False)
    return panoptic_value(**state, return_sq_and_rq=return_sq_and_rq, return_per_class=return_per_class)


def modified_panoptic_quality(
    preds: Any,
    target: Any,
    things: Collection[int],
    stuffs: Collection[int],
    allow_unknown_preds_category: bool = False,
) -> Tensor:
    """Panoptic quality in which stuff counts its IoU, whatever it is, over its number of true segments.

    Arguments, range and errors as in `panoptic_quality`.

    Example:
        >>> from lit_metrics.functional import modified_panoptic_quality
        >>> preds = [[[1, 0], [1, 0], [1, 1], [7, 0]]]
        >>> target = [[[1, 5], [1, 5], [7, 0], [7, 0]]]
        >>> modified_panoptic_quality(preds, target, things={1}, stuffs={7})
        tensor(0.5833, dtype=torch.float64)

    Source:
        Porzi et al. (2019), "Seamless Scene Segmentation".
    """
    categories = require_categories(things, stuffs)
    state = panoptic_state(preds, target, *categories, allow_unknown_preds_category, modified=True)
    return panoptic_value(**state, return_sq_and_rq=False, return_per_class=False)
