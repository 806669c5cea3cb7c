"""Worker processes: random numbers that follow from the batch alone, and signals that they leave to the reader."""

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader, Dataset, get_worker_info

from lit_accelerators import LeaveSignals, open_loader, own_order

pytestmark = [pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork"), pytest.mark.timeout(120)]


class Augmented(Dataset[Any]):
    """The index and a draw from each of the generators that augmentation uses."""

    def __len__(self) -> int:
        return 11

    def __getitem__(self, index: int) -> list[float]:
        return [index, torch.rand(()).item(), float(np.random.rand()), random.random()]


def collate(samples: list[list[float]]) -> list[list[float]]:
    return [*samples, [random.random()]]


def own(loader: DataLoader[Any], **options: Any) -> DataLoader[Any]:
    owned = own_order(loader, **options)
    assert owned is not None
    return owned


def augmented(workers: int, seed: int = 5, **options: Any) -> DataLoader[Any]:
    loader = DataLoader(Augmented(), 2, shuffle=True, num_workers=workers, collate_fn=collate, **options)
    return own(loader, seed=seed)


def epoch(loader: Any, number: int = 0, cursor: int = 0) -> list[Any]:
    loader.batch_sampler.set_epoch(number, cursor=cursor)
    return list(loader)


def column(which: int, *epochs: list[Any]) -> list[float]:
    return [sample[which] for batches in epochs for batch in batches for sample in batch[:-1]]


@pytest.mark.parametrize("options", [{}, {"persistent_workers": True}, {"multiprocessing_context": "spawn"}])
def test_the_draws_of_a_batch_do_not_depend_on_workers_nor_on_what_was_read_before(options: dict[str, Any]) -> None:
    whole = epoch(augmented(1), 3)
    loader = augmented(2, **options)
    if options != {"multiprocessing_context": "spawn"}:  # which starts slowly
        epoch(loader, 2)
        assert epoch(loader, 3) == whole
    assert epoch(loader, 3, cursor=6) == whole[3:]


def test_samples_batches_epochs_and_seeds_draw_other_numbers() -> None:
    epochs = [epoch(augmented(2), 0), epoch(augmented(2), 1), epoch(augmented(2, seed=6), 0)]
    for which in (1, 2, 3):
        assert len(set(column(which, *epochs))) == 33


def test_ranks_draw_other_numbers() -> None:
    loader = DataLoader(Augmented(), 2, num_workers=1, collate_fn=collate)
    epochs = [list(own(loader, seed=5, world_size=2, rank=rank)) for rank in (0, 1)]
    assert len(set(column(1, *epochs))) == 11


def test_the_users_generator_and_worker_init_fn_are_kept() -> None:
    class Told(Augmented):
        told = -1

        def __getitem__(self, index: int) -> Any:
            return self.told

    def start(worker_id: int) -> None:
        info = get_worker_info()
        assert info is not None
        info.dataset.told = worker_id  # type: ignore[attr-defined]

    given = DataLoader(
        Told(), 2, num_workers=2, worker_init_fn=start, generator=torch.Generator().manual_seed(1), collate_fn=list
    )
    loader = own(given, seed=0)
    assert sorted({worker for batch in loader for worker in batch}) == [0, 1]
    assert loader.generator is given.generator


def test_a_loader_that_is_opened_stays_as_it_was() -> None:
    def start(worker_id: int) -> None:
        torch.manual_seed(worker_id)

    for function in (start, None):
        given = DataLoader(Augmented(), 2, num_workers=1, worker_init_fn=function)
        assert len(list(open_loader(given))) == 6
        assert given.worker_init_fn is function
    left = LeaveSignals()
    given = DataLoader(Augmented(), 2, num_workers=1, worker_init_fn=left)
    open_loader(given)
    assert given.worker_init_fn is left
    assert list(open_loader(range(3))) == [0, 1, 2]


def test_without_workers_samples_draw_from_the_stream_of_the_process() -> None:
    loader = own(DataLoader(Augmented(), 2, collate_fn=collate), seed=0)
    torch.manual_seed(1)
    drawn = column(1, list(loader))
    torch.manual_seed(1)
    assert drawn == [torch.rand(()).item() for _ in range(11)]


PROGRAM = """
import os, signal, sys, time
import torch
from torch.utils.data import DataLoader, IterableDataset, get_worker_info
from lit_accelerators import LeaveSignals, open_loader, own_order

folder, how, kind = sys.argv[1:]


class Slow:
    def __len__(self):
        return 20

    def __getitem__(self, index):
        if how == "hangs" and index == 3:
            import ctypes
            ctypes.CDLL(None).sleep(1000)  # a call into foreign code, during which Python runs no handlers
        time.sleep(0.05)
        return index


class Stream(IterableDataset):
    def __iter__(self):
        for index in range(20):
            if index // 2 % 2 == get_worker_info().id:
                time.sleep(0.05)
                yield index


class Lazy(DataLoader):
    def __iter__(self):
        yield from super().__iter__()


class Holds:
    def __init__(self, loader):
        self.loader = loader

    def __iter__(self):
        return iter(self.loader)


def start(worker_id):
    with open(f"{folder}/workers", "a") as file:
        file.write(f"{os.getpid()}\\n")


if __name__ == "__main__":
    asked = []
    if how in ("handles", "starts"):
        for number in (signal.SIGTERM, signal.SIGUSR1, signal.SIGINT):
            signal.signal(number, lambda number, frame: asked.append(number))
    if how == "starts":
        set_num_threads = torch.set_num_threads
        torch.set_num_threads = lambda number: (time.sleep(1), set_num_threads(number))  # which a new worker calls
        print("starting", flush=True)
    options = {"num_workers": 2, "worker_init_fn": start, "timeout": 0.5 if how == "hangs" else 0}
    if kind == "owned":
        batches = open_loader(own_order(DataLoader(Slow(), 2, persistent_workers=True, **options), seed=0))
    elif kind == "streams":
        batches = open_loader(DataLoader(Stream(), 2, persistent_workers=True, **options))
    elif kind == "lazy":
        batches = open_loader(Lazy(Slow(), 2, **options))
    else:
        batches = open_loader(Holds(DataLoader(Slow(), 2, **{**options, "worker_init_fn": LeaveSignals(start)})))
    for index, batch in enumerate(batches):
        print(index, flush=True)
    print(len(asked), "asked", flush=True)
    if how == "waits":
        time.sleep(1000)
"""


class Reader:
    """A program that reads from two workers, in a process group of its own."""

    def __init__(self, folder: Path, how: str, kind: str = "owned") -> None:
        program = folder / "program.py"
        program.write_text(PROGRAM)
        self.folder = folder
        self.process = subprocess.Popen(
            [sys.executable, str(program), str(folder), how, kind],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )

    def wait_for(self, line: str) -> None:
        assert self.process.stdout is not None
        for found in self.process.stdout:
            if found.strip() == line:
                return
        raise AssertionError(f"{line!r} never came: {self.process.communicate()[1]}")

    def end(self) -> tuple[int, str, str]:
        out, err = self.process.communicate(timeout=60)
        return self.process.returncode, out, err

    def workers_left(self) -> list[int]:
        """Those still there a little later."""
        pids = [int(line) for line in (self.folder / "workers").read_text().split()]
        assert len(pids) == 2
        deadline = time.monotonic() + 3
        while (left := [pid for pid in pids if runs(pid)]) and time.monotonic() < deadline:
            time.sleep(0.02)
        return left


def runs(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


linux = pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="looks at /proc")


@linux
@pytest.mark.parametrize("kind", ["owned", "streams", "lazy", "held by another iterable"])
def test_signals_to_the_whole_group_leave_a_reader_that_handles_them_its_workers(tmp_path: Path, kind: str) -> None:
    reader = Reader(tmp_path, "handles", kind)
    for line, number in (("1", signal.SIGTERM), ("3", signal.SIGUSR1), ("5", signal.SIGINT)):
        reader.wait_for(line)
        os.killpg(reader.process.pid, number)
    status, out, err = reader.end()
    assert (status, err) == (0, "")
    assert out.split() == ["6", "7", "8", "9", "3", "asked"]
    assert reader.workers_left() == []


@linux
@pytest.mark.parametrize("kind", ["owned", "streams"])
def test_signals_harm_no_worker_that_is_just_starting(tmp_path: Path, kind: str) -> None:
    reader = Reader(tmp_path, "starts", kind)
    reader.wait_for("starting")
    time.sleep(0.5)
    os.killpg(reader.process.pid, signal.SIGTERM)
    status, out, err = reader.end()
    assert (status, err) == (0, "")
    assert out.split()[-2:] == ["1", "asked"]
    assert reader.workers_left() == []


@linux
def test_workers_end_when_their_reader_is_killed(tmp_path: Path) -> None:
    reader = Reader(tmp_path, "waits")
    reader.wait_for("9")
    os.kill(reader.process.pid, signal.SIGKILL)
    assert reader.end()[0] == -signal.SIGKILL
    assert reader.workers_left() == []


@linux
def test_a_worker_that_hangs_does_not_keep_its_program_from_ending(tmp_path: Path) -> None:
    reader = Reader(tmp_path, "hangs")
    status, _, err = reader.end()
    assert status == 1
    assert "DataLoader timed out" in err
    assert reader.workers_left() == []
