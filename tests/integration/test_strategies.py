"""The Trainer on sharded and split modules gives what one process gives."""

import os
from pathlib import Path

import pytest
import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

from lit_core import LightningModule, Trainer

pytestmark = [pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork"), pytest.mark.timeout(120)]


class Classifier(LightningModule):
    def __init__(self) -> None:
        super().__init__()
        self.net = nn.Sequential(nn.Linear(6, 16), nn.Tanh(), nn.Linear(16, 3))

    def training_step(self, batch, batch_idx):
        loss = nn.functional.cross_entropy(self.net(batch[0]), batch[1])
        self.log("train_loss", loss, on_step=True, on_epoch=True)
        return loss

    def validation_step(self, batch, batch_idx):
        logits = self.net(batch[0])
        self.log("val_loss", nn.functional.cross_entropy(logits, batch[1]))
        self.log("hits", (logits.argmax(1) == batch[1]).sum(), reduce_fx="sum")

    def configure_optimizers(self):
        return torch.optim.Adam(self.parameters(), lr=0.01)


def data(samples: int) -> TensorDataset:
    x = torch.randn(samples, 6, generator=torch.Generator().manual_seed(samples))
    return TensorDataset(x, (x[:, 0] > 0).long() + (x[:, 1] > 0.5).long())


def fit(
    folder: Path, strategy: str, devices: int, ckpt_path: Path | None = None, **options
) -> tuple[Trainer, nn.Module]:
    torch.manual_seed(11)
    model = Classifier()
    trainer = Trainer(
        accelerator="cpu",
        devices=devices,
        strategy=strategy,
        logger=False,
        enable_progress_bar=False,
        default_root_dir=folder,
        **{"max_epochs": 2, "gradient_clip_val": 0.5, **options},
    )
    processes = 1 if strategy in ("auto", "dp") else devices
    loader = DataLoader(data(61), 8 // processes, shuffle=True)
    trainer.fit(model, loader, DataLoader(data(37), 5), ckpt_path=ckpt_path)
    return trainer, model


def assert_close(a: nn.Module, b: nn.Module) -> None:
    for (name, x), y in zip(a.named_parameters(), b.parameters(), strict=True):
        torch.testing.assert_close(x, y, rtol=0, atol=1e-6, msg=lambda text, name=name: f"{name}: {text}")


@pytest.mark.parametrize("strategy", ["dp", "fsdp_fork"])
@pytest.mark.parametrize("accumulate", [1, 3])
def test_two_devices_train_and_evaluate_as_one(tmp_path, strategy, accumulate):
    one, model = fit(tmp_path / "one", "auto", 1, accumulate_grad_batches=accumulate)
    two, other = fit(tmp_path / "two", strategy, 2, accumulate_grad_batches=accumulate)
    assert_close(model, other)
    assert one.global_step == two.global_step
    for key in ("train_loss_epoch", "val_loss", "hits"):
        torch.testing.assert_close(one.callback_metrics[key], two.callback_metrics[key], rtol=1e-5, atol=1e-6)


@pytest.mark.filterwarnings("ignore:The checkpoint was saved by")
@pytest.mark.parametrize(
    ("before", "after"), [("fsdp_fork", "fsdp_fork"), ("fsdp_fork", "auto"), ("auto", "fsdp_fork")]
)
def test_a_run_goes_on_from_a_checkpoint_of_another_strategy(tmp_path, before, after):
    whole, model = fit(tmp_path / "whole", "auto", 1, max_epochs=3)
    first, _ = fit(tmp_path / "first", before, 1 if before == "auto" else 2, max_epochs=2)
    path = first.checkpoint_callback.last_model_path or first.checkpoint_callback.best_model_path
    rest, other = fit(tmp_path / "rest", after, 1 if after == "auto" else 2, ckpt_path=path, max_epochs=3)
    assert_close(model, other)
    assert rest.global_step == whole.global_step
