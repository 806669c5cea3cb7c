"""A Trainer whose processes are Ray actors, where Ray is installed: ``hatch run ray:test``."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from lit_core import ModelCheckpoint, Trainer
from tests.lit_core.resumable import Alone, noisy_loader
from tests.lit_core.tiny import same

ray = pytest.importorskip("ray")
pytestmark = [
    pytest.mark.timeout(280),
    pytest.mark.filterwarnings("ignore::ResourceWarning"),  # Ray's own files and sockets
    pytest.mark.filterwarnings("ignore::FutureWarning:ray"),
]


@pytest.fixture(scope="module", autouse=True)
def _cluster() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    ray.init(num_cpus=2, include_dashboard=False)
    yield
    ray.shutdown()
    torch.set_num_threads(before)


def fit(folder: Path, strategy: str) -> tuple[Trainer, Alone, Any]:
    torch.manual_seed(3)
    module = Alone()
    keep = ModelCheckpoint(folder, monitor="val_loss")
    trainer = Trainer(
        accelerator="cpu",
        devices=2,
        strategy=strategy,
        max_epochs=2,
        callbacks=[keep],
        logger=False,
        enable_progress_bar=False,
        default_root_dir=folder,
    )
    trainer.fit(module, noisy_loader(30), noisy_loader(8, shuffle=False))
    return trainer, module, keep


def test_actors_train_what_forked_processes_train_to_the_bit(tmp_path: Path) -> None:
    forked, forked_module, _ = fit(tmp_path / "fork", "ddp_fork")
    trainer, module, keep = fit(tmp_path / "ray", "ray")

    assert same(module.state_dict(), forked_module.state_dict())
    assert trainer.global_step == forked.global_step == 10
    assert {k: float(v) for k, v in trainer.callback_metrics.items()} == {
        k: float(v) for k, v in forked.callback_metrics.items()
    }
    assert Path(keep.best_model_path).exists()
    assert keep.best_model_score == min(keep.best_k_models.values())
    loaded = Alone.load_from_checkpoint(keep.last_model_path)
    assert same(loaded.state_dict(), module.state_dict())


SCRIPT = """
import sys, time
from pathlib import Path
import ray, torch
from lit_core import LightningModule, Trainer
from torch.utils.data import DataLoader

class Slow(LightningModule):
    def __init__(self):
        super().__init__()
        self.layer = torch.nn.Linear(2, 1)
    def training_step(self, batch, batch_idx):
        Path(folder, f"began_{self.global_rank}").touch()
        time.sleep(0.05)
        return self.layer(batch).mean()
    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=0.1)

folder = sys.argv[1]
ray.init(num_cpus=2, include_dashboard=False)
trainer = Trainer(accelerator="cpu", devices=2, strategy="ray", max_epochs=100, enable_progress_bar=False,
                  logger=False, default_root_dir=folder)
trainer.fit(Slow(), DataLoader(torch.ones(400, 2), batch_size=2))
"""


def test_a_script_that_is_told_to_end_saves_first(tmp_path: Path) -> None:
    (tmp_path / "train.py").write_text(SCRIPT)
    with subprocess.Popen(
        [sys.executable, "train.py", str(tmp_path)], cwd=tmp_path, stderr=subprocess.PIPE, text=True
    ) as script:
        deadline = time.monotonic() + 120
        while not (tmp_path / "began_1").exists() and time.monotonic() < deadline:
            assert script.poll() is None, script.stderr and script.stderr.read()
            time.sleep(0.1)
        os.kill(script.pid, signal.SIGTERM)
        _, said = script.communicate(timeout=90)

    assert script.returncode == 143, said
    (saved,) = tmp_path.glob("checkpoints/*.ckpt")
    assert torch.load(saved, weights_only=False)["loops"]["progress"]["global_step"] > 0
