"""The Trainer as users see it."""

import inspect
import math
import pickle
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from lit_core import EarlyStopping, LightningModule, ModelCheckpoint, Trainer
from lit_core.config import TrainerConfig
from tests.lit_core.tiny import Regression, Rows, loader, same, samples, trainer, weights


def test_the_arguments_are_the_settings_with_the_same_defaults() -> None:
    arguments = inspect.signature(Trainer).parameters
    settings = inspect.signature(TrainerConfig).parameters

    assert {n: p.default for n, p in arguments.items() if n != "legacy"} == {n: p.default for n, p in settings.items()}
    assert all(f"        {name}: " in (Trainer.__doc__ or "") for name in arguments)


def test_before_a_run_it_says_what_it_knows_and_names_what_it_does_not() -> None:
    run = trainer(max_epochs=3, max_steps=9)

    assert (run.max_epochs, run.max_steps, run.current_epoch, run.global_step) == (3, 9, 0, 0)
    assert (run.world_size, run.global_rank, run.local_rank, run.is_global_zero) == (1, 0, 0, True)
    assert (run.logger, run.loggers, run.log_dir, run.lightning_module, run.datamodule) == (None, [], None, None, None)
    assert (run.should_stop, run.stop_reason, run.checkpoint_callback, run.early_stopping_callback) == (
        False,
        None,
        None,
        None,
    )
    for name in ("callback_metrics", "optimizers", "num_training_batches", "stage"):
        with pytest.raises(RuntimeError, match="has not run yet: call fit"):
            getattr(run, name)
    with pytest.raises(RuntimeError, match="has not run yet"):
        run.save_checkpoint("never.ckpt")


def test_during_and_after_a_fit() -> None:
    seen: dict[str, Any] = {}

    class Asking(Regression):
        def on_train_start(self) -> None:
            run = self.trainer
            seen.update(
                stage=run.stage,
                batches=(run.num_training_batches, run.num_evaluation_batches, run.estimated_stepping_batches),
                module=run.lightning_module is self,
                optimizers=[type(o).__name__ for o in run.optimizers],
                device=run.strategy.device.type,
            )

    stopping, rows = EarlyStopping("val_loss"), Rows()
    run = trainer(max_epochs=3, accumulate_grad_batches=3, callbacks=stopping, logger=rows)
    run.fit(Asking(), loader(9, 2), loader(6, 2))

    assert seen == {"stage": "fit", "batches": (5, 3, 6), "module": True, "optimizers": ["SGD"], "device": "cpu"}
    assert run.early_stopping_callback is stopping
    assert (run.logger, run.current_epoch, run.global_step, run.is_last_batch) == (rows, 3, 6, False)
    assert set(run.callback_metrics) >= {"loss", "loss_step", "loss_epoch", "val_loss"}
    assert run.metric_version("val_loss") == 3
    assert run.metric_version("nothing") == 0


def test_an_epoch_of_unknown_length_has_infinitely_many_batches() -> None:
    run = trainer(max_steps=3, max_epochs=None)

    run.fit(Regression(), (batch for batch in loader()))

    assert run.num_training_batches == math.inf
    assert run.estimated_stepping_batches == 3


@pytest.mark.parametrize("wrong", [nn.Linear(1, 1), 3, None, Regression])
def test_only_a_module_is_fitted(wrong: Any) -> None:
    with pytest.raises(TypeError, match=f"runs a LightningModule, got {type(wrong).__name__}"):
        trainer().fit(wrong, loader())


@pytest.mark.parametrize("missing", ["training_step", "configure_optimizers"])
def test_a_module_that_does_not_say_how_it_is_trained_is_refused(missing: str) -> None:
    class Half(LightningModule): ...

    for name in {"training_step", "configure_optimizers"} - {missing}:
        setattr(Half, name, lambda self, *args: None)

    with pytest.raises(TypeError, match=f"Half has no {missing}"):
        trainer().fit(Half(), loader())


@pytest.mark.parametrize(("stage", "method"), [("validate", "validation_step"), ("test", "test_step")])
def test_a_module_without_the_step_of_a_stage_says_so(stage: str, method: str) -> None:
    with pytest.raises(TypeError, match=f"LightningModule has no {method}"):
        getattr(trainer(), stage)(LightningModule(), loader())


@pytest.mark.parametrize("stage", ["validate", "test", "predict"])
def test_a_stage_without_any_module_says_so(stage: str) -> None:
    with pytest.raises(ValueError, match="no model: pass one, or fit one"):
        getattr(trainer(), stage)(dataloaders=loader())


@pytest.mark.parametrize("wrong", [3, nn.Linear(1, 1)])
def test_only_iterables_are_loaders(wrong: Any) -> None:
    with pytest.raises(TypeError, match=f"train_dataloader must be .* got {type(wrong).__name__}"):
        trainer().fit(Regression(), wrong)


def test_validation_data_without_a_validation_step_is_pointed_out() -> None:
    class Half(LightningModule):
        def __init__(self) -> None:
            super().__init__()
            self.net = nn.Linear(3, 1)

        def training_step(self, batch: Any, batch_idx: int) -> Any:
            return self.net(batch[0]).mean()

        def configure_optimizers(self) -> Any:
            return torch.optim.SGD(self.parameters(), lr=0.1)

    with pytest.warns(UserWarning, match="no validation_step: it is not used"):
        trainer().fit(Half(), loader(), loader())


def test_a_fast_dev_run_runs_every_loop_and_writes_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    module = Regression()
    run = Trainer(
        accelerator="cpu", fast_dev_run=2, max_epochs=9, logger="csv", callbacks=ModelCheckpoint(tmp_path / "ckpt")
    )

    run.fit(module, loader(), loader())
    run.test(dataloaders=loader(), verbose=False)

    assert (len(module.losses), run.current_epoch) == (2, 1)
    assert list(tmp_path.iterdir()) == []


def test_by_default_a_checkpoint_of_the_last_epoch_lands_below_the_root_and_resumes(tmp_path: Path) -> None:
    quiet: dict[str, Any] = {"accelerator": "cpu", "enable_progress_bar": False, "default_root_dir": tmp_path}
    torch.manual_seed(0)
    whole = Regression()
    start = weights(whole)
    torch.manual_seed(5)
    trainer(max_epochs=4).fit(whole, loader(shuffle=True))

    first, second = Regression(), Regression()
    first.load_state_dict(start)
    torch.manual_seed(5)
    Trainer(max_epochs=2, logger=False, **quiet).fit(first, loader(shuffle=True))
    assert sorted(p.name for p in (tmp_path / "checkpoints").glob("*.ckpt")) == ["epoch=1-step=8.ckpt"]
    Trainer(max_epochs=4, logger=False, **quiet).fit(second, loader(shuffle=True), ckpt_path="last")

    assert same(first.losses + second.losses, whole.losses)
    assert same(weights(second), weights(whole))


def test_with_a_logger_checkpoints_are_beside_its_files(tmp_path: Path) -> None:
    run = trainer(enable_checkpointing=True, logger=True, default_root_dir=tmp_path)

    run.fit(Regression(), loader())

    assert run.log_dir is not None
    assert Path(run.log_dir).is_relative_to(tmp_path)
    assert (Path(run.log_dir) / "checkpoints/epoch=0-step=4.ckpt").exists()


def test_several_fits_of_several_modules_do_not_mix() -> None:
    a, b = Regression(), Regression()
    for module in (a, b):
        run = trainer()
        run.fit(module, loader())
        assert run.lightning_module is module
    assert (a.trainer is b.trainer, len(a.losses), len(b.losses)) == (False, 4, 4)


def test_a_fit_that_is_done_does_nothing_again() -> None:
    module, run = Regression(), trainer(max_epochs=2)
    run.fit(module, loader())
    before = weights(module)

    run.fit(module, loader())

    assert len(module.losses) == 8
    assert same(weights(module), before)


def test_evaluations_of_one_trainer_can_follow_each_other_in_any_order() -> None:
    module, run = Regression(), trainer()
    full = next(iter(loader(6, 6)))
    expected = module.loss(full).item()

    for _ in range(2):
        (validated,) = run.validate(module, loader(6, 4), verbose=False)
        (tested,) = run.test(module, loader(6, 4), verbose=False)
        predicted = torch.cat(run.predict(module, loader(6, 4)))
        assert validated == {"val_loss": pytest.approx(expected, 1e-6)}
        assert tested == {"test_loss": pytest.approx(expected, 1e-6)}
        assert torch.equal(predicted, torch.cat([module(x) for x, *_ in loader(6, 4)]))
    assert run.global_step == 0


def test_several_loaders_give_one_result_each() -> None:
    class Several(Regression):
        def validation_step(self, batch: Any, batch_idx: int, dataloader_idx: int = 0) -> None:
            super().validation_step(batch, batch_idx)

    module = Several()

    first, second = trainer().validate(module, [loader(4, seed=1), loader(6, seed=2)], verbose=False)

    for index, (values, n) in enumerate(((first, 4), (second, 6))):
        expected = module.loss(samples(n, seed=index + 1)[:]).item()
        assert values == {f"val_loss/dataloader_idx_{index}": pytest.approx(expected, 1e-6)}


def test_results_are_printed_unless_told_otherwise(capsys: pytest.CaptureFixture[str]) -> None:
    module, run = Regression(), trainer()

    (values,) = run.test(module, loader())
    printed = capsys.readouterr().out
    run.test(module, loader(), verbose=False)

    assert printed == f"Trainer.test\n  test_loss  {values['test_loss']:.6g}\n"
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize("asked", [None, False])
@pytest.mark.parametrize("own", [True, False])
def test_manual_optimization_is_asked_for_by_the_trainer_or_the_module(asked: bool | None, own: bool) -> None:
    class Mine(Regression):
        def __init__(self) -> None:
            super().__init__()
            self.automatic_optimization = own

        def training_step(self, batch: Any, batch_idx: int) -> Any:
            loss = super().training_step(batch, batch_idx)
            if not own or asked is False:
                optimizer = self.optimizers()
                optimizer.zero_grad()
                self.manual_backward(loss)
                optimizer.step()
            return loss

    torch.manual_seed(0)
    reference, module = Regression(), Mine()
    module.load_state_dict(reference.state_dict())
    trainer().fit(reference, loader())

    run = trainer(automatic_optimization=asked)
    run.fit(module, loader())

    assert run.global_step == 4
    assert same(weights(module), weights(reference))
    assert module.automatic_optimization is own


def test_asking_to_stop_and_taking_it_back() -> None:
    run = trainer()

    run.should_stop = True
    assert run.stop_reason == "trainer.should_stop was set"
    run.stop("another")
    assert run.stop_reason == "trainer.should_stop was set"
    run.should_stop = False
    assert run.stop_reason is None


def test_a_checkpoint_can_be_saved_at_any_time_also_of_weights_alone(tmp_path: Path) -> None:
    module, run = Regression(), trainer()
    run.fit(module, loader())

    run.save_checkpoint(tmp_path / "full.ckpt")
    run.save_checkpoint(tmp_path / "weights.ckpt", weights_only=True)

    full, alone = (torch.load(tmp_path / f"{name}.ckpt", weights_only=True) for name in ("full", "weights"))
    assert same(full["state_dict"], weights(module))
    assert same(alone["state_dict"], weights(module))
    assert "optimizer_states" in full
    assert "optimizer_states" not in alone
    with pytest.raises(ValueError, match="weights but not the state of a run"):
        trainer(max_epochs=2).fit(Regression(), loader(), ckpt_path=tmp_path / "weights.ckpt")


def test_printing_and_broadcasting_in_one_process(capsys: pytest.CaptureFixture[str]) -> None:
    run = trainer()

    run.print("a", 1, sep="-")

    assert capsys.readouterr().out == "a-1\n"
    assert run.broadcast({"a": 1}) == {"a": 1}
    assert run.write_in_process_zero(lambda: 7) == 7


def test_a_trainer_can_be_pickled_before_and_after_a_run() -> None:
    run = trainer(max_epochs=2)
    assert pickle.loads(pickle.dumps(run)).max_epochs == 2
    run.fit(Regression(), loader())

    again = pickle.loads(pickle.dumps(run))

    assert (again.current_epoch, again.global_step, again.lightning_module) == (2, 8, None)
