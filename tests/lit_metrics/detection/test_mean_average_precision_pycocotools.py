"""Mean average precision against pycocotools, where it is installed."""

from __future__ import annotations

import contextlib
import io
from typing import Any

import numpy as np
import pytest

import lit_metrics as lm
from tests.lit_metrics.detection.scenes import scene

coco = pytest.importorskip("pycocotools.coco")
cocoeval = pytest.importorskip("pycocotools.cocoeval")
mask_api = pytest.importorskip("pycocotools.mask")

SIZE = 220
NAMES = ["map", "map_50", "map_75", "map_small", "map_medium", "map_large"]
NAMES += ["mar_1", "mar_10", "mar_100", "mar_small", "mar_medium", "mar_large"]


def geometry(image: Any, j: int, kind: str) -> dict[str, Any]:
    x1, y1, x2, y2 = image["boxes"][j].tolist()
    if kind == "bbox":
        return {"bbox": [x1, y1, x2 - x1, y2 - y1]}
    return {"segmentation": mask_api.encode(np.asfortranarray(image["masks"][j].numpy().astype(np.uint8)))}


def evaluate(preds: Any, target: Any, kind: str, pooled: bool) -> Any:
    true: list[dict[str, Any]] = []
    found: list[dict[str, Any]] = []
    for i, (p, t) in enumerate(zip(preds, target, strict=True)):
        for j, label in enumerate(t["labels"].tolist()):
            sides = t["boxes"][j, 2:] - t["boxes"][j, :2]
            area = float(sides.prod() if kind == "bbox" else t["masks"][j].sum())
            rest = {"id": len(true) + 1, "iscrowd": int(t["iscrowd"][j]), "area": area}
            true.append({"image_id": i, "category_id": 0 if pooled else label, **rest, **geometry(t, j, kind)})
        for j, label in enumerate(p["labels"].tolist()):
            score = {"score": float(p["scores"][j])}
            found.append({"image_id": i, "category_id": 0 if pooled else label, **score, **geometry(p, j, kind)})
    with contextlib.redirect_stdout(io.StringIO()):
        data = coco.COCO()
        data.dataset = {
            "info": {},
            "images": [{"id": i, "height": SIZE, "width": SIZE} for i in range(len(preds))],
            "annotations": true,
            "categories": [{"id": k} for k in sorted({x["category_id"] for x in true + found})],
        }
        data.createIndex()
        result = cocoeval.COCOeval(data, data.loadRes(found), kind)
        result.evaluate()
        result.accumulate()
        result.summarize()
    return result


@pytest.mark.parametrize("kind", ["bbox", "segm"])
@pytest.mark.parametrize("pooled", [False, True])
@pytest.mark.parametrize("ties", [False, True])
def test_every_number_equals_pycocotools(kind: Any, pooled: bool, ties: bool) -> None:
    preds, target = scene(11, images=12, masks=kind == "segm", size=SIZE)
    if ties:
        preds = [{**image, "scores": (3 * image["scores"]).round() / 3} for image in preds]
    expected = evaluate(preds, target, kind, pooled)
    average: Any = "micro" if pooled else "macro"
    metric = lm.MeanAveragePrecision(iou_type=kind, average=average, extended_summary=True)
    for i in range(0, 12, 5):
        metric.update(preds[i : i + 5], target[i : i + 5])
    value = metric.compute()
    summary = np.where(expected.stats == -1, np.nan, expected.stats)
    np.testing.assert_allclose([float(value[name]) for name in NAMES], summary, rtol=1e-12)
    for name in ("precision", "recall", "scores"):
        table = np.where(expected.eval[name] == -1, np.nan, expected.eval[name])
        np.testing.assert_allclose(value[name].numpy(), table, rtol=1e-12)
