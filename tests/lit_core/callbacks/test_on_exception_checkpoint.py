"""OnExceptionCheckpoint: what is on disk after a failure."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from lit_core.callbacks import OnExceptionCheckpoint
from tests.lit_core.tiny import Regression, loader, same, trainer, weights


class Failing(Regression):
    """Fails in its n-th training batch."""

    def __init__(self, at: int = 5, **options: Any) -> None:
        super().__init__(**options)
        self.at = at

    def training_step(self, batch: Any, batch_idx: int) -> Any:
        if self.trainer.progress.batches == self.at:
            raise ArithmeticError("broken batch")
        return super().training_step(batch, batch_idx)


def test_a_failure_leaves_the_weights_and_the_clock_of_the_last_complete_batch(tmp_path: Path) -> None:
    module = Failing()
    callback = OnExceptionCheckpoint(tmp_path, filename="after")

    with pytest.raises(ArithmeticError, match="broken batch"):
        trainer(max_epochs=2, callbacks=callback).fit(module, loader(8, 2))

    saved = torch.load(tmp_path / "after.ckpt", weights_only=True)
    assert saved["global_step"] == 5
    assert same(saved["state_dict"], weights(module))


def test_the_run_can_go_on_from_it(tmp_path: Path) -> None:
    torch.manual_seed(0)
    whole = Failing(-1)
    trainer(max_epochs=2, callbacks=OnExceptionCheckpoint(tmp_path)).fit(whole, loader(8, 2))
    torch.manual_seed(0)
    callback = OnExceptionCheckpoint(tmp_path)
    with pytest.raises(ArithmeticError):
        trainer(max_epochs=2, callbacks=callback).fit(Failing(), loader(8, 2))

    rest = Failing(-1)
    trainer(max_epochs=2, callbacks=OnExceptionCheckpoint(tmp_path)).fit(
        rest, loader(8, 2), ckpt_path=callback.ckpt_path
    )

    assert same(weights(rest), weights(whole))


def test_without_a_failure_nothing_is_written(tmp_path: Path) -> None:
    trainer(callbacks=OnExceptionCheckpoint(tmp_path / "kept")).fit(Regression(), loader(4, 2))

    assert not (tmp_path / "kept").exists()


def test_a_failure_of_another_stage_is_not_saved(tmp_path: Path) -> None:
    class Broken(Regression):
        def validation_step(self, batch: Any, batch_idx: int) -> None:
            raise ArithmeticError

    with pytest.raises(ArithmeticError):
        trainer(callbacks=OnExceptionCheckpoint(tmp_path / "kept")).validate(Broken(), loader(4, 2))

    assert not (tmp_path / "kept").exists()


def test_if_saving_fails_too_the_first_exception_goes_on(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("no folder")

    with pytest.warns(UserWarning, match="could not save"), pytest.raises(ArithmeticError, match="broken batch"):
        trainer(max_epochs=2, callbacks=OnExceptionCheckpoint(tmp_path / "file")).fit(Failing(), loader(8, 2))


def test_with_several_processes_it_says_that_it_saves_nothing(tmp_path: Path) -> None:
    one_of_two: Any = SimpleNamespace(stage="fit", world_size=2)

    with pytest.warns(UserWarning, match="saves nothing with several processes"):
        OnExceptionCheckpoint(tmp_path).on_exception(one_of_two, Regression(), ArithmeticError())


def test_a_file_needs_a_name(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="filename must not be empty"):
        OnExceptionCheckpoint(tmp_path, filename="")
