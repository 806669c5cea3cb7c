"""Training does not gather memory, however long it runs."""

import gc
import resource
import sys
from typing import Any

import pytest
import torch

from lit_core import Callback, LightningModule, Trainer


class OneWeight(LightningModule):
    """A step that costs next to nothing, and logs in every way."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = torch.nn.Parameter(torch.ones(1))

    def training_step(self, batch: Any, batch_idx: int) -> Any:
        loss = (self.weight * batch).sum()
        self.log("loss", loss, on_step=True, on_epoch=True, prog_bar=True)
        self.log("largest", loss, on_step=False, on_epoch=True, reduce_fx="max")
        self.log("number", 1.0, on_step=False, on_epoch=True, reduce_fx="sum")
        return loss

    def configure_optimizers(self) -> Any:
        return torch.optim.SGD(self.parameters(), lr=1e-6)


class Resident(Callback):
    """Notes the peak of resident memory every ten thousand updates."""

    def __init__(self) -> None:
        self.peaks: list[int] = []

    def on_train_batch_end(self, trainer: Any, module: Any, outputs: Any, batch: Any, batch_idx: int) -> None:
        if trainer.global_step % 10_000 == 0:
            gc.collect()
            self.peaks.append(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="reads resident memory through resource")
def test_a_hundred_thousand_steps_with_logging_do_not_grow_resident_memory(tmp_path) -> None:
    resident = Resident()
    trainer = Trainer(
        max_epochs=2,
        accelerator="cpu",
        logger="csv",
        callbacks=[resident],
        enable_progress_bar=False,
        default_root_dir=tmp_path,
        log_every_n_steps=1000,
    )
    batch = torch.ones(1)
    trainer.fit(OneWeight(), [batch] * 50_000)
    assert trainer.global_step == 100_000
    assert trainer.callback_metrics["number"] == 50_000
    kib = 1 if sys.platform != "darwin" else 1024
    assert resident.peaks[-1] - resident.peaks[0] < 2048 * kib, f"resident memory grew: {resident.peaks}"
