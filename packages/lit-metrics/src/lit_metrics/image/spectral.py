"""Agreement of the bands of multispectral images: angles, relative errors, and distortions after pansharpening."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from lit_metrics.functional.image._images import Reduction, require_reduction, require_window
from lit_metrics.functional.image.spectral import (
    distortion_value,
    ergas_scores,
    qnr_value,
    require_power,
    spatial_distortion_state,
    spectral_angles,
    spectral_distortion_state,
)
from lit_metrics.image.score import MeanImageScore
from lit_metrics.metric import Metric


class SpectralAngleMapper(MeanImageScore):
    """Spectral angle; see `lit_metrics.functional.spectral_angle_mapper`.

    Arguments: see there and `Metric`.

    Example:
        >>> import torch
        >>> from lit_metrics import SpectralAngleMapper
        >>> metric = SpectralAngleMapper()
        >>> metric.update(torch.tensor([1.0, 0.0]).reshape(1, 2, 1, 1), torch.ones(1, 2, 1, 1))
        >>> metric.compute()
        tensor(0.7854, dtype=torch.float64)
    """

    higher_is_better = False

    def update(self, preds: Any, target: Any, sample_weight: Any = None) -> None:
        """Takes in `(N, C, H, W)` images; `sample_weight` is one per image or pixel."""
        self.accumulate(self.score_state(spectral_angles(preds, target), sample_weight))


class ErrorRelativeGlobalDimensionlessSynthesis(MeanImageScore):
    """ERGAS; see `lit_metrics.functional.error_relative_global_dimensionless_synthesis`.

    Arguments and errors: see there and `Metric`.

    Example:
        >>> import torch
        >>> from lit_metrics import ErrorRelativeGlobalDimensionlessSynthesis
        >>> target = torch.full((1, 3, 4, 4), 4.0)
        >>> ErrorRelativeGlobalDimensionlessSynthesis()(target + 1, target)
        tensor(6.2500, dtype=torch.float64)
    """

    higher_is_better = False

    def __init__(self, ratio: float = 4, reduction: Reduction = "elementwise_mean", **kwargs: Any) -> None:
        super().__init__(reduction, **kwargs)
        if not ratio > 0:
            raise ValueError(f"ratio must be positive, got {ratio!r}")
        self.ratio = ratio

    def update(self, preds: Any, target: Any, sample_weight: Any = None) -> None:
        """Takes in `(N, C, H, W)` images; `sample_weight` is one per image."""
        self.accumulate(self.score_state(ergas_scores(preds, target, self.ratio), sample_weight))


class Distortion(Metric):
    """Base of the distortions: sums of quality indices over images, one for each channel or pair of channels.

    Args:
        sums: Names of the sums.
        kwargs: Arguments of `Metric`.
    """

    is_differentiable = True
    pure_update = True

    preds_quality: Tensor
    target_quality: Tensor
    ms_pan_quality: Tensor
    preds_pan_quality: Tensor
    num_images: Tensor

    def __init__(self, sums: tuple[str, ...], **kwargs: Any) -> None:
        super().__init__(**kwargs)
        for name in sums:
            self.add_state(name, torch.zeros(0, dtype=torch.float64), dist_reduce_fx="sum")
        self.add_state("num_images", torch.tensor(0), dist_reduce_fx="sum")


def _images_of(target: Any, pan: Any, pan_lr: Any) -> tuple[Any, Any, Any]:
    if isinstance(target, Mapping):
        target, pan, pan_lr = target.get("ms"), target.get("pan"), target.get("pan_lr")
    if target is None or pan is None:
        raise ValueError("expected the images ms and pan, got none of one; give a mapping of both, or both in order")
    return target, pan, pan_lr


class SpectralDistortionIndex(Distortion):
    """Spectral distortion; see `lit_metrics.functional.spectral_distortion_index`.

    Arguments and errors: see there and `Metric`.

    Example:
        >>> import torch
        >>> from lit_metrics import SpectralDistortionIndex
        >>> preds = torch.rand(1, 3, 16, 16, generator=torch.Generator().manual_seed(0))
        >>> SpectralDistortionIndex()(preds, preds)
        tensor(0., dtype=torch.float64)
    """

    higher_is_better = False

    def __init__(self, p: int = 1, reduction: Reduction = "elementwise_mean", **kwargs: Any) -> None:
        super().__init__(("preds_quality", "target_quality"), **kwargs)
        require_power(p, "p")
        require_reduction(reduction)
        self.p = p

    def update(self, preds: Any, target: Any) -> None:
        """Takes in `(N, C, H, W)` sharpened and `(N, C, h, w)` multispectral images."""
        self.accumulate(spectral_distortion_state(preds, target))

    def compute(self) -> Tensor:
        """Returns the distortion; nan if nothing was seen."""
        return distortion_value(self.preds_quality, self.target_quality, self.num_images, self.p)


class SpatialDistortionIndex(Distortion):
    """Spatial distortion; see `lit_metrics.functional.spatial_distortion_index`.

    Arguments and errors: see there and `Metric`.

    Example:
        >>> import torch
        >>> from lit_metrics import SpatialDistortionIndex
        >>> x = torch.rand(1, 2, 32, 32, generator=torch.Generator().manual_seed(0))
        >>> SpatialDistortionIndex()(x, {"ms": x[..., ::2, ::2], "pan": x, "pan_lr": x[..., ::2, ::2]})
        tensor(0., dtype=torch.float64)
    """

    higher_is_better = False

    def __init__(
        self, norm_order: int = 1, window_size: int = 7, reduction: Reduction = "elementwise_mean", **kwargs: Any
    ) -> None:
        super().__init__(("ms_pan_quality", "preds_pan_quality"), **kwargs)
        require_power(norm_order, "norm_order")
        require_window(window_size)
        require_reduction(reduction)
        self.norm_order = norm_order
        self.window_size = window_size

    def update(self, preds: Any, target: Any, pan: Any = None, pan_lr: Any = None) -> None:
        """Takes in sharpened images and a mapping of `ms`, `pan` and perhaps `pan_lr`, or these one after another."""
        self.accumulate(spatial_distortion_state(preds, *_images_of(target, pan, pan_lr), self.window_size))

    def compute(self) -> Tensor:
        """Returns the distortion; nan if nothing was seen."""
        return distortion_value(self.ms_pan_quality, self.preds_pan_quality, self.num_images, self.norm_order)


class QualityWithNoReference(Distortion):
    """QNR; see `lit_metrics.functional.quality_with_no_reference`.

    Arguments and errors: see there and `Metric`.

    Example:
        >>> import torch
        >>> from lit_metrics import QualityWithNoReference
        >>> x = torch.rand(1, 2, 32, 32, generator=torch.Generator().manual_seed(0))
        >>> QualityWithNoReference()(x, {"ms": x, "pan": x, "pan_lr": x})
        tensor(1., dtype=torch.float64)
    """

    higher_is_better = True

    def __init__(
        self,
        alpha: float = 1,
        beta: float = 1,
        norm_order: int = 1,
        window_size: int = 7,
        reduction: Reduction = "elementwise_mean",
        **kwargs: Any,
    ) -> None:
        super().__init__(("preds_quality", "target_quality", "ms_pan_quality", "preds_pan_quality"), **kwargs)
        qnr_value(torch.zeros(()), torch.zeros(()), alpha, beta)
        require_power(norm_order, "norm_order")
        require_window(window_size)
        require_reduction(reduction)
        self.alpha = alpha
        self.beta = beta
        self.norm_order = norm_order
        self.window_size = window_size

    def update(self, preds: Any, target: Any, pan: Any = None, pan_lr: Any = None) -> None:
        """Takes in sharpened images and a mapping of `ms`, `pan` and perhaps `pan_lr`, or these one after another."""
        ms, pan, pan_lr = _images_of(target, pan, pan_lr)
        spatial = spatial_distortion_state(preds, ms, pan, pan_lr, self.window_size)
        self.accumulate(spatial | spectral_distortion_state(preds, ms))

    def compute(self) -> Tensor:
        """Returns the quality; nan if nothing was seen."""
        n, q = self.num_images, self.norm_order
        d_lambda = distortion_value(self.preds_quality, self.target_quality, n, q)
        d_s = distortion_value(self.ms_pan_quality, self.preds_pan_quality, n, q)
        return qnr_value(d_lambda, d_s, self.alpha, self.beta)
