"""Resuming from any safe point equals not having stopped, bit for bit."""

import csv
import sys
import types
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any
from unittest import mock

import pytest
import torch

from lit_checkpoint import CheckpointIO
from lit_core import Callback, EarlyStopping, LightningModule, ModelCheckpoint
from lit_core.callbacks import EMAWeightAveraging, StochasticWeightAveraging
from lit_loggers import CSVLogger
from tests.lit_core.resumable import MODULES, Automatic, SaveAll, comparable, final_state, noisy_loader
from tests.lit_core.tiny import Regression, Rows, loader, same, trainer, weights

CASES: dict[str, tuple[str, dict[str, Any]]] = {
    "plain": ("Automatic", {}),
    "validation inside the epoch": ("Automatic", {"val_check_interval": 2}),
    "validation across epochs": ("Automatic", {"val_check_interval": 3, "check_val_every_n_epoch": None}),
    "rows at long intervals": ("Automatic", {"log_every_n_steps": 3}),
    "accumulation": ("Automatic", {"accumulate_grad_batches": 2, "gradient_clip_val": 0.5}),
    "accumulation with a short last group": ("Automatic", {"accumulate_grad_batches": 4}),
    "two optimizers": ("Two", {"accumulate_grad_batches": 3}),
    "optimizers in turns": ("Turns", {"val_check_interval": 4}),
    "manual": ("Manual", {}),
    "losses by name": ("ByName", {}),
    "limited": ("Automatic", {"limit_train_batches": 3, "limit_val_batches": 2}),
    "average of the weights": ("Automatic", {"average": partial(EMAWeightAveraging, decay=0.8)}),
    "average of the last epochs": (
        "Automatic",
        {"average": partial(StochasticWeightAveraging, 0.05, swa_epoch_start=1, annealing_epochs=1)},
    ),
    "ends inside an epoch": ("Automatic", {"max_epochs": -1, "max_steps": 8}),
}


@pytest.fixture(autouse=True)
def _one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def run(
    folder: Path | None, kind: str, settings: dict[str, Any], ckpt: Path | None = None
) -> tuple[Any, Any, Rows, SaveAll]:
    torch.manual_seed(3 if ckpt is None else 99)  # a resumed process begins with other random numbers
    rows = Rows()
    save = SaveAll(folder, rows.rows)
    module = MODULES[kind]()
    average = settings.get("average", list)()
    callbacks = [save, average] if average else [save]
    settings = {name: value for name, value in settings.items() if name != "average"}
    runner = trainer(**{"max_epochs": 2, "logger": rows, "log_every_n_steps": 2, "callbacks": callbacks, **settings})
    runner.fit(module, noisy_loader(), noisy_loader(8, shuffle=False), ckpt_path=ckpt)
    return runner, module, rows, save


@pytest.mark.parametrize("case", CASES)
def test_a_run_resumed_at_any_safe_point_equals_the_uninterrupted_one(case: str, tmp_path: Path) -> None:
    kind, settings = CASES[case]
    runner, module, rows, save = run(tmp_path, kind, settings)
    expected = final_state(runner, module)
    assert len(save.saved) >= 9
    for name, (seen, written) in save.saved.items():
        if runner.max_steps == module.global_step == int(name[:2]):
            continue  # at its limit there is nothing left to resume
        resumed, twin, later, _ = run(None, kind, settings, tmp_path / f"{name}.ckpt")
        assert twin.seen == module.seen[seen:], name
        step = torch.load(tmp_path / f"{name}.ckpt", weights_only=True)["global_step"]
        again = sum(row.step == step for row in rows.rows[:written])  # a logger with a past would forget these first
        assert comparable(later.rows) == comparable(rows.rows[written - again :]), name
        found = final_state(resumed, twin)
        assert [key for key in expected if not same(found[key], expected[key])] == [], name


def test_a_step_value_that_no_row_has_yet_is_in_the_row_after_a_resume(tmp_path: Path) -> None:
    class Rare(Regression):
        def training_step(self, batch: Any, batch_idx: int) -> Any:
            if batch_idx == 1:
                self.log("rare", float(batch_idx), on_step=True, on_epoch=False, prog_bar=True)
            return super().training_step(batch, batch_idx)

    def train(folder: Path | None, ckpt: Path | None = None) -> Rows:
        rows = Rows()
        trainer(logger=rows, log_every_n_steps=3, callbacks=[SaveAll(folder, rows.rows)]).fit(
            Rare(), loader(8, 2), ckpt_path=ckpt
        )
        return rows

    expected = train(tmp_path)
    assert expected.of("rare") == [(3, 1.0)]
    for step in (1, 2, 3):  # the third has its row already, which is written anew
        assert train(None, tmp_path / f"{step:02}-batch.ckpt").of("rare") == [(3, 1.0)], step


def test_a_resumed_run_can_be_resumed_again(tmp_path: Path) -> None:
    settings = {"accumulate_grad_batches": 3, "val_check_interval": 2}
    runner, module, _, _ = run(tmp_path / "0", "Automatic", settings)
    run(tmp_path / "1", "Automatic", settings, tmp_path / "0" / "02-batch.ckpt")
    run(tmp_path / "2", "Automatic", settings, tmp_path / "1" / "04-validation.ckpt")
    resumed, twin, _, _ = run(None, "Automatic", settings, tmp_path / "2" / "07-batch.ckpt")
    assert same(final_state(resumed, twin), final_state(runner, module))
    assert twin.seen == module.seen[7:]


@pytest.mark.parametrize(("before", "after", "noise"), [(0, 2, 0.0), (2, 0, 0.0), (1, 2, 0.1), (2, 1, 0.1)])
def test_order_and_augmentation_go_on_whatever_the_number_of_workers(
    before: int, after: int, noise: float, tmp_path: Path
) -> None:
    def train(ckpt: Path | None, workers: int) -> tuple[Any, Any]:
        torch.manual_seed(3)
        module = Automatic()
        runner = trainer(max_epochs=2, callbacks=[SaveAll(tmp_path / str(workers))])
        runner.fit(module, noisy_loader(noise=noise, workers=workers), ckpt_path=ckpt)
        return runner, module

    runner, module = train(None, before)
    resumed, twin = train(tmp_path / str(before) / "03-batch.ckpt", after)
    assert twin.seen == module.seen[3:]
    assert same(final_state(resumed, twin), final_state(runner, module))


def test_training_further_than_first_planned_equals_having_planned_it(tmp_path: Path) -> None:
    first, _, _, _ = run(tmp_path / "a", "Automatic", {"max_epochs": -1, "max_steps": 3})
    assert first.global_step == 3
    resumed, twin, _, _ = run(None, "Automatic", {}, tmp_path / "a" / "03-epoch.ckpt")
    runner, module, _, _ = run(None, "Automatic", {})
    assert same(final_state(resumed, twin)["weights"], final_state(runner, module)["weights"])
    assert twin.seen == module.seen[3:]
    assert resumed.callback_metrics["loss_epoch"] == runner.callback_metrics["loss_epoch"]


def test_rows_of_evaluated_batches_are_neither_lost_nor_written_twice_by_a_resume(tmp_path: Path) -> None:
    class Watched(Regression):
        def validation_step(self, batch: Any, batch_idx: int) -> None:
            self.log("val", self.loss(batch), on_step=True, on_epoch=True)

    def train(folder: Path, ckpt: Path | None, **settings: Any) -> list[list[tuple[str, str]]]:
        torch.manual_seed(3)
        save = SaveAll(folder, [])
        logger = CSVLogger(folder, version=0)
        runner = trainer(logger=logger, log_every_n_steps=1, val_check_interval=2, callbacks=[save], **settings)
        runner.fit(Watched(), loader(), loader(4, 2, shuffle=False), ckpt_path=ckpt)
        with Path(logger.log_dir, "metrics.csv").open() as file:
            rows = list(csv.DictReader(file))
        return sorted(sorted(item for item in row.items() if item[0] != "wall_time_s") for row in rows)

    expected = train(tmp_path / "whole", None, max_epochs=2)
    assert sum(dict(row)["evaluated"] != "" for row in expected) == 8
    saved = sorted((tmp_path / "whole").glob("*.ckpt"))
    for checkpoint in saved[2:-1]:
        folder = tmp_path / f"from {checkpoint.name}"
        train(folder, None, max_epochs=2)
        assert train(folder, checkpoint, max_epochs=2) == expected, checkpoint.name


class OfFirstEra(Callback):
    """Checkpoint hooks as in PyTorch Lightning 1.0: the state is returned, and given back."""

    batches, restored = 0, None

    def on_train_batch_end(self, trainer: Any, pl_module: Any, *_: Any) -> None:
        self.batches += 1

    def on_save_checkpoint(self, trainer: Any, pl_module: Any) -> dict[str, int]:  # type: ignore[override]
        return {"batches": self.batches, "step": trainer.global_step}

    def on_load_checkpoint(self, checkpointed_state: dict[str, int]) -> None:  # type: ignore[override]
        self.restored = checkpointed_state


class OfSecondEra(OfFirstEra):
    """As in 1.3 to 1.5."""

    def on_save_checkpoint(self, trainer: Any, pl_module: Any, checkpoint: dict[str, Any]) -> Any:  # type: ignore[override]
        return {"batches": self.batches, "step": checkpoint["global_step"]}

    def on_load_checkpoint(self, trainer: Any, pl_module: Any, callback_state: dict[str, int]) -> None:  # type: ignore[override]
        assert trainer.global_step == pl_module.global_step
        self.restored = callback_state


@pytest.mark.parametrize("kind", [OfFirstEra, OfSecondEra])
def test_callbacks_of_older_eras_get_their_own_state_back(kind: type[OfFirstEra], tmp_path: Path) -> None:
    first, second = kind(), kind()
    runner = trainer(callbacks=[first])
    runner.fit(Regression(), loader())
    runner.save_checkpoint(tmp_path / "a.ckpt")
    trainer(callbacks=[second], max_epochs=2).fit(Regression(), loader(), ckpt_path=tmp_path / "a.ckpt")
    assert second.restored == {"batches": 4, "step": 4}
    assert (first.batches, second.batches) == (4, 4)


def test_the_mean_of_an_epoch_that_was_cut_and_resumed_is_over_all_of_it(tmp_path: Path) -> None:
    run(tmp_path / "a", "Automatic", {"max_epochs": -1, "max_steps": 3})
    _, _, later, _ = run(None, "Automatic", {"max_epochs": 1}, tmp_path / "a" / "03-epoch.ckpt")
    _, _, rows, _ = run(None, "Automatic", {"max_epochs": 1})
    for key in ("loss_epoch", "largest", "first", "outputs"):
        assert later.of(key) == rows.of(key), key


@pytest.mark.parametrize("callback", ["stopping", "checkpoint"])
def test_a_resume_into_an_epoch_without_validation_does_not_miss_the_monitored_quantity(
    callback: str, tmp_path: Path
) -> None:
    def make(folder: str) -> Any:
        if callback == "stopping":
            return [EarlyStopping("val_loss", patience=9), SaveAll(tmp_path / folder)]
        return [ModelCheckpoint(tmp_path / folder / "kept", monitor="val_loss"), SaveAll(tmp_path / folder)]

    def train(folder: str, epochs: int, ckpt: Path | None = None) -> Any:
        torch.manual_seed(0)
        module = Regression()
        runner = trainer(
            max_epochs=epochs,
            check_val_every_n_epoch=2,
            enable_checkpointing=callback == "checkpoint",
            callbacks=make(folder),
        )
        runner.fit(module, loader(), loader(), ckpt_path=ckpt)
        return module

    whole = train("whole", 5)
    train("first", 2)
    resumed = train("resumed", 5, tmp_path / "first" / "08-epoch.ckpt")
    assert same(weights(resumed), weights(whole))


def test_weights_only_leaves_out_what_only_resuming_needs_and_refuses_to_resume(tmp_path: Path) -> None:
    module = Regression()
    runner = trainer()
    runner.fit(module, loader())
    runner.save_checkpoint(tmp_path / "w.ckpt", weights_only=True)
    saved = torch.load(tmp_path / "w.ckpt", weights_only=True)
    assert same(dict(saved["state_dict"]), weights(module))
    assert "optimizer_states" not in saved
    with pytest.raises(ValueError, match="holds weights but not the state of a run"):
        trainer().fit(Regression(), loader(), ckpt_path=tmp_path / "w.ckpt")
    twin = Regression.load_from_checkpoint(tmp_path / "w.ckpt")
    assert same(weights(twin), weights(module))


def test_a_checkpoint_loads_with_plain_torch_and_holds_the_keys_users_know(tmp_path: Path) -> None:
    runner, module, _, _ = run(tmp_path, "Two", {})
    saved = torch.load(tmp_path / "10-epoch.ckpt", weights_only=True)
    assert {"state_dict", "optimizer_states", "lr_schedulers", "callbacks", "loops", "epoch", "global_step"} <= set(
        saved
    )
    assert (saved["epoch"], saved["global_step"]) == (1, 10)
    assert same(dict(saved["state_dict"]), weights(module))
    assert len(saved["optimizer_states"]) == len(runner.optimizers) == 2


def test_a_newer_format_is_refused(tmp_path: Path) -> None:
    runner = trainer()
    runner.fit(Regression(), loader())
    saved = runner.dump_checkpoint()
    saved["format"] = 99
    torch.save(saved, tmp_path / "new.ckpt")
    with pytest.raises(ValueError, match=r"format 99.*upgrade"):
        trainer().fit(Regression(), loader(), ckpt_path=tmp_path / "new.ckpt")


def test_another_number_of_optimizers_is_refused_with_both_numbers(tmp_path: Path) -> None:
    class Both(Regression):
        def configure_optimizers(self) -> Any:
            return [torch.optim.SGD(self.parameters(), lr=0.1), torch.optim.SGD(self.parameters(), lr=0.1)]

        def training_step(self, batch: Any, batch_idx: int, optimizer_idx: int) -> Any:  # type: ignore[override]
            return self.loss(batch)

    runner = trainer()
    runner.fit(Regression(), loader())
    runner.save_checkpoint(tmp_path / "one.ckpt")
    with pytest.raises(ValueError, match="holds 1 optimizers, configure_optimizers made 2"):
        trainer(max_epochs=2).fit(Both(), loader(), ckpt_path=tmp_path / "one.ckpt")


def test_state_of_a_callback_that_is_gone_is_dropped_with_a_warning(tmp_path: Path) -> None:
    runner = trainer(callbacks=[EarlyStopping("loss_epoch")])
    runner.fit(Regression(), loader())
    runner.save_checkpoint(tmp_path / "c.ckpt")
    with pytest.warns(UserWarning, match="EarlyStopping.*dropped"):
        trainer(max_epochs=2).fit(Regression(), loader(), ckpt_path=tmp_path / "c.ckpt")


def test_module_hooks_add_to_a_checkpoint_and_take_from_it(tmp_path: Path) -> None:
    class Adds(Regression):
        taken: Any = None

        def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
            checkpoint["mine"] = torch.arange(3)

        def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
            self.taken = checkpoint["mine"]

    runner = trainer()
    runner.fit(Adds(), loader())
    runner.save_checkpoint(tmp_path / "m.ckpt")
    module: LightningModule = Adds()
    trainer(max_epochs=2).fit(module, loader(), ckpt_path=tmp_path / "m.ckpt")
    assert same(module.taken, torch.arange(3))


class Counting(torch.nn.Module):
    """A metric such as other libraries have: states that are no buffers, read and merged by mapping."""

    def __init__(self) -> None:
        super().__init__()
        self.metric_state = {"total": torch.tensor(0.0), "parts": []}

    def update(self, value: torch.Tensor) -> None:
        self.metric_state = {
            "total": self.metric_state["total"] + value,
            "parts": [*self.metric_state["parts"], value],
        }

    def compute(self) -> torch.Tensor:
        return self.metric_state["total"] / max(1, len(self.metric_state["parts"]))

    def reset(self) -> None:
        self.metric_state = {"total": torch.tensor(0.0), "parts": []}

    def merge_state(self, state) -> None:
        self.metric_state = {
            "total": self.metric_state["total"] + state["total"],
            "parts": [*self.metric_state["parts"], *state["parts"]],
        }


@pytest.mark.parametrize("last", [1, 3])
def test_a_metric_object_goes_on_inside_an_epoch(tmp_path, last: int) -> None:
    class Measured(Regression):
        def __init__(self) -> None:
            super().__init__()
            self.measure = Counting()

        def training_step(self, batch, batch_idx):
            self.measure.update(torch.tensor(float(batch_idx)))
            self.log("measured", self.measure)
            return super().training_step(batch, batch_idx)

    class Save(Callback):
        def on_train_batch_end(self, trainer, module, outputs, batch, batch_idx):
            if batch_idx == last:
                trainer.save_checkpoint(tmp_path / "inside.ckpt")

    whole = trainer(max_epochs=1, callbacks=[Save()])
    whole.fit(Measured(), loader())
    rest = trainer(max_epochs=1)
    rest.fit(Measured(), loader(), ckpt_path=tmp_path / "inside.ckpt")
    assert rest.callback_metrics["measured"] == whole.callback_metrics["measured"]


class Named:
    """Stands for a class of PyTorch Lightning in a pickle."""


def lightning_file(path: Path, module: torch.nn.Module, **more: Any) -> Path:
    """As PyTorch Lightning before 1.5 wrote it: its classes are keys."""
    Named.__module__, Named.__qualname__ = "pytorch_lightning.callbacks.early_stopping", "EarlyStopping"
    try:
        package, names = types.ModuleType("pytorch_lightning"), "pytorch_lightning.callbacks.early_stopping"
        inner = types.ModuleType(names)
        inner.EarlyStopping = Named  # type: ignore[attr-defined]
        modules = {"pytorch_lightning": package, "pytorch_lightning.callbacks": package, names: inner}
        with mock.patch.dict(sys.modules, modules):
            state = {"state_dict": module.state_dict(), "epoch": 3, "global_step": 12, "callbacks": {Named: {}}}
            torch.save({**state, "pytorch-lightning_version": "1.0.8", "optimizer_states": [{}], **more}, path)
    finally:
        Named.__module__, Named.__qualname__ = __name__, "Named"
    return path


def test_weights_of_a_file_of_lightning_load_for_a_module_and_for_a_test(tmp_path: Path) -> None:
    module = Regression()
    path = lightning_file(tmp_path / "theirs.ckpt", module, hyper_parameters={"lr": 0.5})

    loaded = Regression.load_from_checkpoint(path)
    assert same(weights(loaded), weights(module))
    assert loaded.lr == 0.5

    torch.manual_seed(99)
    twin = Regression()
    found = trainer().test(twin, loader(), ckpt_path=path, verbose=False)
    assert found == trainer().test(module, loader(), verbose=False)
    assert same(weights(twin), weights(module))


def test_hyperparameters_that_lightning_kept_as_one_argument_come_back_as_one(tmp_path: Path) -> None:
    class One(Regression):
        def __init__(self, hparams: dict[str, Any]) -> None:
            super().__init__(lr=hparams["lr"])

    stored = {"hyper_parameters": {"lr": 0.25}, "hparams_name": "hparams"}
    path = lightning_file(tmp_path / "theirs.ckpt", Regression(), **stored)

    assert One.load_from_checkpoint(path).lr == 0.25


def test_a_run_does_not_go_on_from_a_file_of_lightning_and_says_what_it_lacks(tmp_path: Path) -> None:
    path = lightning_file(tmp_path / "theirs.ckpt", Regression())

    with pytest.raises(
        ValueError, match=r"PyTorch Lightning 1\.0\.8.*position in the data.*random.*load_from_checkpoint"
    ):
        trainer().fit(Regression(), loader(), ckpt_path=path)


class Halves(CheckpointIO):
    """A format of a user's own: weights and the rest in two files."""

    def save(self, state: dict[str, Any], path: Any) -> None:
        Path(path).mkdir(parents=True)
        rest = {key: value for key, value in state.items() if key != "state_dict"}
        torch.save(rest, Path(path, "rest"))
        torch.save(state["state_dict"], Path(path, "weights"))

    def load(self, path: Any, *, map_location: Any = "cpu", weights_only: bool = True) -> dict[str, Any]:
        halves = [torch.load(Path(path, name), weights_only=weights_only) for name in ("rest", "weights")]
        return {**halves[0], "state_dict": halves[1]}

    def verify(self, path: Any) -> None: ...

    def remove(self, path: Any) -> None:
        for name in ("rest", "weights"):
            Path(path, name).unlink()
        Path(path).rmdir()


def test_a_format_of_the_users_own_is_written_resumed_and_tested_from(tmp_path: Path) -> None:
    def fit(folder: str, epochs: int, ckpt: Any = None) -> Any:
        torch.manual_seed(0)
        module, saver = Regression(dropout=0.2), ModelCheckpoint(tmp_path / folder, save_top_k=-1)
        run = trainer(max_epochs=epochs, enable_checkpointing=True, callbacks=[saver], plugins=Halves())
        run.fit(module, loader(), ckpt_path=ckpt)
        return run, module, saver

    _, whole, _ = fit("whole", 3)
    _, _, first = fit("first", 1)
    assert {path.name for path in Path(first.last_model_path).iterdir()} == {"rest", "weights"}
    run, resumed, saver = fit("second", 3, first.last_model_path)
    assert same(weights(resumed), weights(whole))
    assert run.test(Regression(), loader(), ckpt_path="last", verbose=False) == run.test(
        resumed, loader(), verbose=False
    )
    assert Path(saver.last_model_path).is_dir()
