from lit_metrics.audio.permutation_invariant_training import (
    PermutationInvariantTraining as PermutationInvariantTraining,
)
from lit_metrics.audio.signal_ratios import (
    ComplexScaleInvariantSignalNoiseRatio as ComplexScaleInvariantSignalNoiseRatio,
)
from lit_metrics.audio.signal_ratios import ScaleInvariantSignalDistortionRatio as ScaleInvariantSignalDistortionRatio
from lit_metrics.audio.signal_ratios import ScaleInvariantSignalNoiseRatio as ScaleInvariantSignalNoiseRatio
from lit_metrics.audio.signal_ratios import SignalDistortionRatio as SignalDistortionRatio
from lit_metrics.audio.signal_ratios import SignalNoiseRatio as SignalNoiseRatio
from lit_metrics.audio.signal_ratios import (
    SourceAggregatedSignalDistortionRatio as SourceAggregatedSignalDistortionRatio,
)
