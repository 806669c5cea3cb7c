"""What the tests of the tuner share: a module with a closed form, and everything that tuning must not change."""

import copy
import random
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader

from lit_core import LightningDataModule, LightningModule, Trainer
from tests.lit_core.tiny import Regression, samples, weights


class Slope(LightningModule):
    """One number w, loss (w - 3)^2: an update with rate r multiplies the distance to 3 by 1 - 2r."""

    def __init__(self, lr: float = 0.5) -> None:
        super().__init__()
        self.save_hyperparameters()
        self.w = nn.Parameter(torch.zeros((), dtype=torch.float64))
        self.rates: list[float] = []

    def training_step(self, batch: Any, batch_idx: int) -> Tensor:
        return (self.w - 3.0) ** 2

    def train_dataloader(self) -> Any:
        return DataLoader(torch.ones(40, 1), batch_size=2)

    def configure_optimizers(self) -> Any:
        return torch.optim.SGD(self.parameters(), lr=self.hparams.lr)


class Sized(Regression):
    """Its batches have ``batch_size`` samples; beyond ``fits`` of them there is not enough memory."""

    def __init__(self, n: int = 300, fits: int = 10**9, *, drop_last: bool = False) -> None:
        super().__init__()
        self.batch_size, self.n, self.fits, self.drop_last = 8, n, fits, drop_last
        self.asked: list[int] = []

    def training_step(self, batch: Any, batch_idx: int) -> Any:
        if len(batch[0]) > self.fits:
            raise RuntimeError("CUDA out of memory. Tried to allocate 2.00 GiB")
        return super().training_step(batch, batch_idx)

    def train_dataloader(self) -> Any:
        return DataLoader(samples(self.n), batch_size=self.batch_size, shuffle=True, drop_last=self.drop_last)


class Data(LightningDataModule):
    def __init__(self, batch_size: int = 8) -> None:
        super().__init__()
        self.save_hyperparameters()
        self.setups = 0

    def setup(self, stage: str) -> None:
        self.setups += 1

    def train_dataloader(self) -> Any:
        return DataLoader(samples(64), batch_size=self.hparams.batch_size, shuffle=True)


def found(trainer: Trainer, module: LightningModule, folder: Path) -> dict[str, Any]:
    """The state of everything, random states and files included."""
    attributes = {name: value for name, value in vars(module).items() if not name.startswith("_")}
    return {
        "weights": weights(module),
        "gradients": [None if p.grad is None else p.grad.clone() for p in module.parameters()],
        "modes": [child.training for child in module.modules()],
        "devices": [str(p.device) for p in module.parameters()],
        "attributes": copy.deepcopy(attributes),
        "hparams": dict(module.hparams),
        "attached": module.is_attached,
        "progress": trainer.progress.state_dict(),
        "callbacks": [id(callback) for callback in trainer.callbacks],
        "callback_states": [copy.deepcopy(callback.state_dict()) for callback in trainer.callbacks],
        "loggers": [id(logger) for logger in trainer.loggers],
        "rows": [len(getattr(logger, "rows", ())) for logger in trainer.loggers],
        "stopped": trainer.stop_reason,
        "module": id(trainer.lightning_module),
        "datamodule": id(trainer.datamodule),
        "strategy": id(trainer.strategy),
        "torch": torch.random.get_rng_state(),
        "python": random.getstate(),
        "numpy": [str(part) for part in np.random.get_state()],
        "deterministic": torch.are_deterministic_algorithms_enabled(),
        "files": sorted(str(path) for path in folder.rglob("*")),
    }


def optimizer_states(trainer: Trainer) -> list[dict[str, Any]]:
    """Of the run that ended last."""
    return [copy.deepcopy(optimizer.state_dict()) for optimizer in trainer.optimizers]
