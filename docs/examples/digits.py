"""Handwritten digits, from data to a checked ONNX file: what a whole project with lit looks like.

Run it with ``hatch run demo``. It trains a small convolutional classifier on the 1,797 real digits that scikit-learn
ships, keeps the best and the last checkpoint, tests the best, goes on for one more epoch from the last, and exports.
"""

import argparse
from pathlib import Path

import numpy as np
import onnxruntime
import torch
from sklearn.datasets import load_digits
from torch import Tensor, nn
from torch.utils.data import DataLoader, TensorDataset, random_split

from lit_accelerators import seed_everything
from lit_core import LightningDataModule, LightningModule, ModelCheckpoint, Trainer
from lit_metrics import Accuracy, MetricCollection


class Digits(LightningDataModule):
    """1,797 grey images of 8 x 8 pixels in ten classes, split 70 : 15 : 15."""

    def __init__(self, batch_size: int = 32) -> None:
        super().__init__()
        self.save_hyperparameters()

    def setup(self, stage: str) -> None:
        bunch = load_digits()
        images = torch.tensor(bunch.images, dtype=torch.float32).unsqueeze(1) / 16  # (1797, 1, 8, 8), in [0, 1]
        data = TensorDataset(images, torch.tensor(bunch.target))
        split = torch.Generator().manual_seed(0)
        self.train_data, self.val_data, self.test_data = random_split(data, [0.7, 0.15, 0.15], generator=split)

    def train_dataloader(self) -> DataLoader:
        return DataLoader(self.train_data, batch_size=self.hparams.batch_size, shuffle=True)

    def val_dataloader(self) -> DataLoader:
        return DataLoader(self.val_data, batch_size=128)

    def test_dataloader(self) -> DataLoader:
        return DataLoader(self.test_data, batch_size=128)


class Classifier(LightningModule):
    """Two convolutions and a linear layer, trained with cross-entropy."""

    def __init__(self, width: int = 32, lr: float = 2e-3) -> None:
        super().__init__()
        self.save_hyperparameters()
        self.layers = nn.Sequential(
            nn.Conv2d(1, width, kernel_size=3, padding=1),
            nn.ReLU(),
            nn.Conv2d(width, 2 * width, kernel_size=3, padding=1),
            nn.ReLU(),
            nn.MaxPool2d(2),
            nn.Flatten(),
            nn.Dropout(0.3),
            nn.Linear(2 * width * 4 * 4, 10),
        )
        self.val_metrics = MetricCollection({"val_acc": Accuracy(task="multiclass", num_classes=10)})
        self.test_acc = Accuracy(task="multiclass", num_classes=10)
        self.example_input_array = torch.zeros(2, 1, 8, 8)

    def forward(self, images: Tensor) -> Tensor:
        return self.layers(images)

    def training_step(self, batch: tuple[Tensor, Tensor], batch_idx: int) -> Tensor:
        images, labels = batch
        loss = nn.functional.cross_entropy(self(images), labels)
        self.log("train_loss", loss, on_step=True, on_epoch=True, prog_bar=True)
        return loss

    def validation_step(self, batch: tuple[Tensor, Tensor], batch_idx: int) -> None:
        images, labels = batch
        logits = self(images)
        self.val_metrics.update(logits, labels)
        self.log("val_loss", nn.functional.cross_entropy(logits, labels))
        self.log_dict(self.val_metrics, prog_bar=True)

    def test_step(self, batch: tuple[Tensor, Tensor], batch_idx: int) -> None:
        images, labels = batch
        self.test_acc.update(self(images), labels)
        self.log("test_acc", self.test_acc)

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.AdamW(self.parameters(), lr=self.hparams.lr)


def export_and_check(model: Classifier, images: Tensor, path: Path) -> float:
    """Write ``model`` as ONNX; returns the largest difference from PyTorch on images of another batch size."""
    model.to_onnx(path)
    session = onnxruntime.InferenceSession(path)
    (output,) = session.run(None, {session.get_inputs()[0].name: images.numpy()})
    model.eval()
    with torch.no_grad():
        expected = model(images).numpy()
    return float(np.abs(output - expected).max())


def main(epochs: int, folder: Path) -> float:
    """The whole story; returns the test accuracy of the best checkpoint."""
    seed_everything(0)
    data, model = Digits(), Classifier()
    keep = ModelCheckpoint(monitor="val_acc", mode="max", filename="{epoch}-{val_acc:.3f}")
    trainer = Trainer(max_epochs=epochs, callbacks=[keep], default_root_dir=folder, log_every_n_steps=10)
    trainer.fit(model, datamodule=data)

    (result,) = trainer.test(model, datamodule=data, ckpt_path="best")

    more = ModelCheckpoint(monitor="val_acc", mode="max")
    again = Trainer(max_epochs=epochs + 1, callbacks=[more], default_root_dir=folder, log_every_n_steps=10)
    again.fit(Classifier(), datamodule=data, ckpt_path=keep.last_model_path)

    best = Classifier.load_from_checkpoint(keep.best_model_path)
    onnx_file = folder / "digits.onnx"
    difference = export_and_check(best, next(iter(data.test_dataloader()))[0], onnx_file)
    if difference > 1e-4:
        raise RuntimeError(f"ONNX and PyTorch differ by {difference:.2g}.")

    print(
        f"""
Test accuracy of the best checkpoint: {result["test_acc"]:.2%}
Resumed after epoch {epochs} and trained to epoch {again.current_epoch}: {again.global_step} updates in all.
ONNX and PyTorch differ by {difference:.1e} at most.

  logs   {trainer.log_dir}
  best   {keep.best_model_path}
  last   {keep.last_model_path}
  ONNX   {onnx_file}

Look at the curves:  hatch run tensorboard --logdir {folder}
"""
    )
    return result["test_acc"]


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--epochs", type=int, default=15)
    parser.add_argument("--folder", type=Path, default=Path("demo_runs"))
    options = parser.parse_args()
    main(options.epochs, options.folder)
