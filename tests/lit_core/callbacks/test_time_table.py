"""Where the time goes, against time that is spent on purpose."""

import time
from typing import Any

import pytest
import torch

from lit_core import Callback
from lit_core.callbacks import ModelCheckpoint, TimeTable
from lit_core.callbacks.time_table import time_table
from tests.lit_core.tiny import Regression, loader, samples, trainer

WAIT = 0.02


class SlowData(torch.utils.data.Dataset):
    def __len__(self) -> int:
        return 8

    def __getitem__(self, i: int) -> Any:
        time.sleep(WAIT / 2)
        return samples(8)[i]


class Slow(Regression):
    """Sleeps in the phase it is told."""

    def __init__(self, where: str) -> None:
        super().__init__()
        self.where = where

    def wait(self, where: str) -> None:
        if self.where == where:
            time.sleep(WAIT)

    def training_step(self, batch: Any, batch_idx: int) -> Any:
        self.wait("forward")
        return super().training_step(batch, batch_idx)

    def validation_step(self, batch: Any, batch_idx: int) -> Any:
        self.wait("validation")
        return super().validation_step(batch, batch_idx)

    def on_train_batch_end(self, outputs: Any, batch: Any, batch_idx: int) -> None:
        self.wait("callbacks")

    def configure_optimizers(self) -> Any:
        optimizer = super().configure_optimizers()
        optimizer.register_step_post_hook(lambda *_: self.wait("optimizer"))
        next(self.parameters()).register_hook(lambda grad: self.wait("backward"))
        return optimizer

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        self.wait("checkpoint")


class SlowManual(Slow):
    automatic_optimization = False

    def training_step(self, batch: Any, batch_idx: int) -> None:
        self.wait("step")
        optimizer = self.optimizers()
        optimizer.zero_grad()
        self.manual_backward(self.loss(batch))
        optimizer.step()


@pytest.mark.parametrize("accumulate", [1, 2])
@pytest.mark.parametrize(
    "where", ["data", "forward", "backward", "optimizer", "validation", "callbacks", "checkpoint", "step"]
)
def test_time_is_counted_where_it_was_spent(where: str, accumulate: int, tmp_path: Any) -> None:
    if where == "step" and accumulate > 1:
        pytest.skip("groups are the user's in manual optimization")
    module = SlowManual(where) if where == "step" else Slow(where)
    saves: dict[str, Any] = {}
    if where == "checkpoint":
        keep = ModelCheckpoint(tmp_path, every_n_train_steps=1, save_top_k=-1)
        saves = {"callbacks": keep, "enable_checkpointing": True}
    runner = trainer(accumulate_grad_batches=accumulate, **saves) if where != "step" else trainer()
    train = torch.utils.data.DataLoader(SlowData(), batch_size=2) if where == "data" else loader(8, 2)
    began = time.perf_counter()
    runner.fit(module, train, loader(8, 2))
    took = time.perf_counter() - began
    times = runner.times
    spent = WAIT * (4 // accumulate if where in ("optimizer", "checkpoint") else 4)
    assert spent <= times[where] <= took
    assert times[where] > 0.5 * sum(times.values())
    assert sum(times.values()) <= took


def test_the_table_is_printed_after_runs_that_were_long_enough(capsys: pytest.CaptureFixture[str]) -> None:
    for least in (0.0, 3600.0):
        trainer(callbacks=[TimeTable(least_s=least)]).fit(Regression(), loader())
        assert ("Where the time went" in capsys.readouterr().out) == (least == 0.0)


def test_it_comes_with_the_bar_once() -> None:
    def tables(**settings: Any) -> int:
        return sum(isinstance(callback, TimeTable) for callback in trainer(**settings).callbacks)

    assert tables() == 0
    assert tables(enable_progress_bar=True) == 1
    assert tables(enable_progress_bar=True, callbacks=[TimeTable(1)]) == 1


@pytest.mark.parametrize(
    ("seconds", "advice"),
    [
        ({"forward": 8.0, "data": 1.0}, None),
        ({"forward": 5.0, "data": 2.0}, "29% of the time was data: give the DataLoader workers"),
        ({"forward": 5.0, "checkpoint": 2.0, "data": 1.5}, "24% of the time was checkpoint: save less often"),
        ({"forward": 0.0}, None),
    ],
)
def test_advice_is_given_on_the_phase_that_stands_out_most(seconds: dict[str, float], advice: str | None) -> None:
    last = time_table(seconds).splitlines()[-1]
    assert last.startswith("all" if advice is None else advice)


def test_a_callback_that_waits_is_not_the_steps_time() -> None:
    class Waits(Callback):
        def on_train_batch_start(self, trainer: Any, module: Any, batch: Any, batch_idx: int) -> None:
            time.sleep(WAIT)

    runner = trainer(callbacks=[Waits()])
    runner.fit(Regression(), loader(8, 2))
    assert runner.times["callbacks"] >= 4 * WAIT
    assert runner.times["forward"] < 2 * WAIT
