"""The progress bar: a bar in a terminal, plain lines elsewhere."""

import copy
import io
import math
import pickle
import re
import sys
from types import SimpleNamespace
from typing import Any

import pytest

from lit_core import ProgressBar
from lit_core.callbacks import TQDMProgressBar, progress_bar
from lit_core.callbacks._displays import draws
from tests.lit_core.tiny import Regression, loader, trainer


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


class Shown(Regression):
    """Logs its losses to the bar."""

    def training_step(self, batch: Any, batch_idx: int) -> Any:
        loss = self.loss(batch)
        self.log("loss", loss, prog_bar=True)
        self.log("hidden", loss)
        return loss


def fit(bar: ProgressBar, module: Regression | None = None, *, n: int = 8, val: Any = None, **settings: Any) -> Any:
    run = trainer(enable_progress_bar=True, callbacks=bar, **settings)
    run.fit(module or Shown(), loader(n, 2), val)
    return run


class Clock:
    """Time that passes only when told, or by a step at each look."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, step: float = 0.0) -> None:
        self.now, self.step = 100.0, step
        monkeypatch.setattr(progress_bar, "time", SimpleNamespace(monotonic=self.read))

    def read(self) -> float:
        self.now += self.step
        return self.now


def test_in_a_terminal_one_bar_an_epoch_shows_batches_and_the_values_that_asked_for_it() -> None:
    stream = Terminal()

    fit(ProgressBar(refresh_s=0.0, stream=stream), max_epochs=2)

    text = stream.getvalue()
    for epoch in ("Epoch 1/2", "Epoch 2/2"):
        assert re.search(rf"{epoch} +100%\|.*\| 4/4 \[.*loss=", text)
    assert "hidden" not in text
    assert text.endswith("\n")


def test_without_a_terminal_lines_are_plain() -> None:
    stream = io.StringIO()

    fit(ProgressBar(line_s=0.0, stream=stream))

    lines = stream.getvalue().splitlines()
    assert [re.sub(r"[\d.e+]+ it/s", "R it/s", line).partition("  loss=")[0] for line in lines[:4]] == [
        f"Epoch 1/1  batch {batch}/4  R it/s" for batch in (1, 2, 3, 4)
    ]
    assert "\r" not in stream.getvalue()
    assert "hidden" not in stream.getvalue()


def test_it_refreshes_by_time_and_not_by_batch(monkeypatch: pytest.MonkeyPatch) -> None:
    stream, clock, looks = io.StringIO(), Clock(monkeypatch), []
    bar = ProgressBar(line_s=10.0, stream=stream)

    class Slow(Shown):
        def training_step(self, batch: Any, batch_idx: int) -> Any:
            clock.now += 1.0
            looks.append(stream.getvalue().count("\n"))
            return super().training_step(batch, batch_idx)

    fit(bar, Slow(), n=70)  # 35 batches of one second each

    assert looks == [0] * 10 + [1] * 10 + [2] * 10 + [3] * 5
    assert [re.search(r"batch (\d+)/35", line)[1] for line in stream.getvalue().splitlines()] == [  # type: ignore[index]
        "10",
        "20",
        "30",
        "35",
    ]


def test_the_rate_is_batches_by_seconds(monkeypatch: pytest.MonkeyPatch) -> None:
    stream, clock = io.StringIO(), Clock(monkeypatch)

    class Slow(Shown):
        def training_step(self, batch: Any, batch_idx: int) -> Any:
            clock.now += 0.5
            return super().training_step(batch, batch_idx)

    fit(ProgressBar(stream=stream), Slow())

    assert "  2.0 it/s  " in stream.getvalue()


def test_the_time_of_validations_does_not_slow_the_rate(monkeypatch: pytest.MonkeyPatch) -> None:
    stream, clock = io.StringIO(), Clock(monkeypatch)

    class Slow(Shown):
        def training_step(self, batch: Any, batch_idx: int) -> Any:
            clock.now += 0.5
            return super().training_step(batch, batch_idx)

        def validation_step(self, batch: Any, batch_idx: int) -> None:
            clock.now += 50.0

    fit(ProgressBar(line_s=0.0, stream=stream), Slow(), val=loader(4, 2), val_check_interval=2)

    assert re.findall(r"batch \d/4  ([\d.]+) it/s", stream.getvalue()) == ["2.0"] * 9


def test_values_are_read_only_when_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    clock, reads = Clock(monkeypatch), []
    run = trainer(enable_progress_bar=True, callbacks=ProgressBar(stream=io.StringIO(), line_s=10.0))
    original = type(run).progress_bar_metrics.fget  # type: ignore[attr-defined]

    def counted(self: Any) -> Any:
        reads.append(self.progress.batch)
        return original(self)

    monkeypatch.setattr(type(run), "progress_bar_metrics", property(counted))

    class Slow(Shown):
        def training_step(self, batch: Any, batch_idx: int) -> Any:
            clock.now += 1.0
            return super().training_step(batch, batch_idx)

    run.fit(Slow(), loader(50, 2))

    assert reads == [10, 20, 25]


def test_validation_inside_training_is_a_note_in_the_line_of_the_epoch() -> None:
    stream = Terminal()

    fit(ProgressBar(refresh_s=0.0, stream=stream), val=loader(4, 2))

    text = stream.getvalue()
    assert "validating 1/2" in text
    assert "validating 2/2" in text
    assert "Validating" not in text
    assert text.count("Epoch 1/1   0%") == 1


def test_the_sanity_check_shows_nothing() -> None:
    stream = io.StringIO()
    settings = {"num_sanity_val_steps": 2, "limit_train_batches": 0}

    fit(ProgressBar(line_s=0.0, stream=stream), val=loader(4, 2), **settings)

    assert "alidating" not in stream.getvalue()


@pytest.mark.parametrize(
    ("stage", "label"), [("validate", "Validating"), ("test", "Testing"), ("predict", "Predicting")]
)
@pytest.mark.parametrize("stream", [io.StringIO, Terminal])
def test_other_stages_have_a_line_of_their_own(stage: str, label: str, stream: Any) -> None:
    written = stream()
    run = trainer(enable_progress_bar=True, callbacks=ProgressBar(refresh_s=0.0, line_s=0.0, stream=written))

    getattr(run, stage)(Regression(), loader(6, 2))

    assert re.search(rf"{label}.*3/3", written.getvalue())
    assert "Epoch" not in written.getvalue()


def test_an_epoch_of_unknown_length_has_no_end_to_show() -> None:
    for stream in (Terminal(), io.StringIO()):
        run = trainer(
            enable_progress_bar=True,
            callbacks=ProgressBar(refresh_s=0.0, line_s=0.0, stream=stream),
            max_epochs=-1,
            max_steps=3,
        )
        run.fit(Shown(), (batch for batch in loader()))
        assert re.search(r"Epoch 1\b(?!/)", stream.getvalue())
        assert re.search(r"batch 3/\?|3/\?", stream.getvalue())


def test_only_the_process_that_writes_shows_anything() -> None:
    stream = Terminal()
    bar = ProgressBar(refresh_s=0.0, stream=stream)
    other: Any = SimpleNamespace(
        is_global_zero=False,
        max_epochs=2,
        current_epoch=0,
        should_stop=False,
        num_training_batches=4,
        num_evaluation_batches=2,
        progress=SimpleNamespace(batch=0),
        stage="fit",
        sanity_checking=False,
        progress_bar_metrics={},
    )

    bar.on_train_epoch_start(other, Shown())
    bar.on_train_batch_end(other, Shown(), None, None, 0)
    bar.on_validation_start(other, Shown())
    bar.on_validation_batch_end(other, Shown(), None, None, 0)
    bar.on_validation_end(other, Shown())
    bar.on_train_epoch_end(other, Shown())

    assert stream.getvalue() == ""


def test_an_exception_closes_the_bar() -> None:
    stream = Terminal()

    class Failing(Shown):
        def training_step(self, batch: Any, batch_idx: int) -> Any:
            if batch_idx == 2:
                raise ZeroDivisionError
            return super().training_step(batch, batch_idx)

    with pytest.raises(ZeroDivisionError):
        fit(ProgressBar(refresh_s=0.0, stream=stream), Failing())

    assert stream.getvalue().endswith("\n")


def test_standard_error_is_the_stream_by_default(capsys: pytest.CaptureFixture[str]) -> None:
    fit(ProgressBar(line_s=0.0), enable_model_summary=False)

    captured = capsys.readouterr()
    assert "Epoch 1/1  batch 4/4" in captured.err
    assert captured.out == ""


class Rate(ProgressBar):
    def get_metrics(self, trainer: Any, module: Any) -> dict[str, Any]:
        return {
            "lr": trainer.optimizers[0].param_groups[0]["lr"],
            "note": "word",
            **super().get_metrics(trainer, module),
        }


def test_a_bar_of_a_user_shows_what_its_get_metrics_says() -> None:
    stream = io.StringIO()

    fit(Rate(line_s=0.0, stream=stream))

    assert re.search(r"it/s  lr=0\.1  note=word  loss=[\d.]+$", stream.getvalue().splitlines()[0])


def test_a_module_of_the_first_era_says_what_is_shown() -> None:
    class Says(Shown):
        def get_progress_bar_dict(self) -> dict[str, Any]:
            items: dict[str, Any] = super().get_progress_bar_dict()
            items.pop("loss", None)
            return {**items, "mine": 7}

    stream = io.StringIO()
    run = fit(ProgressBar(line_s=0.0, stream=stream), Says())

    assert stream.getvalue().splitlines()[0].endswith("it/s  mine=7")
    assert run.progress_bar_dict == {"mine": 7}


def test_by_the_name_of_later_versions_it_refreshes_every_so_many_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    stream = io.StringIO()
    monkeypatch.setattr("sys.stderr", stream)
    bar = TQDMProgressBar(refresh_rate=3)
    monkeypatch.setattr(bar, "line_s", 0.0)

    fit(bar, n=16)

    assert re.findall(r"batch (\d)/8", stream.getvalue()) == ["3", "6", "8"]


@pytest.mark.parametrize("stream", [io.StringIO, Terminal])
def test_a_rate_of_zero_shows_nothing(stream: Any) -> None:
    written = stream()

    fit(ProgressBar(line_s=0.0, refresh_s=0.0, stream=written, refresh_rate=0), val=loader(4, 2))

    assert written.getvalue() == ""
    with pytest.raises(ValueError, match="got -1"):
        TQDMProgressBar(refresh_rate=-1)


@pytest.mark.parametrize(("leave", "lines"), [(True, 3), (False, 1)])
def test_bars_of_epochs_stay_or_take_each_others_place(leave: bool, lines: int) -> None:
    stream = Terminal()

    fit(ProgressBar(refresh_s=0.0, stream=stream, leave=leave), max_epochs=3)

    assert stream.getvalue().count("\n") == lines
    assert re.search(r"Epoch 3/3 +100%\|.*\| 4/4 \[.*loss=", stream.getvalue())


def test_in_a_notebook_there_is_a_bar_though_nothing_is_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    stream = io.StringIO()
    monkeypatch.setattr("sys.stderr", stream)
    assert not draws(stream)
    shell = SimpleNamespace(kernel=object())
    monkeypatch.setitem(sys.modules, "IPython", SimpleNamespace(get_ipython=lambda: shell))

    fit(ProgressBar(refresh_s=0.0))

    assert re.search(r"Epoch 1/1 +100%\|", stream.getvalue())
    assert not draws(io.StringIO())


@pytest.mark.parametrize("copied", [copy.deepcopy, lambda bar: pickle.loads(pickle.dumps(bar))])
def test_a_copy_for_another_process_has_no_bar(copied: Any) -> None:
    bar = ProgressBar(refresh_s=0.5, line_s=math.inf)
    fit(bar)

    other = copied(bar)

    assert (other.refresh_s, other.line_s) == (0.5, math.inf)
