"""SIGTERM and SIGUSR1 to real processes: one checkpoint, all ranks at one step, an exit that schedulers understand."""

import importlib
import json
import multiprocessing
import os
import signal
import time
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from torch.utils.data import DataLoader, IterableDataset, get_worker_info

from lit_core import Callback, ModelCheckpoint, Trainer
from tests.lit_core.resumable import Automatic, final_state, noisy_loader
from tests.lit_core.tiny import same

pytestmark = [
    pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork and its signals"),
    pytest.mark.timeout(120),
]


class Slow(Automatic):
    """Says where it is, in a file of each process, and waits there."""

    def __init__(self, folder: Path, pause_s: float) -> None:
        super().__init__()
        del self.other  # would get no gradients
        self.folder, self.pause_s = folder, pause_s

    def say(self, what: str) -> None:
        with (self.folder / f"said_{self.trainer.global_rank}").open("a") as file:
            file.write(json.dumps([os.getpid(), what, self.trainer.progress.batches]) + "\n")
        time.sleep(self.pause_s)

    def training_step(self, batch, batch_idx):
        self.say("training_step")
        return super().training_step(batch, batch_idx)

    def validation_step(self, batch, batch_idx):
        self.say("validation_step")
        super().validation_step(batch, batch_idx)

    def on_save_checkpoint(self, checkpoint):
        self.say("save")

    def on_train_epoch_end(self):
        self.say("on_train_epoch_end")


class Stream(IterableDataset[Any]):
    """Gives out the samples of a dataset, which its loader's workers share."""

    def __init__(self, dataset: Any) -> None:
        self.dataset = dataset

    def __len__(self) -> int:
        return len(self.dataset)

    def __iter__(self) -> Iterator[Any]:
        worker = get_worker_info()
        first, step = (0, 1) if worker is None else (worker.id, worker.num_workers)
        return (self.dataset[index] for index in range(first, len(self.dataset), step))


class Told(Callback):
    """Writes down why and where training ended, and that everything was closed."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def on_train_end(self, trainer, module):
        told = json.dumps([trainer.stop_reason, trainer.global_step])
        (self.folder / f"reason_{trainer.global_rank}").write_text(told)

    def teardown(self, trainer, module, stage):
        (self.folder / f"closed_{trainer.global_rank}").touch()


def train(
    folder: Path,
    processes: int,
    saver: dict[str, Any] | None,
    pause_s: float,
    workers: int,
    environment: dict[str, str],
) -> None:
    os.setsid()
    os.environ.update(environment)
    if "SLURM_REFUSES" in environment:
        warnings.simplefilter("default")
    torch.manual_seed(3)
    savers = [ModelCheckpoint(folder / "checkpoints", **saver)] if saver is not None else []
    trainer = Trainer(
        accelerator="cpu",
        devices=processes,
        strategy="ddp_fork" if processes > 1 else "auto",
        max_epochs=3,
        min_epochs=2,
        log_every_n_steps=1000,
        num_sanity_val_steps=0,
        logger=False,
        enable_progress_bar=False,
        enable_checkpointing=saver is not None,
        callbacks=[*savers, Told(folder)],
        default_root_dir=folder,
    )
    module = Slow(folder, pause_s)
    data: Any = noisy_loader(18, workers=workers)
    if "KEEPS_ITS_ORDER" in environment:
        data = DataLoader(Stream(data.dataset), batch_size=3, num_workers=workers)
    trainer.fit(module, data, noisy_loader(8, shuffle=False), ckpt_path="last")
    torch.save(final_state(trainer, module) if processes == 1 else dict(module.state_dict()), folder / "final.pt")
    (folder / "after_fit").touch()


STEPS = {1: 18, 2: 9}
"""Of three epochs."""


class Job:
    """A training program in processes of its own."""

    def __init__(
        self,
        folder: Path,
        *,
        processes: int = 1,
        saver: dict[str, Any] | None = None,
        pause_s: float = 0.1,
        workers: int = 0,
        **environment: str,
    ) -> None:
        folder.mkdir(exist_ok=True)
        self.folder = folder
        self.process = multiprocessing.get_context("fork").Process(
            target=train, args=(folder, processes, saver, pause_s, workers, environment)
        )
        self.process.start()

    def said(self, rank: int = 0) -> list[tuple[int, str, int]]:
        path = self.folder / f"said_{rank}"
        return [tuple(json.loads(line)) for line in path.read_text().splitlines()] if path.exists() else []

    def wait_until(self, what: str, batches: int, rank: int = 0) -> int:
        """Wait until a process says this; returns its id."""
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline and self.process.is_alive():
            for pid, said, at in self.said(rank):
                if said == what and at >= batches:
                    return pid
            time.sleep(0.01)
        raise AssertionError(f"never said; {self.said(rank)[-3:]}, {self.end()}")

    def end(self) -> int | None:
        self.process.join(60)
        if self.process.is_alive():
            self.process.kill()
        return self.process.exitcode


@pytest.fixture(scope="module", autouse=True)
def _one_thread() -> Iterator[None]:
    """Forked processes have no threads but one, and what the first optimizer of a process imports in seconds."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    importlib.import_module("torch._dynamo")
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> Callable[[int], Any]:
    """What becomes of the same training if nobody disturbs it, by number of processes."""
    found: dict[int, Any] = {}

    def of(processes: int) -> Any:
        if processes not in found:
            folder = tmp_path_factory.mktemp(f"undisturbed_{processes}")
            found[processes] = finish(folder, processes=processes, saver={"every_n_epochs": 1000})
        return found[processes]

    return of


def checkpoints(folder: Path) -> list[Path]:
    return sorted((folder / "checkpoints").glob("*.ckpt"))


def finish(folder: Path, *, processes: int, saver: dict[str, Any] | None) -> Any:
    assert Job(folder, processes=processes, saver=saver, pause_s=0).end() == 0
    return torch.load(folder / "final.pt")


@pytest.mark.parametrize(
    ("what", "number", "saver"),
    [
        ("training_step", signal.SIGTERM, {"every_n_train_steps": 1000}),
        ("training_step", signal.SIGUSR1, {"every_n_epochs": 1000}),
        ("training_step", signal.SIGTERM, {"save_last": False, "monitor": "val_loss"}),
        ("training_step", signal.SIGTERM, {"every_n_epochs": 1000, "background": True}),
        ("training_step", signal.SIGTERM, None),
        ("validation_step", signal.SIGTERM, {"every_n_epochs": 1000}),
        ("on_train_epoch_end", signal.SIGUSR1, {"every_n_epochs": 1000}),
        ("save", signal.SIGTERM, {"every_n_train_steps": 1, "save_top_k": -1}),
    ],
)
def test_one_process_saves_once_ends_with_143_and_goes_on_as_if_nothing_had_happened(
    tmp_path: Path, undisturbed: Callable[[int], Any], what: str, number: int, saver: dict[str, Any] | None
) -> None:
    job = Job(tmp_path / "run", saver=saver)
    os.kill(job.wait_until(what, 2), number)
    status = job.end()

    assert status == 143
    reason, step = json.loads((tmp_path / "run" / "reason_0").read_text())
    assert reason == f"preempted by {signal.Signals(number).name}"
    assert 2 <= step < STEPS[1]
    last = [path for path in checkpoints(tmp_path / "run") if torch.load(path)["global_step"] == step]
    assert len(last) == 1
    if saver is None or (saver.get("every_n_train_steps"), saver.get("save_last", True)) != (1, True):
        assert len(checkpoints(tmp_path / "run")) == 1
    assert (tmp_path / "run" / "closed_0").exists()
    assert not (tmp_path / "run" / "after_fit").exists()

    resumed = finish(tmp_path / "run", processes=1, saver=saver)
    whole = undisturbed(1)
    assert [key for key in whole if not same(resumed[key], whole[key])] == []


@pytest.mark.parametrize(("processes", "last"), [(1, 5), (2, 2)])
def test_a_validation_that_is_due_is_left_to_the_resumed_run(
    tmp_path: Path, undisturbed: Callable[[int], Any], processes: int, last: int
) -> None:
    saver = {"monitor": "val_loss"}
    job = Job(tmp_path / "run", processes=processes, saver=saver, pause_s=0.4)
    os.kill(job.wait_until("training_step", last), signal.SIGTERM)
    assert job.end() == 143
    assert [said for _, said, _ in job.said()].count("validation_step") == 0
    (saved,) = checkpoints(tmp_path / "run")
    assert torch.load(saved)["loops"]["progress"]["batch"] == last + 1

    assert same(finish(tmp_path / "run", processes=processes, saver=saver), undisturbed(processes))
    assert [said for _, said, _ in job.said()].count("validation_step") == 3 * (3 if processes == 1 else 2)


@pytest.mark.parametrize(("rank", "number"), [(0, signal.SIGUSR1), (1, signal.SIGTERM)])
def test_two_processes_stop_at_one_step_whichever_got_the_signal(
    tmp_path: Path, undisturbed: Callable[[int], Any], rank: int, number: int
) -> None:
    job = Job(tmp_path / "run", processes=2, saver={"every_n_epochs": 1000}, pause_s=0.15)
    os.kill(job.wait_until("training_step", 1, rank), number)
    status = job.end()

    assert status == 143
    told = [json.loads((tmp_path / "run" / f"reason_{r}").read_text()) for r in (0, 1)]
    assert told[0] == told[1]
    assert told[0][0] == f"preempted by {signal.Signals(number).name}"
    assert 1 < told[0][1] < STEPS[2]
    assert len(checkpoints(tmp_path / "run")) == 1

    assert same(finish(tmp_path / "run", processes=2, saver={"every_n_epochs": 1000}), undisturbed(2))


def test_the_process_that_started_the_others_passes_the_signal_on(tmp_path: Path) -> None:
    job = Job(tmp_path, processes=2, saver={}, pause_s=0.2)
    job.wait_until("training_step", 1)
    os.kill(job.process.pid or 0, signal.SIGUSR1)
    status = job.end()

    assert status == 143
    assert len(checkpoints(tmp_path)) == 1


@pytest.mark.parametrize(
    ("processes", "workers", "number", "options"),
    [
        (2, 0, signal.SIGTERM, {}),
        (1, 2, signal.SIGUSR1, {}),
        (2, 2, signal.SIGTERM, {}),
        (1, 2, signal.SIGTERM, {"KEEPS_ITS_ORDER": "1"}),
    ],
)
def test_a_signal_to_the_whole_group_is_one_request(
    tmp_path: Path,
    capfd: pytest.CaptureFixture[str],
    processes: int,
    workers: int,
    number: int,
    options: dict[str, str],
) -> None:
    job = Job(tmp_path, processes=processes, saver={"every_n_epochs": 1000}, pause_s=0.2, workers=workers, **options)
    job.wait_until("training_step", 1)
    os.killpg(job.process.pid or 0, number)
    status = job.end()

    assert status == 143
    assert len(checkpoints(tmp_path)) == 1
    said = [line for line in capfd.readouterr().err.splitlines() if line]
    assert (
        said
        == [f"{signal.Signals(number).name}: stopping after this batch to save; a second signal ends at once."]
        * processes
    )


def test_a_second_signal_ends_at_once(tmp_path: Path) -> None:
    job = Job(tmp_path, saver={}, pause_s=6)
    pid = job.wait_until("training_step", 0)
    os.kill(pid, signal.SIGTERM)
    time.sleep(1.2)
    began = time.monotonic()
    os.kill(pid, signal.SIGTERM)
    status = job.end()

    assert status == -signal.SIGTERM
    assert time.monotonic() - began < 4
    assert checkpoints(tmp_path) == []


def test_a_job_that_is_preempted_again_keeps_one_checkpoint(tmp_path: Path) -> None:
    for _ in range(2):
        job = Job(tmp_path, saver={"every_n_epochs": 1000}, pause_s=0.3)
        pid = job.wait_until("training_step", 0) if not checkpoints(tmp_path) else job.process.pid or 0
        if checkpoints(tmp_path):
            before = checkpoints(tmp_path)
            seen = len(job.said())
            while len(job.said()) == seen:
                time.sleep(0.01)
        os.kill(pid, signal.SIGTERM)
        assert job.end() == 143
    assert len(checkpoints(tmp_path)) == 1
    assert checkpoints(tmp_path) != before  # one batch more: the newer replaced the older


SCONTROL = """#!/bin/sh
echo "$@" >> "{folder}/scontrol"
ls "{folder}/checkpoints" >> "{folder}/there_then"
exit {status}
"""


def slurm(folder: Path, status: int = 0, **more: str) -> dict[str, str]:
    """An environment as SLURM gives it, with a scontrol of our own."""
    programs = folder / "bin"
    programs.mkdir()
    program = programs / "scontrol"
    program.write_text(SCONTROL.format(folder=folder, status=status))
    program.chmod(0o755)
    return {"PATH": f"{programs}:{os.environ['PATH']}", "SLURM_JOB_ID": "4711", "SLURM_JOB_NAME": "train", **more}


@pytest.mark.parametrize("processes", [1, 2])
def test_under_slurm_the_job_is_requeued_once_everything_is_saved_and_ends_with_0(
    tmp_path: Path, processes: int
) -> None:
    job = Job(tmp_path, processes=processes, saver={}, pause_s=0.2, **slurm(tmp_path))
    os.kill(job.wait_until("training_step", 1), signal.SIGTERM)
    status = job.end()

    assert status == 0
    assert (tmp_path / "scontrol").read_text() == "requeue 4711\n"
    assert ".ckpt" in (tmp_path / "there_then").read_text()
    assert (tmp_path / "closed_0").exists()
    assert not (tmp_path / "after_fit").exists()


def test_a_task_of_an_array_is_requeued_alone(tmp_path: Path) -> None:
    more = {"SLURM_ARRAY_JOB_ID": "4700", "SLURM_ARRAY_TASK_ID": "3"}
    job = Job(tmp_path, saver={}, **slurm(tmp_path, **more))
    os.kill(job.wait_until("training_step", 1), signal.SIGUSR1)

    assert job.end() == 0
    assert (tmp_path / "scontrol").read_text() == "requeue 4700_3\n"


def test_an_interactive_job_is_not_requeued(tmp_path: Path) -> None:
    job = Job(tmp_path, saver={}, **slurm(tmp_path, SLURM_JOB_NAME="interactive"))
    os.kill(job.wait_until("training_step", 1), signal.SIGTERM)

    assert job.end() == 143
    assert not (tmp_path / "scontrol").exists()


def test_a_job_that_slurm_will_not_requeue_ends_with_143(tmp_path: Path) -> None:
    job = Job(tmp_path, saver={}, **slurm(tmp_path, status=1), SLURM_REFUSES="1")
    os.kill(job.wait_until("training_step", 1), signal.SIGTERM)

    assert job.end() == 143
    assert len(checkpoints(tmp_path)) == 1
