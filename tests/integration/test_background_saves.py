"""What goes wrong in a thread of process 0 ends all processes, and none waits for another."""

import os
import time
from pathlib import Path
from typing import Any

import pytest
import torch
from torch.utils.data import DataLoader

from lit_accelerators import FSDPStrategy
from lit_checkpoint import CheckpointIO
from lit_core import Callback, ModelCheckpoint, Trainer
from tests.integration.test_strategies import Classifier, data

pytestmark = [pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork"), pytest.mark.timeout(120)]

FIRST_SAVE = 50


class FailsLater(CheckpointIO):
    """Cannot save, and finds that out while training goes on."""

    def save(self, state: dict[str, Any], path: Any) -> None:
        time.sleep(0.3)
        raise OSError("the disk is gone")

    def load(self, path: Any, *, map_location: Any = "cpu", weights_only: bool = True) -> dict[str, Any]:
        raise NotImplementedError

    def verify(self, path: Any) -> None: ...

    def remove(self, path: Any) -> None: ...


class Ends(Callback):
    """Leaves time between saves, and writes down how each process ended."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def on_train_batch_end(self, trainer: Trainer, module: Any, outputs: Any, batch: Any, batch_idx: int) -> None:
        time.sleep(0.1 if batch_idx >= FIRST_SAVE else 0)

    def on_exception(self, trainer: Trainer, module: Any, exception: BaseException) -> None:
        (self.folder / f"end_{trainer.global_rank}").write_text(f"{trainer.global_step} {exception}")


def test_all_processes_raise_at_one_step_before_the_next_save(tmp_path: Path) -> None:
    trainer = Trainer(
        accelerator="cpu",
        devices=2,
        strategy="ddp_fork",
        max_epochs=1,
        logger=False,
        enable_progress_bar=False,
        log_every_n_steps=100_000,
        plugins=FailsLater(),
        callbacks=[
            ModelCheckpoint(tmp_path / "kept", every_n_train_steps=FIRST_SAVE, background=True),
            Ends(tmp_path),
        ],
    )
    with pytest.raises((OSError, RuntimeError), match="the disk is gone"):
        trainer.fit(Classifier(), DataLoader(data(4 * FIRST_SAVE), batch_size=1))
    ends = [(tmp_path / f"end_{rank}").read_text().partition(" ") for rank in (0, 1)]
    assert ends[0][0] == ends[1][0]
    assert FIRST_SAVE < int(ends[0][0]) < 2 * FIRST_SAVE
    assert all("the disk is gone" in text for _, _, text in ends)


def test_parts_of_several_processes_are_not_written_in_the_background(tmp_path: Path) -> None:
    torch.manual_seed(0)
    strategy = FSDPStrategy(indices=[0, 1], start="fork", state_dict_type="sharded")
    saver = ModelCheckpoint(tmp_path, background=True)
    trainer = Trainer(strategy=strategy, logger=False, enable_progress_bar=False, callbacks=saver, max_epochs=1)
    with pytest.raises((ValueError, RuntimeError), match="all processes write these checkpoints together"):
        trainer.fit(Classifier(), DataLoader(data(4)))
