"""DeviceStatsMonitor: which numbers are written, when, and whether they can be true."""

import math
import time
from typing import Any

import pytest
import torch

from lit_core.callbacks import DeviceStatsMonitor, device_stats
from tests.lit_core.tiny import Regression, Rows, loader, trainer

PREFIX = "DeviceStatsMonitor/"


def fit(monitor: DeviceStatsMonitor, module: Any = None, **settings: Any) -> Rows:
    rows = Rows()
    trainer(logger=rows, callbacks=monitor, **settings).fit(module or Regression(), loader(12, 2))
    return rows


def test_on_the_cpu_its_own_numbers_are_written_at_the_interval() -> None:
    rows = fit(DeviceStatsMonitor(every_n_steps=2))

    for name in ("cpu_percent", "cpu_memory_bytes"):
        assert [step for step, _ in rows.of(PREFIX + name)] == [2, 4, 6]
        assert all(math.isfinite(value) and value >= 0 for _, value in rows.of(PREFIX + name))
    assert rows.of(PREFIX + "cpu_memory_bytes")[0][1] > 1e7


def test_by_default_rows_come_as_often_as_those_of_the_trainer() -> None:
    rows = fit(DeviceStatsMonitor(), log_every_n_steps=3)

    assert [step for step, _ in rows.of(PREFIX + "cpu_percent")] == [step for step, _ in rows.of("loss_step")] == [3, 6]


def test_they_can_be_left_out() -> None:
    rows = fit(DeviceStatsMonitor(cpu_stats=False, every_n_steps=1)).rows

    assert not any(key.startswith(PREFIX) for row in rows for key in row.metrics)


def test_load_is_the_share_of_time_that_this_process_computed() -> None:
    class Sleepy(Regression):
        def training_step(self, batch: Any, batch_idx: int) -> Any:
            if batch_idx < 3:
                time.sleep(0.1)
            else:
                until = time.process_time() + 0.1
                while time.process_time() < until:
                    pass
            return super().training_step(batch, batch_idx)

    rows = fit(DeviceStatsMonitor(every_n_steps=3), Sleepy())

    (_, asleep), (_, awake) = rows.of(PREFIX + "cpu_percent")
    assert asleep < 60
    assert awake > asleep


def test_accumulation_writes_one_row_an_update() -> None:
    rows = fit(DeviceStatsMonitor(every_n_steps=1), accumulate_grad_batches=3)

    assert [step for step, _ in rows.of(PREFIX + "cpu_percent")] == [1, 2]


def test_memory_of_cuda_is_what_torch_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    counters = {"allocated_bytes.all.current": 7, "num_ooms": 1, "segment.small_pool.peak": 5}
    monkeypatch.setattr(torch.cuda, "memory_stats", lambda device: counters)

    stats = device_stats.device_stats(torch.device("cuda", 0))

    assert stats["allocated_bytes.all.current"] == 7.0
    assert stats["num_ooms"] == 1.0
    assert stats["reserved_bytes.all.peak"] == 0.0
    assert "segment.small_pool.peak" not in stats


def test_an_interval_below_one_is_refused() -> None:
    with pytest.raises(ValueError, match="every_n_steps"):
        DeviceStatsMonitor(every_n_steps=0)
