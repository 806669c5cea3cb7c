"""Hausdorff distance against scipy, outlines by erosion."""

from __future__ import annotations

import pytest
import torch

import lit_metrics.functional as F

distance = pytest.importorskip("scipy.spatial.distance")
ndimage = pytest.importorskip("scipy.ndimage")


@pytest.mark.parametrize("shape", [(14, 11), (6, 7, 5)])
@pytest.mark.parametrize("directed", [False, True])
def test_distances_equal_scipy(shape: tuple[int, ...], directed: bool) -> None:
    g = torch.Generator().manual_seed(0)
    p, t = (torch.rand(3, *shape, generator=g) < 0.7).long(), (torch.rand(3, *shape, generator=g) < 0.5).long()
    value = F.hausdorff_distance(p, t, 2, directed=directed, input_format="index")
    for n in range(3):
        masks = [p[n].bool().numpy(), t[n].bool().numpy()]
        points = [torch.from_numpy(mask & ~ndimage.binary_erosion(mask)).nonzero().numpy() for mask in masks]
        there = distance.directed_hausdorff(points[0], points[1])[0]
        back = distance.directed_hausdorff(points[1], points[0])[0]
        assert float(value[n, 0]) == pytest.approx(there if directed else max(there, back), rel=1e-12)
