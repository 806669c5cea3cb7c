"""Fidelity, total variation and sliding windows against golden values, closed forms and invariances."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
import pytest
import torch

import lit_metrics as lm
import lit_metrics.functional as F

if TYPE_CHECKING:
    from conftest import Pictures


def test_values_are_those_of_torchmetrics_1_9(pictures: Pictures) -> None:
    images = pictures(24, 30)
    assert float(F.root_mean_squared_error_using_sliding_window(*images)) == pytest.approx(0.055754361057016186)
    assert float(F.spatial_correlation_coefficient(*images)) == pytest.approx(0.294439435005188, abs=1e-6)
    assert float(F.relative_average_spectral_error(*images)) == pytest.approx(11.223642098345497)  # divided by 8^2
    preds, target = pictures(44, 48)
    assert float(F.visual_information_fidelity(255 * preds, 255 * target)) == pytest.approx(0.3991822561773172)


def test_fidelity_is_the_mean_of_channels_and_of_images(pictures: Pictures) -> None:
    preds, target = (255 * x for x in pictures(41, 43))
    channels = [F.visual_information_fidelity(preds[:, c : c + 1], target[:, c : c + 1]) for c in range(2)]
    assert float(F.visual_information_fidelity(preds, target)) == pytest.approx(float(sum(channels)) / 2)


def test_fidelity_of_a_constant_target_is_nan(pictures: Pictures) -> None:
    preds, target = pictures(41, 41)
    assert math.isnan(F.visual_information_fidelity(preds, torch.ones_like(target)))
    assert float(F.visual_information_fidelity(torch.ones_like(preds), 255 * target)) == pytest.approx(0, abs=1e-12)


def test_gradients_are_differences_with_a_zero_end() -> None:
    image = torch.arange(12.0).reshape(1, 1, 3, 4) ** 2
    dy, dx = F.image_gradients(image)
    values = image[0, 0].numpy()
    np.testing.assert_array_equal(dy[0, 0].numpy(), np.diff(values, axis=0, append=values[-1:]))
    np.testing.assert_array_equal(dx[0, 0].numpy(), np.diff(values, axis=1, append=values[:, -1:]))


def test_variation_by_image_sums_to_the_whole(pictures: Pictures) -> None:
    images = torch.cat(pictures(5, 6))
    each = F.total_variation(images, "none")
    dy, dx = F.image_gradients(images)
    torch.testing.assert_close(each, (dy.abs() + dx.abs()).sum((1, 2, 3)))
    assert float(F.total_variation(images)) == pytest.approx(float(each.sum()))
    assert float(F.total_variation(images, "mean")) == pytest.approx(float(each.mean()))
    metric = lm.TotalVariation(reduction="none")
    metric.update(images[:1])
    metric.update(images[1:])
    torch.testing.assert_close(metric.compute(), each, rtol=0, atol=0)


def test_window_of_one_pixel_is_the_absolute_error(pictures: Pictures) -> None:
    preds, target = pictures(9, 9)
    value, errors = F.root_mean_squared_error_using_sliding_window(preds, target, 1, return_rmse_map=True)
    torch.testing.assert_close(errors, (preds - target).abs()[0])
    assert float(value) == pytest.approx(float((preds - target).abs().mean()))


def test_correlation_ignores_gain_and_offset_and_areas_where_both_are_flat() -> None:
    x = torch.zeros(1, 1, 30, 30)
    x[..., 10:20, 10:20] = torch.rand(10, 10, generator=torch.Generator().manual_seed(0))
    assert float(F.spatial_correlation_coefficient(3 * x + 2, x)) == pytest.approx(1, abs=1e-6)
    assert float(F.spatial_correlation_coefficient(-x, x)) == pytest.approx(-1, abs=1e-9)
    assert math.isnan(F.spatial_correlation_coefficient(torch.ones_like(x), torch.zeros_like(x)))
    assert F.spatial_correlation_coefficient(torch.zeros_like(x), x) == 0


def test_filter_is_convolved_not_correlated(pictures: Pictures) -> None:
    preds, target = pictures(12, 12)
    shift = torch.zeros(3, 3)
    shift[0, 1] = 1.0  # as a convolution: every pixel takes its lower neighbour
    lower = [torch.cat([x[..., 1:, :], x[..., -1:, :]], -2) for x in (preds, target)]
    expected = F.spatial_correlation_coefficient(*lower, hp_filter=torch.ones(1, 1))
    assert float(F.spatial_correlation_coefficient(preds, target, shift)) == pytest.approx(float(expected), abs=1e-12)


def test_relative_error_does_not_depend_on_the_unit(pictures: Pictures) -> None:
    preds, target = (x + 1 for x in pictures(16, 16))
    value = float(F.relative_average_spectral_error(preds, target))
    assert float(F.relative_average_spectral_error(7 * preds, 7 * target)) == pytest.approx(value)
    pair = F.relative_average_spectral_error(torch.cat([preds, target]), torch.cat([target, target]))
    assert float(pair) == pytest.approx(value / 2)


def test_scores_have_the_gradient_of_finite_differences() -> None:
    g = torch.Generator().manual_seed(0)
    preds = torch.rand(1, 2, 8, 8, generator=g, dtype=torch.float64, requires_grad=True)
    target = torch.rand(1, 2, 8, 8, generator=g, dtype=torch.float64)
    assert torch.autograd.gradcheck(F.total_variation, preds, fast_mode=True)
    assert torch.autograd.gradcheck(
        lambda x: F.root_mean_squared_error_using_sliding_window(x, target, 3), preds, fast_mode=True
    )
    assert torch.autograd.gradcheck(
        lambda x: F.spatial_correlation_coefficient(x, target, window_size=3), preds, fast_mode=True
    )


def test_weight_zero_leaves_no_trace_even_of_nan() -> None:
    g = torch.Generator().manual_seed(0)
    preds, target = torch.rand(2, 1, 9, 9, generator=g), torch.rand(2, 1, 9, 9, generator=g)
    expected = F.root_mean_squared_error_using_sliding_window(preds[:1], target[:1], 3)
    preds[1] = math.nan
    metric = lm.RootMeanSquaredErrorUsingSlidingWindow(window_size=3)
    metric.update(preds, target, [2.0, 0.0])
    assert float(metric.compute()) == pytest.approx(float(expected))


def test_wrong_arguments_are_refused() -> None:
    small = torch.rand(1, 1, 8, 8)
    with pytest.raises(ValueError, match="at least 41x41"):
        F.visual_information_fidelity(small, small)
    with pytest.raises(ValueError, match="smaller than the images"):
        F.root_mean_squared_error_using_sliding_window(small, small)
    with pytest.raises(ValueError, match="must not exceed"):
        F.spatial_correlation_coefficient(small, small, window_size=9)
    with pytest.raises(ValueError, match="two dimensions"):
        F.spatial_correlation_coefficient(small, small, [1.0])
    with pytest.raises(ValueError, match=r"\(N, C, H, W\), got \(8, 8\)"):
        F.image_gradients(small[0, 0])
    with pytest.raises(ValueError, match="reduction must be"):
        lm.TotalVariation(reduction="max")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="sigma_n_sq must be"):
        lm.VisualInformationFidelity(sigma_n_sq=0.0)
    for name in (
        "RelativeAverageSpectralError",
        "RootMeanSquaredErrorUsingSlidingWindow",
        "SpatialCorrelationCoefficient",
    ):
        with pytest.raises(ValueError, match="window_size must be a positive integer"):
            getattr(lm, name)(window_size=2.0)
