"""Interruptions, failures, and where a checkpoint is looked for."""

import os
import signal
import threading
from pathlib import Path
from typing import Any

import pytest
import torch

from lit_core import Callback, ModelCheckpoint, Trainer
from lit_core.lifecycle import find_checkpoint, results_by_loader, table
from tests.lit_core.tiny import Regression, Rows, loader, same, samples, trainer, weights


class Interrupted(Regression):
    """Sends itself Ctrl-C in some batches."""

    def __init__(self, *batches: int) -> None:
        super().__init__()
        self.batches = batches

    def training_step(self, batch: Any, batch_idx: int) -> Any:
        loss = super().training_step(batch, batch_idx)
        if batch_idx in self.batches:
            os.kill(os.getpid(), signal.SIGINT)
        return loss


def test_ctrl_c_ends_training_after_the_batch_saves_and_returns(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows, module = Rows(), Interrupted(1)
    run = trainer(max_epochs=3, enable_checkpointing=True, default_root_dir=tmp_path, logger=rows, min_epochs=2)

    run.fit(module, loader())

    assert (len(module.losses), run.global_step, run.stop_reason) == (2, 2, "interrupt")
    assert rows.ended == ["interrupted"]
    assert "Stopping after this batch" in capsys.readouterr().err
    saver = run.checkpoint_callback
    assert saver is not None
    saved = torch.load(saver.last_model_path, weights_only=True)
    assert (saved["global_step"], saved["loops"]["progress"]["batch"]) == (2, 2)
    assert same(saved["state_dict"], weights(module))


def test_a_run_that_was_interrupted_goes_on_as_if_it_had_not_been(tmp_path: Path) -> None:
    torch.manual_seed(1)
    settings: dict[str, Any] = {"max_epochs": 2, "default_root_dir": tmp_path, "enable_checkpointing": True}
    whole = Regression(dropout=0.5)
    start = weights(whole)
    torch.manual_seed(3)
    trainer(**{**settings, "enable_checkpointing": False}).fit(whole, loader(shuffle=True))

    first, second = Interrupted(2), Regression(dropout=0.5)
    first.net[2].p = 0.5  # type: ignore[union-attr, assignment]
    first.load_state_dict(start)
    torch.manual_seed(3)
    trainer(**settings).fit(first, loader(shuffle=True))
    trainer(**settings).fit(second, loader(shuffle=True), ckpt_path="last")

    assert (len(first.losses), len(second.losses)) == (3, 5)
    assert same(first.losses + second.losses, whole.losses)
    assert same(weights(second), weights(whole))


def test_a_second_ctrl_c_raises_at_once() -> None:
    class Twice(Interrupted):
        def training_step(self, batch: Any, batch_idx: int) -> Any:
            os.kill(os.getpid(), signal.SIGINT)
            return super().training_step(batch, batch_idx)

    rows, module = Rows(), Twice(0)

    with pytest.raises(KeyboardInterrupt):
        trainer(logger=rows).fit(module, loader())

    assert len(module.losses) == 1
    assert rows.ended == ["failed"]


def test_the_handler_of_the_program_is_there_before_and_after_a_fit() -> None:
    inside: list[Any] = []

    class Watching(Callback):
        def on_train_start(self, trainer: Any, module: Any) -> None:
            inside.append(signal.getsignal(signal.SIGINT))

    before = signal.getsignal(signal.SIGINT)
    trainer(callbacks=Watching()).fit(Regression(), loader())

    assert signal.getsignal(signal.SIGINT) is before
    assert inside != [before]


def test_a_fit_in_another_thread_leaves_signals_alone() -> None:
    module, errors = Regression(), []

    def work() -> None:
        try:
            trainer().fit(module, loader())
        except BaseException as error:
            errors.append(error)

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()

    assert errors == []
    assert len(module.losses) == 4


class Failing(Regression):
    def training_step(self, batch: Any, batch_idx: int) -> Any:
        if self.current_epoch == 1 and batch_idx == 2:
            raise ZeroDivisionError("mine")
        return super().training_step(batch, batch_idx)


def test_an_exception_is_the_users_own_with_a_note_where_it_happened() -> None:
    with pytest.raises(ZeroDivisionError, match="mine") as caught:
        trainer(max_epochs=3).fit(Failing(), loader())

    if hasattr(caught.value, "__notes__"):  # from Python 3.11 on
        assert caught.value.__notes__ == ["While running Trainer.fit: epoch 1, batch 2, global_step 6."]


def test_at_an_exception_module_then_callbacks_are_told_and_loggers_closed_as_failed() -> None:
    told: list[Any] = []

    class Watching(Callback):
        def on_exception(self, trainer: Any, module: Any, exception: BaseException) -> None:
            told.append(("callback", exception))

    class Told(Failing):
        def on_exception(self, exception: BaseException) -> None:
            told.append(("module", exception))

    rows = Rows()
    with pytest.raises(ZeroDivisionError) as caught:
        trainer(max_epochs=3, logger=rows, callbacks=Watching()).fit(Told(), loader())

    assert told == [("module", caught.value), ("callback", caught.value)]
    assert rows.ended == ["failed"]


def test_a_trainer_can_run_again_after_a_failure() -> None:
    run, module = trainer(max_epochs=3), Regression()
    with pytest.raises(ZeroDivisionError):
        run.fit(Failing(), loader())

    run.validate(module, loader(), verbose=False)

    expected = module.loss(samples(8)[:]).item()
    assert run.callback_metrics["val_loss"].item() == pytest.approx(expected, 1e-6)


@pytest.mark.parametrize("stage", ["validate", "test"])
def test_after_an_evaluation_loggers_stay_open_and_after_a_fit_they_are_closed(stage: str) -> None:
    rows, module = Rows(), Regression()
    run = trainer(logger=rows)

    getattr(run, stage)(module, loader(), verbose=False)
    assert rows.ended == []
    run.fit(module, loader())
    assert rows.ended == ["success"]


def test_teardown_comes_last() -> None:
    order: list[str] = []

    class Watching(Callback):
        def on_fit_end(self, trainer: Any, module: Any) -> None:
            order.append("on_fit_end")

        def teardown(self, trainer: Any, module: Any, stage: str) -> None:
            order.append(f"teardown {stage}")

    trainer(callbacks=Watching()).fit(Regression(), loader())

    assert order == ["on_fit_end", "teardown fit"]


# Where a checkpoint is looked for -------------------------------------------------------------------------------------


def falling(path: Path, **settings: Any) -> tuple[Trainer, Regression]:
    """Two epochs; the first is the best."""

    class Rising(Regression):
        def on_train_epoch_end(self) -> None:
            self.log("score", float(self.current_epoch))

    saver = ModelCheckpoint(monitor="score", **settings)
    run, module = trainer(max_epochs=2, callbacks=saver, enable_checkpointing=True, default_root_dir=path), Rising()
    run.fit(module, loader())
    return run, module


def test_last_and_best_are_those_of_this_trainers_callback(tmp_path: Path) -> None:
    run, _ = falling(tmp_path)

    best = find_checkpoint("best", run.callbacks, str(tmp_path))
    last = find_checkpoint("last", run.callbacks, str(tmp_path))

    assert best is not None
    assert last is not None
    assert (Path(best).name, Path(last).name) == ("epoch=0-step=4.ckpt", "epoch=1-step=8.ckpt")


def test_a_new_trainer_finds_them_below_its_root_and_the_newest_run_wins(tmp_path: Path) -> None:
    falling(tmp_path / "old")
    falling(tmp_path / "new")
    for file in (tmp_path / "old").rglob("*"):
        os.utime(file, (1, 1))

    found = find_checkpoint("best", [], str(tmp_path))

    assert found is not None
    assert Path(found) == tmp_path / "new/checkpoints/epoch=0-step=4.ckpt"


def test_a_new_callback_on_the_same_folder_finds_them(tmp_path: Path) -> None:
    falling(tmp_path, dirpath=tmp_path / "mine")

    found = find_checkpoint("last", [ModelCheckpoint(dirpath=tmp_path / "mine")], str(tmp_path / "elsewhere"))

    assert found is not None
    assert Path(found) == tmp_path / "mine/epoch=1-step=8.ckpt"


def test_best_weights_are_tested_and_a_missing_checkpoint_is_named(tmp_path: Path) -> None:
    run, module = falling(tmp_path)
    best = torch.load(tmp_path / "checkpoints/epoch=0-step=4.ckpt", weights_only=True)["state_dict"]
    assert not same(weights(module), best)

    run.test(dataloaders=loader(), ckpt_path="best", verbose=False)

    assert same(weights(module), best)
    with pytest.raises(FileNotFoundError, match=f"ckpt_path='best'.*{tmp_path / 'empty'}"):
        trainer(default_root_dir=tmp_path / "empty").test(module, loader(), ckpt_path="best")
    with pytest.raises(FileNotFoundError):
        trainer().fit(module, loader(), ckpt_path=tmp_path / "none.ckpt")


def test_a_fit_from_last_where_there_is_none_begins_anew(tmp_path: Path) -> None:
    module = Regression()

    trainer(default_root_dir=tmp_path).fit(module, loader(), ckpt_path="last")

    assert len(module.losses) == 4


# What is printed ------------------------------------------------------------------------------------------------------


def test_results_are_given_by_loader() -> None:
    values = {"a/dataloader_idx_0": 1.0, "a/dataloader_idx_1": 2.0, "both": 3.0}

    assert results_by_loader(values, 2) == [
        {"a/dataloader_idx_0": 1.0, "both": 3.0},
        {"a/dataloader_idx_1": 2.0, "both": 3.0},
    ]
    assert results_by_loader(values, 1) == [values]


def test_the_table_aligns_names() -> None:
    assert table("Test", {"a": 1.0, "longer": 0.1234567}) == "Test\n  a       1\n  longer  0.123457"
    assert table("Test", {}) == "Test: nothing was logged"
