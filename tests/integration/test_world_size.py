"""A run that goes on with another number of processes: every sample of the epoch once, and the same mathematics."""

import json
import os
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

from lit_core import Callback, LightningModule, Trainer

pytestmark = [
    pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork"),
    pytest.mark.timeout(120),
    pytest.mark.filterwarnings("ignore:The checkpoint was saved by"),
]

SAMPLES, TOGETHER = 46, 6


class Seeing(LightningModule):
    """Writes down which samples each process saw."""

    def __init__(self, folder: Path, by_hand: bool) -> None:
        super().__init__()
        self.net = nn.Sequential(nn.Linear(3, 8), nn.Tanh(), nn.Linear(8, 1))
        self.folder = folder
        self.automatic_optimization = not by_hand

    def training_step(self, batch: Any, batch_idx: int) -> Any:
        with (self.folder / "seen").open("a") as file:
            file.write(json.dumps([self.trainer.progress.batches, batch[2].tolist()]) + "\n")
        loss = nn.functional.mse_loss(self.net(batch[0]), batch[1])
        self.log("loss", loss, on_step=False, on_epoch=True)
        if self.automatic_optimization:
            return loss
        self.manual_backward(loss)
        if self.trainer.progress.batches % 3 == 2:
            self.optimizers().step()
            self.optimizers().zero_grad()
        return None

    def configure_optimizers(self) -> Any:
        return torch.optim.SGD(self.parameters(), lr=0.1, momentum=0.9)


def data() -> TensorDataset:
    x = torch.randn(SAMPLES, 3, generator=torch.Generator().manual_seed(2))
    return TensorDataset(x, x.sum(1, keepdim=True), torch.arange(SAMPLES))


class SaveAt(Callback):
    """A checkpoint after so many batches."""

    def __init__(self, batches: int) -> None:
        self.batches = batches

    def on_train_batch_end(self, trainer: Any, module: Any, outputs: Any, batch: Any, batch_idx: int) -> None:
        if trainer.progress.batches == self.batches:
            trainer.save_checkpoint(module.folder / "cut.ckpt")


def fit(folder: Path, processes: int, ckpt_path: Path | None = None, *, cut: int = 0, by_hand: bool = False) -> Any:
    """Two epochs, or what is left of them."""
    folder.mkdir()
    torch.manual_seed(4)
    module = Seeing(folder, by_hand)
    trainer = Trainer(
        accelerator="cpu",
        devices=processes,
        strategy="ddp_fork" if processes > 1 else "auto",
        max_epochs=2,
        accumulate_grad_batches=1 if by_hand else 3,
        logger=False,
        enable_progress_bar=False,
        enable_checkpointing=False,
        callbacks=SaveAt(cut),
    )
    trainer.fit(module, DataLoader(data(), TOGETHER // processes, shuffle=True), ckpt_path=ckpt_path)
    return trainer, module


def seen(folder: Path, batches: range) -> list[list[int]]:
    """The samples of each epoch in these batches, over all processes."""
    lines = [json.loads(line) for line in (folder / "seen").read_text().splitlines()]
    return [
        sorted(i for at, samples in lines if at in batches and at // 8 == epoch for i in samples) for epoch in (0, 1)
    ]


@pytest.mark.parametrize(("before", "after", "by_hand"), [(1, 2, False), (2, 1, True), (2, 3, False)])
def test_every_sample_of_the_epoch_is_seen_once_and_training_goes_on_as_if_nothing_had_changed(
    tmp_path: Path, before: int, after: int, by_hand: bool
) -> None:
    cut = 10  # two batches into the second epoch, inside a group
    whole, expected = fit(tmp_path / "whole", 1, by_hand=by_hand)
    fit(tmp_path / "before", before, cut=cut, by_hand=by_hand)
    resumed, module = fit(tmp_path / "after", after, tmp_path / "before" / "cut.ckpt", by_hand=by_hand)

    first, rest = seen(tmp_path / "before", range(cut)), seen(tmp_path / "after", range(cut, 16))
    assert [sorted(a + b) for a, b in zip(first, rest, strict=True)] == [list(range(SAMPLES))] * 2
    assert resumed.global_step == whole.global_step
    for a, b in zip(expected.parameters(), module.parameters(), strict=True):
        torch.testing.assert_close(a, b, rtol=0, atol=1e-6)
    torch.testing.assert_close(resumed.callback_metrics["loss"], whole.callback_metrics["loss"])
