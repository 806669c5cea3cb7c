"""Prints what importing costs and what one training batch makes Python do: ``hatch run bench:costs``.

Beside pytorch-lightning, where it is installed.
"""

import importlib.util
import logging
import subprocess
import sys
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

import lit_core
from house.imports import ARROWS
from house.probe import Probe
from lit_core.loops import train

ROUNDS = 3
IMPORT = """
import sys, time
if sys.argv[1] != "torch":
    import torch
before, start = set(sys.modules), time.perf_counter()
__import__(sys.argv[1])
print(time.perf_counter() - start, len(set(sys.modules) - before))
"""


def import_cost(name: str) -> tuple[float, int]:
    """Seconds (the least of some rounds) and modules that importing ``name`` adds to torch's own."""
    runs = []
    for _ in range(ROUNDS):
        done = subprocess.run([sys.executable, "-c", IMPORT, name], capture_output=True, text=True, check=True)
        seconds, modules = done.stdout.split()
        runs.append((float(seconds), int(modules)))
    return min(runs)


def step_cost(framework: Any, files: tuple[str, ...], top: Callable[..., Any]) -> Probe:
    """One epoch of a tiny module, nothing logged."""
    probe = Probe(files, top)

    class Tiny(framework.LightningModule):  # type: ignore[misc,name-defined]
        def __init__(self) -> None:
            super().__init__()
            self.layer = nn.Linear(2, 1)

        def training_step(self, batch: list[torch.Tensor], batch_idx: int) -> torch.Tensor:
            probe.mark()
            loss: torch.Tensor = self.layer(batch[0]).square().mean()
            return loss

        def configure_optimizers(self) -> torch.optim.Optimizer:
            return torch.optim.SGD(self.parameters(), lr=0.1)

    trainer = framework.Trainer(
        max_epochs=1,
        accelerator="cpu",
        devices=1,
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
    )
    loader = DataLoader(TensorDataset(torch.ones(64, 2)), batch_size=2)
    return probe.watch(lambda: trainer.fit(Tiny(), loader))


def main() -> None:
    torch.set_num_threads(1)
    warnings.simplefilter("ignore")
    peers = [name for name in ("pytorch_lightning", "torchmetrics") if importlib.util.find_spec(name)]
    print(f"{'import (after torch)':<24}{'ms':>8}{'modules':>10}")
    for name in ["torch", *sorted(ARROWS), *peers]:
        seconds, modules = import_cost(name)
        print(f"{name:<24}{seconds * 1e3:>8.0f}{modules:>10}")

    packages = Path(__file__).parents[2] / "packages"
    probes = {"lit_core": step_cost(lit_core, (str(packages),), train.run)}
    if "pytorch_lightning" in peers:
        import pytorch_lightning as peer

        logging.getLogger("pytorch_lightning").setLevel(logging.ERROR)
        home = Path(peer.__file__).parents[1]
        files = tuple(str(home / name) for name in ("pytorch_lightning", "lightning_fabric", "lightning_utilities"))
        probes["pytorch_lightning"] = step_cost(peer, files, peer.loops.fit_loop._FitLoop.run)
    print(f"\n{'one training batch':<24}{'calls':>8}{'files':>10}{'frames':>10}")
    for name, probe in probes.items():
        files_used = {call.partition(":")[0] for call in probe.worst}
        print(f"{name:<24}{len(probe.worst):>8}{len(files_used):>10}{len(probe.stack):>10}")


if __name__ == "__main__":
    main()
