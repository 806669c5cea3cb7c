"""ThroughputMonitor with a clock that passes only when told."""

from types import SimpleNamespace
from typing import Any

import pytest

from lit_core.callbacks import ThroughputMonitor, throughput
from tests.lit_core.tiny import Regression, Rows, loader
from tests.lit_core.tiny import trainer as make_trainer


class Clock:
    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = 0.0
        monkeypatch.setattr(throughput, "time", SimpleNamespace(perf_counter=lambda: self.now))


class Slow(Regression):
    """Batch ``i`` takes ``seconds[i]``; a validation batch a hundred."""

    def __init__(self, clock: Clock, seconds: list[float]) -> None:
        super().__init__()
        self.clock, self.seconds = clock, seconds

    def training_step(self, batch: Any, batch_idx: int) -> Any:
        self.clock.now += self.seconds[batch_idx]
        return super().training_step(batch, batch_idx)

    def validation_step(self, batch: Any, batch_idx: int) -> None:
        self.clock.now += 100.0


def fit(monitor: ThroughputMonitor, module: Slow, *, val: bool = False, **settings: Any) -> Rows:
    rows = Rows()
    data = loader(2 * len(module.seconds), 2)
    make_trainer(logger=rows, callbacks=monitor, **settings).fit(module, data, loader(2, 2) if val else None)
    return rows


def test_rates_are_counts_by_seconds_since_the_start(monkeypatch: pytest.MonkeyPatch) -> None:
    rows = fit(ThroughputMonitor(every_n_steps=2), Slow(Clock(monkeypatch), [1.0, 1.0, 2.0, 4.0]))

    assert rows.of("train/batches_per_sec") == [(2, 1.0), (4, 0.5)]
    assert rows.of("train/samples_per_sec") == [(2, 2.0), (4, 1.0)]
    assert rows.of("train/device/batches_per_sec") == [(2, 1.0), (4, 0.5)]
    assert rows.of("train/device/samples_per_sec") == [(2, 2.0), (4, 1.0)]


def test_they_look_back_on_a_window(monkeypatch: pytest.MonkeyPatch) -> None:
    monitor = ThroughputMonitor(window_size=2, every_n_steps=1)

    rows = fit(monitor, Slow(Clock(monkeypatch), [1.0, 1.0, 2.0, 4.0]))

    expected = [1.0, 1.0, 2 / 3, 2 / 6]
    assert [rate for _, rate in rows.of("train/batches_per_sec")] == [pytest.approx(rate) for rate in expected]
    assert monitor.rates["train/batches_per_sec"] == pytest.approx(2 / 6)


def test_validation_is_not_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    module = Slow(Clock(monkeypatch), [1.0, 1.0, 1.0, 1.0])

    rows = fit(ThroughputMonitor(every_n_steps=4), module, val=True, val_check_interval=2)

    assert rows.of("train/batches_per_sec") == [(4, 1.0)]


def test_items_flops_and_sizes_are_the_users(monkeypatch: pytest.MonkeyPatch) -> None:
    module = Slow(Clock(monkeypatch), [0.5, 0.5])
    module.flops_per_batch = 30.0  # type: ignore[assignment]
    monitor = ThroughputMonitor(
        batch_size_fn=lambda batch: 10,
        length_fn=lambda batch: 70,
        available_flops=600.0,
        separator=".",
        every_n_steps=2,
    )

    rows = fit(monitor, module)

    assert {key: value for row in rows.rows for key, value in row.metrics.items() if key.startswith("train.")} == {
        "train.batches_per_sec": 2.0,
        "train.samples_per_sec": 20.0,
        "train.items_per_sec": 140.0,
        "train.device.batches_per_sec": 2.0,
        "train.device.samples_per_sec": 20.0,
        "train.device.items_per_sec": 140.0,
        "train.device.flops_per_sec": 60.0,
        "train.device.mfu": 0.1,
    }


def test_several_processes_make_the_sum(monkeypatch: pytest.MonkeyPatch) -> None:
    clock, monitor = Clock(monkeypatch), ThroughputMonitor(every_n_steps=1)
    one_of_two: Any = SimpleNamespace(
        world_size=2,
        global_step=0,
        is_global_zero=False,
        progress=SimpleNamespace(samples=0, batches=0),
    )
    monitor.on_train_start(one_of_two, Regression())
    clock.now, one_of_two.global_step = 2.0, 1
    one_of_two.progress = SimpleNamespace(samples=40, batches=1)
    monitor.on_train_batch_end(one_of_two, Regression(), None, None, 0)

    assert monitor.rates == {
        "train/batches_per_sec": 1.0,
        "train/samples_per_sec": 20.0,
        "train/device/batches_per_sec": 0.5,
        "train/device/samples_per_sec": 10.0,
    }


def test_a_second_fit_starts_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    clock, monitor = Clock(monkeypatch), ThroughputMonitor(every_n_steps=2)
    fit(monitor, Slow(clock, [1.0, 1.0]))
    clock.now += 1000.0

    rows = fit(monitor, Slow(clock, [0.5, 0.5]))

    assert rows.of("train/batches_per_sec") == [(2, 2.0)]


def test_settings_that_make_no_sense_are_refused() -> None:
    with pytest.raises(ValueError, match="window_size must be at least 2 batches, got 1"):
        ThroughputMonitor(window_size=1)
    with pytest.raises(ValueError, match="every_n_steps"):
        ThroughputMonitor(every_n_steps=0)
