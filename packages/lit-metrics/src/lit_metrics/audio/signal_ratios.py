"""Means of signal ratios over everything seen."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from lit_metrics._inputs import as_weights
from lit_metrics.functional.audio.signal_distortion_ratio import require_filter, signal_distortion_ratio
from lit_metrics.functional.audio.signal_ratios import (
    complex_scale_invariant_signal_noise_ratio,
    scale_invariant_signal_distortion_ratio,
    scale_invariant_signal_noise_ratio,
    signal_noise_ratio,
    source_aggregated_signal_distortion_ratio,
)
from lit_metrics.metric import Metric


class SignalScore(Metric):
    """Base of metrics that give every signal a score: the mean over all signals.

    Arguments: see `Metric`.
    """

    higher_is_better = True
    is_differentiable = True
    pure_update = True

    score_sum: Tensor
    num_signals: Tensor

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.add_state("score_sum", torch.tensor(0.0, dtype=torch.float64), dist_reduce_fx="sum")
        self.add_state("num_signals", torch.tensor(0), dist_reduce_fx="sum")

    def accumulate_scores(self, scores: Tensor, sample_weight: Any = None) -> None:
        """Takes in scores; weights are one per sample, or one per score."""
        if sample_weight is None:
            self.accumulate({"score_sum": scores.sum(dtype=torch.float64), "num_signals": scores.numel()})
            return
        weights = as_weights(sample_weight, scores.shape, scores.device)
        total = torch.where(weights == 0, 0.0, weights * scores).sum()
        self.accumulate({"score_sum": total, "num_signals": weights.sum()})

    def compute(self) -> Tensor:
        """Returns the mean; nan if nothing was seen."""
        return self.score_sum / self.num_signals


class SignalNoiseRatio(SignalScore):
    """Mean signal-to-noise ratio; see `lit_metrics.functional.signal_noise_ratio`.

    Arguments: see there and `Metric`.

    Example:
        >>> from lit_metrics import SignalNoiseRatio
        >>> metric = SignalNoiseRatio()
        >>> metric.update([2.5, 0.0, 2.0, 8.0], [3.0, -0.5, 2.0, 7.0])
        >>> metric.compute()
        tensor(16.1805, dtype=torch.float64)
    """

    def __init__(self, zero_mean: bool = False, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.zero_mean = zero_mean

    def update(self, preds: Any, target: Any, sample_weight: Any = None) -> None:
        """Takes in `(..., time)` signals; `sample_weight` is one per sample or signal."""
        self.accumulate_scores(signal_noise_ratio(preds, target, self.zero_mean), sample_weight)


class ScaleInvariantSignalDistortionRatio(SignalScore):
    """Mean SI-SDR; see `lit_metrics.functional.scale_invariant_signal_distortion_ratio`.

    Arguments: see there and `Metric`.

    Example:
        >>> from lit_metrics import ScaleInvariantSignalDistortionRatio
        >>> ScaleInvariantSignalDistortionRatio()([2.5, 0.0, 2.0, 8.0], [3.0, -0.5, 2.0, 7.0])
        tensor(18.4030, dtype=torch.float64)
    """

    def __init__(self, zero_mean: bool = False, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.zero_mean = zero_mean

    def update(self, preds: Any, target: Any, sample_weight: Any = None) -> None:
        """Takes in `(..., time)` signals; `sample_weight` is one per sample or signal."""
        scores = scale_invariant_signal_distortion_ratio(preds, target, self.zero_mean)
        self.accumulate_scores(scores, sample_weight)


class ScaleInvariantSignalNoiseRatio(SignalScore):
    """Mean SI-SNR; see `lit_metrics.functional.scale_invariant_signal_noise_ratio`.

    Arguments: see `Metric`.

    Example:
        >>> from lit_metrics import ScaleInvariantSignalNoiseRatio
        >>> ScaleInvariantSignalNoiseRatio()([2.5, 0.0, 2.0, 8.0], [3.0, -0.5, 2.0, 7.0])
        tensor(15.0918, dtype=torch.float64)
    """

    def update(self, preds: Any, target: Any, sample_weight: Any = None) -> None:
        """Takes in `(..., time)` signals; `sample_weight` is one per sample or signal."""
        self.accumulate_scores(scale_invariant_signal_noise_ratio(preds, target), sample_weight)


class SignalDistortionRatio(SignalScore):
    """Mean SDR; see `lit_metrics.functional.signal_distortion_ratio`.

    Arguments and errors: see there and `Metric`.

    Example:
        >>> import torch
        >>> from lit_metrics import SignalDistortionRatio
        >>> g = torch.Generator().manual_seed(0)
        >>> target, noise = torch.randn(8000, generator=g), torch.randn(8000, generator=g)
        >>> SignalDistortionRatio(filter_length=8)(target + 0.1 * noise, target)
        tensor(19.9901, dtype=torch.float64)
    """

    def __init__(
        self,
        use_cg_iter: int | None = None,
        filter_length: int = 512,
        zero_mean: bool = False,
        load_diag: float | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        require_filter(use_cg_iter, filter_length)
        self.use_cg_iter = use_cg_iter
        self.filter_length = filter_length
        self.zero_mean = zero_mean
        self.load_diag = load_diag

    def update(self, preds: Any, target: Any, sample_weight: Any = None) -> None:
        """Takes in `(..., time)` signals; `sample_weight` is one per sample or signal."""
        scores = signal_distortion_ratio(
            preds, target, self.use_cg_iter, self.filter_length, self.zero_mean, self.load_diag
        )
        self.accumulate_scores(scores, sample_weight)


class SourceAggregatedSignalDistortionRatio(SignalScore):
    """Mean SA-SDR; see `lit_metrics.functional.source_aggregated_signal_distortion_ratio`.

    Arguments: see there and `Metric`.

    Example:
        >>> from lit_metrics import SourceAggregatedSignalDistortionRatio
        >>> SourceAggregatedSignalDistortionRatio()([[1.0, 2.0], [0.0, 1.0]], [[1.0, 2.0], [0.0, 3.0]])
        tensor(5.0515, dtype=torch.float64)
    """

    def __init__(self, scale_invariant: bool = True, zero_mean: bool = False, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.scale_invariant = scale_invariant
        self.zero_mean = zero_mean

    def update(self, preds: Any, target: Any, sample_weight: Any = None) -> None:
        """Takes in `(..., sources, time)` signals; `sample_weight` is one per sample or mixture."""
        scores = source_aggregated_signal_distortion_ratio(preds, target, self.scale_invariant, self.zero_mean)
        self.accumulate_scores(scores, sample_weight)


class ComplexScaleInvariantSignalNoiseRatio(SignalScore):
    """Mean C-SI-SNR; see `lit_metrics.functional.complex_scale_invariant_signal_noise_ratio`.

    Arguments: see there and `Metric`.

    Example:
        >>> import torch
        >>> from lit_metrics import ComplexScaleInvariantSignalNoiseRatio
        >>> target = torch.tensor([[1 + 1j, 2.0], [0.0, 1j]])
        >>> ComplexScaleInvariantSignalNoiseRatio()(target + 0.1, target)
        tensor(24.4789, dtype=torch.float64)
    """

    def __init__(self, zero_mean: bool = False, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.zero_mean = zero_mean

    def update(self, preds: Any, target: Any, sample_weight: Any = None) -> None:
        """Takes in complex `(..., frequency, time)` or real `(..., frequency, time, 2)` spectra."""
        scores = complex_scale_invariant_signal_noise_ratio(preds, target, self.zero_mean)
        self.accumulate_scores(scores, sample_weight)
