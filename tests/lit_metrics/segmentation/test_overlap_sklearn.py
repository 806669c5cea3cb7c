"""IoU and Dice of all pixels against scikit-learn."""

from __future__ import annotations

import numpy as np
import pytest
import torch

import lit_metrics as lm

sk = pytest.importorskip("sklearn.metrics")


def draw() -> tuple[torch.Tensor, torch.Tensor]:
    g = torch.Generator().manual_seed(0)
    return torch.randint(4, (6, 9, 8), generator=g), torch.randint(3, (6, 9, 8), generator=g)


@pytest.mark.parametrize("per_class", [False, True])
def test_global_iou_is_the_jaccard_score_of_all_pixels(per_class: bool) -> None:
    p, t = draw()
    metric = lm.MeanIoU(4, per_class=per_class, input_format="index", aggregation_level="global")
    metric.update(p[:2], t[:2])
    metric.update(p[2:], t[2:])
    expected = sk.jaccard_score(t.flatten(), p.flatten(), average=None if per_class else "macro")
    np.testing.assert_allclose(metric.compute().numpy(), expected, rtol=1e-12)


@pytest.mark.parametrize("average", ["micro", "macro", "weighted", None])
def test_global_dice_is_the_f1_score_of_all_pixels(average: str | None) -> None:
    p, t = draw()
    metric = lm.DiceScore(4, average=average, aggregation_level="global", input_format="index")  # type: ignore[arg-type]
    metric.update(p[:2], t[:2])
    metric.update(p[2:], t[2:])
    expected = sk.f1_score(t.flatten(), p.flatten(), average=average)
    np.testing.assert_allclose(metric.compute().numpy(), expected, rtol=1e-12)
