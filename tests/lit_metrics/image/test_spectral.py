"""Spectral metrics against golden values, closed forms and invariances."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import pytest
import torch

import lit_metrics as lm
import lit_metrics.functional as F

if TYPE_CHECKING:
    from conftest import Pictures


def test_values_are_those_of_torchmetrics_1_9(pictures: Pictures) -> None:
    images = pictures(24, 30)
    assert float(F.spectral_angle_mapper(*images)) == pytest.approx(0.024040072916627894)
    assert float(F.error_relative_global_dimensionless_synthesis(*images)) == pytest.approx(2.728315121196186)
    assert float(F.spectral_distortion_index(*images)) == pytest.approx(0.14320281147956848, abs=1e-6)
    assert float(F.universal_image_quality_index(*images)) == pytest.approx(0.8894028890999393)


def test_angles_of_right_opposite_equal_and_nearly_equal_spectra_are_exact() -> None:
    u = torch.tensor([1.0, 0.0], dtype=torch.float64).reshape(1, 2, 1, 1)
    for vector, angle in (([0.0, 2.0], math.pi / 2), ([-3.0, 0.0], math.pi), ([5.0, 0.0], 0.0), ([1.0, 1e-9], 1e-9)):
        v = torch.tensor(vector, dtype=torch.float64).reshape(1, 2, 1, 1)
        assert float(F.spectral_angle_mapper(u, v)) == pytest.approx(angle, rel=1e-12)
    assert math.isnan(F.spectral_angle_mapper(0 * u, u))


def test_error_scales_with_the_ratio_of_resolutions(pictures: Pictures) -> None:
    images = pictures(8, 9)
    four = F.error_relative_global_dimensionless_synthesis(*images, ratio=4)
    assert float(F.error_relative_global_dimensionless_synthesis(*images, ratio=2)) == pytest.approx(2 * float(four))


def test_larger_exponents_weight_large_differences_more(pictures: Pictures) -> None:
    preds, target = pictures(16, 16, channels=3)
    values = [float(F.spectral_distortion_index(preds, target, p)) for p in (1, 2, 8)]
    assert values == sorted(values)
    assert values[0] < values[2]


def test_resolutions_may_differ(pictures: Pictures) -> None:
    preds, _ = pictures(24, 24)
    low = preds[..., ::2, ::2]
    pan = preds.mean(1, keepdim=True).expand_as(preds)
    images = {"ms": low, "pan": pan, "pan_lr": pan[..., ::2, ::2]}
    d_lambda, d_s = F.spectral_distortion_index(preds, low), F.spatial_distortion_index(preds, **images)
    value = F.quality_with_no_reference(preds, **images, alpha=2, beta=3)
    assert float(value) == pytest.approx(float((1 - d_lambda) ** 2 * (1 - d_s) ** 3))
    metric = lm.QualityWithNoReference(alpha=2, beta=3)
    metric.update(preds, images)
    assert float(metric.compute()) == pytest.approx(float(value))


def test_missing_low_resolution_is_a_moving_mean_made_smaller() -> None:
    pan = torch.full((1, 2, 24, 24), 3.0) + torch.arange(24.0)  # linear: means and interpolation keep it inside
    ms = torch.rand(1, 2, 12, 12, generator=torch.Generator().manual_seed(0))
    metric = lm.SpatialDistortionIndex(window_size=1)
    metric.update(pan, ms, pan)
    given = F.spatial_distortion_index(pan, ms, pan, (3.5 + 2 * torch.arange(12.0)).expand(1, 2, 12, 12))
    assert float(metric.compute()) == pytest.approx(float(given), abs=1e-9)


def test_distortion_of_many_images_is_that_of_mean_qualities(pictures: Pictures) -> None:
    """Not the mean of distortions: signs may cancel between images before the absolute value."""
    preds, target = pictures(16, 16)
    metric = lm.SpectralDistortionIndex()
    metric.update(preds, target)
    metric.update(target, preds)
    assert float(metric.compute()) == pytest.approx(0, abs=1e-12)


def test_wrong_inputs_are_refused() -> None:
    one = torch.rand(1, 1, 16, 16)
    with pytest.raises(ValueError, match="at least two channels"):
        F.spectral_angle_mapper(one, one)
    with pytest.raises(ValueError, match="at least two channels"):
        F.spectral_distortion_index(one, one)
    with pytest.raises(ValueError, match="same number of images and channels"):
        F.spectral_distortion_index(one, torch.rand(1, 2, 16, 16))
    with pytest.raises(ValueError, match="p must be a positive integer"):
        lm.SpectralDistortionIndex(p=0)
    with pytest.raises(ValueError, match="ratio must be positive"):
        lm.ErrorRelativeGlobalDimensionlessSynthesis(ratio=0)
    with pytest.raises(ValueError, match="alpha and beta"):
        lm.QualityWithNoReference(alpha=-1)
    with pytest.raises(ValueError, match="expected the images ms and pan"):
        lm.SpatialDistortionIndex().update(one, {"ms": one})
    with pytest.raises(ValueError, match="pan_lr and ms"):
        F.spatial_distortion_index(one, one, one, one[..., ::2])
