"""Mean average precision and recall of detections."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from lit_metrics.functional.detection._boxes import BoxFormat
from lit_metrics.functional.detection.mean_average_precision import (
    IouType,
    MapAverage,
    make_config,
    map_state,
    map_value,
)
from lit_metrics.metric import Metric


class MeanAveragePrecision(Metric):
    """Mean average precision and recall by the rules of COCO; see `lit_metrics.functional.mean_average_precision`.

    Detections are matched to objects in `update`, on the host; the state is a few bytes for each detection (its class,
    score, rank, and one status for each area range and threshold), never boxes or masks.

    Other arguments: see there and `Metric`.

    Args:
        backend: Accepted and without effect: there is one implementation.

    Raises:
        ValueError: If an argument is none of these.

    Example:
        >>> from lit_metrics import MeanAveragePrecision
        >>> metric = MeanAveragePrecision()
        >>> preds = [{"boxes": [[0.0, 0.0, 50.0, 40.0]], "scores": [0.9], "labels": [3]}]
        >>> metric.update(preds, [{"boxes": [[0.0, 0.0, 40.0, 40.0]], "labels": [3]}])
        >>> metric.compute()["map"]
        tensor(0.7000, dtype=torch.float64)
    """

    higher_is_better = True
    is_differentiable = False
    pure_update = True

    def __init__(
        self,
        box_format: BoxFormat = "xyxy",
        iou_type: IouType | tuple[IouType, ...] = "bbox",
        iou_thresholds: Sequence[float] | None = None,
        rec_thresholds: Sequence[float] | None = None,
        max_detection_thresholds: Sequence[int] | None = None,
        class_metrics: bool = False,
        extended_summary: bool = False,
        average: MapAverage = "macro",
        backend: str = "pycocotools",
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.backend = backend
        self.config = make_config(
            box_format,
            iou_type,
            iou_thresholds,
            rec_thresholds,
            max_detection_thresholds,
            class_metrics,
            extended_summary,
            average,
        )
        for name in self.config.states:
            self.add_state(name, [], dist_reduce_fx="cat")

    def update(self, preds: Sequence[Mapping[str, Any]], target: Sequence[Mapping[str, Any]]) -> None:
        """Matches the detections of some images.

        Args:
            preds: One dictionary per image with `scores`, `labels`, and `boxes` or `masks`.
            target: One dictionary per image with `labels`, `boxes` or `masks`, and optionally `iscrowd` and `area`.
        """
        state = map_state(preds, target, self.config)
        self.accumulate({name: value.to(self.device) for name, value in state.items()})

    def compute(self) -> dict[str, Any]:
        """Returns all values by name; nan where there was no object to find."""
        state = {k: v if isinstance(v, list) else [v] for k, v in self.metric_state.items()}
        return map_value(state, self.config)
