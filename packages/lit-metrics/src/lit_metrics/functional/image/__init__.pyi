from lit_metrics.functional.image.feature_distances import frechet_distance as frechet_distance
from lit_metrics.functional.image.feature_distances import kernel_distance as kernel_distance
from lit_metrics.functional.image.gradients import image_gradients as image_gradients
from lit_metrics.functional.image.gradients import total_variation as total_variation
from lit_metrics.functional.image.peak_signal_noise_ratio import peak_signal_noise_ratio as peak_signal_noise_ratio
from lit_metrics.functional.image.peak_signal_noise_ratio import (
    peak_signal_noise_ratio_with_blocked_effect as peak_signal_noise_ratio_with_blocked_effect,
)
from lit_metrics.functional.image.peak_signal_noise_ratio import psnr as psnr
from lit_metrics.functional.image.sliding_window import (
    relative_average_spectral_error as relative_average_spectral_error,
)
from lit_metrics.functional.image.sliding_window import (
    root_mean_squared_error_using_sliding_window as root_mean_squared_error_using_sliding_window,
)
from lit_metrics.functional.image.sliding_window import (
    spatial_correlation_coefficient as spatial_correlation_coefficient,
)
from lit_metrics.functional.image.spectral import (
    error_relative_global_dimensionless_synthesis as error_relative_global_dimensionless_synthesis,
)
from lit_metrics.functional.image.spectral import quality_with_no_reference as quality_with_no_reference
from lit_metrics.functional.image.spectral import spatial_distortion_index as spatial_distortion_index
from lit_metrics.functional.image.spectral import spectral_angle_mapper as spectral_angle_mapper
from lit_metrics.functional.image.spectral import spectral_distortion_index as spectral_distortion_index
from lit_metrics.functional.image.structural_similarity import (
    multiscale_structural_similarity_index_measure as multiscale_structural_similarity_index_measure,
)
from lit_metrics.functional.image.structural_similarity import ssim as ssim
from lit_metrics.functional.image.structural_similarity import (
    structural_similarity_index_measure as structural_similarity_index_measure,
)
from lit_metrics.functional.image.structural_similarity import (
    universal_image_quality_index as universal_image_quality_index,
)
from lit_metrics.functional.image.visual_information_fidelity import (
    visual_information_fidelity as visual_information_fidelity,
)
