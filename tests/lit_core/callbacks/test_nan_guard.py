"""NaNGuard: what stops a run, and when."""

from pathlib import Path
from typing import Any

import pytest
import torch

from lit_core import ModelCheckpoint
from lit_core.callbacks import NaNGuard
from tests.lit_core.tiny import Regression, loader, trainer


class Breaks(Regression):
    """In its third batch the loss is not finite; in its first, if asked, a weight."""

    def __init__(self, value: float = float("nan"), *, weight: bool = False) -> None:
        super().__init__()
        self.value, self.weight = value, weight

    def training_step(self, batch: Any, batch_idx: int) -> Any:
        loss = super().training_step(batch, batch_idx)
        return loss * self.value if batch_idx == 2 and not self.weight else loss

    def on_train_batch_end(self, outputs: Any, batch: Any, batch_idx: int) -> None:
        if self.weight:
            with torch.no_grad():
                self.net[3].weight[0, 1] = self.value


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_a_loss_that_is_not_finite_ends_training_in_its_batch(value: float) -> None:
    run = trainer(max_epochs=2, callbacks=NaNGuard())

    with pytest.raises(ValueError, match=r"batch 2 of epoch 0 \(global_step 3\): the loss of training_step"):
        run.fit(Breaks(value), loader(8, 2))


def test_a_weight_is_named_with_how_many_of_its_numbers_are_bad() -> None:
    with pytest.raises(ValueError, match=r"net\.3\.weight \(1 NaN and 0 infinite of 4\)") as caught:
        trainer(callbacks=NaNGuard()).fit(Breaks(weight=True), loader(8, 2))

    assert "the loss" not in str(caught.value)


@pytest.mark.parametrize("output", [lambda loss: {"loss": loss, "other": torch.tensor(1.0)}, lambda loss: loss])
def test_the_loss_is_found_where_steps_put_it(output: Any) -> None:
    class Shaped(Breaks):
        def training_step(self, batch: Any, batch_idx: int) -> Any:
            return output(super().training_step(batch, batch_idx))

    with pytest.raises(ValueError, match="the loss of training_step"):
        trainer(callbacks=NaNGuard()).fit(Shaped(), loader(8, 2))


def test_nothing_is_saved_with_the_broken_weights(tmp_path: Path) -> None:
    keep = ModelCheckpoint(tmp_path, every_n_train_steps=1, save_top_k=-1, filename="{step}")

    with pytest.raises(ValueError, match="NaN or infinity"):
        trainer(callbacks=[keep, NaNGuard()], enable_checkpointing=True).fit(Breaks(), loader(8, 2))

    assert {path.name for path in tmp_path.glob("*.ckpt")} == {"step=1.ckpt", "step=2.ckpt"}


def test_it_looks_at_its_interval_only() -> None:
    with pytest.raises(ValueError, match="batch 3 of epoch 0"):
        trainer(callbacks=NaNGuard(every_n_steps=4)).fit(Breaks(), loader(8, 2))


def test_a_healthy_run_goes_on() -> None:
    run = trainer(max_epochs=2, callbacks=NaNGuard())

    run.fit(Regression(), loader(8, 2))

    assert run.global_step == 8


def test_it_reads_from_the_device_once_a_look(monkeypatch: pytest.MonkeyPatch) -> None:
    reads: list[int] = []
    original = torch.Tensor.item

    class Quiet(Regression):
        def training_step(self, batch: Any, batch_idx: int) -> Any:
            reads.append(0)
            return self.loss(batch)

    def counted(self: Any) -> Any:
        if reads:
            reads[-1] += 1
        return original(self)

    monkeypatch.setattr(torch.Tensor, "item", counted)
    trainer(callbacks=NaNGuard()).fit(Quiet(), loader(8, 2))

    assert reads == [1, 1, 1, 1]
