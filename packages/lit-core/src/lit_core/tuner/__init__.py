"""Finding a learning rate and a batch size before training."""

from lit_core.tuner.callbacks import BatchSizeFinder, LearningRateFinder
from lit_core.tuner.lr_finder import LRFinder
from lit_core.tuner.tuner import Tuner

__all__ = ["BatchSizeFinder", "LRFinder", "LearningRateFinder", "Tuner"]
