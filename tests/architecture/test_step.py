"""What one training batch costs in Python: the calls made, and how deep the user's step stands."""

from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, TensorDataset

import lit_core
from house.probe import Probe
from house.source import ROOT
from lit_core.loops import train

CALLS, FRAMES = 5, 3
OURS = tuple(str(path) for path in ROOT.glob("packages/*/src"))
QUIET: dict[str, Any] = {
    "max_epochs": 1,
    "accelerator": "cpu",
    "devices": 1,
    "logger": False,
    "enable_checkpointing": False,
    "enable_progress_bar": False,
}


class Tiny(lit_core.LightningModule):
    def __init__(self, probe: Probe) -> None:
        super().__init__()
        self.layer = nn.Linear(2, 1)
        self.probe = probe

    def training_step(self, batch: list[Tensor], batch_idx: int) -> Tensor:
        self.probe.mark()
        loss: Tensor = self.layer(batch[0]).square().mean()
        return loss

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.SGD(self.parameters(), lr=0.1)


def test_a_training_batch_makes_few_calls_and_the_step_stands_near_the_loop() -> None:
    probe = Probe(OURS, train.run)
    loader = DataLoader(TensorDataset(torch.ones(64, 2)), batch_size=2)

    probe.watch(lambda: lit_core.Trainer(**QUIET).fit(Tiny(probe), loader))

    assert len(probe.calls) == 32
    assert len(probe.worst) <= CALLS, "\n".join([f"{len(probe.worst)} calls a batch, limit {CALLS}:", *probe.worst])
    assert len(probe.stack) <= FRAMES, (
        f"{len(probe.stack)} frames above the step, limit {FRAMES}: run > {' > '.join(probe.stack)} > training_step"
    )


def test_calls_and_frames_are_counted() -> None:
    def helper() -> None: ...

    def step(probe: Probe) -> None:
        probe.mark()

    def batch(probe: Probe) -> None:
        helper()
        helper()
        step(probe)

    def loop(probe: Probe) -> None:
        for _ in range(9):
            batch(probe)

    probe, blind = Probe((__file__,), loop), Probe(("nowhere",), loop)
    probe.watch(lambda: loop(probe))
    blind.watch(lambda: loop(blind))

    assert sorted(call.rpartition(":")[2] for call in probe.worst) == ["batch", "helper", "helper", "step"]
    assert [name.rpartition(".")[2] for name in probe.stack] == ["batch"]
    assert blind.worst == []
