"""A run of yesterday, run today: the stored loss curve, and the checkpoints of every format that was released.

After a change that is meant to change the numbers, write the files anew and say why in the commit:
``python -m tests.golden.test_golden_runs``.
"""

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.optim.lr_scheduler import StepLR
from torch.utils.data import DataLoader, TensorDataset

from lit_checkpoint import ShardedCheckpointIO, load, save
from lit_core import Callback, LightningModule
from lit_core.checkpoint import FORMAT
from tests.lit_core.tiny import trainer

HERE = Path(__file__).parent
CURVE = HERE / "losses" / "accumulation-momentum-clipping.txt"
CHECKPOINTS = HERE / "checkpoints"
PARTS = f"format-{FORMAT}-parts.ckpt"
SEED, SAVED_AFTER = 20, 7  # batches: inside the second epoch, inside an accumulation group

# Kernels sum in another order on other processors, so the last bits may differ; 30 small steps carry that to about
# 1e-6. Any change of weights of batches, of the order of samples or of when something steps is far above 1e-5.
RTOL = 1e-5


class Arithmetic(LightningModule):
    """Sums, products and maxima only, from weights that follow from a formula."""

    def __init__(self) -> None:
        super().__init__()
        self.net = nn.Sequential(nn.Linear(4, 6), nn.ReLU(), nn.Linear(6, 1))
        with torch.no_grad():
            for parameter in self.parameters():
                parameter.copy_(torch.linspace(-0.5, 0.7, parameter.numel()).reshape(parameter.shape))
        self.losses: list[float] = []

    def training_step(self, batch: Any, batch_idx: int) -> Tensor:
        loss = nn.functional.mse_loss(self.net(batch[0]), batch[1])
        self.losses.append(loss.item())
        self.log("loss", loss, on_step=True, on_epoch=True)
        return loss

    def configure_optimizers(self) -> Any:
        optimizer = torch.optim.SGD(self.parameters(), lr=0.2, momentum=0.8)
        return [optimizer], [{"scheduler": StepLR(optimizer, 4, gamma=0.5), "interval": "step"}]


class SaveOnce(Callback):
    """The same checkpoint in one file, and in a folder of parts."""

    def __init__(self, file: Path, folder: Path) -> None:
        self.file, self.folder = file, folder

    def on_train_batch_end(self, trainer: Any, module: Any, outputs: Any, batch: Any, batch_idx: int) -> None:
        if trainer.progress.batches == SAVED_AFTER:
            checkpoint = trainer.dump_checkpoint()
            save(checkpoint, self.file)
            ShardedCheckpointIO().save(checkpoint, self.folder)


def data() -> DataLoader[Any]:
    x = ((torch.arange(18 * 4) * 7) % 11).reshape(18, 4) / 11 - 0.5
    y = (x * torch.tensor([1.0, -1.0, 0.5, 2.0])).sum(1, keepdim=True).relu()
    return DataLoader(TensorDataset(x, y), batch_size=4, shuffle=True)


def run(ckpt: Path | None = None, callbacks: list[Callback] | None = None) -> tuple[Any, Arithmetic]:
    torch.manual_seed(SEED)
    module = Arithmetic()
    runner = trainer(
        max_epochs=6, accumulate_grad_batches=3, gradient_clip_val=0.4, log_every_n_steps=1, callbacks=callbacks
    )
    runner.fit(module, data(), ckpt_path=ckpt)
    return runner, module


def stored() -> list[float]:
    return [float(line) for line in CURVE.read_text().splitlines()]


def test_the_loss_curve_is_the_stored_one() -> None:
    _, module = run()
    assert len(stored()) == 6 * 5
    assert module.losses == pytest.approx(stored(), rel=RTOL)
    assert module.losses[-1] < module.losses[0] / 2


@pytest.mark.parametrize("path", sorted(CHECKPOINTS.glob("format-*.ckpt")), ids=lambda path: path.stem)
def test_a_checkpoint_of_every_format_loads_and_the_run_goes_on_from_it(path: Path) -> None:
    torch.manual_seed(0)
    runner, module = run(path)
    assert module.losses == pytest.approx(stored()[SAVED_AFTER:], rel=RTOL)
    assert (runner.current_epoch, runner.global_step, runner.progress.batches) == (6, 12, 30)
    assert runner.callback_metrics["loss_epoch"] == pytest.approx(
        sum(a * b for a, b in zip(module.losses[-5:], (4, 4, 4, 4, 2), strict=True)) / 18, rel=RTOL
    )


def test_there_is_a_checkpoint_of_the_format_that_is_written_today() -> None:
    file, folder = torch.load(CHECKPOINTS / f"format-{FORMAT}.ckpt", weights_only=True), CHECKPOINTS / PARTS
    for saved in (file, load(folder)):
        assert saved["format"] == FORMAT
        assert saved["ranks"][0]["gradients"]
    assert sorted(path.name for path in folder.iterdir())[0] == ".metadata"


if __name__ == "__main__":
    target = CHECKPOINTS / f"format-{FORMAT}.ckpt"
    _, trained = run(callbacks=[SaveOnce(target, CHECKPOINTS / PARTS)])
    CURVE.write_text("".join(f"{loss!r}\n" for loss in trained.losses))
