import functools
import os
import sys
from collections.abc import Callable
from typing import Any

import pytest
import torch

from lit_accelerators import (
    ClusterEnvironment,
    DDPStrategy,
    FSDPStrategy,
    InProcessLauncher,
    Launcher,
    LocalEnvironment,
    MultiprocessLauncher,
    RayLauncher,
    ScriptLauncher,
    make_strategy,
)
from lit_accelerators.launchers.starts import make_launcher, start_suffix


class Counted(Launcher):
    """A launcher of one's own: forks, and counts the runs."""

    returns_to_caller = False

    def __init__(self, environment: ClusterEnvironment, processes: int, *, num_nodes: int = 1) -> None:
        self.runs = 0
        self._inner = MultiprocessLauncher(environment, processes, "fork", num_nodes=num_nodes)

    def launch(self, function: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        self.runs += 1
        return self._inner.launch(function, *args, **kwargs)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_launcher_of_ones_own_starts_the_processes() -> None:
    strategy = make_strategy("cpu", devices=2, strategy=functools.partial(DDPStrategy, start=Counted))

    def main() -> list[float]:
        strategy.setup_environment()
        try:
            return strategy.collectives.all_reduce(torch.tensor([1.0 + strategy.global_rank])).tolist()
        finally:
            strategy.teardown()

    assert strategy.launcher.launch(main) == [3.0]
    assert isinstance(strategy.launcher, Counted)
    assert strategy.launcher.runs == 1
    assert strategy.name == "ddp"


@pytest.mark.parametrize(
    ("word", "kind", "devices"),
    [
        ("script", ScriptLauncher, 2),
        ("script", InProcessLauncher, 1),
        ("spawn", MultiprocessLauncher, 1),
        ("fork", MultiprocessLauncher, 2),
        ("notebook", MultiprocessLauncher, 2),
    ],
)
def test_each_word_has_its_launcher(word: Any, kind: type[Launcher], devices: int) -> None:
    assert type(make_launcher(word, LocalEnvironment(devices), devices, 1)) is kind


@pytest.mark.parametrize("strategy", [DDPStrategy, FSDPStrategy])
def test_a_word_that_does_not_exist_is_refused_with_those_that_do(strategy: Any) -> None:
    with pytest.raises(ValueError, match=r"start must be one of 'script', .*'ray' or make a launcher, got 'threads'"):
        strategy(indices=[0, 1], start="threads")


def test_ray_with_options_is_still_ray() -> None:
    assert start_suffix("ray") == start_suffix(functools.partial(RayLauncher, num_cpus=4)) == "_ray"


def test_without_ray_its_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)

    with pytest.raises(ModuleNotFoundError, match="lit-accelerators with its extra 'ray'"):
        make_strategy("cpu", devices=2, strategy="ray").launcher.launch(print)
