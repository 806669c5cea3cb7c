"""Killed with SIGKILL, resumed, killed and resumed again: the same bits as a run that nobody disturbed."""

import json
import multiprocessing
import os
import signal
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import torch

from lit_core import ModelCheckpoint
from lit_loggers import Logger, Row
from tests.lit_core.resumable import MODULES, Base, final_state, noisy_loader
from tests.lit_core.tiny import same, trainer

EPOCHS, BATCHES = 3, 5
Kill = tuple[str, int]  # where, and after how many training batches

CASES: dict[str, tuple[str, dict[str, Any], dict[str, Any], list[Kill]]] = {
    # module, settings, checkpoint triggers, kills
    "every second step": ("Automatic", {}, {"every_n_train_steps": 2}, [("training_step", 3), ("training_step", 8)]),
    "before the first checkpoint": ("Automatic", {}, {"every_n_train_steps": 4}, [("training_step", 2)]),
    "augmentation in workers": (
        "Automatic",
        {"workers": 2},
        {"every_n_train_steps": 3},
        [("training_step", 5), ("training_step", 8), ("training_step", 13)],
    ),
    "in an accumulation group": (
        "Automatic",
        {"accumulate_grad_batches": 3},
        {"every_n_train_steps": 1},
        [("training_step", 1), ("training_step", 4), ("training_step", 9)],
    ),
    "in validation": ("Automatic", {}, {"every_n_train_steps": 1}, [("validation_step", 5), ("validation_step", 10)]),
    "in validation inside an epoch": (
        "Automatic",
        {"val_check_interval": 2, "accumulate_grad_batches": 2},
        {"every_n_train_steps": 1},
        [("validation_step", 2), ("validation_step", 9)],
    ),
    "at the start of a batch": ("Two", {}, {"every_n_train_steps": 1}, [("on_train_batch_start", 5)]),
    "after a step, before its checkpoint": ("Two", {}, {"every_n_train_steps": 1}, [("on_train_batch_end", 6)]),
    "checkpoints of epochs": ("Two", {}, {}, [("training_step", 7), ("validation_step", 10), ("training_step", 13)]),
    "optimizers in turns": ("Turns", {}, {"every_n_train_steps": 3}, [("training_step", 4), ("training_step", 11)]),
    "manual": ("Manual", {}, {"every_n_train_steps": 1}, [("training_step", 2), ("training_step", 8)]),
    "twice at the same place": ("Manual", {}, {"every_n_train_steps": 4}, [("training_step", 6), ("training_step", 6)]),
}


class Lines(Logger):
    """Every row as a line that outlives the process."""

    name = "lines"
    version = 0
    log_dir = None

    def __init__(self, path: Path) -> None:
        self.path = path

    def write(self, row: Row) -> None:
        place = [row.stage, row.epoch, row.batch, row.step, row.samples, sorted(row.metrics)]
        append(self.path, [place, sorted(row.metrics.items())])

    def log_hyperparams(self, params: Mapping[str, Any]) -> None: ...

    def truncate(self, step: int, evaluated: int | None = None) -> None: ...

    def flush(self) -> None: ...

    def finalize(self, status: str = "success") -> None: ...


def append(path: Path, line: Any) -> None:
    with path.open("a") as file:
        file.write(json.dumps(line) + "\n")


def killing(base: type[Base], folder: Path, kill: Kill | None) -> Base:
    """A module that writes down what it sees, and kills its process where it is told."""

    class Killing(base):  # type: ignore[misc, valid-type]
        def die(self, where: str) -> None:
            if kill == (where, self.trainer.progress.batches):
                os.kill(os.getpid(), signal.SIGKILL)

        def note(self, batch: Any, batch_idx: int, loss: Any) -> None:
            super().note(batch, batch_idx, loss)
            append(folder / "seen", [self.trainer.progress.batches, batch[2].tolist()])
            self.die("training_step")

        def validation_step(self, batch: Any, batch_idx: int) -> None:
            super().validation_step(batch, batch_idx)
            if batch_idx == 1:
                self.die("validation_step")

        def on_train_batch_start(self, batch: Any, batch_idx: int) -> None:
            self.die("on_train_batch_start")

        def on_train_batch_end(self, outputs: Any, batch: Any, batch_idx: int) -> None:
            self.die("on_train_batch_end")

    return Killing()


def child(folder: Path, case: str, kill: Kill | None) -> None:
    kind, settings, triggers, _ = CASES[case]
    settings = dict(settings)
    workers = settings.pop("workers", 0)
    torch.set_num_threads(1)
    torch.manual_seed(3)
    module = killing(MODULES[kind], folder, kill)
    runner = trainer(
        max_epochs=EPOCHS,
        log_every_n_steps=2,
        enable_checkpointing=True,
        callbacks=[ModelCheckpoint(folder / "checkpoints", **triggers)],
        logger=Lines(folder / "rows"),
        default_root_dir=folder,
        **settings,
    )
    train = noisy_loader(workers=workers)
    runner.fit(module, train, noisy_loader(8, shuffle=False), ckpt_path="last")
    torch.save(final_state(runner, module), folder / "final.pt")


@pytest.fixture(scope="module", autouse=True)
def _imported(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """What torch imports at its first step need not be imported by every child again."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    child(tmp_path_factory.mktemp("first"), "in an accumulation group", None)
    yield
    torch.set_num_threads(before)


def run_child(folder: Path, case: str, kill: Kill | None) -> int | None:
    folder.mkdir(exist_ok=True)
    process = multiprocessing.get_context("fork").Process(target=child, args=(folder, case, kill))
    process.start()
    process.join(60)
    return process.exitcode


def lines(path: Path) -> dict[str, list[Any]]:
    """All that was ever written at each place."""
    found: dict[str, list[Any]] = {}
    for line in path.read_text().splitlines():
        place, value = json.loads(line)
        found.setdefault(json.dumps(place), []).append(value)
    return found


@pytest.mark.parametrize("case", CASES)
def test_a_killed_and_resumed_run_equals_an_undisturbed_one(case: str, tmp_path: Path) -> None:
    undisturbed, killed = tmp_path / "undisturbed", tmp_path / "killed"
    assert run_child(undisturbed, case, None) == 0
    for kill in CASES[case][3]:
        assert run_child(killed, case, kill) == -signal.SIGKILL
        assert not (killed / "final.pt").exists()
    assert run_child(killed, case, None) == 0

    expected, found = (torch.load(folder / "final.pt") for folder in (undisturbed, killed))
    assert [key for key in expected if not same(found[key], expected[key])] == []
    for name in ("seen", "rows"):
        expected_lines, found_lines = lines(undisturbed / name), lines(killed / name)
        assert found_lines.keys() == expected_lines.keys()
        for place, values in expected_lines.items():
            # What a killed process did past its last checkpoint was done again, and came out the same.
            assert all(value == values[-1] for value in [*values, *found_lines[place]]), (name, place)
    assert len(lines(undisturbed / "seen")) == EPOCHS * BATCHES
