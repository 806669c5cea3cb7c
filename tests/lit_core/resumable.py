"""Runs whose every part depends on its past, to compare one that was resumed with one that was not."""

from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim.lr_scheduler import OneCycleLR, StepLR
from torch.utils.data import DataLoader, Dataset

from lit_core import Callback, LightningModule
from lit_loggers import Row
from tests.lit_core.tiny import network, samples


class Noisy(Dataset[Any]):
    """Samples with noise from the generator of the process that reads them."""

    def __init__(self, n: int, *, noise: float) -> None:
        self.data, self.noise = samples(n), noise

    def __len__(self) -> int:
        return len(self.data)

    def __getitem__(self, index: int) -> Any:
        x, y, number = self.data[index]
        return (x + self.noise * torch.rand(3) if self.noise else x), y, number


def noisy_loader(n: int = 14, *, workers: int = 0, shuffle: bool = True, noise: float = 0.1) -> DataLoader[Any]:
    return DataLoader(Noisy(n, noise=noise), batch_size=3, shuffle=shuffle, num_workers=workers)


class Base(LightningModule):
    """Dropout, a running statistic, several logged keys, and what it saw."""

    def __init__(self) -> None:
        super().__init__()
        self.net = nn.Sequential(nn.BatchNorm1d(3, momentum=0.3), network(dropout=0.4))
        self.other = network(dropout=0.2)
        self.seen: list[list[int]] = []

    def loss(self, batch: Any, index: int = 0) -> Tensor:
        x, y, _ = batch
        out = self.net(x) if index == 0 else self.net(x).detach() + self.other(x)
        return nn.functional.smooth_l1_loss(out, y)

    def note(self, batch: Any, batch_idx: int, loss: Tensor) -> None:
        self.seen.append(batch[2].tolist())
        self.log("loss", loss, on_step=True, on_epoch=True)
        self.log("largest", loss, on_step=False, on_epoch=True, reduce_fx="max")
        if batch_idx == 0:
            self.log("first", loss, on_step=False, on_epoch=True)

    def on_train_epoch_start(self) -> None:
        self.log("drawn", torch.rand(()), reduce_fx="sum")

    def validation_step(self, batch: Any, batch_idx: int) -> None:
        self.log("val_loss", self.loss(batch) + torch.rand(()))

    def training_epoch_end(self, outputs: Any) -> None:
        self.log("outputs", float(len(outputs)))


class Automatic(Base):
    def training_step(self, batch: Any, batch_idx: int) -> Tensor:
        loss = self.loss(batch)
        self.note(batch, batch_idx, loss)
        return loss

    def configure_optimizers(self) -> Any:
        optimizer = torch.optim.Adam(self.net.parameters(), lr=0.01)
        scheduler = OneCycleLR(optimizer, 0.1, total_steps=40)
        return [optimizer], [{"scheduler": scheduler, "interval": "step"}]


class Two(Base):
    frequencies = (0, 0)

    def training_step(self, batch: Any, batch_idx: int, optimizer_idx: int) -> Tensor:
        loss = self.loss(batch, optimizer_idx)
        self.note(batch, batch_idx, loss)
        return loss

    def configure_optimizers(self) -> Any:
        optimizers = [
            torch.optim.Adam(self.net.parameters(), lr=0.01),
            torch.optim.SGD(self.other.parameters(), lr=0.05, momentum=0.9),
        ]
        return [
            {
                "optimizer": optimizer,
                "frequency": frequency,
                "lr_scheduler": {"scheduler": StepLR(optimizer, 2, gamma=0.8), "interval": interval},
            }
            for optimizer, frequency, interval in zip(optimizers, self.frequencies, ("step", "epoch"), strict=True)
        ]


class Turns(Two):
    frequencies = (2, 1)


class Manual(Two):
    """Steps one optimizer in every batch; gathers the gradients of the other over three, across epochs."""

    def __init__(self) -> None:
        super().__init__()
        self.automatic_optimization = False

    def training_step(self, batch: Any, batch_idx: int) -> None:  # type: ignore[override]
        first, second = self.optimizers()
        loss = self.loss(batch, 0)
        self.note(batch, batch_idx, loss)
        first.zero_grad()
        self.manual_backward(loss)
        first.step()
        self.manual_backward(self.loss(batch, 1) / 3)
        if self.trainer.progress.batches % 3 == 2:
            second.step()
            second.zero_grad()


class ByName(Two):
    """A loss for each optimizer, by its name; each has a pace of its own."""

    def training_step(self, batch: Any, batch_idx: int) -> dict[str, Tensor]:  # type: ignore[override]
        losses = {"net": self.loss(batch, 0), "other": self.loss(batch, 1)}
        self.note(batch, batch_idx, losses["net"])
        return losses

    def configure_optimizers(self) -> Any:
        net, other = super().configure_optimizers()
        for config in (net, other):
            del config["frequency"]
        return [{**net, "name": "net"}, {**other, "name": "other", "accumulate_grad_batches": 2}]


class Alone(Automatic):
    """Has no parameters that get no gradients."""

    def __init__(self) -> None:
        super().__init__()
        del self.other


MODULES: dict[str, type[Base]] = {c.__name__: c for c in (Automatic, Two, Turns, Manual, ByName, Alone)}


class SaveAll(Callback):
    """A checkpoint at every safe point, and how much had been seen and written by then.

    Without a folder nothing is written, but reductions are still cut where a checkpoint cuts them.
    """

    phase = "save"

    def __init__(self, folder: Path | None, rows: list[Row] | None = None) -> None:
        self.folder, self.rows = folder, rows
        self.saved: dict[str, tuple[int, int]] = {}

    def save(self, trainer: Any, module: Any, point: str) -> None:
        name = f"{trainer.progress.batches:02d}-{point}"
        if self.folder is None:
            trainer.dump_checkpoint()
        else:
            trainer.save_checkpoint(self.folder / f"{name}.ckpt")
        self.saved[name] = (len(module.seen), len(self.rows or ()))

    def on_train_batch_end(self, trainer: Any, module: Any, outputs: Any, batch: Any, batch_idx: int) -> None:
        self.save(trainer, module, "batch")

    def on_validation_end(self, trainer: Any, module: Any) -> None:
        if not trainer.sanity_checking:
            self.save(trainer, module, "validation")

    def on_train_epoch_end(self, trainer: Any, module: Any) -> None:
        self.save(trainer, module, "epoch")


def comparable(rows: list[Row]) -> list[tuple[Any, ...]]:
    """Rows without their wall time."""
    return [(row.step, row.stage, row.epoch, row.batch, row.samples, dict(row.metrics)) for row in rows]


def final_state(trainer: Any, module: nn.Module) -> dict[str, Any]:
    """All that a later step depends on, and the clock."""
    clock = trainer.progress.state_dict()
    clock.pop("train_time_s")
    return {
        "weights": {name: value.clone() for name, value in module.state_dict().items()},
        "optimizers": [optimizer.state_dict() for optimizer in trainer.optimizers],
        "schedulers": [config.scheduler.state_dict() for config in trainer.lr_scheduler_configs],
        "clock": clock,
        "rng": torch.get_rng_state(),
        "metrics": {name: float(value) for name, value in sorted(trainer.callback_metrics.items())},
    }
