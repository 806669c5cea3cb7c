"""Keys that somebody watches and nobody logs."""

from typing import Any

import torch
from torch.optim.lr_scheduler import ReduceLROnPlateau

from lit_core import Callback, EarlyStopping, ModelCheckpoint
from lit_core.checking import Finding, check
from tests.lit_core.tiny import QUIET, Regression, loader, trainer


def found(*callbacks: Callback, module: Regression | None = None, val: bool = True, **settings: Any) -> list[Finding]:
    keeps = any(isinstance(callback, ModelCheckpoint) for callback in callbacks)
    run = trainer(callbacks=list(callbacks), enable_checkpointing=keeps, **settings)
    report = check(run, module or Regression(), loader(), loader() if val else None)
    return [finding for finding in report.findings if "watches" in finding.what]


def test_a_key_that_nobody_logs_is_an_error_that_names_the_near_one() -> None:
    (finding,) = found(EarlyStopping("val_los"))

    assert finding.severity == "error"
    assert "EarlyStopping watches 'val_los'" in finding.what
    assert finding.fix == "did you mean 'val_loss'?"


def test_keys_that_are_logged_are_fine(tmp_path: Any) -> None:
    keeper = ModelCheckpoint(tmp_path, filename="{epoch}-{step}-{val_loss:.2f}", monitor="loss_epoch")

    assert found(EarlyStopping("val_loss"), keeper) == []
    assert QUIET["max_epochs"] == 1


def test_without_validation_data_nobody_logs_its_keys() -> None:
    (finding,) = found(EarlyStopping("val_loss"), val=False)

    assert finding.severity == "error"


def test_a_key_in_a_file_name_is_needed_too(tmp_path: Any) -> None:
    (finding,) = found(ModelCheckpoint(tmp_path, filename="{epoch}-{acc:.2f}"))

    assert "'acc'" in finding.what


def test_what_the_watcher_tolerates_or_a_callback_may_log_is_a_warning() -> None:
    class Logs(Callback):
        """Of a user."""

    (tolerant,) = found(EarlyStopping("acc", strict=False))
    (perhaps,) = found(EarlyStopping("acc"), Logs())

    assert (tolerant.severity, perhaps.severity) == ("warning", "warning")
    assert "perhaps Logs does" in perhaps.what


class Plateau(Regression):
    def __init__(self, monitor: str) -> None:
        super().__init__()
        self.monitor = monitor

    def configure_optimizers(self) -> Any:
        optimizer = torch.optim.SGD(self.parameters(), lr=self.lr)
        scheduler = {"scheduler": ReduceLROnPlateau(optimizer), "monitor": self.monitor, "interval": "step"}
        return {"optimizer": optimizer, "lr_scheduler": scheduler}


def test_a_scheduler_watches_too() -> None:
    (finding,) = found(module=Plateau("val_losss"))

    assert finding.severity == "error"
    assert finding.what.startswith("ReduceLROnPlateau watches 'val_losss'")
    assert found(module=Plateau("val_loss")) == []
