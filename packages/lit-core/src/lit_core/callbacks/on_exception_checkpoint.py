"""Save where training stood when it failed."""

import os
import warnings
from os import PathLike
from typing import TYPE_CHECKING

from lit_core.callbacks.base import Callback
from lit_core.module import LightningModule

if TYPE_CHECKING:
    from lit_core.trainer import Trainer


class OnExceptionCheckpoint(Callback):
    """Save a checkpoint when an exception ends ``fit``.

    It holds the weights and the clock as they were after the last complete batch; a resumed run runs the batch that
    failed again. Random numbers that this batch had drawn, and numbers that it had logged, are in it: resuming is not
    exact to the bit, as it is from checkpoints of :class:`lit_core.ModelCheckpoint`. If saving fails too,
    that is a warning, and the first exception goes on.

    With several processes an exception is one process's, and a checkpoint needs all of them: it warns and saves
    nothing.

    Args:
        dirpath: folder or URL.
        filename: name of the file without its ending.

    Example:
        >>> from lit_core.callbacks import OnExceptionCheckpoint
        >>> OnExceptionCheckpoint("saved").ckpt_path
        'saved/on_exception.ckpt'

    Raises:
        ValueError: if there is no file name.
    """

    phase = "save"

    def __init__(self, dirpath: str | PathLike[str], filename: str = "on_exception") -> None:
        if not filename:
            raise ValueError("filename must not be empty: give a name without its ending, such as 'on_exception'.")
        self.dirpath = os.fspath(dirpath)
        self.filename = filename

    @property
    def state_key(self) -> str:
        """One per file."""
        return f"OnExceptionCheckpoint({self.ckpt_path!r})"

    @property
    def ckpt_path(self) -> str:
        """Where it saves."""
        return f"{self.dirpath.rstrip('/')}/{self.filename}.ckpt"

    def on_exception(self, trainer: "Trainer", module: LightningModule, exception: BaseException) -> None:
        """Save, whatever was raised."""
        if trainer.stage != "fit":
            return
        if trainer.world_size > 1:
            warnings.warn(
                "OnExceptionCheckpoint saves nothing with several processes: the others may be waiting elsewhere. The "
                "last checkpoint of ModelCheckpoint is complete.",
                stacklevel=2,
            )
            return
        try:
            trainer.save_checkpoint(self.ckpt_path)
        except Exception as error:
            warnings.warn(f"OnExceptionCheckpoint could not save {self.ckpt_path}: {error!r}", stacklevel=2)
