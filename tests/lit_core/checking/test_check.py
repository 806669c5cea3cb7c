"""The whole check: what fit would run into, and that nothing changes."""

import random
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn
from torch.utils.data import DataLoader

from lit_core import Callback, LightningDataModule, LightningModule, Trainer
from lit_core.checking import check
from tests.lit_core.tiny import Regression, Rows, loader, same, samples, trainer, weights


class Everything(Regression):
    """With dropout, a buffer, callbacks of its own, random numbers, and all stages."""

    def __init__(self) -> None:
        super().__init__(dropout=0.3)
        self.register_buffer("count", torch.zeros(()))
        self.stages: list[str] = []

    def setup(self, stage: str) -> None:
        self.stages.append(stage)

    def training_step(self, batch: Any, batch_idx: int) -> Any:
        self.count.add_(1)  # type: ignore[operator]
        random.random()
        return super().training_step(batch, batch_idx)

    def configure_callbacks(self) -> Any:
        return Forbidden()

    def configure_optimizers(self) -> Any:
        return torch.optim.SGD(self.parameters(), lr=self.lr, momentum=0.9)


class Forbidden(Callback):
    """Must not run."""

    def setup(self, trainer: Trainer, module: LightningModule, stage: str) -> None:
        raise AssertionError("a callback ran in a check")


def test_nothing_changes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    torch.manual_seed(3)
    module, generator = Everything(), torch.Generator().manual_seed(5)
    data = DataLoader(samples(8), batch_size=2, shuffle=True, generator=generator)
    module.loss(next(iter(loader()))).backward()
    module.eval()
    module.net[1].train()
    rows = Rows()
    run = trainer(logger=rows, callbacks=Forbidden(), enable_checkpointing=True, max_epochs=3)
    before = weights(module), [p.grad.clone() for p in module.parameters()]  # type: ignore[union-attr]
    states = torch.get_rng_state(), random.getstate(), generator.get_state()
    attributes = {name: repr(value) for name, value in vars(run).items()}
    callbacks, modes = list(run.callbacks), [child.training for child in module.modules()]

    report = run.check(module, data, loader())

    assert report.ok, str(report)
    assert same(before, (weights(module), [p.grad for p in module.parameters()]))
    assert same(states, (torch.get_rng_state(), random.getstate(), generator.get_state()))
    assert {name: repr(value) for name, value in vars(run).items()} == attributes
    assert run.callbacks == callbacks
    assert [child.training for child in module.modules()] == modes
    assert module.stages == module.losses == rows.rows == []
    assert not module.is_attached
    assert (run.global_step, run.current_epoch, run.progress.batches) == (0, 0, 0)
    assert list(tmp_path.iterdir()) == []


def test_a_checked_run_trains_as_one_that_was_not(tmp_path: Path) -> None:
    trained = []
    for checked in (True, False):
        torch.manual_seed(3)
        module, run = Regression(dropout=0.3), trainer(max_epochs=2)
        if checked:
            run.check(module, loader(shuffle=True), loader())
        run.fit(module, loader(shuffle=True), loader())
        trained.append(weights(module))

    assert same(*trained)


@pytest.mark.parametrize("hook", ["training_stepp", "on_train_epoch_ends", "validation_stp"])
def test_a_misspelt_hook_is_an_error(hook: str) -> None:
    report = check(trainer(), type("Net", (Regression,), {hook: lambda self: None})(), loader())

    assert [hook in error.what for error in report.of("error")] == [True]


@pytest.mark.parametrize("stage", ["training", "validation", "test", "predict"])
def test_an_error_in_any_stage_is_found_with_its_line(stage: str) -> None:
    class Data(LightningDataModule):
        def _loader(self) -> Any:
            return loader()

        train_dataloader = val_dataloader = test_dataloader = predict_dataloader = _loader

    def step(self: Any, batch: Any, batch_idx: int) -> Any:
        return batch["no such key"]

    report = check(trainer(), type("Net", (Regression,), {f"{stage}_step": step})(), datamodule=Data())

    (error,) = report.of("error")
    assert "TypeError" in error.what
    assert "test_check.py" in error.what
    assert "in step" in error.what
    assert isinstance(error.cause, TypeError)


def test_what_fit_warns_of_is_a_finding() -> None:
    class NoValidation(LightningModule):
        def __init__(self) -> None:
            super().__init__()
            self.layer = nn.Linear(3, 1)

        def training_step(self, batch: Any, batch_idx: int) -> Any:
            return self.layer(batch[0]).mean()

        def configure_optimizers(self) -> Any:
            return torch.optim.SGD(self.parameters(), lr=0.1)

    (warning,) = check(trainer(), NoValidation(), loader(), loader()).of("warning")

    assert warning.what.startswith("Validation data was passed")


def test_data_that_can_be_read_only_once_is_not_read() -> None:
    batches = iter(loader())

    report = check(trainer(), Regression(), batches)

    assert ["only once" in warning.what for warning in report.of("warning")] == [True]
    assert len(list(batches)) == 4


def test_a_module_finds_a_logger_where_the_run_has_one() -> None:
    class Draws(Regression):
        def validation_step(self, batch: Any, batch_idx: int) -> Any:
            self.logger.experiment.add_image("x", batch[0]).also.this()
            super().validation_step(batch, batch_idx)

    rows = Rows()

    assert check(trainer(logger=rows), Draws(), loader(), loader()).ok
    assert rows.rows == []


def test_accumulated_and_manual_steps_are_tried_to_their_end() -> None:
    class Fails(Regression):
        def on_before_optimizer_step(self, optimizer: Any) -> None:
            raise ZeroDivisionError

    class Manual(Regression):
        def __init__(self) -> None:
            super().__init__()
            self.automatic_optimization = False

        def training_step(self, batch: Any, batch_idx: int) -> None:
            self.manual_backward(self.loss(batch))
            if batch_idx == 2:
                raise ZeroDivisionError

    for module, settings in ((Fails(), {"accumulate_grad_batches": 3}), (Manual(), {})):
        (error,) = check(trainer(**settings), module, loader()).of("error")
        assert "ZeroDivisionError" in error.what


def test_several_processes_are_checked_in_one() -> None:
    run = trainer(devices=2, strategy="ddp_spawn")

    report = check(run, Regression(), loader(), loader())

    assert report.ok, str(report)
    assert report.findings[0].what == "training has 4 batches an epoch, 4 updates in 1 epoch"


def test_strict_raises_and_the_table_is_printed(capsys: pytest.CaptureFixture[str]) -> None:
    class Broken(Regression):
        def training_step(self, batch: Any, batch_idx: int) -> Any:
            raise ZeroDivisionError("oh")

    run = trainer()
    report = run.check(Broken(), loader())
    printed = capsys.readouterr().out
    assert printed == f"{report}\n"
    with pytest.raises(RuntimeError, match="oh") as raised:
        run.check(Broken(), loader(), strict=True)
    assert isinstance(raised.value.__cause__, ZeroDivisionError)


def test_an_interrupt_goes_on() -> None:
    class Interrupted(Regression):
        def training_step(self, batch: Any, batch_idx: int) -> Any:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        check(trainer(), Interrupted(), loader())
