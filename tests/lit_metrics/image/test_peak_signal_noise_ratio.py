"""Peak signal-to-noise ratio against scikit-image and closed forms."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import pytest
import torch

import lit_metrics as lm
import lit_metrics.functional as F

if TYPE_CHECKING:
    from conftest import Pictures


def test_value_is_that_of_scikit_image_0_26(pictures: Pictures) -> None:
    preds, target = pictures(24, 30)
    assert float(F.peak_signal_noise_ratio(preds, target, 1.0)) == pytest.approx(25.20845231846109, abs=1e-12)


def test_range_is_that_of_all_targets_seen() -> None:
    metric = lm.PeakSignalNoiseRatio()
    metric.update([5.0, 6.0], [5.5, 6.0])
    metric.update([9.0], [9.5])
    assert float(metric.compute()) == pytest.approx(10 * math.log10(4.0**2 / (0.5 / 3)))
    expected = F.peak_signal_noise_ratio([5.0, 6.0, 9.0], [5.5, 6.0, 9.5])
    assert float(metric.compute()) == pytest.approx(float(expected), abs=1e-12)


def test_padded_samples_of_weight_zero_leave_no_trace() -> None:
    for data_range in (None, 2.0):
        plain, padded = lm.PeakSignalNoiseRatio(data_range), lm.PeakSignalNoiseRatio(data_range)
        plain.update([[0.0, 1.0], [2.0, 3.0]], [[0.5, 1.0], [2.5, 2.0]])
        padded.update([[0.0, 1.0], [2.0, 3.0], [7.0, 7.0]], [[0.5, 1.0], [2.5, 2.0], [99.0, math.inf]], [1, 1, 0])
        assert float(padded.compute()) == pytest.approx(float(plain.compute()), abs=1e-12)


def test_base_changes_the_unit() -> None:
    value = F.peak_signal_noise_ratio([0.0, 1.0], [0.5, 1.5], 2.0, base=2.0)
    assert float(value) == pytest.approx(10 * math.log2(4 / 0.25))


def test_equal_images_give_inf_and_no_images_give_nan() -> None:
    assert F.peak_signal_noise_ratio([0.0, 1.0], [0.0, 1.0], 1.0) == math.inf
    assert math.isnan(F.peak_signal_noise_ratio([1.0, 1.0], [1.0, 1.0]))
    with pytest.warns(UserWarning, match="no data"):
        assert math.isnan(lm.PeakSignalNoiseRatio().compute())


def test_dimensions_give_one_ratio_each(pictures: Pictures) -> None:
    preds, target = pictures(8, 9)
    one = [F.peak_signal_noise_ratio(preds[:, c], target[:, c], 1.0) for c in range(2)]
    found = F.peak_signal_noise_ratio(preds, target, 1.0, dim=(0, 2, 3), reduction="none")
    torch.testing.assert_close(found, torch.stack(one), rtol=1e-12, atol=0)
    total = F.peak_signal_noise_ratio(preds, target, 1.0, dim=(0, 2, 3), reduction="sum")
    assert float(total) == pytest.approx(float(sum(one)), rel=1e-12)


def test_pair_of_range_clamps(pictures: Pictures) -> None:
    preds, target = pictures(8, 9)
    expected = F.peak_signal_noise_ratio(preds.clamp(0.2, 0.8), target.clamp(0.2, 0.8), 0.8 - 0.2)
    assert float(F.peak_signal_noise_ratio(preds, target, (0.2, 0.8))) == pytest.approx(float(expected), abs=1e-12)


def test_half_precision_squares_do_not_overflow() -> None:
    p = torch.zeros(70_000, dtype=torch.float16)
    assert float(F.peak_signal_noise_ratio(p + 300, p, 300.0)) == pytest.approx(0, abs=1e-9)


def test_loss_has_the_gradient_of_finite_differences() -> None:
    g = torch.Generator().manual_seed(0)
    preds = torch.rand(1, 1, 4, 6, generator=g, dtype=torch.float64, requires_grad=True)
    target = torch.rand(1, 1, 4, 6, generator=g, dtype=torch.float64)
    assert torch.autograd.gradcheck(lambda x: F.peak_signal_noise_ratio(x, target, 1.0), preds)


def test_1_0_spelling_is_the_same(pictures: Pictures) -> None:
    assert F.psnr(*pictures(8, 9)) == F.peak_signal_noise_ratio(*pictures(8, 9))


def test_blocking_effect_counts_pairs_of_pixels_across_edges() -> None:
    """One step of 1 at one of two kinds of edges: 16 of 32 pairs across edges differ."""
    blocks = torch.zeros(1, 1, 16, 16, dtype=torch.float64)
    blocks[..., 8:] = 1.0
    effect = 0.5 * math.log2(8) / math.log2(16)
    value = F.peak_signal_noise_ratio_with_blocked_effect(blocks, 0.9 * blocks, 1.0)
    assert float(value) == pytest.approx(10 * math.log10(1 / (0.005 + effect)), abs=1e-12)
    twice = F.peak_signal_noise_ratio_with_blocked_effect(*(x.repeat(2, 1, 1, 1) for x in (blocks, 0.9 * blocks)), 1.0)
    assert float(twice) == pytest.approx(float(value), abs=1e-12)


def test_without_blocking_it_is_the_plain_ratio() -> None:
    # Columns of equal steps: edges are no rougher than the rest.
    target = torch.arange(16.0).expand(1, 1, 16, 16) / 16
    assert float(F.peak_signal_noise_ratio_with_blocked_effect(target, target + 0.1, 1.0)) == pytest.approx(
        20, abs=1e-5
    )


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"data_range": -1.0}, "data_range must be"),
        ({"data_range": "1"}, "data_range must be"),
        ({"base": 1.0}, "base must be"),
        ({"reduction": "max"}, "reduction must be"),
        ({"dim": 0}, "data_range must be"),
        ({"data_range": 1.0, "dim": 0, "reduction": "max"}, "reduction must be"),
    ],
)
def test_wrong_arguments_are_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        lm.PeakSignalNoiseRatio(**options)


def test_wrong_images_are_refused() -> None:
    with pytest.raises(ValueError, match="same shape"):
        F.peak_signal_noise_ratio([1.0], [1.0, 2.0], 1.0)
    with pytest.raises(TypeError, match="real"):
        F.peak_signal_noise_ratio(torch.ones(1) * 1j, torch.ones(1), 1.0)
    with pytest.raises(ValueError, match="one channel, got 3"):
        F.peak_signal_noise_ratio_with_blocked_effect(torch.rand(1, 3, 16, 16), torch.rand(1, 3, 16, 16), 1.0)
    with pytest.raises(ValueError, match="block_size must be"):
        lm.PeakSignalNoiseRatioWithBlockedEffect(1.0, block_size=0)
    metric = lm.PeakSignalNoiseRatio(1.0, dim=1, reduction="none")
    with pytest.raises(ValueError, match="sample_weight must be None"):
        metric.update(torch.rand(2, 3), torch.rand(2, 3), [1.0, 0.0])
