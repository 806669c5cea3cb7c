"""Laws that every checkpoint format keeps. A new one adds a row to ``TABLE``."""

import itertools
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import fsspec
import pytest
import torch

from lit_checkpoint import (
    CheckpointCorruptError,
    CheckpointIO,
    CheckpointManager,
    FileCheckpointIO,
    ShardedCheckpointIO,
)

_numbers = itertools.count()


@dataclass(frozen=True)
class Place:
    """Where a row keeps its checkpoints, and how a test looks at what lies there without the code under test."""

    folder: str
    names: Callable[[], list[str]]
    damage: Callable[[str], None]

    def path(self, name: str) -> str:
        return f"{self.folder}/{name}"


def local(tmp_path: Path) -> Place:
    def damage(name: str) -> None:
        target = tmp_path / name
        files = [target] if target.is_file() else [path for path in target.rglob("*") if path.is_file()]
        for file in files:
            file.write_bytes(file.read_bytes()[:-40])

    return Place(str(tmp_path), lambda: sorted(path.name for path in tmp_path.iterdir()), damage)


def memory(tmp_path: Path) -> Place:
    fs = fsspec.filesystem("memory")
    folder = f"/laws{next(_numbers)}"
    fs.makedirs(folder)

    def names() -> list[str]:
        return sorted(name.rpartition("/")[2] for name in fs.ls(folder, detail=False))

    def damage(name: str) -> None:
        for file in fs.find(f"{folder}/{name}"):
            fs.pipe(file, fs.cat(file)[:-40])

    return Place(f"memory:/{folder}", names, damage)


@dataclass(frozen=True)
class Row:
    make: Callable[[], CheckpointIO]
    place: Callable[[Path], Place]


TABLE = {
    "file": Row(FileCheckpointIO, local),
    "file, fsspec memory": Row(FileCheckpointIO, memory),
    "sharded": Row(ShardedCheckpointIO, local),
    "sharded, fsspec memory": Row(ShardedCheckpointIO, memory),
}


@pytest.fixture(params=TABLE.values(), ids=TABLE.keys())
def row(request: pytest.FixtureRequest) -> Row:
    return request.param


@pytest.fixture
def io(row: Row) -> CheckpointIO:
    return row.make()


@pytest.fixture
def place(row: Row, tmp_path: Path) -> Place:
    return row.place(tmp_path)


def state(step: int) -> dict:
    generator = torch.Generator().manual_seed(step)
    return {
        "state_dict": {"weight": torch.randn(37, 11, generator=generator), "count": torch.tensor(step)},
        "lists": [1, (2.5, None), {"deep": [True, "text", b"bytes"]}],
        "dtypes": {str(d): torch.ones(3).to(d) for d in (torch.bfloat16, torch.int8, torch.bool, torch.complex64)},
        "step": step,
    }


def assert_same(found: object, expected: object) -> None:
    assert type(found) is type(expected)
    if isinstance(expected, torch.Tensor):
        assert found.dtype == expected.dtype
        assert torch.equal(found, expected)
    elif isinstance(expected, dict):
        assert list(found) == list(expected)
        for key in expected:
            assert_same(found[key], expected[key])
    elif isinstance(expected, list | tuple):
        assert len(found) == len(expected)
        for a, b in zip(found, expected, strict=True):
            assert_same(a, b)
    else:
        assert found == expected


def test_what_was_saved_comes_back_bit_for_bit(io, place):
    io.save(state(1), place.path("a.ckpt"))
    assert_same(io.load(place.path("a.ckpt")), state(1))
    io.verify(place.path("a.ckpt"))


def test_saving_again_replaces(io, place):
    for step in (1, 2):
        io.save(state(step), place.path("a.ckpt"))
    assert_same(io.load(place.path("a.ckpt")), state(2))


def test_only_the_checkpoint_appears(io, place):
    io.save(state(1), place.path("a.ckpt"))
    assert place.names() == ["a.ckpt"]


def test_folders_on_the_way_are_made(io, place):
    io.save(state(1), place.path("run/1/a.ckpt"))
    assert_same(io.load(place.path("run/1/a.ckpt")), state(1))


def test_saving_does_not_change_the_state(io, place):
    kept = state(1)
    io.save(kept, place.path("a.ckpt"))
    assert_same(kept, state(1))


def test_changing_the_loaded_state_does_not_change_the_checkpoint(io, place):
    io.save(state(1), place.path("a.ckpt"))
    io.load(place.path("a.ckpt"))["state_dict"]["weight"].zero_()
    assert_same(io.load(place.path("a.ckpt")), state(1))


def test_damage_is_noticed_by_load_and_by_verify(io, place):
    io.save(state(1), place.path("a.ckpt"))
    place.damage("a.ckpt")
    for read in (io.load, io.verify):
        with pytest.raises(CheckpointCorruptError, match=r"a\.ckpt"):
            read(place.path("a.ckpt"))


def test_absence_names_what_is_near(io, place):
    io.save(state(1), place.path("abc.ckpt"))
    for read in (io.load, io.verify):
        with pytest.raises(FileNotFoundError, match=r"abc\.ckpt"):
            read(place.path("abd.ckpt"))


def test_refused_value_names_its_place_and_changes_nothing(io, place):
    io.save(state(1), place.path("a.ckpt"))
    with pytest.raises(TypeError, match=r"state\.hyper_parameters\.where is a .*Path"):
        io.save({"hyper_parameters": {"where": Path("x")}}, place.path("a.ckpt"))
    assert_same(io.load(place.path("a.ckpt")), state(1))
    assert place.names() == ["a.ckpt"]


def test_map_location_decides_the_device(io, place):
    io.save(state(1), place.path("a.ckpt"))
    assert io.load(place.path("a.ckpt"), map_location="meta")["state_dict"]["weight"].is_meta


def test_remove_deletes_and_may_be_repeated(io, place):
    for name in ("a.ckpt", "b.ckpt"):
        io.save(state(1), place.path(name))
    for _ in range(2):
        io.remove(place.path("a.ckpt"))
    assert place.names() == ["b.ckpt"]


def test_a_manager_keeps_the_best_and_the_last_with_it(io, place):
    manager = CheckpointManager(place.folder, monitor="loss", io=io)
    for step, loss in enumerate([0.5, 0.2, 0.4]):
        manager.save(state(step), step=step, metrics={"loss": loss})
    assert place.names() == ["best", "index.json", "last", "step=1.ckpt", "step=2.ckpt"]
    assert_same(io.load(manager.best_path), state(1))
