"""The progress bar that rich draws."""

import io
import re
import sys
from typing import Any

import pytest

from lit_core import LightningModule, Trainer
from lit_core.callbacks import RichProgressBar, RichProgressBarTheme
from tests.lit_core.callbacks.test_progress_bar import Shown, Terminal
from tests.lit_core.tiny import loader, trainer

pytest.importorskip("rich")


def fit(monkeypatch: pytest.MonkeyPatch, module: LightningModule | None = None, **options: Any) -> str:
    stream = Terminal()
    settings = options.pop("settings", {})
    with monkeypatch.context() as patch:
        patch.setattr(sys, "stderr", stream)
        bar = RichProgressBar(**{"console_kwargs": {"width": 110, "force_terminal": True}, **options})
        patch.setattr(bar, "refresh_s", 0.0)
        run = trainer(enable_progress_bar=True, enable_model_summary=False, callbacks=bar, **settings)
        run.fit(module or Shown(), loader(8, 2), loader(6, 2))
    return re.sub(r"\x1b\[[\d;?]*[A-Za-z]", "", stream.getvalue())


def test_epoch_bar_count_times_rate_and_values_stand_in_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    text = fit(monkeypatch, settings={"max_epochs": 2})

    for epoch in (1, 2):
        assert re.search(rf"Epoch {epoch}/2 ━+.* 4/4 00:00<00:00 +[\d.]+ it/s +loss=[\d.]+", text)


def test_a_validation_has_a_bar_below_that_goes_when_it_is_over(monkeypatch: pytest.MonkeyPatch) -> None:
    text = fit(monkeypatch)

    for count in ("1/3", "2/3", "3/3"):
        assert re.search(rf"validating ━+.* {count}", text)
    assert "validating" not in text[text.rindex("Epoch") :]


@pytest.mark.parametrize(("leave", "left"), [(True, 3), (False, 1)])
def test_bars_of_epochs_stay_or_take_each_others_place(leave: bool, left: int, monkeypatch: pytest.MonkeyPatch) -> None:
    text = fit(monkeypatch, leave=leave, settings={"max_epochs": 3})

    drawn = [line for line in text.splitlines() if " 4/4 " in line and "it/s" in line]
    assert {line.split()[1] for line in drawn} == {"1/3", "2/3", "3/3"}
    assert len(re.findall(r"Epoch \d/3[^\n\r]*\n(?=\r?Epoch|$)", text)) == left


def test_styles_and_formats_are_those_of_the_theme(monkeypatch: pytest.MonkeyPatch) -> None:
    theme = RichProgressBarTheme(metrics_format=".2e", metrics_text_delimiter=" | ")

    class Two(Shown):
        def training_step(self, batch: Any, batch_idx: int) -> Any:
            self.log("two", 2.0, prog_bar=True)
            return super().training_step(batch, batch_idx)

    assert re.search(r"two=2\.00e\+00 \| loss=\d\.\d\de", fit(monkeypatch, Two(), theme=theme))


def test_what_is_printed_stands_above_the_bar(monkeypatch: pytest.MonkeyPatch) -> None:
    class Prints(Shown):
        def on_train_batch_end(self, outputs: Any, batch: Any, batch_idx: int) -> None:
            self.print(f"printed in {batch_idx}")

    with monkeypatch.context() as patch:
        patch.setattr(sys, "stdout", io.StringIO())
        text = fit(monkeypatch, Prints())

    assert re.search(r"printed in 1 *\n.*Epoch 1/1", text)


def test_where_there_is_no_terminal_lines_are_plain(monkeypatch: pytest.MonkeyPatch) -> None:
    stream = io.StringIO()
    monkeypatch.setattr(sys, "stderr", stream)
    bar = RichProgressBar()
    monkeypatch.setattr(bar, "line_s", 0.0)

    trainer(enable_progress_bar=True, enable_model_summary=False, callbacks=bar).fit(Shown(), loader(8, 2))

    assert re.match(r"Epoch 1/1  batch 1/4  [\d.e+]+ it/s  loss=", stream.getvalue())


def test_an_end_that_nobody_knows_and_an_exception_leave_the_terminal_in_order(monkeypatch: pytest.MonkeyPatch) -> None:
    stream = Terminal()

    class Fails(Shown):
        def training_step(self, batch: Any, batch_idx: int) -> Any:
            if batch_idx == 2:
                raise ZeroDivisionError
            return super().training_step(batch, batch_idx)

    with monkeypatch.context() as patch:
        patch.setattr(sys, "stderr", stream)
        bar = RichProgressBar(console_kwargs={"width": 110, "force_terminal": True})
        patch.setattr(bar, "refresh_s", 0.0)
        run = Trainer(accelerator="cpu", logger=False, enable_checkpointing=False, callbacks=bar, max_steps=5)
        with pytest.raises(ZeroDivisionError):
            run.fit(Fails(), (batch for batch in loader(8, 2)))
        assert sys.stderr is stream

    assert "2/?" in stream.getvalue()
    assert stream.getvalue().rstrip("\n").endswith("\x1b[?25h")  # the cursor is shown again


def test_without_rich_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "rich", None)

    with pytest.raises(ModuleNotFoundError, match=r"lit-core\[rich\]"):
        RichProgressBar()
