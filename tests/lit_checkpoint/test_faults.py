"""Every way in which the disk, the store or the process can fail, one at a time, and what is found afterwards."""

import contextlib
import errno
import os
import random
import shutil
import warnings
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from lit_checkpoint import (
    BackgroundSaver,
    CheckpointCorruptError,
    CheckpointManager,
    FileCheckpointIO,
    ShardedCheckpointIO,
    latest_valid,
    load,
    resolve_checkpoint,
    save,
    verify,
)

MOST_CALLS = 200  # the loops stop at the first save that meets no fault
CODES = [errno.EIO, errno.ENOSPC, errno.EACCES]
LARGE = 40_000  # of float32: more than what is gathered before it is written

_tried: Counter[str] = Counter()


@dataclass(frozen=True)
class Scenario:
    """A save of step 2 in a folder that holds step 1, and steps 0 and 1 where a manager keeps two."""

    prepare: Callable
    run: Callable
    managed: bool


def _file(io):
    def prepare(folder, make_state):
        io.save(make_state(1), folder / "model.ckpt")

    def run(folder, make_state):
        io.save(make_state(2, size=LARGE), folder / "model.ckpt")

    return Scenario(prepare, run, managed=False)


def _manager(folder, io):
    return CheckpointManager(folder, monitor="loss", save_top_k=1, io=io)


def _managed(io, *, background):
    def prepare(folder, make_state):
        manager = _manager(folder, io)
        for step, loss in ((0, 0.4), (1, 0.5)):
            manager.save(make_state(step), step=step, metrics={"loss": loss})

    def run(folder, make_state):
        manager = _manager(folder, io)
        if background:
            with BackgroundSaver(manager.save) as saver:
                saver.save(make_state(2, size=LARGE), step=2, metrics={"loss": 0.3})
        else:
            manager.save(make_state(2, size=LARGE), step=2, metrics={"loss": 0.3})

    return Scenario(prepare, run, managed=True)


FILE, SHARDED = FileCheckpointIO(), ShardedCheckpointIO()
SCENARIOS = {
    "file": _file(FILE),
    "sharded": _file(SHARDED),
    "manager": _managed(FILE, background=False),
    "manager in the background": _managed(FILE, background=True),
    "manager of folders": _managed(SHARDED, background=False),
}


def litter(folder: Path) -> list[str]:
    return [path.name for path in folder.rglob("*") if path.name.endswith(".partial")]


def check_folder(folder: Path, scenario: Scenario, make_state, assert_state) -> int:
    """What a new process finds is whole, and it can go on; returns the step found."""
    newest = latest_valid(folder)
    found = load(newest)
    step = found["global_step"]
    assert step in {1, 2}
    assert_state(found, step)
    if not scenario.managed:
        return step
    for which in ("best", "last"):
        pointed = load(resolve_checkpoint(folder, which))
        assert_state(pointed, pointed["global_step"])
    io = SHARDED if Path(newest).is_dir() else FILE
    again = _manager(folder, io)
    assert again.best_score in {0.4, 0.3}
    again.save(make_state(3), step=3, metrics={"loss": 0.2})
    assert again.best_path == again.last_path == latest_valid(folder)
    assert [path.name for path in folder.glob("*.ckpt")] == ["step=3.ckpt"]
    assert litter(folder) == []
    return step


@pytest.fixture(autouse=True)
def _no_waiting_for_the_disk():
    """The calls are counted and fail like others; that they reach the disk is not what is tested here."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "fsync", lambda descriptor: None)
        yield


@pytest.mark.parametrize("kind", ["error", "death"])
@pytest.mark.parametrize("name", SCENARIOS)
def test_fault_at_any_call_of_a_save(tmp_path, name, kind, faulty_os, killed, monkeypatch, make_state, assert_state):
    scenario = SCENARIOS[name]
    (tmp_path / "before").mkdir()
    scenario.prepare(tmp_path / "before", make_state)
    step_of_two = name == "manager in the background"  # makes the calls of "manager", in a thread
    for fail_at in range(1, MOST_CALLS, 2 if step_of_two else 1):
        folder = tmp_path / str(fail_at)
        shutil.copytree(tmp_path / "before", folder)
        fake = faulty_os(fail_at, dead=kind == "death", code=CODES[fail_at % len(CODES)])
        raised = None
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", RuntimeWarning)  # what could not be removed is said
            try:
                scenario.run(folder, make_state)
            except (OSError, killed) as error:
                raised = error
        monkeypatch.undo()
        if not fake.failed:
            break
        _tried[f"{name}, {kind}"] += 1
        if kind == "death":
            assert isinstance(raised, killed)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", RuntimeWarning)  # a folder whose save was cut off is skipped with one
            step = check_folder(folder, scenario, make_state, assert_state)
        if raised is None:
            assert step == 2
        elif not scenario.managed and kind == "error":
            assert litter(folder) == []
            assert len(list(folder.rglob("*"))) <= (3 if step == 1 else 4)  # parts of the old one may be left
    assert fail_at > 8


def files_of(path: Path) -> list[Path]:
    return sorted(path.iterdir()) if path.is_dir() else [path]


@pytest.mark.parametrize("io", [FILE, SHARDED], ids=["file", "sharded"])
def test_every_truncation_of_every_file_is_noticed_or_harmless(tmp_path, io, make_state, assert_state):
    path = tmp_path / "model.ckpt"
    io.save(make_state(1), path)
    for file in files_of(path):
        content = file.read_bytes()
        for length in range(0, len(content), max(1, len(content) // 20)):
            file.write_bytes(content[:length])
            _tried["truncation"] += 1
            for read in (load, verify):
                with pytest.raises(CheckpointCorruptError, match=r"model\.ckpt"):
                    read(path)
        file.write_bytes(content)
    assert_state(load(path), 1)


@pytest.mark.parametrize("io", [FILE, SHARDED], ids=["file", "sharded"])
def test_a_flipped_bit_anywhere_is_noticed_or_harmless(tmp_path, io, make_state, assert_state):
    path = tmp_path / "model.ckpt"
    io.save(make_state(1), path)
    chance = random.Random(0)
    noticed = 0
    for file in files_of(path):
        content = file.read_bytes()
        for _ in range(60):
            damaged = bytearray(content)
            damaged[chance.randrange(len(content))] ^= 1 << chance.randrange(8)
            file.write_bytes(damaged)
            _tried["flipped bit"] += 1
            try:
                found = load(path)
            except CheckpointCorruptError:
                noticed += 1
            else:
                assert_state(found, 1)
        file.write_bytes(content)
    assert noticed > 30


@pytest.mark.parametrize("file", ["index.json", "best", "last"])
@pytest.mark.parametrize("damage", ["emptied", "cut", "garbage", "gone", "another program's"])
def test_damage_of_the_small_files_loses_no_checkpoint(tmp_path, file, damage, make_state, assert_state):
    SCENARIOS["manager"].prepare(tmp_path, make_state)
    path = tmp_path / file
    content = path.read_bytes()
    change = {"emptied": b"", "cut": content[: len(content) // 2], "garbage": b"\xff\x00{", "another program's": b"[1]"}
    path.unlink() if damage == "gone" else path.write_bytes(change[damage])
    _tried["small file"] += 1
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)
        assert_state(load(latest_valid(tmp_path)), 1)
        again = _manager(tmp_path, FILE)
        again.save(make_state(2), step=2, metrics={"loss": 0.3})
    assert_state(load(resolve_checkpoint(tmp_path, "last")), 2)
    assert_state(load(resolve_checkpoint(tmp_path, "best")), 2)


class FaultyStore:
    """fsspec's store in memory whose n-th request fails; later ones too, if the process is to be dead."""

    METHODS = ("open", "mv", "rm", "rm_file", "ls", "info", "makedirs")

    def __init__(self, monkeypatch, fail_at: int, kind: str, killed: type[BaseException]) -> None:
        from fsspec.implementations.memory import MemoryFileSystem

        self.fail_at, self.kind, self.killed = fail_at, kind, killed
        self.count = 0
        self.inside = False
        for name in self.METHODS:
            monkeypatch.setattr(MemoryFileSystem, name, self.wrap(getattr(MemoryFileSystem, name)))

    @property
    def failed(self) -> bool:
        return self.count >= self.fail_at

    def wrap(self, real):
        def request(fs, *args, **kwargs):
            if self.inside:  # a method that calls another is one request
                return real(fs, *args, **kwargs)
            self.count += 1
            if self.kind == "death" and self.count >= self.fail_at:
                raise self.killed
            if self.kind == "refused" and self.count == self.fail_at:
                raise ConnectionResetError(errno.ECONNRESET, "the store went away")
            self.inside = True
            try:
                answer = real(fs, *args, **kwargs)
            finally:
                self.inside = False
            if self.kind == "answer lost" and self.count == self.fail_at:
                raise TimeoutError(errno.ETIMEDOUT, "the store did not answer in time")
            return answer

        return request


@pytest.mark.parametrize("kind", ["refused", "answer lost", "death"])
@pytest.mark.parametrize("io", [FILE, SHARDED], ids=["file", "sharded"])
def test_fault_at_any_request_to_a_remote_store(io, kind, killed, monkeypatch, make_state, assert_state):
    for fail_at in range(1, MOST_CALLS):
        url = f"memory://faults-{type(io).__name__}-{kind.replace(' ', '-')}/{fail_at}"
        manager = _manager(url, io)
        for step, loss in ((0, 0.4), (1, 0.5)):
            manager.save(make_state(step), step=step, metrics={"loss": loss})
        store = FaultyStore(monkeypatch, fail_at, kind, killed)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", RuntimeWarning)
            with contextlib.suppress(OSError, killed):
                _manager(url, io).save(make_state(2), step=2, metrics={"loss": 0.3})
        monkeypatch.undo()
        if not store.failed:
            break
        _tried[f"remote, {kind}"] += 1
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", RuntimeWarning)
            for path in (latest_valid(url), resolve_checkpoint(url, "last"), resolve_checkpoint(url, "best")):
                found = load(path)
                assert_state(found, found["global_step"])
            again = _manager(url, io)
            again.save(make_state(3), step=3, metrics={"loss": 0.2})
        assert_state(load(resolve_checkpoint(url, "best")), 3)
    assert fail_at > 8


def test_none_whole_says_why_for_each(tmp_path, make_state):
    save(make_state(1), tmp_path / "a.ckpt")
    SHARDED.save(make_state(1), tmp_path / "b.ckpt")
    os.truncate(tmp_path / "a.ckpt", 100)
    (tmp_path / "b.ckpt" / ".metadata").unlink()
    with (
        pytest.warns(RuntimeWarning, match="Skipped"),
        pytest.raises(
            CheckpointCorruptError, match=r"(?s)None of the 2 .*b\.ckpt: .*not finished.*a\.ckpt: .*cut short"
        ),
    ):
        latest_valid(tmp_path)


def test_the_distinct_faults_tried_in_this_file_are_at_least_200():
    if not {f"{name}, death" for name in SCENARIOS} <= _tried.keys():
        pytest.skip("only a part of this file ran in this process")
    print(dict(sorted(_tried.items())))
    assert sum(_tried.values()) >= 200
