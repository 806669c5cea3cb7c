"""An autoencoder: train two models together, then use one of them in another task.

The encoder and decoder learn to compress digits of 64 pixels to 8 numbers. Then the frozen encoder feeds a classifier.
Run it with ``hatch run python docs/examples/autoencoder.py``.
"""

import argparse
from typing import Any

import torch
from sklearn.datasets import load_digits
from torch import Tensor, nn
from torch.utils.data import DataLoader, TensorDataset, random_split

from lit_accelerators import seed_everything
from lit_core import LightningModule, Trainer
from lit_metrics import Accuracy


class Autoencoder(LightningModule):
    """An encoder and a decoder, trained to give back what came in."""

    def __init__(self, pixels: int = 64, code: int = 8, lr: float = 3e-3) -> None:
        super().__init__()
        self.save_hyperparameters()
        self.encoder = nn.Sequential(nn.Linear(pixels, 64), nn.ReLU(), nn.Linear(64, code))
        self.decoder = nn.Sequential(nn.Linear(code, 64), nn.ReLU(), nn.Linear(64, pixels))
        self.example_input_array = torch.zeros(2, pixels)

    def forward(self, images: Tensor) -> Tensor:
        return self.encoder(images)

    def reconstruction_loss(self, batch: list[Tensor]) -> Tensor:
        images, _ = batch
        return nn.functional.mse_loss(self.decoder(self(images)), images)

    def training_step(self, batch: list[Tensor], batch_idx: int) -> Tensor:
        loss = self.reconstruction_loss(batch)
        self.log("loss", loss, prog_bar=True, on_step=False, on_epoch=True)
        return loss

    def validation_step(self, batch: list[Tensor], batch_idx: int) -> None:
        self.log("val_loss", self.reconstruction_loss(batch), prog_bar=True)

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.Adam(self.parameters(), lr=self.hparams.lr)


class Probe(LightningModule):
    """A classifier on the codes of a frozen encoder."""

    def __init__(self, encoder: nn.Module, code: int = 8) -> None:
        super().__init__()
        self.save_hyperparameters(ignore=["encoder"])
        self.encoder = encoder.requires_grad_(False)
        self.head = nn.Sequential(nn.Linear(code, 64), nn.ReLU(), nn.Linear(64, 10))
        self.accuracy = Accuracy(task="multiclass", num_classes=10)

    def forward(self, images: Tensor) -> Tensor:
        return self.head(self.encoder(images))

    def training_step(self, batch: list[Tensor], batch_idx: int) -> Tensor:
        images, labels = batch
        loss = nn.functional.cross_entropy(self(images), labels)
        self.log("loss", loss, prog_bar=True)
        return loss

    def test_step(self, batch: list[Tensor], batch_idx: int) -> None:
        images, labels = batch
        self.accuracy.update(self(images), labels)
        self.log("accuracy", self.accuracy)

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.Adam(self.head.parameters(), lr=1e-2)


def main(epochs: int, **options: Any) -> float:
    """Train both; returns the accuracy of the classifier on held-out digits."""
    seed_everything(0)
    bunch = load_digits()
    data = TensorDataset(torch.tensor(bunch.data, dtype=torch.float32) / 16, torch.tensor(bunch.target))
    train, held_out = random_split(data, [0.8, 0.2], generator=torch.Generator().manual_seed(0))
    train_loader, test_loader = DataLoader(train, batch_size=64, shuffle=True), DataLoader(held_out, batch_size=256)
    autoencoder = Autoencoder()
    Trainer(max_epochs=epochs, **options).fit(autoencoder, train_loader, test_loader)
    probe = Probe(autoencoder.encoder)
    trainer = Trainer(max_epochs=epochs, **options)
    trainer.fit(probe, train_loader)
    (result,) = trainer.test(probe, test_loader)
    return result["accuracy"]


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--epochs", type=int, default=20)
    main(**vars(parser.parse_args()))
