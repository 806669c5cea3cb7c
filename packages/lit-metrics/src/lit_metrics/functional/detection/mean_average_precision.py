"""Mean average precision and recall of detections, by the rules of COCO."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

import numpy as np
import torch
from torch import Tensor

from lit_metrics._inputs import as_tensor
from lit_metrics.functional.detection._boxes import (
    BoxFormat,
    as_boxes,
    entry,
    labels_of,
    require_box_format,
    require_images,
    to_corners,
)
from lit_metrics.functional.detection._matching import (
    AREA_NAMES,
    AREA_RANGES,
    HIT,
    MISS,
    Group,
    Objects,
    box_overlaps,
    groups_of,
    match,
    share,
)

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Array = NDArray[Any]

IouType: TypeAlias = Literal["bbox", "segm"]
MapAverage: TypeAlias = Literal["macro", "micro"]
_PIXELS_AT_ONCE = 1 << 18


@dataclass(frozen=True)
class MapConfig:
    """How detections are matched and averaged; the arguments of `mean_average_precision`.

    Attributes:
        views: For each evaluation its name, the geometry, and whether all classes count as one.
    """

    box_format: BoxFormat
    iou_types: tuple[IouType, ...]
    iou_thresholds: tuple[float, ...]
    rec_thresholds: tuple[float, ...]
    max_detections: tuple[int, ...]
    class_metrics: bool
    extended_summary: bool
    average: MapAverage

    @property
    def views(self) -> list[tuple[str, IouType, bool]]:
        """The evaluations: one for each geometry, and with micro average another one by class if that is asked for."""
        pooled = self.average == "micro"
        views: list[tuple[str, IouType, bool]] = [(kind, kind, pooled) for kind in self.iou_types]
        if pooled and self.class_metrics:
            views.extend((f"{kind}_by_class", kind, False) for kind in self.iou_types)
        return views

    @property
    def states(self) -> list[str]:
        """Names of the list states."""
        parts = ("detections", "matches", "positives", *(("ious", "shapes") if self.extended_summary else ()))
        return ["labels", *(f"{name}_{part}" for name, _, _ in self.views for part in parts)]


def make_config(
    box_format: Any,
    iou_type: Any,
    iou_thresholds: Any,
    rec_thresholds: Any,
    max_detection_thresholds: Any,
    class_metrics: Any,
    extended_summary: Any,
    average: Any,
) -> MapConfig:
    """Returns the checked arguments.

    Raises:
        ValueError: If one is none of its choices or out of range.
    """
    require_box_format(box_format)
    kinds = (iou_type,) if isinstance(iou_type, str) else tuple(iou_type)
    if not kinds or any(kind not in ("bbox", "segm") for kind in kinds):
        raise ValueError(f"iou_type must be 'bbox', 'segm' or a tuple of them, got {iou_type!r}")
    if average not in ("macro", "micro"):
        raise ValueError(f"average must be 'macro' or 'micro', got {average!r}")
    for name, flag in (("class_metrics", class_metrics), ("extended_summary", extended_summary)):
        if not isinstance(flag, bool):
            raise ValueError(f"{name} must be a bool, got {flag!r}")
    overlaps = np.linspace(0.5, 0.95, 10) if iou_thresholds is None else np.asarray(iou_thresholds, dtype=float)
    recalls = np.linspace(0.0, 1.0, 101) if rec_thresholds is None else np.asarray(rec_thresholds, dtype=float)
    for name, values in (("iou_thresholds", overlaps), ("rec_thresholds", recalls)):
        if values.ndim != 1 or not len(values) or values.min() < 0 or values.max() > 1:
            raise ValueError(f"{name} must be a list of numbers in [0, 1], got {values.tolist()}")
    most = [1, 10, 100] if max_detection_thresholds is None else list(max_detection_thresholds)
    if not most or any(not isinstance(m, int) or isinstance(m, bool) or m < 1 for m in most):
        raise ValueError(f"max_detection_thresholds must be positive integers, got {max_detection_thresholds!r}")
    return MapConfig(
        box_format,
        kinds,
        tuple(overlaps.tolist()),
        tuple(recalls.tolist()),
        tuple(sorted(most)),
        class_metrics,
        extended_summary,
        average,
    )


def _array(tensor: Tensor) -> Array:
    array: Array = tensor.detach().cpu().numpy()
    return array


def _masks(image: Mapping[str, Any], name: str) -> Tensor:
    masks = as_tensor(entry(image, "masks", name), f"masks of {name}")
    if masks.ndim != 3 and masks.numel():
        raise ValueError(f"masks of {name} must have shape (N, height, width), got {tuple(masks.shape)}")
    return (masks != 0).flatten(1) if masks.ndim == 3 else masks.new_zeros(0, 0, dtype=torch.bool)


def _mask_overlaps(found: Tensor, true: Tensor, crowd: Array) -> tuple[Array, Array, Array]:
    """Returns overlaps `(D, G)` of masks `(D, pixels)` and `(G, pixels)`, and their areas."""
    inter = np.zeros((len(found), len(true)))
    if len(found) and len(true):
        if found.shape[1] != true.shape[1]:
            raise ValueError(f"masks of an image must have one size, got {found.shape[1]} and {true.shape[1]} pixels")
        for a, b in zip(found.split(_PIXELS_AT_ONCE, 1), true.split(_PIXELS_AT_ONCE, 1), strict=True):
            inter += _array(a.float() @ b.float().T)  # counts below 2^24 are exact
    area_found, area_true = _array(found.sum(1)).astype(float), _array(true.sum(1)).astype(float)
    return share(inter, area_found, area_true, crowd), area_found, area_true


def _image(
    found: Mapping[str, Any], true: Mapping[str, Any], kind: IouType, box_format: BoxFormat
) -> tuple[Objects, Objects, Array]:
    """Returns detections, true objects and overlaps of one image."""
    if kind == "bbox":
        boxes_p = as_boxes(entry(found, "boxes", "preds"), "boxes of preds").double()
        boxes_t = as_boxes(entry(true, "boxes", "target"), "boxes of target").double()
        crowd = _crowd(true, len(boxes_t))
        corners_p, corners_t = _array(to_corners(boxes_p, box_format)), _array(to_corners(boxes_t, box_format))
        area_p, area_t = ((c[:, 2:] - c[:, :2]).prod(1) for c in (corners_p, corners_t))
        overlaps = box_overlaps(corners_p, corners_t, crowd)
    else:
        masks_p, masks_t = _masks(found, "preds"), _masks(true, "target")
        crowd = _crowd(true, len(masks_t))
        overlaps, area_p, area_t = _mask_overlaps(masks_p, masks_t, crowd)
    scores = _array(as_tensor(entry(found, "scores", "preds"), "scores").double().reshape(-1))
    _require_length(scores, len(area_p), "scores")
    if np.isnan(scores).any():
        raise ValueError("scores of preds must not be nan")
    if "area" in true:
        given = _array(as_tensor(true["area"], "area").double().reshape(-1))
        _require_length(given, len(area_t), "area")
        area_t = np.where(given > 0, given, area_t)
    labels_p = _array(labels_of(found, len(area_p), "preds"))
    labels_t = _array(labels_of(true, len(area_t), "target"))
    nothing = np.zeros(len(area_p), dtype=bool)
    return (
        Objects(labels_p, area_p, scores, nothing),
        Objects(labels_t, area_t, np.zeros(len(area_t)), crowd),
        overlaps,
    )


def _crowd(true: Mapping[str, Any], count: int) -> Array:
    crowd: Array = _array(as_tensor(true.get("iscrowd", [0] * count), "iscrowd").reshape(-1)) != 0
    _require_length(crowd, count, "iscrowd")
    return crowd


def _require_length(values: Array, count: int, name: str) -> None:
    if len(values) != count:
        raise ValueError(f"{name} must have one entry for each box or mask, got {len(values)} and {count}")


def _pool(objects: Objects) -> Objects:
    return Objects(np.zeros_like(objects.labels), objects.areas, objects.scores, objects.crowd)


def map_state(
    preds: Sequence[Mapping[str, Any]], target: Sequence[Mapping[str, Any]], config: MapConfig
) -> dict[str, Tensor]:
    """Returns the matches of a batch of images, as flat tensors.

    For each view: `detections`, rows (class, score, rank in image and class); `matches`, rows of one status for each
    area range and threshold; `positives`, rows (class, objects that count for each area range); and for the extended
    summary `ious`, all overlaps, and `shapes`, rows (starts an image, class, detections, objects).
    """
    require_images(preds, target)
    images = {
        kind: [_image(p, t, kind, config.box_format) for p, t in zip(preds, target, strict=True)]
        for kind in config.iou_types
    }
    first = images[config.iou_types[0]]
    labels = np.unique(np.concatenate([x.labels for found, true, _ in first for x in (found, true)]))
    state: dict[str, Array] = {"labels": labels}
    for name, kind, pooled in config.views:
        groups: list[Group] = []
        for i, (found, true, overlaps) in enumerate(images[kind]):
            pair = (_pool(found), _pool(true)) if pooled else (found, true)
            groups.extend(groups_of(i, *pair, overlaps, config.max_detections[-1]))
        state |= {f"{name}_{part}": value for part, value in _flat(groups, config).items()}
        if config.extended_summary:
            flat = [group.overlaps.reshape(-1) for group in groups]
            state[f"{name}_ious"] = np.concatenate([np.empty(0), *flat])
            state[f"{name}_shapes"] = _shapes(groups, len(preds))
    return {name: torch.from_numpy(np.ascontiguousarray(value)) for name, value in state.items()}


def _flat(groups: list[Group], config: MapConfig) -> dict[str, Array]:
    statuses = match(groups, np.array(config.iou_thresholds))
    width = len(AREA_RANGES) * len(config.iou_thresholds)
    labels = np.repeat(np.array([g.label for g in groups], dtype=float), [len(g.scores) for g in groups])
    ranks = np.concatenate([np.empty(0), *(np.arange(len(g.scores)) for g in groups)])
    scores = np.concatenate([np.empty(0), *(g.scores for g in groups)])
    counted = [np.array([g.label, *(~g.ignored).sum(1)]) for g in groups if g.ignored.shape[1]]
    return {
        "detections": np.stack([labels, scores, ranks], 1),
        "matches": np.concatenate([np.empty((0, width), np.uint8), *(s.reshape(-1, width) for s in statuses)]),
        "positives": np.stack(counted) if counted else np.empty((0, 1 + len(AREA_RANGES)), dtype=np.int64),
    }


def _shapes(groups: list[Group], num_images: int) -> Array:
    rows = []
    for i in range(num_images):
        mine = [g for g in groups if g.image == i]
        rows.append([1, 0, -1, -1])
        rows.extend([0, g.label, *g.overlaps.shape] for g in mine)
    return np.array(rows, dtype=np.int64).reshape(-1, 4)


@dataclass(frozen=True)
class _Curves:
    """Precision `(T, R, K, A, M)` and its scores, and recall `(T, K, A, M)`; nan for classes without objects."""

    classes: list[int]
    precision: Array
    recall: Array
    scores: Array


def _curves(detections: Array, matches: Array, positives: Array, config: MapConfig) -> _Curves:
    recalls = np.array(config.rec_thresholds)
    classes = np.union1d(detections[:, 0], positives[:, 0]).astype(np.int64)
    shape = (len(config.iou_thresholds), len(recalls), len(classes), len(AREA_RANGES), len(config.max_detections))
    precision, scores = np.full(shape, np.nan), np.full(shape, np.nan)
    recall = np.full((shape[0], *shape[2:]), np.nan)
    order = np.argsort(-detections[:, 1], kind="stable")
    for k, label in enumerate(classes):
        mine = order[detections[order, 0] == label]
        number = positives[positives[:, 0] == label, 1:].sum(0)
        status = matches[mine].reshape(len(mine), len(AREA_RANGES), shape[0])
        for a in np.flatnonzero(number):
            for m, most in enumerate(config.max_detections):
                kept = detections[mine, 2] < most
                here = status[kept, a]
                hits, misses = (here == HIT).cumsum(0), (here == MISS).cumsum(0)
                rate = hits / number[a]
                recall[:, k, a, m] = rate[-1] if len(rate) else 0.0
                if not config.extended_summary and most != config.max_detections[-1]:
                    continue
                exact = hits / (hits + misses + np.spacing(1))
                exact = np.maximum.accumulate(exact[::-1])[::-1]
                for t in range(shape[0]):
                    at = np.searchsorted(rate[:, t], recalls, side="left")
                    reached = at < len(rate)
                    precision[t, :, k, a, m] = 0.0
                    scores[t, :, k, a, m] = 0.0
                    precision[t, reached, k, a, m] = exact[at[reached], t]
                    scores[t, reached, k, a, m] = detections[mine[kept], 1][at[reached]]
    return _Curves(classes.tolist(), precision, recall, scores)


def _mean(values: Array) -> Tensor:
    defined = values[~np.isnan(values)]
    return torch.tensor(defined.mean() if len(defined) else np.nan, dtype=torch.float64)


def _summary(curves: _Curves, config: MapConfig) -> dict[str, Tensor]:
    precision, recall = curves.precision[..., -1], curves.recall
    value = {"map": _mean(precision[..., 0])}
    for limit in (0.5, 0.75):
        at = np.flatnonzero(np.isclose(config.iou_thresholds, limit))
        value[f"map_{round(100 * limit)}"] = _mean(precision[at, ..., 0])
    for a in range(1, len(AREA_NAMES)):
        value[f"map_{AREA_NAMES[a]}"] = _mean(precision[..., a])
    for m, most in enumerate(config.max_detections):
        value[f"mar_{most}"] = _mean(recall[:, :, 0, m])
    for a in range(1, len(AREA_NAMES)):
        value[f"mar_{AREA_NAMES[a]}"] = _mean(recall[:, :, a, -1])
    return value


def _by_class(curves: _Curves, labels: list[int]) -> tuple[Tensor, Tensor]:
    """Returns average precision and recall of each label."""
    nothing = torch.tensor(torch.nan, dtype=torch.float64)
    found: dict[int, tuple[Tensor, Tensor]] = {
        label: (_mean(curves.precision[:, :, k, 0, -1]), _mean(curves.recall[:, k, 0, -1]))
        for k, label in enumerate(curves.classes)
    }
    pairs = [found.get(label, (nothing, nothing)) for label in labels]
    empty = torch.empty(0, dtype=torch.float64)
    return (
        torch.stack([p for p, _ in pairs]) if pairs else empty,
        torch.stack([r for _, r in pairs]) if pairs else empty,
    )


def _overlaps(ious: Tensor, shapes: Tensor) -> dict[tuple[int, int], Tensor]:
    """Returns overlaps `(D, G)` by image and class."""
    value, at, image = {}, 0, -1
    for starts, label, rows, columns in shapes.tolist():
        if starts:
            image += 1
        else:
            value[image, label] = ious[at : at + rows * columns].view(rows, columns)
            at += rows * columns
    return value


def map_value(state: Mapping[str, Sequence[Tensor]], config: MapConfig) -> dict[str, Any]:
    """Returns all values from the list states of `map_state`."""
    value: dict[str, Any] = {}
    labels = torch.cat([torch.empty(0, dtype=torch.long), *(x.cpu() for x in state["labels"])]).unique()
    width = len(AREA_RANGES) * len(config.iou_thresholds)

    def joined(name: str, columns: int) -> Array:
        parts = [_array(part).reshape(-1, columns) for part in state[name]]
        return np.concatenate(parts) if parts else np.empty((0, columns))

    curves = {
        name: _curves(
            joined(f"{name}_detections", 3),
            joined(f"{name}_matches", width),
            joined(f"{name}_positives", 1 + len(AREA_RANGES)),
            config,
        )
        for name, _, _ in config.views
    }
    for kind in config.iou_types:
        prefix = f"{kind}_" if len(config.iou_types) > 1 else ""
        one = curves[kind]
        part: dict[str, Any] = dict(_summary(one, config))
        if config.extended_summary:
            ious = torch.cat([torch.empty(0, dtype=torch.float64), *(x.cpu() for x in state[f"{kind}_ious"])])
            shapes = torch.cat([torch.empty(0, 4, dtype=torch.long), *(x.cpu() for x in state[f"{kind}_shapes"])])
            part["ious"] = _overlaps(ious, shapes)
            for name in ("precision", "recall", "scores"):
                part[name] = torch.from_numpy(getattr(one, name))
        by_class = torch.tensor(torch.nan, dtype=torch.float64), torch.tensor(torch.nan, dtype=torch.float64)
        if config.class_metrics:
            by_class = _by_class(curves.get(f"{kind}_by_class", one), labels.tolist())
        part["map_per_class"], part[f"mar_{config.max_detections[-1]}_per_class"] = by_class
        value |= {prefix + name: entry_ for name, entry_ in part.items()}
    value["classes"] = labels
    return value


def mean_average_precision(
    preds: Sequence[Mapping[str, Any]],
    target: Sequence[Mapping[str, Any]],
    box_format: BoxFormat = "xyxy",
    iou_type: IouType | tuple[IouType, ...] = "bbox",
    iou_thresholds: Sequence[float] | None = None,
    rec_thresholds: Sequence[float] | None = None,
    max_detection_thresholds: Sequence[int] | None = None,
    class_metrics: bool = False,
    extended_summary: bool = False,
    average: MapAverage = "macro",
) -> dict[str, Any]:
    """Mean average precision and recall of detections, by the rules of COCO.

    Detections of an image and class are matched, best score first, to the free object of largest overlap that reaches
    the threshold. Crowds may be matched often, and matches with crowds or with objects outside of an area range do not
    count. Precision is made non-increasing in recall and read at `rec_thresholds`. Areas below 32^2 pixels are small,
    above 96^2 large. Equal scores count in the order of images.

    Args:
        preds: One dictionary per image: `scores` `(N,)`, `labels` `(N,)`, and `boxes` `(N, 4)` or, for `"segm"`,
            boolean `masks` `(N, height, width)`.
        target: One dictionary per image: `labels`, `boxes` or `masks`, and optionally `iscrowd` and `area`; an area
            that is missing or 0 is that of the box or mask.
        box_format: `"xyxy"` corners, `"xywh"` corner and size, or `"cxcywh"` centre and size, in pixels.
        iou_type: `"bbox"`, `"segm"`, or both as a tuple; then names begin with `bbox_` and `segm_`.
        iou_thresholds: Overlaps in [0, 1]; 0.5, 0.55, ..., 0.95 by default.
        rec_thresholds: Recalls in [0, 1]; 0, 0.01, ..., 1 by default.
        max_detection_thresholds: Numbers of best detections of an image and class; `[1, 10, 100]` by default.
        class_metrics: Whether to give `map_per_class` and `mar_<most>_per_class`, in the order of `classes`.
        extended_summary: Whether to give `ious` by (image, class), `precision` `(T, R, K, A, M)`, `recall`
            `(T, K, A, M)` and `scores` as well: T overlaps, R recalls, K classes, A areas (all, small, medium, large),
            M numbers of detections.
        average: `"macro"` is the mean over classes, `"micro"` treats all classes as one.

    Returns:
        `map`, `map_50`, `map_75`, `map_small`, `map_medium`, `map_large`, `mar_<n>` for each number of detections,
        `mar_small`, `mar_medium`, `mar_large`, `map_per_class`, `mar_<most>_per_class` and `classes`; float64. All but
        `mar_<n>` allow the largest number of detections. nan where there is no object to find.

    Raises:
        ValueError: If an argument or a shape is none of these.
        TypeError: If the inputs are not lists of dictionaries, or labels are not integers.

    Example:
        >>> from lit_metrics.functional import mean_average_precision
        >>> preds = [{"boxes": [[0.0, 0.0, 50.0, 40.0]], "scores": [0.9], "labels": [3]}]
        >>> target = [{"boxes": [[0.0, 0.0, 40.0, 40.0]], "labels": [3]}]
        >>> value = mean_average_precision(preds, target)
        >>> value["map"], value["map_small"], value["classes"]
        (tensor(0.7000, dtype=torch.float64), tensor(nan, dtype=torch.float64), tensor([3]))

    Source:
        Lin et al. (2014), "Microsoft COCO: Common Objects in Context", and the evaluation of pycocotools, which gives
        -1 instead of nan and, for `map`, only ever looks at 100 detections.
    """
    config = make_config(
        box_format,
        iou_type,
        iou_thresholds,
        rec_thresholds,
        max_detection_thresholds,
        class_metrics,
        extended_summary,
        average,
    )
    if not len(preds) and not len(target):
        return map_value({name: [] for name in config.states}, config)
    state = map_state(preds, target, config)
    return map_value({name: [value] for name, value in state.items()}, config)
