"""lit-core: the training system. The user writes the science as a LightningModule; the Trainer does the engineering."""

from lit_core.__about__ import __version__
from lit_core.callbacks import Callback, EarlyStopping, ModelCheckpoint, ProgressBar
from lit_core.data.combined import CombinedLoader
from lit_core.datamodule import LightningDataModule
from lit_core.module import LightningModule
from lit_core.optimizers import LightningOptimizer
from lit_core.progress import Progress
from lit_core.trainer import Trainer

__all__ = [
    "Callback",
    "CombinedLoader",
    "EarlyStopping",
    "LightningDataModule",
    "LightningModule",
    "LightningOptimizer",
    "ModelCheckpoint",
    "Progress",
    "ProgressBar",
    "Trainer",
    "__version__",
]
