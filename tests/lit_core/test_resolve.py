"""From words to objects."""

import os
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from lit_accelerators import MixedPrecision
from lit_checkpoint import FileCheckpointIO
from lit_core import (
    Callback,
    EarlyStopping,
    LightningDataModule,
    LightningModule,
    ModelCheckpoint,
    ProgressBar,
    Trainer,
    resolve,
)
from lit_core.callbacks import ModelSummary, TimeTable
from lit_core.config import TrainerConfig
from lit_core.resolve import (
    join_callbacks,
    resolve_callbacks,
    resolve_io,
    resolve_loggers,
    resolve_root,
    resolve_strategy,
)
from lit_loggers import CSVLogger, TensorBoardLogger
from tests.lit_core.tiny import Regression, Rows, loader, trainer


def callbacks(**settings: Any) -> list[Callback]:
    return resolve_callbacks(TrainerConfig(**settings))


def test_a_checkpoint_and_a_bar_are_added() -> None:
    assert [type(c) for c in callbacks()] == [ModelCheckpoint, ModelSummary, ProgressBar, TimeTable]


def test_what_is_given_is_not_added_again() -> None:
    saver, bar, own, summary, table = ModelCheckpoint(), ProgressBar(), Callback(), ModelSummary(), TimeTable()

    assert callbacks(callbacks=[bar, saver, own, summary, table]) == [bar, saver, own, summary, table]
    assert callbacks(callbacks=[bar, saver, table], enable_model_summary=False) == [bar, saver, table]
    assert callbacks(callbacks=saver, enable_progress_bar=False) == [saver]


def test_nothing_is_added_where_it_is_switched_off() -> None:
    assert callbacks(enable_checkpointing=False, enable_progress_bar=False) == []


def test_a_fast_dev_run_saves_nothing() -> None:
    assert [type(c) for c in callbacks(fast_dev_run=True, callbacks=ModelCheckpoint())] == [
        ModelSummary,
        ProgressBar,
        TimeTable,
    ]


def test_a_checkpoint_that_is_switched_off_is_a_contradiction() -> None:
    with pytest.raises(ValueError, match="enable_checkpointing=False"):
        callbacks(callbacks=ModelCheckpoint(), enable_checkpointing=False)


def test_what_is_no_callback_is_refused_and_named() -> None:
    with pytest.raises(TypeError, match="got str"):
        callbacks(callbacks=["early_stopping"])
    with pytest.raises(TypeError, match="got type"):
        callbacks(callbacks=[ProgressBar])


def test_two_callbacks_with_one_state_key_are_refused() -> None:
    with pytest.raises(ValueError, match='state_key "EarlyStopping'):
        callbacks(callbacks=[EarlyStopping("loss"), EarlyStopping("loss", patience=9)])
    assert len(callbacks(callbacks=[EarlyStopping("a"), EarlyStopping("b")])) == 6


def test_callbacks_of_the_module_replace_those_of_the_same_class() -> None:
    theirs, bar, mine = EarlyStopping("a"), ProgressBar(), EarlyStopping("b")

    assert join_callbacks([theirs, bar], mine) == [bar, mine]
    assert join_callbacks([theirs, bar], [mine]) == [bar, mine]
    assert join_callbacks([theirs, bar], []) == [theirs, bar]
    assert join_callbacks([theirs, bar], None) == [theirs, bar]


def test_a_second_run_does_not_add_the_callbacks_of_the_module_again() -> None:
    class Mine(LightningModule):
        def configure_callbacks(self) -> Any:
            return [EarlyStopping("val")]

        def validation_step(self, batch: Any, batch_idx: int) -> None: ...

    trainer = Trainer(accelerator="cpu", logger=False, enable_checkpointing=False, enable_progress_bar=False)
    for _ in range(2):
        trainer.validate(Mine(), [[1]], verbose=False)

    assert [type(c) for c in trainer.callbacks] == [EarlyStopping]


def test_loggers_from_words_and_objects(tmp_path: Path) -> None:
    rows = Rows()

    def loggers(given: Any, **settings: Any) -> list[Any]:
        return resolve_loggers(TrainerConfig(logger=given, **settings), str(tmp_path))

    assert [type(x) for x in loggers(True)] == [TensorBoardLogger]
    assert loggers(False) == loggers(None) == loggers([]) == []
    assert [type(x) for x in loggers("csv")] == [CSVLogger]
    assert loggers(rows) == [rows]
    assert [type(x) for x in loggers(["csv", rows])] == [CSVLogger, Rows]
    assert loggers(True, fast_dev_run=True) == []
    assert not list(tmp_path.iterdir())
    for wrong in (3, [rows, 3], Rows):
        with pytest.raises(TypeError, match="logger is True, False, a name, a Logger"):
            loggers(wrong)
    with pytest.raises(ValueError, match="'csw'"):
        loggers("csw")


def test_the_root_is_the_working_folder_a_path_or_a_url(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)

    assert resolve_root(TrainerConfig()) == str(tmp_path)
    assert resolve_root(TrainerConfig(default_root_dir=tmp_path / "runs")) == os.fspath(tmp_path / "runs")
    assert resolve_root(TrainerConfig(default_root_dir="s3://bucket/runs")) == "s3://bucket/runs"


def test_the_strategy_is_made_from_all_five_settings() -> None:
    made = resolve_strategy(
        TrainerConfig(accelerator="cpu", devices=1, strategy="single_device", precision="bf16-mixed")
    )

    assert (made.name, made.accelerator.name, made.precision.name, made.world_size) == (
        "single_device",
        "cpu",
        "bf16-mixed",
        1,
    )


def test_a_misspelt_hook_of_a_callback_or_datamodule_is_named() -> None:
    class Bell(Callback):
        def on_train_epoch_ends(self, trainer, module):
            """Never called."""

    with pytest.raises(TypeError, match=r"on_train_epoch_ends looks like a hook.*'on_train_epoch_end'"):
        Trainer(callbacks=[Bell()], logger=False)

    class Data(LightningDataModule):
        def train_dataloder(self):
            """Never called."""

    with pytest.raises(TypeError, match=r"train_dataloder looks like a hook.*'train_dataloader'"):
        trainer(max_epochs=1).fit(Regression(), datamodule=Data())


def test_plugins_take_the_place_of_what_words_choose() -> None:
    precision, io = MixedPrecision(), FileCheckpointIO()
    runner = trainer(plugins=[precision, io])
    assert runner.strategy.precision is precision
    assert resolve_io(TrainerConfig(plugins=io), runner.strategy) is io is runner.checkpoint_io
    assert resolve_strategy(TrainerConfig(accelerator="cpu", plugins=precision)).precision is precision


@pytest.mark.parametrize(
    ("plugins", "error", "message"),
    [
        ([MixedPrecision(), MixedPrecision()], ValueError, "2 objects of Precision"),
        ("ddp", TypeError, r"plugins are Precision.*got str"),
    ],
)
def test_plugins_of_no_kind_or_twice_of_one_are_refused(plugins: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        trainer(plugins=plugins)


class Registered(Callback):
    """Of an installed package."""


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """An installed package that registers a callback for every Trainer."""
    info = tmp_path / "other-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: other\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[lit_core.callbacks]\nother = other_callbacks:make\n")
    other: Any = ModuleType("other_callbacks")
    other.make = lambda: [Registered()]
    monkeypatch.setitem(sys.modules, "other_callbacks", other)
    monkeypatch.syspath_prepend(tmp_path)
    resolve._registered.cache_clear()
    yield
    resolve._registered.cache_clear()


@pytest.mark.usefixtures("package")
def test_callbacks_of_installed_packages_join_but_not_in_trials() -> None:
    given, seen = Callback(), []

    class Looks(Regression):
        def on_fit_start(self) -> None:
            seen.append([type(callback) for callback in self.trainer.callbacks])

    run = trainer(callbacks=given)
    run.check(Looks(), loader())
    run.fit(Looks(), loader())

    assert run.callbacks[0] is given
    assert [Registered in types for types in seen] == [False, True]
