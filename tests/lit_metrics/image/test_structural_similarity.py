"""Structural similarity against scikit-image, closed forms and itself on parts."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import pytest
import torch

import lit_metrics as lm
import lit_metrics.functional as F

if TYPE_CHECKING:
    from conftest import Pictures

ssim = F.structural_similarity_index_measure
ms_ssim = F.multiscale_structural_similarity_index_measure


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({}, 0.8931989789922663),
        ({"sigma": 1.0}, 0.8115425802620959),
        ({"gaussian_kernel": False, "kernel_size": 7}, 0.9288190006489407),
        ({"k1": 0.02, "k2": 0.05}, 0.8992930831853022),
        ({"data_range": 2.5}, 0.9092753198769999),
    ],
)
def test_values_are_those_of_scikit_image_0_26(pictures: Pictures, options: dict[str, Any], expected: float) -> None:
    """structural_similarity(channel_axis=0, gaussian_weights=..., sigma=..., use_sample_covariance=False)."""
    assert float(ssim(*pictures(24, 30), **{"data_range": 1.0, **options})) == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize(
    ("options", "expected"),
    [({}, 0.8932457841801688), ({"gaussian_kernel": False, "kernel_size": 5}, 0.8985874985788431)],
)
def test_volumes_have_the_values_of_scikit_image_0_26(
    pictures: Pictures, options: dict[str, Any], expected: float
) -> None:
    volumes = pictures(12, 13, 14, channels=1)
    assert float(ssim(*volumes, data_range=1.0, **options)) == pytest.approx(expected, abs=1e-12)


def test_windows_may_differ_by_dimension(pictures: Pictures) -> None:
    preds, target = pictures(24, 30)
    turned = ssim(preds.mT, target.mT, sigma=(2.0, 1.0), data_range=1.0)
    assert float(ssim(preds, target, sigma=(1.0, 2.0), data_range=1.0)) == pytest.approx(float(turned), abs=1e-12)
    assert abs(float(turned) - float(ssim(preds, target, sigma=(2.0, 1.0), data_range=1.0))) > 1e-4


def test_constant_images_have_the_closed_form() -> None:
    """Without variance only the means count: (2ab + c1) / (a^2 + b^2 + c1)."""
    a, b, c1 = 0.3, 0.7, 0.01**2
    flat = torch.ones(1, 1, 16, 16, dtype=torch.float64)
    value = ssim(a * flat, b * flat, data_range=1.0)
    assert float(value) == pytest.approx((2 * a * b + c1) / (a * a + b * b + c1), abs=1e-14)


def test_pair_of_range_clamps_both_images(pictures: Pictures) -> None:
    preds, target = pictures(16, 16)
    clamped = ssim(preds.clamp(0.2, 0.8), target.clamp(0.2, 0.8), data_range=0.8 - 0.2)
    assert float(ssim(preds, target, data_range=(0.2, 0.8))) == pytest.approx(float(clamped), abs=1e-14)


def test_an_offset_of_a_million_costs_no_digits(pictures: Pictures) -> None:
    preds, target = (x * 1024 for x in pictures(16, 16))
    preds, target = preds.round(), target.round()  # integers survive the offset exactly
    _, plain = ssim(preds, target, data_range=1024.0, return_contrast_sensitivity=True)
    _, moved = ssim(preds + 1e6, target + 1e6, data_range=1024.0, return_contrast_sensitivity=True)
    assert float(moved) == pytest.approx(float(plain), rel=1e-12)
    _, single = ssim((preds + 1e6).float(), (target + 1e6).float(), data_range=1024.0, return_contrast_sensitivity=True)
    assert float(single) == pytest.approx(float(plain), rel=1e-12)


def test_full_image_holds_the_mean_inside_its_margins(pictures: Pictures) -> None:
    preds, target = pictures(24, 30)
    value, full = ssim(preds, target, data_range=1.0, return_full_image=True)
    assert full.shape == preds.shape
    assert float(full[..., 5:-5, 5:-5].mean()) == pytest.approx(float(value), abs=1e-14)


def test_extras_of_all_batches_are_returned(pictures: Pictures) -> None:
    preds, target = pictures(16, 16)
    for flag in ("return_full_image", "return_contrast_sensitivity"):
        for data_range in (1.0, None):
            metric = lm.StructuralSimilarityIndexMeasure(data_range=data_range, **{flag: True})
            metric.update(preds, target)
            metric.update(target, target)
            value, extra = metric.compute()
            spread = 1.0 if data_range else max(float(x.amax() - x.amin()) for x in (preds, target))
            both = ssim(torch.cat([preds, target]), torch.cat([target, target]), data_range=spread, **{flag: True})
            assert float(value) == pytest.approx(float(both[0]), abs=1e-12)
            torch.testing.assert_close(extra, both[1], rtol=0, atol=1e-12)


def test_without_range_the_split_into_batches_does_not_matter(pictures: Pictures) -> None:
    preds, target = pictures(16, 16)
    images = torch.cat([preds, 5 * preds]), torch.cat([target, 5 * target])
    for metric, options in (
        (lm.StructuralSimilarityIndexMeasure(), {}),
        (lm.MultiScaleStructuralSimilarityIndexMeasure(betas=(1.0,)), {}),
    ):
        for i in range(2):
            metric.update(images[0][i : i + 1], images[1][i : i + 1])
        assert float(metric.compute()) == pytest.approx(float(ssim(*images, **options)), abs=1e-12)
        alone = [float(ssim(preds, target)), float(ssim(5 * preds, 5 * target))]
        assert abs(float(metric.compute()) - sum(alone) / 2) > 1e-4


def test_1_0_spelling_gives_the_mean_over_places(pictures: Pictures) -> None:
    preds, target = pictures(24, 30)
    assert float(F.ssim(preds, target, data_range=1.0)) == pytest.approx(0.8931989789922663, abs=1e-12)
    assert F.ssim(preds, target, kernel_size=(5, 7), reduction="none").shape == (1, 2, 20, 24)


def test_losses_have_the_gradient_of_finite_differences() -> None:
    g = torch.Generator().manual_seed(0)
    preds = torch.rand(1, 1, 6, 7, generator=g, dtype=torch.float64, requires_grad=True)
    target = torch.rand(1, 1, 6, 7, generator=g, dtype=torch.float64)
    assert torch.autograd.gradcheck(lambda x: ssim(x, target, sigma=0.5, data_range=1.0), preds, fast_mode=True)
    scales = {"gaussian_kernel": False, "kernel_size": 3, "betas": (0.4, 0.6), "normalize": "simple"}
    assert torch.autograd.gradcheck(lambda x: ms_ssim(x, target, data_range=1.0, **scales), preds, fast_mode=True)
    assert torch.autograd.gradcheck(
        lambda x: F.universal_image_quality_index(x, target, (3, 3), (1.0, 1.0)), preds, fast_mode=True
    )


def test_one_scale_is_plain_similarity(pictures: Pictures) -> None:
    images = pictures(24, 30)
    value = ms_ssim(*images, data_range=1.0, betas=(1.0,))
    assert float(value) == pytest.approx(0.8931989789922663, abs=1e-12)


def test_negative_factors_become_zero_or_are_moved_or_give_nan() -> None:
    target = torch.linspace(0, 1, 48 * 48, dtype=torch.float64).reshape(1, 1, 48, 48)
    images = (1 - target, target)
    options: dict[str, Any] = {"data_range": 1.0, "betas": (0.5, 0.5), "kernel_size": 3, "gaussian_kernel": False}
    assert float(ms_ssim(*images, **options)) == 0
    assert 0 < float(ms_ssim(*images, **options, normalize="simple")) < 1
    assert math.isnan(ms_ssim(*images, **options, normalize=None))


def test_quality_of_equal_images_is_one_also_where_they_are_flat() -> None:
    x = torch.zeros(1, 1, 30, 30)
    x[..., 10:20, 10:20] = torch.rand(10, 10, generator=torch.Generator().manual_seed(0))
    assert float(F.universal_image_quality_index(x, x)) == pytest.approx(1, abs=1e-9)
    assert float(F.universal_image_quality_index(x + 1000, x + 1000)) == pytest.approx(1, abs=1e-9)
    flat = torch.ones(1, 1, 12, 12)
    assert float(F.universal_image_quality_index(flat, 2 * flat)) == pytest.approx(2 * 2 / (1 + 4))


def test_quality_map_covers_the_inside_for_windows_that_are_not_square(pictures: Pictures) -> None:
    value = F.universal_image_quality_index(*pictures(24, 30), kernel_size=(7, 9), sigma=(1.0, 2.0), reduction="none")
    assert value.shape == (1, 2, 18, 22)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"kernel_size": 4, "gaussian_kernel": False}, "kernel_size must be odd"),
        ({"sigma": 0.0}, "sigma must be positive"),
        ({"sigma": (1.5, 1.5, 1.5)}, "sigma must have 2 entries"),
        ({"sigma": 3.0}, "smaller than the window"),
        ({"data_range": 0.0}, "data_range must be"),
        ({"data_range": (1.0, 0.0)}, "data_range must be"),
        ({"reduction": "median"}, "reduction must be"),
        ({"return_full_image": True, "return_contrast_sensitivity": True}, "cannot both"),
    ],
)
def test_wrong_arguments_are_refused(options: dict[str, Any], message: str) -> None:
    images = torch.rand(1, 1, 16, 16), torch.rand(1, 1, 16, 16)
    with pytest.raises(ValueError, match=message):
        ssim(*images, **{"data_range": 1.0, **options})
    with pytest.raises(ValueError, match=message):
        lm.StructuralSimilarityIndexMeasure(**{"data_range": 1.0, **options}).update(*images)


def test_wrong_images_are_refused() -> None:
    with pytest.raises(ValueError, match="same shape"):
        ssim(torch.rand(1, 1, 16, 16), torch.rand(1, 2, 16, 16))
    with pytest.raises(ValueError, match=r"\(N, C, H, W\) or \(N, C, D, H, W\), got \(16, 16\)"):
        ssim(torch.rand(16, 16), torch.rand(16, 16))
    with pytest.raises(TypeError, match="real numbers"):
        ssim(torch.rand(1, 1, 16, 16) * 1j, torch.rand(1, 1, 16, 16))
    with pytest.raises(ValueError, match="need images of at least 176 pixels"):
        ms_ssim(torch.rand(1, 1, 100, 100), torch.rand(1, 1, 100, 100))
    with pytest.raises(ValueError, match="betas must be"):
        lm.MultiScaleStructuralSimilarityIndexMeasure(betas=[0.5, 0.5])  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="normalize must be"):
        lm.MultiScaleStructuralSimilarityIndexMeasure(normalize="clip")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="sample_weight needs data_range"):
        lm.StructuralSimilarityIndexMeasure().update(torch.rand(1, 1, 16, 16), torch.rand(1, 1, 16, 16), [1.0])
