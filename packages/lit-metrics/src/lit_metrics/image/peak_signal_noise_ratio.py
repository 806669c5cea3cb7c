"""Peak signal-to-noise ratio, plain and with the blocking effect."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from lit_metrics.functional.image._images import DataRange, Reduction, require_range, require_reduction, require_window
from lit_metrics.functional.image.peak_signal_noise_ratio import psnr_state, psnr_value, psnrb_state, psnrb_value
from lit_metrics.image.score import ImageScore
from lit_metrics.metric import Metric


class PeakSignalNoiseRatio(ImageScore):
    """Peak signal-to-noise ratio of everything seen; see `lit_metrics.functional.peak_signal_noise_ratio`.

    Without `dim` it is the ratio of the mean squared error over all elements, not a mean of ratios of batches.

    Arguments and errors: see there and `Metric`.

    Example:
        >>> from lit_metrics import PeakSignalNoiseRatio
        >>> metric = PeakSignalNoiseRatio(data_range=3.0)
        >>> metric.update([[0.0, 1.0]], [[3.0, 2.0]])
        >>> metric.update([[2.0, 3.0]], [[1.0, 0.0]])
        >>> metric.compute()
        tensor(2.5527, dtype=torch.float64)
    """

    higher_is_better = True

    min_target: Tensor
    max_target: Tensor

    def __init__(
        self,
        data_range: DataRange | None = None,
        base: float = 10.0,
        reduction: Reduction = "elementwise_mean",
        dim: int | tuple[int, ...] | None = None,
        **kwargs: Any,
    ) -> None:
        # Without dim there is one ratio, and the base keeps the squared errors.
        super().__init__("sum" if dim is None else reduction, **kwargs)
        require_reduction(reduction)
        require_range(data_range, optional=dim is None)
        if not base > 0 or base == 1:
            raise ValueError(f"base must be a positive number other than 1, got {base!r}")
        self.data_range = data_range
        self.base = base
        self.dim = dim
        if data_range is None:
            self.add_state("min_target", torch.tensor(torch.inf, dtype=torch.float64), dist_reduce_fx="min")
            self.add_state("max_target", torch.tensor(-torch.inf, dtype=torch.float64), dist_reduce_fx="max")

    def update(self, preds: Any, target: Any, sample_weight: Any = None) -> None:
        """Takes in images of any shape; `sample_weight` is one per sample or element, with `dim` one per ratio."""
        if self.dim is not None:
            assert self.data_range is not None
            state = psnr_state(preds, target, self.data_range, self.dim)
            ratios = psnr_value(torch.as_tensor(state["sum_squared_error"]), state["total"], self.data_range, self.base)
            self.accumulate(self.score_state(ratios, sample_weight))
            return
        state = psnr_state(preds, target, self.data_range, sample_weight=sample_weight)
        renamed = {"score_sum": state.pop("sum_squared_error"), "num_scores": state.pop("total")}
        self.accumulate(renamed | state)

    def compute(self) -> Tensor:
        """Returns the ratio in decibels; nan if nothing was seen."""
        if self.dim is not None:
            return self.reduced_scores()
        width: Any = self.max_target - self.min_target if self.data_range is None else self.data_range
        return psnr_value(self.score_sum, self.num_scores, width, self.base)


class PeakSignalNoiseRatioWithBlockedEffect(Metric):
    """PSNR-B; see `lit_metrics.functional.peak_signal_noise_ratio_with_blocked_effect`.

    Arguments and errors: see there and `Metric`.

    Example:
        >>> import torch
        >>> from lit_metrics import PeakSignalNoiseRatioWithBlockedEffect
        >>> blocks = torch.zeros(1, 1, 16, 16)
        >>> blocks[..., 8:] = 1.0
        >>> metric = PeakSignalNoiseRatioWithBlockedEffect(data_range=1.0)
        >>> metric.update(blocks, 0.9 * blocks)
        >>> metric.compute()
        tensor(4.2022, dtype=torch.float64)
    """

    higher_is_better = True
    is_differentiable = True
    pure_update = True

    sum_squared_error: Tensor
    total: Tensor
    bef: Tensor
    num_images: Tensor

    def __init__(self, data_range: DataRange, block_size: int = 8, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        require_range(data_range, optional=False)
        require_window(block_size, "block_size")
        self.data_range = data_range
        self.block_size = block_size
        for name in ("sum_squared_error", "bef"):
            self.add_state(name, torch.tensor(0.0, dtype=torch.float64), dist_reduce_fx="sum")
        for name in ("total", "num_images"):
            self.add_state(name, torch.tensor(0), dist_reduce_fx="sum")

    def update(self, preds: Any, target: Any) -> None:
        """Takes in `(N, 1, H, W)` images."""
        self.accumulate(psnrb_state(preds, target, self.data_range, self.block_size))

    def compute(self) -> Tensor:
        """Returns the ratio in decibels; nan if nothing was seen."""
        return psnrb_value(self.sum_squared_error, self.total, self.bef, self.num_images, self.data_range)
