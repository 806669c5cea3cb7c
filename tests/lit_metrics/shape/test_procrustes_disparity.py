"""Procrustes disparity: invariances, edges; scipy stands in its own file."""

from __future__ import annotations

import pytest
import torch

import lit_metrics as lm
import lit_metrics.functional as F


def clouds(n: int, seed: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    g = torch.Generator().manual_seed(seed)
    return torch.randn(n, 6, 3, generator=g).double(), torch.randn(n, 6, 3, generator=g).double()


def test_shift_scale_rotation_and_reflection_do_not_matter() -> None:
    a, b = clouds(4)
    turn, _ = torch.linalg.qr(torch.randn(3, 3, generator=torch.Generator().manual_seed(1)).double())
    expected = F.procrustes_disparity(a, b)
    torch.testing.assert_close(F.procrustes_disparity(a, 7 * b @ turn + 1e3), expected, rtol=1e-9, atol=0)
    torch.testing.assert_close(F.procrustes_disparity(a @ turn - 5, -b), expected, rtol=1e-9, atol=0)
    assert F.procrustes_disparity(a, 3 * a @ turn + 2).max() < 1e-25


def test_small_disparities_keep_their_digits() -> None:
    a, _ = clouds(1)
    direction = torch.zeros_like(a)
    direction[0, 0, 0], direction[0, 1, 0] = 1.0, -1.0
    large, small = (float(F.procrustes_disparity(a, a + eps * direction)) for eps in (1e-5, 1e-9))
    assert small == pytest.approx(large * 1e-8, rel=1e-3)


def test_fit_maps_the_second_cloud_onto_the_first() -> None:
    a, b = clouds(3)
    disparity, scale, rotation = F.procrustes_disparity(a, b, return_all=True)
    a, b = (x - x.mean(1, keepdim=True) for x in (a, b))
    a, b = (x / x.square().sum((1, 2), keepdim=True).sqrt() for x in (a, b))
    assert scale.shape == (3, 1)
    torch.testing.assert_close(rotation @ rotation.mT, torch.eye(3).double().expand(3, 3, 3))
    left = (a - scale[:, :, None] * b @ rotation.mT).square().sum((1, 2))
    torch.testing.assert_close(left, disparity)
    for factor in (0.99, 1.01):  # the scale is the best one
        assert ((a - factor * scale[:, :, None] * b @ rotation.mT).square().sum((1, 2)) > disparity).all()


def test_points_that_agree_have_no_shape() -> None:
    a, b = clouds(2)
    a[0] = 3.0
    disparity, scale, _ = F.procrustes_disparity(a, b, return_all=True)
    assert disparity.isnan().tolist() == [True, False]
    assert scale.isnan().tolist() == [[True], [False]]
    assert disparity[1] == F.procrustes_disparity(a[1:], b[1:])[0]


def test_mean_and_sum_weigh_pairs_and_not_batches() -> None:
    a, b = clouds(5)
    each = F.procrustes_disparity(a, b)
    w = torch.tensor([1.0, 2.0, 0.0, 1.0, 3.0])
    for reduction, expected in (("mean", (each * w).sum() / 7), ("sum", (each * w).sum())):
        metric = lm.ProcrustesDisparity(reduction)  # type: ignore[arg-type]
        metric.update(a[:1], b[:1], w[:1])
        metric.update(a[1:], b[1:], w[1:])
        torch.testing.assert_close(metric.compute(), expected, rtol=1e-12, atol=0)


def test_wrong_arguments_are_refused() -> None:
    a, b = clouds(2)
    with pytest.raises(ValueError, match=r"\(N, M, D\), got \(6, 3\)"):
        F.procrustes_disparity(a[0], b[0])
    with pytest.raises(ValueError, match="point_cloud1 and point_cloud2 must have the same shape"):
        F.procrustes_disparity(a, b[:, :5])
    with pytest.raises(ValueError, match="reduction must be 'mean' or 'sum'"):
        lm.ProcrustesDisparity("none")  # type: ignore[arg-type]
