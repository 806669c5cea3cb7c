"""A Trainer on a device that collects operations until it is told to run them, with a torch_xla that only counts."""

import importlib.util
import sys
from types import ModuleType
from typing import Any

import pytest
import torch

from lit_accelerators import XLAAccelerator
from tests.lit_core.tiny import Regression, loader, trainer


@pytest.fixture
def syncs(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How often collected operations were run; the CPU takes the place of the core."""
    found: list[int] = []
    package: Any = ModuleType("torch_xla")
    package.__spec__ = importlib.util.spec_from_loader("torch_xla", loader=None)
    package.sync = lambda: found.append(1)
    runtime: Any = ModuleType("torch_xla.runtime")
    runtime.device_type, runtime.local_device_count = lambda: "TPU", lambda: 1
    monkeypatch.setitem(sys.modules, "torch_xla", package)
    monkeypatch.setitem(sys.modules, "torch_xla.runtime", runtime)
    monkeypatch.setattr(XLAAccelerator, "device", lambda self, index: torch.device("cpu"))
    monkeypatch.setattr(XLAAccelerator, "setup_device", lambda self, device: None)
    return found


@pytest.mark.parametrize("settings", [{}, {"accumulate_grad_batches": 2}, {"gradient_clip_val": 1.0}], ids=str)
def test_every_step_of_training_and_evaluation_is_run_apart(syncs: list[int], settings: dict[str, Any]) -> None:
    runner, module = trainer(accelerator="tpu", **settings), Regression()
    runner.fit(module, loader(8, 2), loader(6, 2))
    assert len(syncs) == 4 + 3

    runner.validate(module, loader(6, 2), verbose=False)
    runner.predict(module, loader(4, 2))
    assert len(syncs) == 4 + 3 + 3 + 2
