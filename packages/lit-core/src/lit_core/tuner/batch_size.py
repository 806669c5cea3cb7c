"""The largest batch that fits."""

import logging
from collections.abc import Callable
from typing import Any, Literal

from lit_core.callbacks.base import Callback
from lit_core.data.batch_size import find_batch_size
from lit_core.module import LightningModule
from lit_core.trainer import Trainer

SearchMode = Literal["power", "binsearch"]

_LOG = logging.getLogger(__name__)


class OutgrownError(Exception):
    """A batch of the size asked for would hold more than there is.

    Args:
        size: samples in all.
    """

    def __init__(self, size: int) -> None:
        super().__init__(f"There are {size} samples.")
        self.size = size


class Watch(Callback):
    """Checks that batches have the size that is tried.

    Args:
        size: the size that the loader was told.
        name: of the attribute that told it.
    """

    def __init__(self, size: int, name: str) -> None:
        self._size, self._name = size, name

    def on_train_epoch_start(self, trainer: Trainer, module: LightningModule) -> None:
        """An epoch without a batch would go on for ever."""
        if trainer.num_training_batches == 0:
            raise OutgrownError(0)

    def on_train_batch_start(self, trainer: Trainer, module: LightningModule, batch: Any, batch_idx: int) -> None:
        """Compare the first batch."""
        if batch_idx:
            return
        try:
            found = find_batch_size(batch)
        except ValueError:  # nobody can tell
            return
        if found == self._size:
            return
        if found < self._size and trainer.num_training_batches == 1:
            raise OutgrownError(found)
        raise ValueError(
            f"{self._name}={self._size} gives batches of {found}: does train_dataloader make its DataLoader with "
            f"batch_size=self.{self._name} (or self.hparams.{self._name})?"
        )


def search(fits: Callable[[int], bool], first: int, mode: SearchMode, most_trials: int) -> int:
    """The largest size for which ``fits``, among those that the mode tries.

    ``"power"`` doubles until one does not fit; ``"binsearch"`` then halves the distance between the largest that fits
    and the smallest that does not. Where ``first`` does not fit, smaller ones are tried.

    Args:
        fits: tries a size; raises :class:`OutgrownError` if there are fewer samples than that.
        first: the size tried first.
        mode: ``"power"`` or ``"binsearch"``.
        most_trials: how many sizes are tried at most.

    Raises:
        RuntimeError: if none fits.
        ValueError: if there are fewer samples than ``first`` and the last, smaller batch is dropped.

    Example:
        >>> search(lambda size: size <= 100, 2, "power", 25), search(lambda size: size <= 100, 2, "binsearch", 25)
        (64, 100)
    """
    good, bad, most, size = 0, None, None, first
    for _ in range(most_trials):
        try:
            fitted = fits(size)
        except OutgrownError as outgrown:
            _LOG.info("Batch size %d: there are not so many samples.", size)
            if outgrown.size <= good:
                break
            most = size = outgrown.size
            continue
        _LOG.info("Batch size %d: %s.", size, "fits" if fitted else "does not fit")
        good, bad = (size, bad) if fitted else (good, size)
        if good == most:
            break
        if bad is None:
            size = 2 * good
        elif bad - good <= 1 or (mode == "power" and good):
            break
        else:
            size = (good + bad) // 2
    if not good and bad is None:
        raise ValueError(f"There is no batch of {first} samples to try: give a smaller init_val.")
    if not good:
        raise RuntimeError(f"Not even batches of {bad} samples fit into memory: make the model smaller.")
    return good
