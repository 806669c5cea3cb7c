"""Timer with a clock that passes only when told."""

from datetime import timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from lit_core.callbacks import Timer, timer
from tests.lit_core.tiny import Regression, loader
from tests.lit_core.tiny import trainer as make_trainer


class Clock:
    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = 100.0
        monkeypatch.setattr(timer, "time", SimpleNamespace(monotonic=lambda: self.now))


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    return Clock(monkeypatch)


class Slow(Regression):
    """One second for each training batch, three for each validation batch."""

    def __init__(self, clock: Clock) -> None:
        super().__init__()
        self.clock = clock

    def training_step(self, batch: Any, batch_idx: int) -> Any:
        self.clock.now += 1.0
        return super().training_step(batch, batch_idx)

    def validation_step(self, batch: Any, batch_idx: int) -> None:
        self.clock.now += 3.0
        super().validation_step(batch, batch_idx)

    def test_step(self, batch: Any, batch_idx: int) -> None:
        self.clock.now += 5.0


def test_every_stage_has_a_time_of_its_own(clock: Clock) -> None:
    callback = Timer()
    run = make_trainer(max_epochs=2, callbacks=callback, num_sanity_val_steps=1)

    run.fit(Slow(clock), loader(8, 2), loader(4, 2))
    run.test(Slow(clock), loader(2, 2), verbose=False)

    assert callback.time_elapsed("train") == 2 * (4 + 2 * 3)
    assert callback.time_elapsed("validate") == 2 * 2 * 3
    assert callback.time_elapsed("sanity_check") == 3
    assert callback.time_elapsed("test") == 5
    assert callback.time_elapsed("predict") == 0
    assert (callback.start_time("train"), callback.end_time("train")) == (103.0, 123.0)
    assert callback.time_remaining() is None


@pytest.mark.parametrize(
    ("duration", "interval", "batches"),
    [
        ("2.5s", "step", 3),
        (timedelta(seconds=5), "epoch", 8),
        ({"seconds": 4}, "epoch", 4),
        ("00:00:01:00", "step", 12),
    ],
)
def test_training_stops_when_time_is_up(
    clock: Clock, duration: Any, interval: Any, batches: int, capsys: pytest.CaptureFixture[str]
) -> None:
    callback = Timer(duration, interval)
    run = make_trainer(max_epochs=3, callbacks=callback)

    run.fit(Slow(clock), loader(8, 2))

    assert run.progress.batches == batches
    assert (run.stop_reason is not None) == (batches < 12)
    assert ("Timer: " in capsys.readouterr().out) == (batches < 12)


def test_time_goes_on_in_a_resumed_run(clock: Clock, tmp_path: Path) -> None:
    first = make_trainer(max_epochs=1, callbacks=Timer("10s"))
    first.fit(Slow(clock), loader(8, 2))
    first.save_checkpoint(tmp_path / "half.ckpt")
    clock.now += 1000.0

    callback = Timer("10s", verbose=False)
    second = make_trainer(max_epochs=9, callbacks=callback)
    second.fit(Slow(clock), loader(8, 2), ckpt_path=tmp_path / "half.ckpt")

    assert second.progress.batches == 10
    assert callback.time_elapsed() == 10.0
    assert callback.time_remaining() == 0.0


def test_a_resumed_run_without_time_left_trains_no_batch(clock: Clock, tmp_path: Path) -> None:
    first = make_trainer(max_epochs=1, callbacks=Timer("4s"))
    first.fit(Slow(clock), loader(8, 2))
    first.save_checkpoint(tmp_path / "half.ckpt")

    second = make_trainer(max_epochs=9, callbacks=Timer("4s", verbose=False))
    second.fit(Slow(clock), loader(8, 2), ckpt_path=tmp_path / "half.ckpt")

    assert second.progress.batches == 4


def test_a_failure_stops_the_watch(clock: Clock) -> None:
    class Failing(Slow):
        def training_step(self, batch: Any, batch_idx: int) -> Any:
            if batch_idx == 2:
                raise ArithmeticError
            return super().training_step(batch, batch_idx)

    callback = Timer()
    with pytest.raises(ArithmeticError):
        make_trainer(callbacks=callback).fit(Failing(clock), loader(8, 2))
    clock.now += 50.0

    assert callback.time_elapsed() == 2.0


def test_what_is_no_duration_or_interval_is_refused() -> None:
    with pytest.raises(ValueError, match="duration is a positive duration"):
        Timer("soon")
    with pytest.raises(ValueError, match="interval is 'step' or 'epoch', got 'batch'"):
        Timer(interval="batch")  # type: ignore[arg-type]
