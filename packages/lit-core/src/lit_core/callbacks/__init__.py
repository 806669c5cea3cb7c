"""Callbacks: what watches or steers training and is not part of the science."""

from lit_core.callbacks.base import Callback
from lit_core.callbacks.early_stopping import EarlyStopping
from lit_core.callbacks.model_checkpoint import ModelCheckpoint
from lit_core.callbacks.progress_bar import ProgressBar

__all__ = ["Callback", "EarlyStopping", "ModelCheckpoint", "ProgressBar"]
