"""Checkpoints that every process writes its parts of, by the Trainer, and read by any number of processes."""

import os
import signal
import time
import warnings
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn
from torch.utils.data import DataLoader

from lit_accelerators import FSDPStrategy, ModelParallelStrategy
from lit_checkpoint import CheckpointCorruptError, FileCheckpointIO, ShardedCheckpointIO, latest_valid, load, verify
from lit_core import ModelCheckpoint, Trainer
from tests.integration import test_strategies_model_parallel as grid
from tests.integration.test_strategies import Classifier, assert_close, data

pytestmark = [
    pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork"),
    pytest.mark.timeout(200),
    pytest.mark.filterwarnings("ignore:FSDP2-wrapped module"),  # units of one layer, whose output is a view
]

sharded = partial(FSDPStrategy, start="fork", state_dict_type="sharded")


def fit(
    folder: Path,
    devices: int,
    ckpt_path: Any = None,
    *,
    saver: dict[str, Any] | None = None,
    make: Callable[[], Classifier] = Classifier,
    **options: Any,
) -> tuple[Trainer, Classifier]:
    torch.manual_seed(11)
    model = make()
    trainer = Trainer(
        accelerator="cpu",
        devices=devices,
        logger=False,
        enable_progress_bar=False,
        num_sanity_val_steps=0,
        default_root_dir=folder,
        callbacks=[ModelCheckpoint(folder / "saved", **(saver or {}))],
        **{"strategy": sharded if devices > 1 else "auto", "max_epochs": 3, **options},
    )
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "The checkpoint (was saved by|holds state of callbacks)")
        trainer.fit(
            model, DataLoader(data(61), 8 // devices, shuffle=True), DataLoader(data(37), 5), ckpt_path=ckpt_path
        )
    return trainer, model


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> nn.Module:
    """Three epochs of one process."""
    return fit(tmp_path_factory.mktemp("whole"), 1)[1]


@pytest.fixture(scope="module")
def two_epochs(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Trainer]:
    """Two epochs of two processes, which saved their parts twice an epoch."""
    folder = tmp_path_factory.mktemp("two_epochs")
    settings = {"monitor": "val_loss", "save_top_k": 2}
    return folder, fit(folder, 2, saver=settings, max_epochs=2, val_check_interval=0.5)[0]


def test_all_processes_write_and_old_ones_are_removed(two_epochs: tuple[Path, Trainer]) -> None:
    folder, trainer = two_epochs
    saved = folder / "saved"
    keeper = trainer.checkpoint_callback
    folders = sorted(path for path in saved.iterdir() if path.is_dir())
    assert {str(path) for path in folders} == {keeper.last_model_path, *keeper.best_k_models}
    assert {"best", "index.json", "last"} <= {path.name for path in saved.iterdir() if path.is_file()}
    for path in folders:
        names = [part.name for part in path.iterdir()]
        assert len([name for name in names if name.startswith("part-0-of-2")]) == 1
        assert len([name for name in names if name.startswith("part-1-of-2")]) == 1
        assert len(names) == 3
        verify(path)
    assert latest_valid(saved) == keeper.last_model_path


def test_one_process_reads_whole_tensors(two_epochs: tuple[Path, Trainer]) -> None:
    _, trainer = two_epochs
    path = trainer.checkpoint_callback.last_model_path
    ended = trainer.lightning_module
    checkpoint = load(path)
    for name, value in ended.state_dict().items():
        assert torch.equal(checkpoint["state_dict"][name], value)
    assert checkpoint["optimizer_states"][0]["state"][0]["exp_avg"].shape == ended.net[0].weight.shape
    assert_close(Classifier.load_from_checkpoint(path), ended)
    plain = Trainer(accelerator="cpu", devices=1, logger=False, enable_progress_bar=False)
    found = plain.validate(Classifier(), DataLoader(data(37), 5), ckpt_path=path, verbose=False)
    assert found[0]["val_loss"] == pytest.approx(trainer.callback_metrics["val_loss"].item(), abs=1e-6)


@pytest.mark.parametrize("devices", [1, 2])
def test_any_number_of_processes_goes_on(
    two_epochs: tuple[Path, Trainer], whole: nn.Module, tmp_path: Path, devices: int
) -> None:
    _, trainer = two_epochs
    resumed, model = fit(tmp_path, devices, trainer.checkpoint_callback.last_model_path)
    assert resumed.global_step == 3 * 8
    assert_close(whole, model)


def test_no_process_reads_weights_or_optimizer_states_whole(
    two_epochs: tuple[Path, Trainer], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    load = ShardedCheckpointIO.load

    def watched(self: ShardedCheckpointIO, path: Any, **options: Any) -> dict[str, Any]:
        found = load(self, path, **options)
        weights = list(found["state_dict"].values())
        states = [value for entry in found["optimizer_states"][0]["state"].values() for value in entry.values()]
        whole = [tensor for tensor in weights + states if not tensor.is_meta]
        (tmp_path / f"read_{os.getpid()}").write_text(str(len(whole)))
        return found

    monkeypatch.setattr(ShardedCheckpointIO, "load", watched)
    fit(tmp_path / "rest", 2, two_epochs[1].checkpoint_callback.last_model_path)
    assert [path.read_text() for path in tmp_path.glob("read_*")] == ["0", "0"]


def test_two_processes_go_on_from_parts_and_from_a_file_of_one(whole: nn.Module, tmp_path: Path) -> None:
    for name, options in (("parts", {"plugins": ShardedCheckpointIO()}), ("file", {})):
        first, _ = fit(tmp_path / name, 1, max_epochs=2, **options)
        path = Path(first.checkpoint_callback.last_model_path)
        assert path.is_dir() == (name == "parts")
        assert_close(whole, fit(tmp_path / f"{name}-rest", 2, path)[1])


def test_last_and_best_are_found_and_a_resumed_run_of_the_same_processes_is_exact(tmp_path: Path) -> None:
    _, undisturbed = fit(tmp_path / "whole", 2)
    cut = {"every_n_train_steps": 3}
    fit(tmp_path / "run", 2, "last", max_steps=11, saver=cut)
    trainer, model = fit(tmp_path / "run", 2, "last", saver=cut)
    for a, b in zip(undisturbed.parameters(), model.parameters(), strict=True):
        assert torch.equal(a, b)
    for which in ("last", "best"):
        found = trainer.validate(Classifier(), DataLoader(data(37), 5), ckpt_path=which, verbose=False)
        assert set(found[0]) == {"val_loss", "hits"}


def on_grid(folder: Path, shape: tuple[int, int], ckpt_path: Any = None, **options: Any) -> tuple[Any, Any]:
    """Training on a grid of processes, each of which writes its parts."""
    strategy = partial(
        ModelParallelStrategy,
        start="fork",
        plan=grid.PLAN,
        tensor_parallel_size=shape[1],
        wrap=["Linear"],
        state_dict_type="sharded",
    )
    torch.manual_seed(11)
    model = grid.Classifier()
    trainer = Trainer(
        accelerator="cpu",
        devices=shape[0] * shape[1],
        strategy=strategy,
        default_root_dir=folder,
        gradient_clip_val=0.5,
        logger=False,
        enable_progress_bar=False,
        **options,
    )
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "The checkpoint was saved by")
        loaders = DataLoader(grid.data(29), 8 // shape[0], shuffle=True), DataLoader(grid.data(17), 5)
        trainer.fit(model, *loaders, ckpt_path=ckpt_path)
    return trainer, model


@pytest.mark.parametrize(("before", "after"), [((1, 2), (1, 1)), ((1, 2), (2, 1))])
def test_parts_of_split_tensors_are_read_by_other_grids(tmp_path: Path, before: Any, after: Any) -> None:
    _, whole = grid.fit(tmp_path / "whole", None, max_epochs=3)
    first, _ = on_grid(tmp_path / "first", before, max_epochs=2)
    path = Path(first.checkpoint_callback.last_model_path)
    assert len(list(path.glob("part-*"))) == 2
    assert_close(whole, on_grid(tmp_path / "rest", after, path, max_epochs=3)[1])


class Preempted(Classifier):
    """Its second process is told to go, once."""

    def on_train_batch_start(self, batch: Any, batch_idx: int) -> None:
        if self.trainer.global_rank == 1 and self.trainer.progress.batches == 12:
            os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(0.05)  # the processes ask each other every two seconds


@pytest.mark.parametrize("background", [False, True])
def test_a_run_that_is_preempted_saves_its_parts_and_goes_on(tmp_path: Path, background: bool) -> None:
    seldom = {"every_n_epochs": 1000, "background": background}
    with pytest.raises(SystemExit) as ended:
        fit(tmp_path, 2, "last", saver=seldom, make=Preempted, max_epochs=200)
    assert ended.value.code == 143
    (saved,) = [path for path in (tmp_path / "saved").iterdir() if path.is_dir()]
    step = load(saved)["global_step"]
    assert step > 12
    trainer, _ = fit(tmp_path, 2, "last", saver=seldom, max_epochs=-1, max_steps=step + 5)
    assert trainer.global_step == step + 5


@pytest.mark.parametrize("background", [False, True])
def test_several_processes_without_parts_may_write_folders_too(tmp_path: Path, background: bool) -> None:
    saver = {"background": background}
    trainer, model = fit(tmp_path, 2, strategy="ddp_fork", plugins=ShardedCheckpointIO(), max_epochs=1, saver=saver)
    checkpoint = load(trainer.checkpoint_callback.last_model_path)
    for name, value in model.state_dict().items():
        assert torch.equal(checkpoint["state_dict"][name], value)


class Unsafe(Classifier):
    """Has a value in its second checkpoint that cannot be saved."""

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        if self.trainer.current_epoch == 1:
            checkpoint["unsafe"] = object()


def test_a_save_that_fails_ends_all_processes_and_leaves_the_one_before(tmp_path: Path) -> None:
    trainer = Trainer(
        accelerator="cpu",
        devices=2,
        strategy=sharded,
        max_epochs=3,
        logger=False,
        enable_progress_bar=False,
        default_root_dir=tmp_path,
    )
    with pytest.raises((RuntimeError, TypeError), match=r"state\.unsafe is a object"):
        trainer.fit(Unsafe(), DataLoader(data(20), 4))
    newest = latest_valid(tmp_path / "checkpoints")
    assert newest is not None
    assert load(newest)["epoch"] == 0


def test_what_cannot_write_parts_is_refused() -> None:
    with pytest.raises(ValueError, match="FileCheckpointIO cannot write"):
        Trainer(accelerator="cpu", devices=2, strategy=sharded, plugins=FileCheckpointIO(), logger=False)
    with pytest.raises(ValueError, match="'full' or 'sharded'"):
        FSDPStrategy(indices=[0, 1], state_dict_type="parts")  # type: ignore[arg-type]


def test_damage_is_named(two_epochs: tuple[Path, Trainer], tmp_path: Path) -> None:
    _, trainer = two_epochs
    path = Path(trainer.checkpoint_callback.best_model_path)
    part = next(path.glob("part-1*"))
    content = part.read_bytes()
    part.write_bytes(content[: len(content) // 2])
    try:
        with pytest.raises(CheckpointCorruptError, match=part.name):
            fit(tmp_path, 1, path)
    finally:
        part.write_bytes(content)
