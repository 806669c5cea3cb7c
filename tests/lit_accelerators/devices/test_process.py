import resource
import time
from pathlib import Path

import pytest
import torch

from lit_accelerators import CPUAccelerator
from lit_accelerators.devices import _process

CPU = torch.device("cpu")


def test_memory_of_the_process_is_what_the_system_tells_and_grows_with_what_it_holds() -> None:
    before = CPUAccelerator().device_stats(CPU)
    held = torch.ones(1 << 25)
    after = CPUAccelerator().device_stats(CPU)

    lines = Path("/proc/self/status").read_text().splitlines()
    told = next(int(line.split()[1]) * 1024 for line in lines if line.startswith("VmRSS"))
    assert after["process_memory"] == pytest.approx(told, rel=0.05)
    assert after["process_memory"] - before["process_memory"] == pytest.approx(held.nbytes, rel=0.2)
    assert after["process_memory_peak"] == pytest.approx(
        resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024, 0.05
    )


def test_a_process_that_works_is_told_from_one_that_waits() -> None:
    stats = CPUAccelerator().device_stats
    stats(CPU)
    time.sleep(0.3)
    waiting = stats(CPU)["process_cpu_percent"]
    end = time.process_time() + 0.3
    while time.process_time() < end:
        pass
    working = stats(CPU)["process_cpu_percent"]

    assert 0 <= waiting < 50
    assert working > 2 * waiting


def test_what_the_system_does_not_tell_is_absent(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(_process, "_STATUS", tmp_path / "nothing")

    assert "process_memory" not in CPUAccelerator().device_stats(CPU)
