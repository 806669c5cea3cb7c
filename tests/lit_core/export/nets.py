"""What the tests of exports share: modules, and how an artefact is run by its own runtime."""

import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from lit_core import LightningModule
from tests.lit_core.tiny import weights


class Codec(LightningModule):
    """Dropout and batch norm tell evaluation mode from training mode; two methods beside ``forward``."""

    def __init__(self) -> None:
        super().__init__()
        self.encoder = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.Dropout(0.5))
        self.decoder = nn.Linear(4, 3)
        self.example_input_array = torch.randn(2, 3)

    def forward(self, x: Tensor) -> Tensor:
        return self.encoder(x)

    def restore(self, x: Tensor) -> Tensor:
        return self.decoder(self(x))

    def by_value(self, x: Tensor) -> Tensor:
        y = self.encoder(x)
        if y.sum() > 0:
            y = y + 1
        return y

    def broken(self, x: Tensor) -> Tensor:
        raise ZeroDivisionError

    def training_step(self, batch: Any, batch_idx: int) -> Tensor:
        loss = nn.functional.mse_loss(self.restore(batch[0]), batch[0])
        self.log("loss", loss)
        return loss

    def configure_optimizers(self) -> Any:
        return torch.optim.SGD(self.parameters(), lr=0.1)


def eager(module: nn.Module, *args: Tensor, method: str = "forward") -> Tensor:
    """What the module computes in evaluation mode; every submodule returns to its mode."""
    modes = [child.training for child in module.modules()]
    with torch.no_grad():
        out: Tensor = getattr(module.eval(), method)(*args)
    for child, mode in zip(module.modules(), modes, strict=True):
        child.training = mode
    return out


def run_onnx(path: Path, *args: Tensor) -> Tensor:
    onnxruntime = pytest.importorskip("onnxruntime")
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    names = [node.name for node in session.get_inputs()]
    (out,) = session.run(None, {name: arg.numpy() for name, arg in zip(names, args, strict=True)})
    return torch.from_numpy(out)


def load_torchscript(path: Path) -> Any:
    with pytest.warns(DeprecationWarning, match=r"torch\.jit\.load"):
        return torch.jit.load(path)


def condition(module: LightningModule) -> dict[str, Any]:
    """What an export must not change, random states included."""
    return {
        "modes": [child.training for child in module.modules()],
        "state": weights(module),
        "gradients": [p.grad.clone() for p in module.parameters() if p.grad is not None],
        "requires_grad": [p.requires_grad for p in module.parameters()],
        "devices": [str(p.device) for p in module.parameters()],
        "attributes": sorted(vars(module)),
        "class": type(module),
        "methods": sorted(vars(type(module))),
        "torch": torch.random.get_rng_state(),
        "python": random.getstate(),
    }


LINE = Codec.by_value.__code__.co_firstlineno + 2
"""Of the branch on a value in :meth:`Codec.by_value`."""

Export = Callable[..., Any]
