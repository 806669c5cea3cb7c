"""Structural similarity at one scale and at several, and the universal quality index."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from lit_metrics.functional.image._images import DataRange, Reduction, as_image_pair, reduce_scores
from lit_metrics.functional.image.structural_similarity import (
    MS_SSIM_BETAS,
    Normalize,
    SsimConfig,
    gaussian_windows,
    ms_ssim_scores,
    require_scales,
    ssim_state,
    uqi_map,
)
from lit_metrics.image.score import ImageScore, MeanImageScore


class SimilarityScore(ImageScore):
    """Base of the similarities whose constants depend on the range of values.

    Without `data_range` the range of all images is only known in the end, so that all images are kept.

    Args:
        config: How similarity is taken.
        reduction: `"elementwise_mean"`, `"sum"` or `"none"`.
        kwargs: Arguments of `Metric`.
    """

    higher_is_better = True

    preds: list[Tensor]
    target: list[Tensor]

    def __init__(self, config: SsimConfig, reduction: Reduction, **kwargs: Any) -> None:
        super().__init__(reduction, **kwargs)
        config.check()
        self.config = config
        if config.data_range is None:
            self.add_state("preds", [], dist_reduce_fx="cat")
            self.add_state("target", [], dist_reduce_fx="cat")

    def keep_images(self, preds: Any, target: Any) -> None:
        """Keeps a batch for `compute`."""
        preds, target = as_image_pair(preds, target, (4, 5))
        # accumulate wants tensors that nobody else holds, and float64 inputs are not copied on the way.
        self.accumulate({"preds": preds.clone(), "target": target.clone()})

    def images(self) -> tuple[Tensor, Tensor] | None:
        """Returns all images kept, if any."""
        return (torch.cat(self.preds), torch.cat(self.target)) if self.preds else None


class StructuralSimilarityIndexMeasure(SimilarityScore):
    """Structural similarity (SSIM); see `lit_metrics.functional.structural_similarity_index_measure`.

    Give `data_range`: then only a sum and a count are kept. Without it all images are, as the range of all of them
    enters the formula; the value does not depend on how they were split into batches.

    Arguments and errors: see there and `Metric`.

    Example:
        >>> import torch
        >>> from lit_metrics import StructuralSimilarityIndexMeasure
        >>> target = torch.linspace(0, 1, 256).reshape(1, 1, 16, 16)
        >>> metric = StructuralSimilarityIndexMeasure(data_range=1.0)
        >>> metric.update(0.75 * target, target)
        >>> metric.compute()
        tensor(0.9240, dtype=torch.float64)
    """

    extra: list[Tensor]

    def __init__(
        self,
        gaussian_kernel: bool = True,
        sigma: float | Sequence[float] = 1.5,
        kernel_size: int | Sequence[int] = 11,
        reduction: Reduction = "elementwise_mean",
        data_range: DataRange | None = None,
        k1: float = 0.01,
        k2: float = 0.03,
        return_full_image: bool = False,
        return_contrast_sensitivity: bool = False,
        **kwargs: Any,
    ) -> None:
        super().__init__(SsimConfig(gaussian_kernel, sigma, kernel_size, data_range, k1, k2), reduction, **kwargs)
        if return_full_image and return_contrast_sensitivity:
            raise ValueError("return_full_image and return_contrast_sensitivity cannot both be True")
        self.return_full_image = return_full_image
        self.return_contrast_sensitivity = return_contrast_sensitivity
        self.returns_extra = return_full_image or return_contrast_sensitivity
        if self.returns_extra:
            self.add_state("extra", [], dist_reduce_fx="cat")

    def update(self, preds: Any, target: Any, sample_weight: Any = None) -> None:
        """Takes in `(N, C, H, W)` or `(N, C, D, H, W)` images; `sample_weight` is one per image."""
        if self.config.data_range is None:
            if sample_weight is not None:
                raise ValueError("sample_weight needs data_range to be given, got data_range=None")
            self.keep_images(preds, target)
            return
        scores, structure, full = ssim_state(preds, target, self.config, self.return_full_image)
        state = self.score_state(scores, sample_weight)
        if self.returns_extra:
            state["extra"] = structure if full is None else full
        self.accumulate(state)

    def compute(self) -> Tensor | tuple[Tensor, Tensor]:
        """Returns the similarity; with one of the flags a pair; nan if nothing was seen."""
        if self.config.data_range is not None:
            value = self.reduced_scores()
            return (value, torch.cat(self.extra)) if self.returns_extra and self.extra else value
        images = self.images()
        if images is None:
            return self.reduced_scores()
        scores, structure, full = ssim_state(*images, self.config, self.return_full_image)
        value = reduce_scores(scores, self.reduction)
        return (value, structure if full is None else full) if self.returns_extra else value


class MultiScaleStructuralSimilarityIndexMeasure(SimilarityScore):
    """MS-SSIM; see `lit_metrics.functional.multiscale_structural_similarity_index_measure`.

    Without `data_range` all images are kept, as in `StructuralSimilarityIndexMeasure`.

    Arguments and errors: see there and `Metric`.

    Example:
        >>> import torch
        >>> from lit_metrics import MultiScaleStructuralSimilarityIndexMeasure
        >>> target = torch.linspace(0, 1, 48 * 48).reshape(1, 1, 48, 48)
        >>> MultiScaleStructuralSimilarityIndexMeasure(data_range=1.0, betas=(0.5, 0.3, 0.2))(0.75 * target, target)
        tensor(0.9614, dtype=torch.float64)
    """

    def __init__(
        self,
        gaussian_kernel: bool = True,
        kernel_size: int | Sequence[int] = 11,
        sigma: float | Sequence[float] = 1.5,
        reduction: Reduction = "elementwise_mean",
        data_range: DataRange | None = None,
        k1: float = 0.01,
        k2: float = 0.03,
        betas: tuple[float, ...] = MS_SSIM_BETAS,
        normalize: Normalize = "relu",
        **kwargs: Any,
    ) -> None:
        super().__init__(SsimConfig(gaussian_kernel, sigma, kernel_size, data_range, k1, k2), reduction, **kwargs)
        require_scales(betas, normalize)
        self.betas = betas
        self.normalize = normalize

    def update(self, preds: Any, target: Any, sample_weight: Any = None) -> None:
        """Takes in `(N, C, H, W)` or `(N, C, D, H, W)` images; `sample_weight` is one per image."""
        if self.config.data_range is None:
            if sample_weight is not None:
                raise ValueError("sample_weight needs data_range to be given, got data_range=None")
            self.keep_images(preds, target)
            return
        scores = ms_ssim_scores(preds, target, self.config, self.betas, self.normalize)
        self.accumulate(self.score_state(scores, sample_weight))

    def compute(self) -> Tensor:
        """Returns the similarity; nan if nothing was seen."""
        images = None if self.config.data_range is not None else self.images()
        if images is None:
            return self.reduced_scores()
        return reduce_scores(ms_ssim_scores(*images, self.config, self.betas, self.normalize), self.reduction)


class UniversalImageQualityIndex(MeanImageScore):
    """Universal image quality index; see `lit_metrics.functional.universal_image_quality_index`.

    Arguments and errors: see there and `Metric`.

    Example:
        >>> import torch
        >>> from lit_metrics import UniversalImageQualityIndex
        >>> target = torch.linspace(0, 1, 256).reshape(1, 1, 16, 16)
        >>> UniversalImageQualityIndex()(0.75 * target, target)
        tensor(0.9216, dtype=torch.float64)
    """

    higher_is_better = True

    def __init__(
        self,
        kernel_size: Sequence[int] = (11, 11),
        sigma: Sequence[float] = (1.5, 1.5),
        reduction: Reduction = "elementwise_mean",
        **kwargs: Any,
    ) -> None:
        super().__init__(reduction, **kwargs)
        gaussian_windows(kernel_size, sigma, torch.device("cpu"))
        self.kernel_size = kernel_size
        self.sigma = sigma

    def update(self, preds: Any, target: Any, sample_weight: Any = None) -> None:
        """Takes in `(N, C, H, W)` images; `sample_weight` is one per image."""
        self.accumulate(self.score_state(uqi_map(preds, target, self.kernel_size, self.sigma), sample_weight))
