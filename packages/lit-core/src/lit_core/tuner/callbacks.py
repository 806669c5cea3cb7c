"""The tuner as callbacks: run at the beginning of ``fit``."""

from typing import TYPE_CHECKING, Any

from lit_core.callbacks.base import Callback
from lit_core.module import LightningModule
from lit_core.trainer import Trainer
from lit_core.tuner.loaders import with_batch_size
from lit_core.tuner.tuner import Tuner

if TYPE_CHECKING:
    from lit_core.tuner.lr_finder import LRFinder


class LearningRateFinder(Callback):
    """Finds a learning rate when ``fit`` begins, before optimizers are made, and trains with it.

    Args:
        options: for :meth:`Tuner.lr_find`.

    Example:
        >>> finder = LearningRateFinder(min_lr=1e-5, num_training=50)
        >>> finder.found is None
        True
    """

    def __init__(self, **options: Any) -> None:
        self._options = options
        self.found: LRFinder | None = None
        """What was found, after ``fit`` has begun."""

    def setup(self, trainer: Trainer, module: LightningModule, stage: str) -> None:
        """Find it and set the attribute."""
        if stage == "fit":
            given = trainer.train_dataloader
            self.found = Tuner(trainer).lr_find(module, given, datamodule=trainer.datamodule, **self._options)


class BatchSizeFinder(Callback):
    """Finds a batch size when ``fit`` begins, before loaders are made, and trains with it.

    A plain ``DataLoader`` that was passed to ``fit`` is made anew with it; the one that was passed stays as it is.

    Args:
        options: for :meth:`Tuner.scale_batch_size`.

    Example:
        >>> finder = BatchSizeFinder(mode="binsearch", init_val=16)
        >>> finder.found is None
        True
    """

    def __init__(self, **options: Any) -> None:
        self._options = options
        self.found: int | None = None
        """What was found, after ``fit`` has begun."""

    def setup(self, trainer: Trainer, module: LightningModule, stage: str) -> None:
        """Find it and set the attribute."""
        if stage == "fit":
            given = trainer.train_dataloader
            self.found = Tuner(trainer).scale_batch_size(module, given, trainer.datamodule, **self._options)
            if given is not None:
                trainer.train_on(with_batch_size(given, self.found))
