"""Saving while training goes on, by process 0 or by all: what is saved, and that no process waits for another."""

import json
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
from torch.utils._pytree import tree_leaves, tree_leaves_with_path
from torch.utils.data import DataLoader

from lit_accelerators import FSDPStrategy
from lit_checkpoint import CheckpointIO, latest_valid, load, resolve_checkpoint
from lit_checkpoint.staging import HostCopier
from lit_checkpoint.storage import LocalStorage
from lit_core import Callback, ModelCheckpoint, Trainer
from tests.integration.test_strategies import Classifier, data

pytestmark = [pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork"), pytest.mark.timeout(120)]

FIRST_SAVE = 50


class FailsLater(CheckpointIO):
    """Cannot save, and finds that out while training goes on."""

    def save(self, state: dict[str, Any], path: Any) -> None:
        time.sleep(0.3)
        raise OSError("the disk is gone")

    def load(self, path: Any, *, map_location: Any = "cpu", weights_only: bool = True) -> dict[str, Any]:
        raise NotImplementedError

    def verify(self, path: Any) -> None: ...

    def remove(self, path: Any) -> None: ...


class Ends(Callback):
    """Leaves time between saves, and writes down how each process ended."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def on_train_batch_end(self, trainer: Trainer, module: Any, outputs: Any, batch: Any, batch_idx: int) -> None:
        time.sleep(0.1 if batch_idx >= FIRST_SAVE else 0)

    def on_exception(self, trainer: Trainer, module: Any, exception: BaseException) -> None:
        (self.folder / f"end_{trainer.global_rank}").write_text(f"{trainer.global_step} {exception}")


def check_both_end_before_the_next_save(trainer: Trainer, folder: Path) -> None:
    with pytest.raises((OSError, RuntimeError), match="the disk is gone"):
        trainer.fit(Classifier(), DataLoader(data(4 * FIRST_SAVE), batch_size=1))
    ends = [(folder / f"end_{rank}").read_text().partition(" ") for rank in (0, 1)]
    assert ends[0][0] == ends[1][0]
    assert FIRST_SAVE < int(ends[0][0]) < 2 * FIRST_SAVE
    assert all("the disk is gone" in text for _, _, text in ends)


def test_all_processes_raise_at_one_step_before_the_next_save(tmp_path: Path) -> None:
    trainer = Trainer(
        accelerator="cpu",
        devices=2,
        strategy="ddp_fork",
        max_epochs=1,
        logger=False,
        enable_progress_bar=False,
        log_every_n_steps=100_000,
        plugins=FailsLater(),
        callbacks=[
            ModelCheckpoint(tmp_path / "kept", every_n_train_steps=FIRST_SAVE, background=True),
            Ends(tmp_path),
        ],
    )
    check_both_end_before_the_next_save(trainer, tmp_path)


sharded = partial(FSDPStrategy, start="fork", state_dict_type="sharded", wrap=["Linear"])


def fit_in_parts(
    folder: Path, devices: int, ckpt_path: Any = None, *, background: bool, strategy: Any = None, **options: Any
) -> Trainer:
    torch.manual_seed(11)
    strategy = strategy or ("auto" if devices == 1 else sharded)
    saver = ModelCheckpoint(
        folder / "kept", monitor="train_loss_step", every_n_train_steps=3, save_top_k=1, background=background
    )
    trainer = Trainer(
        accelerator="cpu",
        devices=devices,
        strategy=strategy,
        logger=False,
        enable_progress_bar=False,
        log_every_n_steps=3,
        callbacks=saver,
        **options,
    )
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "The checkpoint was saved by")
        trainer.fit(Classifier(), DataLoader(data(61), 8 // devices, shuffle=True), ckpt_path=ckpt_path)
    return trainer


def assert_same(found: Any, expected: Any, *, exact: bool = True) -> None:
    tolerance = 0.0 if exact else 1e-6
    for part in ("state_dict", "optimizer_states"):
        for (where, a), b in zip(tree_leaves_with_path(found[part]), tree_leaves(expected[part]), strict=True):
            torch.testing.assert_close(a, b, rtol=0, atol=tolerance, msg=partial("{}{}: {}".format, part, where))


def in_folder(folder: Path) -> dict[str, Any]:
    index = json.loads((folder / "index.json").read_text())
    for entry in index["checkpoints"]:
        del entry["time"], entry["size"]
    return {"index": index, "best": (folder / "best").read_text(), "last": (folder / "last").read_text()}


@pytest.fixture(scope="module")
def foreground(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("foreground")
    fit_in_parts(folder, 2, background=False, max_epochs=2)
    return folder / "kept"


def test_parts_written_in_the_background_are_those_that_training_would_have_waited_for(
    tmp_path: Path, foreground: Path
) -> None:
    trainer = fit_in_parts(tmp_path, 2, background=True, max_epochs=2)
    kept, keeper = tmp_path / "kept", trainer.checkpoint_callback
    assert in_folder(kept) == in_folder(foreground)
    for name in (path.name for path in foreground.glob("*.ckpt")):
        assert len(list((kept / name).glob("part-*-of-2.*"))) == 2
        assert_same(load(kept / name), load(foreground / name))
    assert (keeper.last_model_path, keeper.best_model_path) == (
        resolve_checkpoint(kept, "last"),
        resolve_checkpoint(kept, "best"),
    )


@pytest.mark.parametrize("devices", [1, 2])
def test_any_number_of_processes_goes_on_from_parts_written_in_the_background(
    tmp_path: Path, foreground: Path, devices: int
) -> None:
    first = fit_in_parts(tmp_path / "first", 2, background=True, max_steps=6, max_epochs=2)
    path = first.checkpoint_callback.last_model_path
    rest = fit_in_parts(tmp_path / "rest", devices, path, background=True, max_epochs=2)
    found, expected = load(rest.checkpoint_callback.last_model_path), load(resolve_checkpoint(foreground, "last"))
    assert found["global_step"] == expected["global_step"]
    assert_same(found, expected, exact=devices == 2)


def on_file(of: str, number: int, do: Callable[[], None]) -> Callable[..., None]:
    """``LocalStorage.write`` that does something in the middle of the ``number``-th file whose name begins so."""
    write, seen = LocalStorage.write, []

    def watched(self: LocalStorage, path: str, produce: Any, **options: Any) -> None:
        if Path(path).name.startswith(of):
            seen.append(path)
            if len(seen) == number:
                return write(self, path, lambda sink: (sink.write(b"x" * 100), sink.flush(), do()), **options)
        return write(self, path, produce, **options)

    return watched


@pytest.mark.parametrize("what", ["part-1", ".metadata"])
def test_a_process_killed_while_it_writes_leaves_the_checkpoint_before(
    tmp_path: Path, foreground: Path, monkeypatch: pytest.MonkeyPatch, what: str
) -> None:
    with monkeypatch.context() as patched:
        patched.setattr(LocalStorage, "write", on_file(what, 2, lambda: os.kill(os.getpid(), signal.SIGKILL)))
        began = time.monotonic()
        with pytest.raises(RuntimeError, match="SIGKILL"):
            fit_in_parts(tmp_path, 2, background=True, max_epochs=2)
        assert time.monotonic() - began < 30
    kept = tmp_path / "kept"
    with pytest.warns(RuntimeWarning, match="epoch=0-step=6.ckpt.*save was not finished"):
        assert latest_valid(kept) == resolve_checkpoint(kept, "last") == str(kept / "epoch=0-step=3.ckpt")
    fit_in_parts(tmp_path, 2, "last", background=True, max_epochs=2)
    assert_same(load(resolve_checkpoint(kept, "last")), load(resolve_checkpoint(foreground, "last")))
    assert [path.name for path in kept.glob("*.ckpt")] == [path.name for path in foreground.glob("*.ckpt")]


def test_one_process_of_a_strategy_that_shards_writes_in_the_background_too(tmp_path: Path, foreground: Path) -> None:
    trainer = fit_in_parts(tmp_path, 1, background=True, max_epochs=2, strategy=sharded)
    assert_same(
        load(trainer.checkpoint_callback.last_model_path), load(resolve_checkpoint(foreground, "last")), exact=False
    )


def test_a_copy_that_fails_in_one_process_ends_all_and_leaves_the_checkpoint_before(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    copy, copies = HostCopier.copy, []

    def full(self: HostCopier, state: Any) -> Any:
        copies.append(state)
        if torch.distributed.get_rank() == 1 and len(copies) == 2:
            raise MemoryError("no room on the host")
        return copy(self, state)

    monkeypatch.setattr(HostCopier, "copy", full)
    began = time.monotonic()
    with pytest.raises((MemoryError, RuntimeError), match="no room on the host"):
        fit_in_parts(tmp_path, 2, background=True, max_epochs=2)  # the thread of the other waits for this one's
    assert time.monotonic() - began < 30
    assert latest_valid(tmp_path / "kept") == str(tmp_path / "kept" / "epoch=0-step=3.ckpt")


def test_an_error_of_one_thread_ends_all_processes_at_one_step_before_the_next_save(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail() -> None:
        time.sleep(0.3)
        raise OSError("the disk is gone")

    monkeypatch.setattr(LocalStorage, "write", on_file("part-1", 1, fail))
    trainer = Trainer(
        strategy=FSDPStrategy(indices=[0, 1], start="fork", state_dict_type="sharded"),
        max_epochs=1,
        logger=False,
        enable_progress_bar=False,
        log_every_n_steps=100_000,
        callbacks=[
            ModelCheckpoint(tmp_path / "kept", every_n_train_steps=FIRST_SAVE, background=True),
            Ends(tmp_path),
        ],
    )
    check_both_end_before_the_next_save(trainer, tmp_path)
    assert not list((tmp_path / "kept").glob("*.ckpt"))


class Together(FailsLater):
    """Saves in all processes, and has nothing for threads."""

    together = True


def test_a_format_without_a_group_for_threads_is_refused(tmp_path: Path) -> None:
    with pytest.raises((ValueError, RuntimeError), match=r"Together has no apart\(\)"):
        Trainer(
            accelerator="cpu",
            devices=2,
            strategy="ddp_fork",
            logger=False,
            enable_progress_bar=False,
            plugins=Together(),
            callbacks=ModelCheckpoint(tmp_path, background=True),
        ).fit(Classifier(), DataLoader(data(4)))
