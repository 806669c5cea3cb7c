"""A run that is taken away inside a validation gives it up, saves, and comes to what an undisturbed run comes to."""

import csv
import importlib
import json
import multiprocessing
import os
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from torch.utils.data import DataLoader

from lit_core import Callback, EarlyStopping, ModelCheckpoint, Trainer
from lit_core.callbacks import EMAWeightAveraging
from lit_loggers import CSVLogger
from lit_metrics import MeanMetric
from tests.lit_core.resumable import Alone, Noisy, final_state, noisy_loader
from tests.lit_core.tiny import same

pytestmark = [
    pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork and its signals"),
    pytest.mark.timeout(120),
]

EPOCHS = 3
BATCHES = {1: 6, 2: 3}
"""Of an epoch, by number of processes."""

EVALUATED = 13
"""Validation samples, one in a batch: with two processes the first has a batch more."""


class Ends(Alone):
    """Sends a signal to its own process, once, out of a validation step; writes down every step that it makes."""

    def __init__(self, folder: Path, at: tuple[int, int, int] | None, number: int, pause_s: float) -> None:
        super().__init__()
        self.folder, self.at, self.number, self.pause_s = folder, at, number, pause_s
        self.mean = MeanMetric()
        self.both = MeanMetric()

    def say(self, what: str, samples: Any = None) -> None:
        with (self.folder / f"said_{self.trainer.global_rank}").open("a") as file:
            file.write(json.dumps([what, self.trainer.progress.batches, samples]) + "\n")

    def training_step(self, batch: Any, batch_idx: int) -> Any:
        self.say("trained", batch[2].tolist())
        loss = super().training_step(batch, batch_idx)
        self.both.update(loss.detach())
        self.log("both", self.both)
        return loss

    def validation_step(self, batch: Any, batch_idx: int) -> None:
        self.say("validated", batch[2].tolist())
        super().validation_step(batch, batch_idx)
        loss = self.loss(batch)
        self.log("val_batch", loss, on_step=True, on_epoch=False)
        self.mean.update(loss)
        self.log("val_mean", self.mean)
        torch.rand(3)
        if self.at == (self.trainer.global_rank, self.trainer.progress.batches, batch_idx):
            self.say("signalled")
            os.kill(os.getpid(), self.number)
        time.sleep(self.pause_s)


class Pair(Callback):
    """What opens with a validation must close with it; what only waits for an outcome must not be told of none."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.inside, self.begun = folder, False, 0

    def on_validation_start(self, trainer: Any, module: Any) -> None:
        assert not self.inside
        self.inside = True

    def on_validation_end(self, trainer: Any, module: Any) -> None:
        assert self.inside
        self.inside = False

    def on_fit_end(self, trainer: Any, module: Any) -> None:
        modes = {child.training for child in module.modules()}
        (self.folder / f"closed_{trainer.global_rank}").write_text(json.dumps([self.inside, *modes]))


class Outcomes(Callback):
    """Counts them, and keeps the count in the checkpoint."""

    count = 0

    def on_validation_end(self, trainer: Any, module: Any) -> None:
        assert "val_mean" in trainer.callback_metrics
        self.count += 1

    def state_dict(self) -> dict[str, Any]:
        return {"count": self.count}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self.count = state_dict["count"]


class Keep(Callback):
    """Writes down what the first process has come to, after all else."""

    phase = "save"

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def on_fit_end(self, trainer: Any, module: Any) -> None:
        if trainer.is_global_zero and trainer.stop_reason is None:
            states = {callback.state_key: callback.state_dict() for callback in trainer.callbacks}
            for key, state in states.items():
                if key.startswith("ModelCheckpoint"):
                    kept = [state["best_model_score"], state["current_score"], *sorted(state["best_k_models"].values())]
                    states[key] = {"kept": kept, "measured_at": state["measured_at"]}
            torch.save(final_state(trainer, module) | {"callbacks": states}, self.folder / "final.pt")


def train(
    folder: Path,
    processes: int,
    workers: int,
    at: tuple[int, int, int] | None,
    number: int,
    pause_s: float,
    settings: dict[str, Any],
) -> None:
    os.setsid()
    torch.manual_seed(3)
    module = Ends(folder, at, number, pause_s)
    trainer = Trainer(
        accelerator="cpu",
        devices=processes,
        strategy="ddp_fork" if processes > 1 else "auto",
        max_epochs=EPOCHS,
        log_every_n_steps=2,
        enable_progress_bar=False,
        logger=CSVLogger(folder, name="rows", version=0),
        callbacks=[
            Pair(folder),
            Outcomes(),
            EMAWeightAveraging(decay=0.8),
            EarlyStopping("val_loss", patience=100),
            ModelCheckpoint(folder / "checkpoints", monitor="val_loss", save_top_k=-1),
            Keep(folder),
        ],
        default_root_dir=folder,
        **{"num_sanity_val_steps": 0, **settings},
    )
    evaluated = DataLoader(Noisy(EVALUATED, noise=0.1), batch_size=1, num_workers=workers)
    trainer.fit(module, noisy_loader(18, workers=workers), evaluated, ckpt_path="last")


def run(
    folder: Path,
    *,
    processes: int = 1,
    workers: int = 0,
    at: tuple[int, int, int] | None = None,
    number: int = signal.SIGTERM,
    pause_s: float = 0.0,
    **settings: Any,
) -> int | None:
    """Begin or go on, in processes of their own; the exit code."""
    folder.mkdir(exist_ok=True)
    arguments = (folder, processes, workers, at, number, pause_s, settings)
    process = multiprocessing.get_context("fork").Process(target=train, args=arguments)
    process.start()
    process.join(90)
    if process.is_alive():
        os.killpg(process.pid or 0, signal.SIGKILL)
        process.join()
    return process.exitcode


def said(folder: Path, rank: int = 0) -> list[list[Any]]:
    return [json.loads(line) for line in (folder / f"said_{rank}").read_text().splitlines()]


def seen(folder: Path, processes: int) -> dict[str, set[str]]:
    """The samples at each place, over all attempts."""
    found: dict[str, set[str]] = {}
    for rank in range(processes):
        for what, batches, samples in said(folder, rank):
            if what == "trained":
                found.setdefault(f"{rank}-{batches}", set()).add(json.dumps(samples))
    return found


def rows(folder: Path) -> list[dict[str, str]]:
    with (folder / "rows" / "version_0" / "metrics.csv").open() as file:
        return [{k: v for k, v in row.items() if k != "wall_time_s" and v} for row in csv.DictReader(file)]


@pytest.fixture(scope="module", autouse=True)
def _one_thread() -> Iterator[None]:
    """Forked processes have no threads but one, and what the first optimizer of a process imports in seconds."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    importlib.import_module("torch._dynamo")
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Path]:
    """The folder of the same training that nobody disturbs."""
    found: dict[str, Path] = {}

    def of(**settings: Any) -> Path:
        name = json.dumps(settings, sort_keys=True)
        if name not in found:
            found[name] = tmp_path_factory.mktemp("undisturbed")
            assert run(found[name], **settings) == 0
        return found[name]

    return of


def check(folder: Path, whole: Path, processes: int) -> None:
    expected, found = (torch.load(path / "final.pt") for path in (whole, folder))
    assert [key for key in expected if not same(found[key], expected[key])] == []
    assert rows(folder) == rows(whole)
    assert seen(folder, processes) == seen(whole, processes)


def saved(folder: Path) -> list[dict[str, Any]]:
    return [torch.load(path)["loops"]["progress"] for path in (folder / "checkpoints").glob("*.ckpt")]


@pytest.mark.parametrize(
    ("workers", "at", "number", "settings"),
    [
        (0, (0, 6, 4), signal.SIGTERM, {}),
        (2, (0, 12, 0), signal.SIGUSR1, {}),
        (0, (0, 8, 2), signal.SIGTERM, {"val_check_interval": 2}),
    ],
)
def test_a_validation_is_given_up_at_the_next_batch_and_made_by_the_resumed_run(
    tmp_path: Path,
    undisturbed: Callable[..., Path],
    workers: int,
    at: tuple[int, int, int],
    number: int,
    settings: dict[str, Any],
) -> None:
    folder = tmp_path / "run"
    status = run(folder, workers=workers, at=at, number=number, **settings)

    assert status == 143
    assert said(folder)[-1] == ["signalled", at[1], None]
    assert json.loads((folder / "closed_0").read_text()) == [False, True]
    last = max(saved(folder), key=lambda progress: progress["batches"])
    assert last["batches"] == at[1]
    assert last["validated_batches"] < at[1]

    made = len(said(folder))
    assert run(folder, workers=workers, **settings) == 0
    assert said(folder)[made : made + EVALUATED] == [["validated", at[1], [i]] for i in range(EVALUATED)]
    check(folder, undisturbed(workers=workers, **settings), 1)


@pytest.mark.parametrize(("rank", "workers"), [(0, 0), (1, 2)])
def test_two_processes_with_uneven_numbers_of_batches_give_it_up_together(
    tmp_path: Path, undisturbed: Callable[..., Path], rank: int, workers: int
) -> None:
    folder = tmp_path / "run"
    status = run(folder, processes=2, workers=workers, at=(rank, 6, 0), pause_s=0.3)

    assert status == 143
    for r in (0, 1):
        assert json.loads((folder / f"closed_{r}").read_text()) == [False, True]
        made = [what for what, batches, _ in said(folder, r) if (what, batches) == ("validated", 6)]
        assert len(made) == 1  # they ask each other after the first batch
    assert max(progress["batches"] for progress in saved(folder)) == 6
    assert max(progress["validated_batches"] for progress in saved(folder)) == 3

    assert run(folder, processes=2, workers=workers) == 0
    check(folder, undisturbed(processes=2, workers=workers), 2)


@pytest.mark.parametrize("rank", [0, 1])
def test_a_process_that_has_done_its_last_batch_finishes_with_the_others(
    tmp_path: Path, undisturbed: Callable[..., Path], rank: int
) -> None:
    """Signalled in the last batch of one: the other may have one more to do, or none."""
    last = (EVALUATED + 1 - rank) // 2 - 1
    folder = tmp_path / "run"
    assert run(folder, processes=2, at=(rank, 3, last)) == 143

    assert run(folder, processes=2) == 0
    check(folder, undisturbed(processes=2, workers=0), 2)


def test_in_the_sanity_check_a_process_ends_at_once_and_saves_nothing(tmp_path: Path) -> None:
    status = run(tmp_path / "run", at=(0, 0, 1), num_sanity_val_steps=-1)

    assert status == 143
    assert [what for what, *_ in said(tmp_path / "run")] == ["validated", "validated", "signalled"]
    assert not (tmp_path / "run" / "checkpoints").exists()


def test_ctrl_c_waits_for_the_end_of_the_validation(tmp_path: Path) -> None:
    status = run(tmp_path / "run", at=(0, 6, 3), number=signal.SIGINT)

    assert status == 0
    assert [what for what, *_ in said(tmp_path / "run")].count("validated") == EVALUATED
    assert [progress["validated_batches"] for progress in saved(tmp_path / "run")] == [6]
