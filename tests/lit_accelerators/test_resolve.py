import functools
import sys
from importlib.metadata import EntryPoint, EntryPoints
from typing import Any

import pytest
import torch

from lit_accelerators import (
    CPUAccelerator,
    DDPStrategy,
    FullPrecision,
    LocalEnvironment,
    MixedPrecision,
    MultiprocessLauncher,
    ScriptLauncher,
    SingleDeviceStrategy,
    Strategy,
    make_strategy,
    registry,
)


@pytest.fixture(autouse=True)
def plain(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("TORCHELASTIC_RUN_ID", "LIT_RUN_DIR", "RANK", "WORLD_SIZE"):
        monkeypatch.delenv(name, raising=False)


def test_without_words_one_process_runs_on_the_best_device() -> None:
    strategy = make_strategy(devices=1)
    there = "cuda" if torch.cuda.is_available() else "mps" if torch.backends.mps.is_available() else "cpu"

    assert isinstance(strategy, SingleDeviceStrategy)
    assert strategy.device.type == there
    assert strategy.precision.name == "32-true"


@pytest.mark.parametrize(
    ("name", "launcher", "returns"),
    [
        ("ddp", ScriptLauncher, True),
        ("ddp_spawn", MultiprocessLauncher, False),
        ("ddp_fork", MultiprocessLauncher, False),
        ("ddp_notebook", MultiprocessLauncher, False),
    ],
)
@pytest.mark.parametrize("suffix", ["", "_find_unused_parameters_true", "_find_unused_parameters_false"])
def test_every_ddp_name_makes_its_launcher(name: str, launcher: type, returns: bool, suffix: str) -> None:
    strategy = make_strategy("cpu", 2, strategy=name + suffix)

    assert isinstance(strategy, DDPStrategy)
    assert (strategy.name, strategy.world_size) == (name, 2)
    assert isinstance(strategy.launcher, launcher)
    assert strategy.launcher.returns_to_caller is returns


def test_several_devices_are_ddp_and_in_a_notebook_a_fork_of_it(monkeypatch: pytest.MonkeyPatch) -> None:
    assert make_strategy("cpu", 2).name == "ddp"
    monkeypatch.setattr(sys, "ps1", ">>> ", raising=False)
    assert make_strategy("cpu", 2).name == "ddp_fork"
    with pytest.raises(RuntimeError, match="ddp_notebook"):
        make_strategy("cpu", 2, strategy="ddp").launcher.launch(print)


@pytest.mark.parametrize(
    ("spellings", "name"),
    [
        ((64, "64", "64-true"), "64-true"),
        ((32, "32", "32-true"), "32-true"),
        ((16, "16", "16-mixed"), "16-mixed"),
        (("bf16", "bf16-mixed"), "bf16-mixed"),
        (("16-true",), "16-true"),
        (("bf16-true",), "bf16-true"),
    ],
)
def test_spellings_of_a_precision_are_the_same(spellings: tuple[str | int, ...], name: str) -> None:
    assert {make_strategy("cpu", precision=word).precision.name for word in spellings} == {name}


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        ({"accelerator": "abacus"}, r"accelerator='abacus' does not exist.*'auto', 'cpu', 'cuda', 'gpu', 'mps'"),
        ({"strategy": "warp"}, r"strategy='warp' does not exist.*'ddp_spawn'"),
        (
            {"precision": "8-true"},
            r"precision='8-true' does not exist. There are: '16-mixed', '16-true', '32-true', '64",
        ),
        ({"precision": 8}, r"precision='8' does not exist"),
        ({"devices": 2, "strategy": "single_device"}, r"Write devices=1, or strategy='ddp'"),
        ({"num_nodes": 0}, r"num_nodes must be a whole number of at least 1, got 0"),
        ({"devices": 0}, r"at least one device"),
        ({"strategy": lambda **parts: "none"}, r"no Strategy"),
        ({"devices": 3, "environment": LocalEnvironment(2)}, r"3 processes"),
        ({"devices": 2, "strategy": SingleDeviceStrategy()}, r"devices=2.*functools.partial\(SingleDeviceStrategy"),
        ({"precision": "bf16", "strategy": SingleDeviceStrategy()}, r"the strategy has '32-true'"),
        ({"environment": LocalEnvironment(), "strategy": SingleDeviceStrategy()}, r"environment="),
    ],
)
def test_contradictions_and_unknown_words_are_refused_with_what_there_is(flags: dict[str, Any], message: str) -> None:
    with pytest.raises((ValueError, TypeError), match=message):
        make_strategy(**{"accelerator": "cpu", **flags})


def test_more_gpus_than_there_are_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)

    with pytest.raises(ValueError, match=r"2 cuda device\(s\) are visible"):
        make_strategy("cuda", 4)


def test_objects_are_taken_as_they_are() -> None:
    accelerator, precision = CPUAccelerator(), MixedPrecision()
    strategy = make_strategy(accelerator, precision=precision)

    assert strategy.accelerator is accelerator
    assert strategy.precision is precision
    assert make_strategy("cpu", 1, strategy=strategy, precision="bf16-mixed") is strategy


def test_a_class_with_options_gets_the_resolved_parts() -> None:
    strategy = make_strategy("cpu", 2, strategy=functools.partial(DDPStrategy, start="fork", bucket_cap_mb=1))

    assert (strategy.name, strategy.world_size, strategy.accelerator.name) == ("ddp_fork", 2, "cpu")


class Abacus(CPUAccelerator):
    name = "abacus"


class Octal(FullPrecision):
    name = "8-true"


def third_party(**parts: Any) -> Strategy:
    assert set(parts) == {"accelerator", "indices", "precision", "environment", "num_nodes"}
    return SingleDeviceStrategy(parts["accelerator"], parts["indices"][0], parts["precision"], parts["environment"])


def test_installed_packages_register_names(monkeypatch: pytest.MonkeyPatch) -> None:
    here = {
        "beads": (third_party, registry.STRATEGIES_GROUP),
        "abacus": (Abacus, registry.ACCELERATORS_GROUP),
        "8-true": (Octal, registry.PRECISIONS_GROUP),
    }

    def entry_points(group: str) -> EntryPoints:
        return EntryPoints(
            EntryPoint(name, f"{__name__}:{target.__name__}", group) for name, (target, g) in here.items() if g == group
        )

    monkeypatch.setitem(sys.modules, __name__, sys.modules.get(__name__) or sys.modules[third_party.__module__])
    monkeypatch.setattr(registry, "entry_points", entry_points)

    strategy = make_strategy("abacus", strategy="beads", precision="8-true")
    assert (strategy.name, strategy.accelerator.name, strategy.precision.name) == ("single_device", "abacus", "8-true")
    with pytest.raises(ValueError, match="'auto', 'abacus', 'cpu'"):
        make_strategy("nothing")
