"""Images with boxes and masks, for the tests of detections."""

from __future__ import annotations

from typing import Any

import torch


def scene(seed: int, images: int = 6, masks: bool = False, size: int = 220) -> tuple[Any, Any]:
    """Returns detections near true boxes, one anywhere in each image, some wrong labels, some crowds."""
    g = torch.Generator().manual_seed(seed)
    preds, target = [], []
    for _ in range(images):
        n = int(torch.randint(1, 5, (), generator=g))
        corner = 40 * torch.rand(n, 2, generator=g, dtype=torch.float64)
        sides = 4 + 60 * torch.rand(n, 2, generator=g, dtype=torch.float64) ** 2
        true = torch.cat([corner, corner + sides], 1)
        moved = true + 0.08 * sides.repeat(1, 2) * torch.randn(n, 4, generator=g, dtype=torch.float64)
        found = torch.cat([moved, torch.tensor([[5.0, 5, 30, 40]], dtype=torch.float64)])
        found[:, 2:] = torch.maximum(found[:, 2:], found[:, :2] + 1)
        scores = torch.rand(n + 1, generator=g, dtype=torch.float64)
        labels = torch.randint(3, (n + 1,), generator=g)
        right = torch.rand(n, generator=g) < 0.8
        true_labels = torch.where(right, labels[:-1], torch.randint(3, (n,), generator=g))
        crowd = (torch.rand(n, generator=g) < 0.15).long()
        preds.append({"boxes": found, "scores": scores, "labels": labels})
        target.append({"boxes": true, "labels": true_labels, "iscrowd": crowd})
    if masks:
        a = torch.arange(float(size)) + 0.5
        for image in (*preds, *target):
            x1, y1, x2, y2 = image["boxes"].T[:, :, None, None]
            inside = (a > x1) & (a < x2) & (a[:, None] > y1) & (a[:, None] < y2)
            image["masks"] = inside & ((a + a[:, None]) % 7 >= 1)
    return preds, target
