"""What test_elastic.py trains under torchrun, and in forked processes that nobody disturbs.

KILLS is a list of [attempt, fit, batches]: in that attempt, process 1 is killed when that fit has done so many batches.
"""

import os
import signal
from pathlib import Path
from typing import Any

import torch

from lit_core import Callback, ModelCheckpoint, Trainer
from lit_loggers import CSVLogger
from tests.lit_core.resumable import Alone, noisy_loader


class Kill(Callback):
    """Ends a process as the kernel does when memory is short."""

    def __init__(self, fit: int, kills: list[list[int]], *, damage: bool) -> None:
        self.fit, self.damage = fit, damage
        attempt = int(os.environ.get("TORCHELASTIC_RESTART_COUNT", "0"))
        self.at = {batches for when, which, batches in kills if (when, which) == (attempt, fit)}

    def on_train_batch_start(self, trainer: Any, module: Any, batch: Any, batch_idx: int) -> None:
        if trainer.global_rank != 1 or trainer.progress.batches not in self.at:
            return
        if self.damage:
            newest = max(
                Path(trainer.checkpoint_callback.dirpath).glob("*.ckpt"), key=lambda path: path.stat().st_mtime
            )
            newest.write_bytes(newest.read_bytes()[:-100])
        os.kill(os.getpid(), signal.SIGKILL)


def train(folder: Path, kills: list[list[int]], fits: int, every: int = 2, *, seed: int = 3, **choice: Any) -> None:
    """One model, trained by one Trainer after the other; its weights after each go to the folder.

    Checkpoints are saved after ``every`` so many updates.
    """
    torch.set_num_threads(1)
    torch.manual_seed(seed)
    module = Alone()
    for fit in range(fits):
        trainer = Trainer(
            accelerator="cpu",
            max_epochs=2,
            log_every_n_steps=2,
            num_sanity_val_steps=0,
            enable_progress_bar=False,
            logger=CSVLogger(folder, name="rows", version=0, flush_every_n_rows=1) if fit == 0 else False,
            callbacks=[
                Kill(fit, kills, damage=fit == 0 and len(kills) > 1),
                ModelCheckpoint(folder / "first" if fit == 0 else None, every_n_train_steps=every, save_top_k=-1),
            ],
            default_root_dir=folder,
            **choice,
        )
        trainer.fit(module, noisy_loader(30), noisy_loader(8, shuffle=False))
        if trainer.is_global_zero:
            torch.save(module.state_dict(), folder / f"final_{fit}.pt")


def train_started(folder: Path, kills: list[list[int]], fits: int, every: int = 2) -> None:
    """:func:`train` in a process that torchrun's agent has started."""
    train(folder, kills, fits, every, num_nodes=int(os.environ["GROUP_WORLD_SIZE"]))
