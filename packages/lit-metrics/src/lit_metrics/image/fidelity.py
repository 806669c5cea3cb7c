"""Scores of images: information fidelity, total variation, and errors and correlations in sliding windows."""

from __future__ import annotations

from typing import Any

from lit_metrics.functional.image._images import require_window
from lit_metrics.functional.image.gradients import SumReduction, total_variations
from lit_metrics.functional.image.sliding_window import rase_scores, rmse_sw_state, scc_scores
from lit_metrics.functional.image.visual_information_fidelity import MeanReduction, vif_scores
from lit_metrics.image.score import MeanImageScore


class TotalVariation(MeanImageScore):
    """Total variation; see `lit_metrics.functional.total_variation`.

    Arguments: see there and `Metric`.

    Example:
        >>> import torch
        >>> from lit_metrics import TotalVariation
        >>> metric = TotalVariation()
        >>> metric.update(torch.arange(6.0).reshape(1, 1, 2, 3))
        >>> metric.compute()
        tensor(13., dtype=torch.float64)
    """

    higher_is_better = False

    def __init__(self, reduction: SumReduction = "sum", **kwargs: Any) -> None:
        super().__init__(reduction, **kwargs)

    def update(self, img: Any, sample_weight: Any = None) -> None:
        """Takes in `(N, C, H, W)` images; `sample_weight` is one per image."""
        self.accumulate(self.score_state(total_variations(img), sample_weight))


class VisualInformationFidelity(MeanImageScore):
    """Visual information fidelity; see `lit_metrics.functional.visual_information_fidelity`.

    Arguments and errors: see there and `Metric`.

    Example:
        >>> import torch
        >>> from lit_metrics import VisualInformationFidelity
        >>> target = 255 * torch.rand(1, 1, 41, 41, generator=torch.Generator().manual_seed(0))
        >>> VisualInformationFidelity()(0.5 * target + 64, target)
        tensor(0.8136, dtype=torch.float64)
    """

    higher_is_better = True

    def __init__(self, sigma_n_sq: float = 2.0, reduction: MeanReduction = "mean", **kwargs: Any) -> None:
        super().__init__(reduction, **kwargs)
        if not sigma_n_sq > 0:
            raise ValueError(f"sigma_n_sq must be positive, got {sigma_n_sq!r}")
        self.sigma_n_sq = sigma_n_sq

    def update(self, preds: Any, target: Any, sample_weight: Any = None) -> None:
        """Takes in `(N, C, H, W)` images; `sample_weight` is one per image."""
        self.accumulate(self.score_state(vif_scores(preds, target, self.sigma_n_sq), sample_weight))


class SpatialCorrelationCoefficient(MeanImageScore):
    """Spatial correlation coefficient; see `lit_metrics.functional.spatial_correlation_coefficient`.

    Args:
        high_pass_filter: `(height, width)` filter; `None` is 8 in the middle of eight -1.
        window_size: Side of the window in pixels.
        kwargs: Arguments of `Metric`.

    Raises:
        ValueError: If `window_size` is not a positive integer.

    Example:
        >>> import torch
        >>> from lit_metrics import SpatialCorrelationCoefficient
        >>> target = torch.rand(1, 3, 16, 16, generator=torch.Generator().manual_seed(0))
        >>> metric = SpatialCorrelationCoefficient()
        >>> metric.update(3 * target + 1, target)
        >>> round(metric.compute().item(), 6)
        1.0
    """

    higher_is_better = True

    def __init__(self, high_pass_filter: Any = None, window_size: int = 8, **kwargs: Any) -> None:
        super().__init__("mean", **kwargs)
        require_window(window_size)
        self.high_pass_filter = high_pass_filter
        self.window_size = window_size

    def update(self, preds: Any, target: Any, sample_weight: Any = None) -> None:
        """Takes in `(N, C, H, W)` images; `sample_weight` is one per image."""
        scores = scc_scores(preds, target, self.high_pass_filter, self.window_size)
        self.accumulate(self.score_state(scores, sample_weight))


class RootMeanSquaredErrorUsingSlidingWindow(MeanImageScore):
    """Windowed error; see `lit_metrics.functional.root_mean_squared_error_using_sliding_window`.

    Arguments and errors: see there and `Metric`.

    Example:
        >>> import torch
        >>> from lit_metrics import RootMeanSquaredErrorUsingSlidingWindow
        >>> RootMeanSquaredErrorUsingSlidingWindow()(torch.zeros(1, 1, 16, 16), torch.full((1, 1, 16, 16), 2.0))
        tensor(2., dtype=torch.float64)
    """

    higher_is_better = False

    def __init__(self, window_size: int = 8, **kwargs: Any) -> None:
        super().__init__("mean", **kwargs)
        require_window(window_size)
        self.window_size = window_size

    def update(self, preds: Any, target: Any, sample_weight: Any = None) -> None:
        """Takes in `(N, C, H, W)` images; `sample_weight` is one per image."""
        self.accumulate(self.score_state(rmse_sw_state(preds, target, self.window_size)[0], sample_weight))


class RelativeAverageSpectralError(MeanImageScore):
    """RASE; see `lit_metrics.functional.relative_average_spectral_error`.

    Arguments and errors: see there and `Metric`.

    Example:
        >>> import torch
        >>> from lit_metrics import RelativeAverageSpectralError
        >>> target = torch.full((1, 3, 16, 16), 4.0)
        >>> RelativeAverageSpectralError()(target + 1, target)
        tensor(25., dtype=torch.float64)
    """

    higher_is_better = False

    def __init__(self, window_size: int = 8, **kwargs: Any) -> None:
        super().__init__("mean", **kwargs)
        require_window(window_size)
        self.window_size = window_size

    def update(self, preds: Any, target: Any, sample_weight: Any = None) -> None:
        """Takes in `(N, C, H, W)` images; `sample_weight` is one per image."""
        self.accumulate(self.score_state(rase_scores(preds, target, self.window_size), sample_weight))
