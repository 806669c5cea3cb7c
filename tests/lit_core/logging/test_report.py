"""When rows leave, with which coordinates, and what callbacks, loggers and the bar are shown."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from lit_core import Callback
from tests.lit_core.tiny import Regression, Rows, loader, trainer


class Logs(Regression):
    def training_step(self, batch: Any, batch_idx: int) -> Any:
        loss = super().training_step(batch, batch_idx)
        self.log("number", float(self.trainer.progress.batches), prog_bar=True)
        self.log("hidden", 1.0, logger=False)
        return loss

    def validation_step(self, batch: Any, batch_idx: int) -> None:
        self.log("val", float(batch_idx), prog_bar=True)


@pytest.mark.parametrize(("every", "accumulate"), [(1, 1), (3, 1), (2, 2)])
def test_step_rows_come_at_multiples_with_the_value_of_that_step(every: int, accumulate: int) -> None:
    rows = Rows()
    runner = trainer(max_epochs=2, logger=rows, log_every_n_steps=every, accumulate_grad_batches=accumulate)
    runner.fit(Logs(), loader(10, 2))
    per_epoch = -(-5 // accumulate)
    steps = [s for s in range(1, 2 * per_epoch + 1) if s % every == 0]
    batches = [5 * ((s - 1) // per_epoch) + min(((s - 1) % per_epoch + 1) * accumulate, 5) for s in steps]
    assert rows.of("number") == [(s, float(b - 1)) for s, b in zip(steps, batches, strict=True)]


def test_rows_carry_every_coordinate_of_the_moment() -> None:
    rows = Rows()
    trainer(max_epochs=2, logger=rows, log_every_n_steps=2, val_check_interval=3).fit(
        Logs(), loader(9, 2), loader(4, 2)
    )
    places = [(r.stage, r.step, r.epoch, r.batch, r.samples, sorted(r.metrics)) for r in rows.rows]
    step, epoch = ["loss_step", "number"], ["loss_epoch"]
    assert places == [
        ("train", 2, 0, 2, 4, step),
        ("validate", 3, 0, 3, 6, ["val"]),
        ("train", 4, 0, 4, 8, step),
        ("train", 5, 0, 5, 9, epoch),
        ("train", 6, 1, 1, 11, step),
        ("train", 8, 1, 3, 15, step),
        ("validate", 8, 1, 3, 15, ["val"]),
        ("train", 10, 1, 5, 18, step),
        ("train", 10, 1, 5, 18, epoch),
    ]
    times = [r.wall_time_s for r in rows.rows]
    assert all(a is not None for a in times)
    assert times == sorted(times)  # type: ignore[type-var]


def test_an_epoch_row_is_the_mean_over_samples() -> None:
    rows, module = Rows(), Logs()
    trainer(logger=rows).fit(module, loader(9, 2))
    expected = np.average([loss.double().item() for loss in module.losses], weights=[2, 2, 2, 2, 1])
    assert rows.of("loss_epoch") == [(5, pytest.approx(expected, rel=1e-14))]


def test_callback_metrics_hold_newest_values_under_row_names_and_bare_names() -> None:
    seen = []

    class Reads(Callback):
        def on_train_batch_end(self, trainer: Any, module: Any, outputs: Any, batch: Any, batch_idx: int) -> None:
            seen.append({key: float(value) for key, value in trainer.callback_metrics.items()})

    module = Logs()
    runner = trainer(callbacks=[Reads()], log_every_n_steps=1000)
    runner.fit(module, loader(6, 2), loader(4, 2))
    # Step values are there at once, without waiting for a row.
    assert [(s["number"], s["loss_step"]) for s in seen] == [(float(i), float(module.losses[i])) for i in range(3)]
    final = runner.callback_metrics
    assert set(final) == {"number", "hidden", "loss_step", "loss_epoch", "loss", "val"}
    assert final["loss"] == final["loss_epoch"]
    assert final["val"] == 0.5
    assert all(isinstance(value, torch.Tensor) for value in final.values())
    assert final["loss_epoch"].dtype == torch.float64


def test_logged_metrics_are_what_loggers_were_given_and_the_bar_shows_what_asked_for_it() -> None:
    rows = Rows()
    runner = trainer(logger=rows, log_every_n_steps=2)
    runner.fit(Logs(), loader(6, 2), loader(4, 2))
    assert set(runner.logged_metrics) == {"number", "loss_step", "loss_epoch", "val"}
    assert runner.logged_metrics["number"] == 1.0  # of step 2; step 3 is no multiple
    assert runner.progress_bar_metrics == {"number": 2.0, "val": 0.5}
    assert not any("hidden" in row.metrics for row in rows.rows)


def test_a_key_gets_a_new_version_with_every_new_value() -> None:
    versions = []

    class Reads(Callback):
        def on_validation_end(self, trainer: Any, module: Any) -> None:
            versions.append((trainer.metric_version("val"), trainer.metric_version("nothing")))

    trainer(callbacks=[Reads()], val_check_interval=2, num_sanity_val_steps=2).fit(Logs(), loader(), loader())
    assert versions == [(0, 0), (1, 0), (2, 0)]  # the sanity check is none


def test_without_a_logger_no_row_is_made_and_numbers_are_there_all_the_same() -> None:
    runner = trainer()
    runner.fit(Logs(), loader(), loader())
    assert runner.callback_metrics["val"] == 1.5


def test_a_value_that_is_logged_but_not_a_number_stays_visible() -> None:
    class Diverges(Logs):
        def validation_step(self, batch: Any, batch_idx: int) -> None:
            self.log("val", float("nan") if batch_idx == 1 else 1.0)

    rows = Rows()
    runner = trainer(logger=rows)
    runner.fit(Diverges(), loader(), loader())
    assert np.isnan(float(runner.callback_metrics["val"]))
    assert np.isnan(rows.of("val")[0][1])


def test_loggers_are_ended_with_what_became_of_the_run() -> None:
    class Fails(Logs):
        def on_train_epoch_end(self) -> None:
            raise ValueError("no")

    good, bad = Rows(), Rows()
    trainer(logger=good).fit(Logs(), loader())
    with pytest.raises(ValueError, match="no"):
        trainer(logger=bad).fit(Fails(), loader())
    assert (good.ended, bad.ended) == (["success"], ["failed"])


def test_what_callbacks_log_at_the_end_of_an_epoch_is_in_that_epoch() -> None:
    class Late(Callback):
        def on_train_epoch_end(self, trainer, module):
            module.log("late", float(trainer.current_epoch))
            seen.append(float(trainer.callback_metrics.get("late", -1)))

        def on_validation_epoch_end(self, trainer, module):
            module.log("late_val", 7.0)

    seen: list[float] = []
    run = trainer(max_epochs=3, callbacks=[Late()])
    run.fit(Regression(), loader(), loader())
    assert float(run.callback_metrics["late"]) == 2.0
    assert float(run.callback_metrics["late_val"]) == 7.0
    assert seen == [-1.0, 0.0, 1.0]


def test_step_values_in_evaluation_are_rows_by_batch_and_epoch_values_stay_apart() -> None:
    class Steps(Regression):
        def validation_step(self, batch, batch_idx):
            self.log("v", float(batch_idx), on_step=True, on_epoch=True)
            self.log("quiet", 1.0)

    rows = Rows()
    runner = trainer(logger=rows, max_epochs=2)
    runner.fit(Steps(), loader(2, 2), loader(6, 2))
    steps = [row for row in rows.rows if "v_step" in row.metrics]
    assert [(row.stage, row.step, row.evaluated, row.metrics) for row in steps] == [
        ("validate", 1 + number // 3, number, {"v_step": float(number % 3)}) for number in range(6)
    ]
    assert [row.metrics for row in rows.rows if "v_epoch" in row.metrics] == [{"v_epoch": 1.0, "quiet": 1.0}] * 2


@pytest.mark.parametrize(
    ("reduce_fx", "expected"),
    [
        (torch.median, 2.0),
        (lambda values: values.quantile(0.75), 3.0),
        (torch.max, 9.0),
        (sum, 15.0),
        (torch.mean, 3.0),
        (min, 0.0),
    ],
)
def test_values_are_reduced_by_functions_too(reduce_fx: Any, expected: float) -> None:
    numbers = (0.0, 1.0, 2.0, 3.0, 9.0)

    class Own(Regression):
        def validation_step(self, batch, batch_idx):
            self.log("v", torch.tensor(numbers[batch_idx]), reduce_fx=reduce_fx)

    assert trainer().validate(Own(), loader(10, 2), verbose=False) == [{"v": expected}]


def test_a_function_of_all_values_goes_on_after_a_resume_inside_the_epoch(tmp_path: Path) -> None:
    class Own(Regression):
        def training_step(self, batch, batch_idx):
            self.log("n", float(self.trainer.progress.batches), on_step=False, on_epoch=True, reduce_fx=torch.median)
            return self.loss(batch)

    first = trainer(max_steps=2)
    first.fit(Own(), loader(10, 2))
    first.save_checkpoint(tmp_path / "cut.ckpt")
    second = trainer(max_epochs=1)
    second.fit(Own(), loader(10, 2), ckpt_path=tmp_path / "cut.ckpt")
    assert second.callback_metrics["n"] == 2.0


def test_arguments_of_earlier_versions_are_accepted_and_others_refused() -> None:
    class Old(Regression):
        def validation_step(self, batch, batch_idx):
            self.log("v", 1.0, enable_graph=True, sync_dist_group=None, tbptt_reduce_fx=torch.mean)
            self.log("w", 1.0, on_epochs=True)

    with pytest.raises(TypeError, match=r"self\.log takes no argument 'on_epochs'"):
        trainer().validate(Old(), loader(4, 2), verbose=False)
