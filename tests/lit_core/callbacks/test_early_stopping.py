"""EarlyStopping against the rule of patience written out by hand."""

import math
import random
from pathlib import Path
from typing import Any

import pytest

from lit_core import EarlyStopping
from tests.lit_core.tiny import Regression, loader, trainer


class Scripted(Regression):
    """Logs given values, one at each validation or at the end of each training epoch."""

    def __init__(self, values: list[float], *, where: str = "val") -> None:
        super().__init__()
        self.values, self.where, self.position = values, where, 0

    def _next(self) -> None:
        self.log("score", self.values[min(self.position, len(self.values) - 1)])
        self.position += 1

    def on_validation_epoch_end(self) -> None:
        if self.where == "val" and not self.trainer.sanity_checking:
            self._next()

    def on_train_epoch_end(self) -> None:
        if self.where == "train":
            self._next()


def stops_after(values: list[float], *, mode: str, patience: int, min_delta: float) -> int:
    """Number of values seen when the rule says stop; all of them if it does not."""
    best, bad = None, 0
    for seen, value in enumerate(values, start=1):
        gain = math.inf if best is None else (best - value if mode == "min" else value - best)
        if gain > min_delta:
            best, bad = value, 0
        else:
            bad += 1
            if bad >= patience:
                return seen
    return len(values)


def run(values: list[float], *, where: str = "val", **options: Any) -> tuple[int, EarlyStopping, Any]:
    """Epochs that ran, the callback and the Trainer."""
    callback = EarlyStopping("score", **options)
    module, fitting = Scripted(values, where=where), trainer(max_epochs=len(values), callbacks=callback)
    fitting.fit(module, loader(2, 2), loader(2, 2))
    return module.position, callback, fitting


@pytest.mark.parametrize("seed", range(8))
def test_it_stops_where_the_rule_of_patience_says_over_random_values(seed: int) -> None:
    draw = random.Random(seed)
    mode, patience = draw.choice(["min", "max"]), draw.randint(1, 3)
    min_delta = draw.choice([0.0, 0.25, 1.0])
    values = [draw.randint(0, 8) / 4 for _ in range(12)]

    epochs, callback, fitting = run(
        values, where=draw.choice(["val", "train"]), mode=mode, patience=patience, min_delta=min_delta
    )

    expected = stops_after(values, mode=mode, patience=patience, min_delta=min_delta)
    assert epochs == expected
    assert (fitting.stop_reason is None) == (callback.stopping_reason is None)
    if expected < len(values):
        assert fitting.stop_reason == f"EarlyStopping: {callback.stopping_reason}"
        assert callback.stopped_epoch == expected - 1


def test_an_improvement_is_more_than_min_delta_and_its_sign_does_not_matter() -> None:
    values = [1.0, 0.75, 0.5, 0.25, 0.0]

    assert run(values, patience=2, min_delta=0.25)[0] == 5  # 0.5 is better than 1.0 by 0.5; 0.75 was not enough
    assert run(values, patience=1, min_delta=0.25)[0] == 2
    assert run(values, patience=1, min_delta=-0.2)[0] == 5


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
def test_what_is_not_finite_stops_at_once_unless_told_otherwise(bad: float) -> None:
    epochs, callback, _ = run([3.0, 2.0, bad, 1.0], patience=9)

    assert (epochs, callback.stopping_reason) == (3, f"score is {bad}")
    assert run([3.0, 2.0, bad, 1.0], patience=9, check_finite=False)[0] == 4


def test_nan_is_no_improvement_when_it_is_let_through() -> None:
    epochs, callback, _ = run([2.0, math.nan, math.nan, 1.0], patience=2, check_finite=False)

    assert (epochs, callback.best_score) == (3, 2.0)


@pytest.mark.parametrize(
    ("options", "values", "epochs"),
    [
        ({"stopping_threshold": 1.0}, [3.0, 1.0, 0.5, 0.1], 3),  # reaching it is not passing it
        ({"stopping_threshold": 1.0, "mode": "max"}, [0.5, 1.5, 2.0], 2),
        ({"divergence_threshold": 5.0}, [3.0, 5.0, 6.0, 1.0], 3),
        ({"divergence_threshold": 0.5, "mode": "max"}, [3.0, 0.4, 1.0], 2),
    ],
)
def test_thresholds_stop_at_once_when_passed(options: dict[str, Any], values: list[float], epochs: int) -> None:
    assert run(values, patience=9, **options)[0] == epochs


def test_a_value_counts_once_however_often_it_is_looked_at() -> None:
    callback = EarlyStopping("score", patience=2)
    module = Scripted([1.0, 1.0, 1.0, 1.0])

    trainer(max_epochs=9, callbacks=callback, check_val_every_n_epoch=2).fit(module, loader(2, 2), loader(2, 2))

    assert (module.position, module.current_epoch) == (3, 6)


def test_the_sanity_check_is_not_looked_at() -> None:
    callback = EarlyStopping("val_loss", patience=1, stopping_threshold=math.inf)
    fitting = trainer(max_epochs=3, callbacks=callback, num_sanity_val_steps=2)

    fitting.fit(Regression(), loader(2, 2), loader(2, 2))

    assert fitting.current_epoch == 1  # stopped by the first real validation, not before it


def test_a_quantity_that_was_not_logged_is_an_error_that_names_what_was() -> None:
    with pytest.raises(RuntimeError, match=r"watches 'accuracy', which was not logged.*'val_loss'"):
        trainer(callbacks=EarlyStopping("accuracy")).fit(Regression(), loader(2, 2), loader(2, 2))
    trainer(callbacks=EarlyStopping("accuracy", strict=False)).fit(Regression(), loader(2, 2))


def test_a_validation_that_is_still_to_come_is_waited_for() -> None:
    fitting = trainer(max_epochs=4, check_val_every_n_epoch=2, callbacks=EarlyStopping("val_loss", patience=9))

    fitting.fit(Regression(), loader(2, 2), loader(2, 2))

    assert fitting.current_epoch == 4


def test_the_minimum_of_epochs_comes_first() -> None:
    fitting = trainer(max_epochs=9, min_epochs=5, callbacks=EarlyStopping("score", patience=1))

    fitting.fit(Scripted([1.0]), loader(2, 2), loader(2, 2))

    assert fitting.current_epoch == 5


def test_after_a_resume_it_goes_on_waiting(tmp_path: Path) -> None:
    values = [3.0, 2.0, 2.5, 2.5, 2.5]
    first = trainer(max_epochs=3, callbacks=EarlyStopping("score", patience=3))
    first.fit(Scripted(values[:3]), loader(2, 2), loader(2, 2))
    first.save_checkpoint(tmp_path / "a.ckpt")

    callback, module = EarlyStopping("score", patience=3), Scripted(values[3:])
    again = trainer(max_epochs=9, callbacks=callback)
    again.fit(module, loader(2, 2), loader(2, 2), ckpt_path=tmp_path / "a.ckpt")

    assert (again.current_epoch, callback.best_score, callback.wait_count) == (5, 2.0, 3)


def test_it_says_what_it_does_if_asked(capsys: pytest.CaptureFixture[str]) -> None:
    run([2.0, 1.0, 1.5], patience=1, verbose=True)

    assert capsys.readouterr().out.splitlines() == [
        "EarlyStopping: score improved to 2",
        "EarlyStopping: score improved to 1",
        "EarlyStopping: score did not improve on 1 for 1 checks",
    ]


@pytest.mark.parametrize(("options", "message"), [({"mode": "best"}, "'best'"), ({"patience": -1}, "-1")])
def test_settings_that_make_no_sense_are_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        EarlyStopping("score", **options)


def test_a_stopped_run_stays_stopped_when_it_is_resumed_and_goes_on_with_more_patience(tmp_path) -> None:
    def run(patience: int, ckpt_path=None):
        stopping = EarlyStopping("loss_of_epoch", patience=patience, min_delta=1e9)
        run = trainer(max_epochs=20, callbacks=[stopping], default_root_dir=tmp_path)
        run.fit(Logging(), loader(), ckpt_path=ckpt_path)
        return run

    first = run(patience=2)
    first.save_checkpoint(tmp_path / "end.ckpt")
    epochs = first.current_epoch
    assert epochs < 20
    assert run(2, tmp_path / "end.ckpt").current_epoch == epochs
    assert run(4, tmp_path / "end.ckpt").current_epoch == epochs + 2


class Logging(Regression):
    def training_step(self, batch, batch_idx):
        loss = super().training_step(batch, batch_idx)
        self.log("loss_of_epoch", loss, on_step=False, on_epoch=True)
        return loss
