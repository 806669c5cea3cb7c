"""Batches on their way to the device: every container, and the hooks of module and datamodule."""

from collections import OrderedDict, UserDict, defaultdict, namedtuple
from dataclasses import dataclass, field
from typing import Any

import pytest
import torch

from lit_accelerators import make_strategy
from lit_core import LightningDataModule, LightningModule
from lit_core.data.transfer import make_transfer, move
from tests.lit_core.tiny import Regression, loader, trainer

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
    assert make_transfer(on_cpu(), LightningModule(), LightningDataModule()) is None


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
    transfer = make_transfer(on_cpu(), module, data)
    assert transfer is not None
    assert transfer(["x"], 2) == ["x", "before", "moved", "after"]
    hooked: Any = module if owner == "module" else data
    assert hooked.calls == [("before", 2), ("move", "cpu", 2), ("after", 2)]


def test_the_hooks_of_the_datamodule_come_before_those_of_the_module() -> None:
    module, data = HookedModule(), HookedData()
    transfer = make_transfer(on_cpu(), module, data)
    assert transfer is not None
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
