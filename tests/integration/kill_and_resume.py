"""Training that is killed or preempted at random moments and resumed must equal training that nobody disturbed.

SIGKILL ends it where it stands; at SIGTERM to the whole group it saves where it stands, and ends.

Run ``python -m tests.integration.kill_and_resume --rounds 30`` at the top of the repository. The moments follow from
``--seed`` and from how fast the machine is.
"""

import argparse
import csv
import importlib
import json
import multiprocessing
import os
import random
import signal
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import torch

from lit_core import Callback, ModelCheckpoint, Trainer
from lit_core.callbacks import EMAWeightAveraging, StochasticWeightAveraging
from lit_loggers import CSVLogger
from tests.lit_core.resumable import MODULES, Base, final_state, noisy_loader
from tests.lit_core.tiny import same

KILLS_PER_ROUND = 3
PAUSE_S = 0.01
TIMEOUT_S = 120.0
PREEMPTED = 143


@dataclass(frozen=True)
class Case:
    """One way to train."""

    module: str
    processes: int = 1
    workers: int = 0
    shuffle: bool = True
    average: Callable[[], Callback] | None = None
    settings: dict[str, Any] = field(default_factory=dict)
    saver: dict[str, Any] = field(default_factory=lambda: {"every_n_train_steps": 1})


CASES = {
    "dropout": Case("Automatic"),
    "augmentation in workers": Case("Automatic", workers=2, saver={"every_n_train_steps": 3}),
    "accumulation": Case("Automatic", settings={"accumulate_grad_batches": 3}),
    "validation inside an epoch": Case("Two", shuffle=False, settings={"val_check_interval": 2}),
    "two processes with workers": Case("Alone", processes=2, workers=2),
    "losses by name": Case("ByName"),
    "optimizers in turns": Case("Turns", saver={"every_n_train_steps": 2}),
    "manual": Case("Manual"),
    "average of the weights": Case("Automatic", average=partial(EMAWeightAveraging, decay=0.8)),
    "average of the last epochs": Case(
        "Automatic", average=partial(StochasticWeightAveraging, 0.05, swa_epoch_start=1, annealing_epochs=1)
    ),
    "saved in the background": Case("Two", saver={"every_n_train_steps": 1, "background": True}),
    "two processes and accumulation": Case("Alone", processes=2, settings={"accumulate_grad_batches": 2}),
    "only at the end of epochs": Case("Two", saver={"monitor": "val_loss"}),
}


class _Noting:
    """Writes down which samples each process saw, and gives the killer time to aim."""

    def note(self, batch: Any, batch_idx: int, loss: torch.Tensor) -> None:
        super().note(batch, batch_idx, loss)  # type: ignore[misc]
        place = [self.trainer.global_rank, self.trainer.progress.batches]  # type: ignore[attr-defined]
        with Path(os.environ["KILL_AND_RESUME_SEEN"]).open("a") as file:
            file.write(json.dumps([place, batch[2].tolist()]) + "\n")
        time.sleep(PAUSE_S)


def make(kind: str) -> Base:
    made: Base = type(f"Noting{kind}", (_Noting, MODULES[kind]), {})()
    return made


def train(folder: Path, case: Case, epochs: int) -> None:
    """Begin or go on, in a process and a group of its own."""
    os.setsid()
    os.environ["KILL_AND_RESUME_SEEN"] = str(folder / "seen")
    torch.set_num_threads(1)
    torch.manual_seed(3)
    module = make(case.module)
    saver = ModelCheckpoint(folder / "checkpoints", **case.saver)
    trainer = Trainer(
        accelerator="cpu",
        devices=case.processes,
        strategy="ddp_fork" if case.processes > 1 else "auto",
        max_epochs=epochs,
        log_every_n_steps=2,
        num_sanity_val_steps=0,
        enable_progress_bar=False,
        logger=CSVLogger(folder, name="rows", version=0),
        callbacks=[saver, *([case.average()] if case.average is not None else [])],
        default_root_dir=folder,
        **case.settings,
    )
    samples = 9 * case.processes if case.processes > 1 else 14
    data = noisy_loader(samples, workers=case.workers, shuffle=case.shuffle)
    trainer.fit(module, data, noisy_loader(8, workers=case.workers, shuffle=False), ckpt_path="last")
    kept = final_state(trainer, module) if case.processes == 1 else dict(module.state_dict())
    torch.save(kept, folder / "final.part")
    (folder / "final.part").rename(folder / "final.pt")


def run(
    folder: Path, case: Case, epochs: int, kill_after_s: float | None, number: int = signal.SIGKILL
) -> tuple[int | None, float]:
    """One process, sent a signal a while after its first batch or not; its exit code, and how long it trained."""
    importlib.import_module("torch._dynamo")  # once: the first optimizer of each forked process would, in seconds
    folder.mkdir(exist_ok=True)
    before = _size(folder / "seen")
    process = multiprocessing.get_context("fork").Process(target=train, args=(folder, case, epochs))
    process.start()
    deadline = time.monotonic() + TIMEOUT_S
    while process.is_alive() and _size(folder / "seen") == before and time.monotonic() < deadline:
        time.sleep(0.002)
    began = time.monotonic()
    process.join(TIMEOUT_S if kill_after_s is None else kill_after_s)
    if process.is_alive():
        assert process.pid is not None
        os.killpg(process.pid, number)
        process.join(TIMEOUT_S)
    if process.is_alive():
        os.killpg(process.pid, signal.SIGKILL)
        process.join()
        return None, TIMEOUT_S
    return process.exitcode, time.monotonic() - began


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0


def rows(folder: Path) -> list[dict[str, str]]:
    """All logged rows without their wall times."""
    with (folder / "rows" / "version_0" / "metrics.csv").open() as file:
        return [{k: v for k, v in row.items() if k != "wall_time_s" and v} for row in csv.DictReader(file)]


def seen(folder: Path) -> dict[str, set[str]]:
    """The samples at each place, over all attempts."""
    found: dict[str, set[str]] = {}
    for line in (folder / "seen").read_text().splitlines():
        try:
            place, samples = json.loads(line)
        except ValueError:  # a line whose writer was killed
            continue
        found.setdefault(json.dumps(place), set()).add(json.dumps(samples))
    return found


def differences(whole: Path, killed: Path) -> list[str]:
    """What differs between a run that was not disturbed and one that was; empty if nothing does."""
    expected, found = (torch.load(folder / "final.pt") for folder in (whole, killed))
    wrong = [key for key in expected if not same(found[key], expected[key])]
    if rows(whole) != rows(killed):
        wrong.append("logged rows")
    if seen(whole) != seen(killed):
        wrong.append("order of samples")
    return wrong


def one_round(folder: Path, name: str, number: random.Random, epochs: int = 3) -> tuple[int, list[str]]:
    """Train undisturbed and killed; how often the second was killed, and what differs."""
    case = CASES[name]
    code, duration_s = run(folder / "whole", case, epochs, None)
    if code != 0:
        return 0, ["the undisturbed run failed"]
    kills = 0
    for _ in range(KILLS_PER_ROUND):
        how = number.choice([signal.SIGKILL, signal.SIGTERM])
        code, _ = run(folder / "killed", case, epochs, number.uniform(0.0, 0.6) * duration_s, how)
        if code == 0:
            break
        if code not in (-how, PREEMPTED):
            return kills, [f"a resumed run failed with exit code {code}"]
        kills += 1
    if not (folder / "killed" / "final.pt").exists() and run(folder / "killed", case, epochs, None)[0] != 0:
        return kills, ["the last resumed run failed"]
    return kills, differences(folder / "whole", folder / "killed")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=30)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--epochs", type=int, default=3)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    number = random.Random(arguments.seed)
    kills = failures = 0
    for index in range(arguments.rounds):
        name = list(CASES)[index % len(CASES)]
        with tempfile.TemporaryDirectory(prefix="kill_and_resume_") as folder:
            killed, wrong = one_round(Path(folder), name, number, arguments.epochs)
        kills, failures = kills + killed, failures + bool(wrong)
        print(f"{index + 1:3} {name:<32} killed {killed} times: {', '.join(wrong) or 'equal'}", flush=True)
    print(f"{arguments.rounds} rounds, {kills} kills, {failures} rounds that differed")
    return int(failures > 0)


if __name__ == "__main__":
    sys.exit(main())
