"""LightningDataModule: what is called when, and who wins."""

from pathlib import Path
from typing import Any

import pytest
import torch

from lit_core import Callback, LightningDataModule
from tests.lit_core.tiny import Regression, loader, trainer


class Data(LightningDataModule):
    def __init__(self, batch_size: int = 2) -> None:
        self.save_hyperparameters()
        self.calls: list[str] = []
        self.batches = 0

    def prepare_data(self) -> None:
        self.calls.append("prepare_data")

    def setup(self, stage: str) -> None:
        self.calls.append(f"setup {stage}")

    def teardown(self, stage: str) -> None:
        self.calls.append(f"teardown {stage}")

    def train_dataloader(self) -> Any:
        self.calls.append("train_dataloader")
        return loader(8, self.hparams.batch_size)

    def val_dataloader(self) -> Any:
        self.calls.append("val_dataloader")
        return loader(4, seed=1)

    def test_dataloader(self) -> Any:
        self.calls.append("test_dataloader")
        return loader(4, seed=2)

    def predict_dataloader(self) -> Any:
        self.calls.append("predict_dataloader")
        return loader(4, seed=3)

    def on_after_batch_transfer(self, batch: Any, dataloader_idx: int) -> Any:
        self.batches += 1
        return batch

    def state_dict(self) -> dict[str, Any]:
        return {"batches": self.batches}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self.batches = state_dict["batches"]


@pytest.mark.parametrize(
    ("stage", "loaders"),
    [
        ("fit", ["train_dataloader", "val_dataloader"]),
        ("validate", ["val_dataloader"]),
        ("test", ["test_dataloader"]),
        ("predict", ["predict_dataloader"]),
    ],
)
def test_the_calls_of_each_stage_in_order(stage: str, loaders: list[str]) -> None:
    data = Data()

    getattr(trainer(), stage)(Regression(), datamodule=data)

    assert data.calls == ["prepare_data", f"setup {stage}", *loaders, f"teardown {stage}"]
    assert data.batches == {"fit": 4 + 2}.get(stage, 2)


def test_data_is_set_up_before_the_module_and_torn_down_after_it() -> None:
    order: list[str] = []

    class Spied(Data):
        def setup(self, stage: str) -> None:
            order.append("setup data")

        def teardown(self, stage: str) -> None:
            order.append("teardown data")

    class Module(Regression):
        def setup(self, stage: str) -> None:
            order.append("setup module")

        def teardown(self, stage: str) -> None:
            order.append("teardown module")

    class Watching(Callback):
        def setup(self, trainer: Any, module: Any, stage: str) -> None:
            order.append("setup callback")

        def teardown(self, trainer: Any, module: Any, stage: str) -> None:
            order.append("teardown callback")

    trainer(callbacks=Watching()).fit(Module(), datamodule=Spied())

    assert order == [
        "setup data",
        "setup callback",
        "setup module",
        "teardown module",
        "teardown callback",
        "teardown data",
    ]


def test_a_datamodule_may_be_passed_in_place_of_the_loader() -> None:
    data, module = Data(), Regression()
    run = trainer()

    run.fit(module, data)

    assert len(module.losses) == 4
    assert run.datamodule is data


@pytest.mark.parametrize("stage", ["validate", "test", "predict"])
def test_a_datamodule_may_be_passed_in_place_of_the_loaders_of_other_stages(stage: str) -> None:
    data = Data()

    getattr(trainer(), stage)(Regression(), data)

    assert data.calls[1] == f"setup {stage}"


def test_loaders_that_are_passed_win_over_the_datamodule() -> None:
    data, module = Data(), Regression()

    trainer().fit(module, loader(6, 1), datamodule=data)

    assert len(module.losses) == 6
    assert "train_dataloader" not in data.calls


def test_the_datamodule_wins_over_the_loaders_of_the_module_where_it_has_them() -> None:
    class Module(Regression):
        def train_dataloader(self) -> Any:
            return loader(2, 1)

        def val_dataloader(self) -> Any:
            return loader(2, 1)

    class OnlyTrain(LightningDataModule):
        def train_dataloader(self) -> Any:
            return loader(5, 1)

    module = Module()
    results = trainer(enable_checkpointing=False)
    results.fit(module, datamodule=OnlyTrain())

    assert len(module.losses) == 5
    assert "val_loss" in results.callback_metrics


def test_the_datamodule_of_the_fit_is_used_for_the_next_stage() -> None:
    data, module = Data(), Regression()
    run = trainer()
    run.fit(module, datamodule=data)

    run.test()

    assert data.calls[-3:] == ["setup test", "test_dataloader", "teardown test"]


def test_its_state_and_hyperparameters_are_in_the_checkpoint_and_its_state_comes_back(tmp_path: Path) -> None:
    run = trainer()
    run.fit(Regression(), datamodule=Data(batch_size=4))
    run.save_checkpoint(tmp_path / "a.ckpt")
    saved = torch.load(tmp_path / "a.ckpt", weights_only=True)
    assert saved["datamodule"] == {"batches": 2 + 2}
    assert saved["datamodule_hyper_parameters"] == {"batch_size": 4}

    again = Data(batch_size=4)
    trainer(max_epochs=2).fit(Regression(), datamodule=again, ckpt_path=tmp_path / "a.ckpt")

    assert again.batches == 8


def test_stages_without_data_say_where_it_could_come_from() -> None:
    with pytest.raises(ValueError, match="no training data: pass train_dataloaders or a datamodule"):
        trainer().fit(Regression())
    with pytest.raises(ValueError, match="no data to test: pass dataloaders or a datamodule, or write test_dataloader"):
        trainer().test(Regression())
