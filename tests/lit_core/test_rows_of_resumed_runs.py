"""Rows that loggers keep on the disk: a resumed run leaves each of them once."""

import csv
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from lit_loggers import CSVLogger, TensorBoardLogger
from tests.lit_core.resumable import Automatic, SaveAll, noisy_loader
from tests.lit_core.tiny import Regression, loader, trainer


def fit(root: Path, logger: Any, saved: Path | None, ckpt: Path | None = None) -> None:
    torch.manual_seed(3)
    run = trainer(max_epochs=2, log_every_n_steps=2, logger=logger, callbacks=[SaveAll(saved)], default_root_dir=root)
    run.fit(Automatic(), noisy_loader(), noisy_loader(8, shuffle=False), ckpt_path=ckpt)


def read_csv(folder: Path) -> Any:
    with (folder / "version_0" / "metrics.csv").open() as file:
        return [{k: v for k, v in row.items() if k != "wall_time_s" and v} for row in csv.DictReader(file)]


def read_events(folder: Path) -> Any:
    events = EventAccumulator(str(folder / "version_0")).Reload()
    return {tag: [(e.step, e.value) for e in events.Scalars(tag)] for tag in events.Tags()["scalars"]}


LOGGERS: dict[str, tuple[Any, Any]] = {
    "csv": (lambda root: CSVLogger(root, name="run", version=0, flush_every_n_rows=1), read_csv),
    "tensorboard": (lambda root: TensorBoardLogger(root, name="run", version=0), read_events),
}


@pytest.mark.parametrize("kind", LOGGERS)
@pytest.mark.parametrize("point", ["02-batch", "03-batch", "05-batch", "05-validation", "05-epoch", "06-batch"])
def test_a_run_that_went_on_past_its_checkpoint_and_is_resumed_from_it_has_each_row_once(
    kind: str, point: str, tmp_path: Path
) -> None:
    make, read = LOGGERS[kind]
    fit(tmp_path, make(tmp_path), tmp_path / "saved")
    expected = read(tmp_path / "run")
    again = tmp_path / "again"
    shutil.copytree(tmp_path / "run", again / "run")  # past the checkpoint too

    fit(again, make(again), None, tmp_path / "saved" / f"{point}.ckpt")

    assert read(again / "run") == expected


def test_an_attempt_that_died_before_its_first_checkpoint_leaves_no_rows_to_the_next(tmp_path: Path) -> None:
    class Dies(Regression):
        def training_step(self, batch: Any, batch_idx: int) -> Any:
            if self.global_step == 3:
                raise RuntimeError("gone")
            return super().training_step(batch, batch_idx)

    def fit(module: Regression) -> str:
        logger = CSVLogger(tmp_path, name="rows", version=0)
        runner = trainer(logger=logger, log_every_n_steps=1, default_root_dir=tmp_path)
        runner.fit(module, loader(8, 2), ckpt_path="last")
        return (tmp_path / "rows" / "version_0" / "metrics.csv").read_text()

    with pytest.raises(RuntimeError, match="gone"):
        fit(Dies())
    text = fit(Regression())
    steps = [line.split(",")[0] for line in text.splitlines() if ",train," in line]
    assert len(steps) == len(text.splitlines()) - 1 == 5  # four updates and the epoch, none twice
