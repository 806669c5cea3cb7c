import importlib.util
import sys
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest
import torch

from lit_accelerators import XLAAccelerator, connect, make_strategy
from lit_accelerators.devices import xla
from lit_accelerators.registry import make_accelerator


@pytest.fixture
def fake(monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    """A host with four TPU cores, as torch_xla 2.9 tells of it."""
    cores = SimpleNamespace(kind="TPU", local=4, addressable=4)
    runtime: Any = ModuleType("torch_xla.runtime")
    runtime.device_type = lambda: cores.kind
    runtime.local_device_count = lambda: cores.local
    runtime.addressable_device_count = lambda: cores.addressable
    model: Any = ModuleType("torch_xla.core.xla_model")
    model.get_memory_info = lambda device: {"bytes_limit": 1 << 34, "bytes_used": 5}
    package = ModuleType("torch_xla")
    package.__spec__ = importlib.util.spec_from_loader("torch_xla", loader=None)
    for name, module in {
        "": package,
        ".runtime": runtime,
        ".core": ModuleType("core"),
        ".core.xla_model": model,
    }.items():
        monkeypatch.setitem(sys.modules, f"torch_xla{name}", module)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    return cores


@pytest.fixture
def absent(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(xla, "find_spec", lambda name: None)


@pytest.mark.usefixtures("absent")
def test_without_torch_xla_there_is_none_and_that_is_said() -> None:
    assert not XLAAccelerator.is_available()
    with pytest.raises(ValueError, match="no tpu device is visible"):
        make_strategy("tpu")


def test_a_torch_xla_built_for_another_torch_is_as_good_as_none(
    fake: SimpleNamespace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "torch_xla.runtime", None)

    assert not XLAAccelerator.is_available()


def test_devices_of_xla_that_are_no_tpu_are_not_taken_for_one(fake: SimpleNamespace) -> None:
    fake.kind = "CPU"

    assert not XLAAccelerator.is_available()


@pytest.mark.usefixtures("fake")
def test_cores_are_counted_chosen_and_tell_their_memory() -> None:
    tpu = XLAAccelerator()

    assert tpu.is_available()
    assert isinstance(make_accelerator("auto"), XLAAccelerator)
    assert isinstance(make_accelerator("xla"), XLAAccelerator)
    assert [tpu.parse_devices(devices) for devices in ("auto", 2, [3])] == [[0, 1, 2, 3], [0, 1], [3]]
    assert tpu.device(3) == torch.device("xla", 3)
    assert tpu.device_stats(tpu.device(0)) == {"memory_total": 2.0**34, "memory_allocated": 5.0}
    with pytest.raises(ValueError, match=r"4 tpu device\(s\) are visible"):
        tpu.parse_devices(5)


def test_a_process_of_torch_xla_uses_the_one_core_it_sees(fake: SimpleNamespace) -> None:
    fake.addressable = 1

    assert XLAAccelerator().device(2) == torch.device("xla", 0)


@pytest.mark.usefixtures("fake")
def test_what_a_tpu_cannot_do_is_refused_before_anything_starts() -> None:
    with pytest.raises(ValueError, match="XLA devices have no float16"):
        make_strategy("tpu", 1, precision="16-mixed")
    with pytest.raises(ValueError, match="accelerator='cpu'"):
        XLAAccelerator().setup_device(torch.device("cpu"))


@pytest.fixture
def order(fake: SimpleNamespace, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What happened, with the CPU in the place of a core."""
    happened: list[str] = []
    sys.modules["torch_xla"].sync = lambda: happened.append("sync")  # type: ignore[attr-defined]
    monkeypatch.setattr(XLAAccelerator, "device", lambda self, index: torch.device("cpu"))
    monkeypatch.setattr(XLAAccelerator, "setup_device", lambda self, device: None)
    return happened


@pytest.mark.parametrize("precision", ["32-true", "bf16-mixed"])
def test_what_a_step_left_runs_before_the_next_one(order: list[str], precision: str) -> None:
    strategy = make_strategy("tpu", 1, precision=precision)
    model = strategy.setup_module(torch.nn.Linear(2, 1))
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)

    def forward(batch: torch.Tensor) -> torch.Tensor:
        order.append("forward")
        return model(batch).mean()

    step = strategy.setup_step(model, forward)
    evaluation_step = strategy.setup_step(model, forward, gradient_sync=None)
    for _ in range(2):
        optimizer.zero_grad()
        strategy.backward(step(torch.ones(3, 2)))
        strategy.precision.optimizer_step(optimizer)
    evaluation_step(torch.ones(3, 2))

    assert order == ["sync", "forward"] * 3


def test_a_plain_loop_with_connect_gets_it_too(order: list[str]) -> None:
    run = connect("tpu", 1)

    def main() -> None:
        model, optimizer = run.setup(model := torch.nn.Linear(2, 1), torch.optim.SGD(model.parameters(), lr=0.1))
        for _ in range(3):
            run.backward(model(torch.ones(3, 2)).mean())
            optimizer.step()

    run.launch(main)

    assert order == ["sync"] * 3


def test_devices_that_run_at_once_add_nothing_to_a_step() -> None:
    def step() -> None: ...

    assert make_strategy("cpu").setup_step(torch.nn.Linear(1, 1), step) is step
