"""Batches on their way to the device: every container, and the hooks of module and datamodule."""

from collections import OrderedDict, UserDict, defaultdict, namedtuple
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest
import torch

from lit_accelerators import make_strategy
from lit_core import LightningDataModule, LightningModule
from lit_core.data.loaders import prepare_loader
from lit_core.data.transfer import Transfer, move
from tests.lit_core.tiny import Regression, loader, same, trainer, weights

META = torch.device("meta")  # a device that every machine has and that is not the CPU
Pair = namedtuple("Pair", "a b")


@dataclass
class Item:
    x: torch.Tensor
    name: str
    size: int = field(init=False, default=3)


class Movable:
    def __init__(self, device: Any = "cpu") -> None:
        self.device = device

    def to(self, device: torch.device) -> "Movable":
        return Movable(device)


def tensor() -> torch.Tensor:
    return torch.zeros(2)


@pytest.mark.parametrize(
    ("batch", "leaf"),
    [
        (tensor(), lambda b: b),
        ([tensor(), "a"], lambda b: b[0]),
        ((tensor(), 1), lambda b: b[0]),
        (Pair(1, tensor()), lambda b: b.b),
        ({"x": {"y": [tensor()]}}, lambda b: b["x"]["y"][0]),
        (OrderedDict(x=tensor()), lambda b: b["x"]),
        (UserDict(x=tensor()), lambda b: b["x"]),
        (Item(tensor(), "n"), lambda b: b.x),
        (Movable(), lambda b: b),
        ([None, tensor()], lambda b: b[1]),
    ],
    ids=lambda value: type(value).__name__,
)
def test_tensors_move_and_containers_keep_their_type(batch: Any, leaf: Any) -> None:
    moved = move(batch, META)
    assert type(moved) is type(batch)
    assert leaf(moved).device == META
    assert leaf(batch).device in (torch.device("cpu"), "cpu"), "the batch that was given must stay as it is"


def test_a_mapping_that_cannot_be_built_from_a_dict_becomes_a_dict() -> None:
    moved = move(defaultdict(list, x=tensor()), META)
    assert moved["x"].device == META


@pytest.mark.parametrize("leaf", ["text", 3, 2.5, None, b"bytes", {1, 2}])
def test_what_is_no_tensor_stays_as_it_is(leaf: Any) -> None:
    assert move([leaf], META) == [leaf]
    assert move(Item(tensor(), "n"), META).name == "n"


def on_cpu() -> Any:
    return make_strategy(accelerator="cpu", devices=1, num_nodes=1, strategy="auto", precision="32-true")


def test_on_the_cpu_without_hooks_nothing_is_called() -> None:
    assert not Transfer(on_cpu(), LightningModule(), LightningDataModule()).is_needed


class Hooks:
    def __init__(self) -> None:
        super().__init__()
        self.calls: list[Any] = []

    def on_before_batch_transfer(self, batch: Any, dataloader_idx: int) -> Any:
        self.calls.append(("before", dataloader_idx))
        return [*batch, "before"]

    def transfer_batch_to_device(self, batch: Any, device: torch.device, dataloader_idx: int) -> Any:
        self.calls.append(("move", device.type, dataloader_idx))
        return [*batch, "moved"]

    def on_after_batch_transfer(self, batch: Any, dataloader_idx: int) -> Any:
        self.calls.append(("after", dataloader_idx))
        return [*batch, "after"]


class HookedModule(Hooks, LightningModule):
    pass


class HookedData(Hooks, LightningDataModule):
    pass


@pytest.mark.parametrize("owner", ["module", "datamodule"])
def test_hooks_change_the_batch_in_order_and_know_the_loader(owner: str) -> None:
    module = HookedModule() if owner == "module" else LightningModule()
    data = HookedData() if owner == "datamodule" else None
    transfer = Transfer(on_cpu(), module, data)
    assert transfer.is_needed
    assert transfer(["x"], 2) == ["x", "before", "moved", "after"]
    hooked: Any = module if owner == "module" else data
    assert hooked.calls == [("before", 2), ("move", "cpu", 2), ("after", 2)]


def test_the_hooks_of_the_datamodule_come_before_those_of_the_module() -> None:
    module, data = HookedModule(), HookedData()
    transfer = Transfer(on_cpu(), module, data)
    assert transfer.is_needed
    transfer([], 0)
    assert module.calls == []
    assert len(data.calls) == 3


def test_what_the_hooks_return_is_what_every_step_gets() -> None:
    got: list[Any] = []

    class Changes(Regression):
        def on_after_batch_transfer(self, batch: Any, dataloader_idx: int) -> Any:
            x, y, ids = batch
            return x, y, ids + 100

        def validation_step(self, batch: Any, batch_idx: int) -> None:
            got.append(batch[2].tolist())

        def predict_step(self, batch: Any, batch_idx: int) -> Any:
            return batch[2].tolist()

    module = Changes()
    runner = trainer()
    runner.fit(module, loader(4, 2), loader(2, 2))
    assert module.seen == [[100, 101], [102, 103]]
    assert got == [[100, 101]]
    assert runner.predict(module, loader(2, 2)) == [[100, 101]]


def test_ahead_a_batch_is_brought_before_the_step_on_the_one_before_and_none_is_lost() -> None:
    events: list[str] = []

    def source() -> Iterator[tuple[int, str]]:
        for index, batch in enumerate("abc"):
            events.append(f"read {batch}")
            yield index, batch

    def bring(batch: str) -> str:
        events.append(f"bring {batch}")
        return batch.upper()

    transfer = Transfer(on_cpu(), LightningModule(), None)
    for index, batch in transfer.ahead(source(), bring):
        events.append(f"step {index} {batch}")
    assert events == [
        *("read a", "bring a", "read b", "bring b", "step 0 A"),
        *("read c", "bring c", "step 1 B"),
        "step 2 C",
    ]
    assert list(transfer.ahead(iter([]), bring)) == []


@pytest.mark.parametrize("workers", [0, 1])
def test_batches_are_read_ahead_only_where_nothing_else_depends_on_when_they_are(workers: int) -> None:
    def prepared(source: Any) -> bool:
        return prepare_loader(source, None, "x", seed=0, world_size=1, rank=0, training=True, own=True).reads_ahead

    assert prepared(loader(num_workers=workers)) == (workers > 0)
    assert not prepared([[1], [2]])
    assert not Transfer(on_cpu(), LightningModule(), None).can_overlap


@pytest.mark.cuda
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@pytest.mark.parametrize("hooked", [False, True])
def test_copies_beside_the_steps_bring_what_copies_before_them_bring(hooked: bool) -> None:
    class Big(Regression):
        """Keeps the device busy, so that copies overtake steps if they can."""

        def training_step(self, batch: Any, batch_idx: int) -> Any:
            busy = torch.ones(2048, 2048, device=self.device)
            for _ in range(5):
                busy = busy @ busy / 2048
            return super().training_step(batch, batch_idx) + 0 * busy.sum()

    class Hooked(Big):
        def on_after_batch_transfer(self, batch: Any, dataloader_idx: int) -> Any:
            return batch

    def train(kind: type[Regression], **options: Any) -> Any:
        torch.manual_seed(0)
        module = kind()
        runner = trainer(accelerator="cuda", max_epochs=2)
        runner.fit(module, loader(256, 4, shuffle=True, **options))
        return module

    expected = train(Big, num_workers=0)
    found = train(Hooked if hooked else Big, num_workers=2, pin_memory=True)
    assert found.seen == expected.seen
    assert same(weights(found), weights(expected))
