from lit_metrics.functional.audio.permutation_invariant_training import (
    permutation_invariant_training as permutation_invariant_training,
)
from lit_metrics.functional.audio.permutation_invariant_training import pit_permutate as pit_permutate
from lit_metrics.functional.audio.signal_distortion_ratio import signal_distortion_ratio as signal_distortion_ratio
from lit_metrics.functional.audio.signal_ratios import (
    complex_scale_invariant_signal_noise_ratio as complex_scale_invariant_signal_noise_ratio,
)
from lit_metrics.functional.audio.signal_ratios import (
    scale_invariant_signal_distortion_ratio as scale_invariant_signal_distortion_ratio,
)
from lit_metrics.functional.audio.signal_ratios import (
    scale_invariant_signal_noise_ratio as scale_invariant_signal_noise_ratio,
)
from lit_metrics.functional.audio.signal_ratios import signal_noise_ratio as signal_noise_ratio
from lit_metrics.functional.audio.signal_ratios import (
    source_aggregated_signal_distortion_ratio as source_aggregated_signal_distortion_ratio,
)
