"""Callbacks: what watches or steers training and is not part of the science."""

from lit_core.callbacks.base import Callback
from lit_core.callbacks.device_stats import DeviceStatsMonitor
from lit_core.callbacks.early_stopping import EarlyStopping
from lit_core.callbacks.finetuning import BackboneFinetuning, BaseFinetuning
from lit_core.callbacks.gradient_accumulation import GradientAccumulationScheduler
from lit_core.callbacks.gradient_norm import GradientNormMonitor, gradient_norms
from lit_core.callbacks.lambda_callback import LambdaCallback
from lit_core.callbacks.lr_monitor import LearningRateMonitor
from lit_core.callbacks.model_checkpoint import ModelCheckpoint
from lit_core.callbacks.model_summary import ModelSummary, RichModelSummary, summarize
from lit_core.callbacks.nan_guard import NaNGuard
from lit_core.callbacks.on_exception_checkpoint import OnExceptionCheckpoint
from lit_core.callbacks.prediction_writer import BasePredictionWriter, PredictionFileWriter, read_predictions
from lit_core.callbacks.progress_bar import ProgressBar, TQDMProgressBar
from lit_core.callbacks.pruning import ModelPruning
from lit_core.callbacks.rich_progress import RichProgressBar, RichProgressBarTheme
from lit_core.callbacks.spike_detection import SpikeDetection
from lit_core.callbacks.stochastic_weight_averaging import StochasticWeightAveraging
from lit_core.callbacks.throughput import ThroughputMonitor
from lit_core.callbacks.time_table import TimeTable
from lit_core.callbacks.timer import Timer
from lit_core.callbacks.weight_averaging import EMAWeightAveraging, WeightAveraging

__all__ = [
    "BackboneFinetuning",
    "BaseFinetuning",
    "BasePredictionWriter",
    "Callback",
    "DeviceStatsMonitor",
    "EMAWeightAveraging",
    "EarlyStopping",
    "GradientAccumulationScheduler",
    "GradientNormMonitor",
    "LambdaCallback",
    "LearningRateMonitor",
    "ModelCheckpoint",
    "ModelPruning",
    "ModelSummary",
    "NaNGuard",
    "OnExceptionCheckpoint",
    "PredictionFileWriter",
    "ProgressBar",
    "RichModelSummary",
    "RichProgressBar",
    "RichProgressBarTheme",
    "SpikeDetection",
    "StochasticWeightAveraging",
    "TQDMProgressBar",
    "ThroughputMonitor",
    "TimeTable",
    "Timer",
    "WeightAveraging",
    "gradient_norms",
    "read_predictions",
    "summarize",
]
