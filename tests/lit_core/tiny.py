"""Small models, data and a logger that remembers: what the tests of the training system share."""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, TensorDataset

from lit_core import LightningModule, Trainer
from lit_loggers import Logger, Row

QUIET: dict[str, Any] = {
    "accelerator": "cpu",
    "devices": 1,
    "logger": False,
    "enable_checkpointing": False,
    "enable_progress_bar": False,
    "num_sanity_val_steps": 0,
    "max_epochs": 1,
}


def trainer(**settings: Any) -> Trainer:
    """A Trainer that writes nothing."""
    return Trainer(**{**QUIET, **settings})


def samples(n: int, *, seed: int = 7) -> TensorDataset:
    """``n`` samples of three features, one target and their number."""
    generator = torch.Generator().manual_seed(seed)
    x = torch.randn(n, 3, generator=generator)
    y = x @ torch.tensor([[1.0], [-2.0], [0.5]]) + 0.1 * torch.randn(n, 1, generator=generator)
    return TensorDataset(x, y, torch.arange(n))


def loader(n: int = 8, batch_size: int = 2, *, seed: int = 7, **options: Any) -> DataLoader[Any]:
    """Batches of :func:`samples`."""
    return DataLoader(samples(n, seed=seed), batch_size=batch_size, **options)


def network(*, dropout: float = 0.0) -> nn.Sequential:
    """Three features to one number."""
    return nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Dropout(dropout), nn.Linear(4, 1))


class Regression(LightningModule):
    """Logs its losses, and remembers what it saw."""

    def __init__(self, *, dropout: float = 0.0, lr: float = 0.1) -> None:
        super().__init__()
        self.net = network(dropout=dropout)
        self.lr = lr
        self.losses: list[Tensor] = []
        self.seen: list[list[int]] = []

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.net(x)
        return out

    def loss(self, batch: Any) -> Tensor:
        return nn.functional.mse_loss(self(batch[0]), batch[1])

    def training_step(self, batch: Any, batch_idx: int) -> Any:
        loss = self.loss(batch)
        self.losses.append(loss.detach().clone())
        self.seen.append(batch[2].tolist())
        self.log("loss", loss, on_step=True, on_epoch=True)
        return loss

    def validation_step(self, batch: Any, batch_idx: int) -> Any:
        self.log("val_loss", self.loss(batch))

    def test_step(self, batch: Any, batch_idx: int) -> Any:
        self.log("test_loss", self.loss(batch))

    def configure_optimizers(self) -> Any:
        return torch.optim.SGD(self.parameters(), lr=self.lr)


class Rows(Logger):
    """A logger that keeps its rows in a list."""

    name = "rows"
    version = 0
    log_dir = None

    def __init__(self) -> None:
        self.rows: list[Row] = []
        self.ended: list[str] = []

    def write(self, row: Row) -> None:
        self.rows.append(row)

    def log_hyperparams(self, params: Mapping[str, Any]) -> None:
        self.hparams = dict(params)

    def truncate(self, step: int, evaluated: int | None = None) -> None:
        def stays(row: Row) -> bool:
            return row.step <= step if row.evaluated is None or evaluated is None else row.evaluated < evaluated

        self.rows = [row for row in self.rows if stays(row)]

    def flush(self) -> None: ...

    def finalize(self, status: str = "success") -> None:
        self.ended.append(status)

    def of(self, key: str) -> list[tuple[int, float]]:
        """``(step, value)`` of every row with ``key``."""
        return [(row.step, row.metrics[key]) for row in self.rows if key in row.metrics]


def weights(module: nn.Module) -> dict[str, Tensor]:
    """A copy of all parameters and buffers."""
    return {name: value.detach().clone() for name, value in module.state_dict().items()}


def same(a: Any, b: Any) -> bool:
    """Whether two nested states are equal to the last bit."""
    if isinstance(a, Tensor):
        return isinstance(b, Tensor) and a.dtype == b.dtype and torch.equal(a, b)
    if isinstance(a, Mapping):
        return isinstance(b, Mapping) and list(a) == list(b) and all(same(a[key], b[key]) for key in a)
    if isinstance(a, (list, tuple)):
        return len(a) == len(b) and all(same(x, y) for x, y in zip(a, b, strict=True))
    return bool(a == b) or (a != a and b != b)
