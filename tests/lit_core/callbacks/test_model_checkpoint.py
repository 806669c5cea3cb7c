"""ModelCheckpoint: which files are there after which values, by hand."""

import threading
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import torch

from lit_core import ModelCheckpoint
from tests.lit_core.tiny import Regression, loader, same, trainer, weights


class Scripted(Regression):
    """Logs ``score``: one given value at the end of each validation."""

    def __init__(self, values: list[float]) -> None:
        super().__init__()
        self.values, self.position = values, 0

    def on_validation_epoch_end(self) -> None:
        if not self.trainer.sanity_checking:
            self.log("score", self.values[self.position])
            self.position += 1


def fit(saver: ModelCheckpoint, values: list[float], ckpt_path: Any = None, *, n: int = 2, **settings: Any) -> Any:
    run = trainer(**{"max_epochs": len(values), "enable_checkpointing": True, "callbacks": saver, **settings})
    module = Scripted(values)
    run.fit(module, loader(n, 2), loader(2, 2), ckpt_path=ckpt_path)
    return run, module


def files(folder: Path) -> set[str]:
    return {path.name for path in folder.glob("*.ckpt")}


def names(*epochs: int) -> set[str]:
    """One update an epoch."""
    return {f"epoch={epoch}-step={epoch + 1}.ckpt" for epoch in epochs}


VALUES = [5.0, 3.0, 4.0, 1.0, 2.0, 6.0]


@pytest.mark.parametrize(
    ("options", "kept", "best"),
    [
        ({}, {3, 5}, 3),
        ({"save_top_k": 2}, {3, 4, 5}, 3),
        ({"save_top_k": 2, "save_last": False}, {3, 4}, 3),
        ({"save_top_k": 3, "mode": "max"}, {0, 2, 5}, 5),
        ({"save_top_k": 2, "mode": "max", "save_last": False}, {0, 5}, 5),
        ({"save_top_k": -1}, {0, 1, 2, 3, 4, 5}, 3),
        ({"save_top_k": 0}, {5}, None),
        ({"every_n_epochs": 2}, {3, 5}, 3),
        ({"every_n_epochs": 3}, {2, 5}, 2),
    ],
)
def test_the_best_and_the_last_are_kept(tmp_path: Path, options: dict[str, Any], kept: set[int], best: Any) -> None:
    saver = ModelCheckpoint(tmp_path, monitor="score", **options)

    fit(saver, VALUES)

    assert files(tmp_path) == names(*kept)
    last = saver.last_model_path if options.get("save_last", True) else ""
    assert Path(last).name == ("epoch=5-step=6.ckpt" if last else "")
    if best is None:
        assert (saver.best_model_path, saver.best_model_score) == ("", None)
    else:
        assert {Path(saver.best_model_path).name} == names(best)
        assert saver.best_model_score == VALUES[best]
    in_order = list(saver.best_k_models.values())
    assert in_order == sorted(in_order, reverse=options.get("mode") == "max")


def test_without_a_monitor_the_newest_is_the_best(tmp_path: Path) -> None:
    saver = ModelCheckpoint(tmp_path, save_top_k=2)

    fit(saver, VALUES)

    assert files(tmp_path) == names(4, 5)
    assert Path(saver.best_model_path).name == "epoch=5-step=6.ckpt"


def test_nan_is_never_the_best(tmp_path: Path) -> None:
    saver = ModelCheckpoint(tmp_path, monitor="score")

    fit(saver, [2.0, float("nan"), 3.0])

    assert files(tmp_path) == names(0, 2)


def test_a_resumed_run_goes_on_keeping_what_the_first_kept(tmp_path: Path) -> None:
    first = ModelCheckpoint(tmp_path, monitor="score", save_top_k=2)
    fit(first, VALUES[:3])
    assert files(tmp_path) == names(1, 2)

    again = ModelCheckpoint(tmp_path, monitor="score", save_top_k=2)
    run, _ = fit(again, VALUES[3:], first.last_model_path, max_epochs=6)

    assert run.current_epoch == 6
    assert files(tmp_path) == names(3, 4, 5)
    assert again.best_model_score == 1.0


def test_a_resumed_run_knows_the_earlier_files_from_its_checkpoint_where_the_list_of_the_folder_is_lost(
    tmp_path: Path,
) -> None:
    first = ModelCheckpoint(tmp_path, monitor="score", save_top_k=2)
    fit(first, VALUES[:3])
    (tmp_path / "index.json").unlink()

    fit(ModelCheckpoint(tmp_path, monitor="score", save_top_k=2), VALUES[3:], first.last_model_path, max_epochs=6)

    # Epoch 1 was known and is superseded. Epoch 2, the file resumed from, cannot list itself: it is left alone.
    assert files(tmp_path) == names(2, 3, 4, 5)


def test_a_resumed_run_whose_folder_was_given_by_default_keeps_the_old_best(tmp_path: Path) -> None:
    settings: dict[str, Any] = {"default_root_dir": tmp_path}
    fit(ModelCheckpoint(monitor="score"), [1.0, 2.0], **settings)

    saver = ModelCheckpoint(monitor="score")
    fit(saver, [3.0, 4.0], "last", max_epochs=4, **settings)

    assert files(tmp_path / "checkpoints") == names(0, 3)
    assert saver.best_model_score == 1.0


def test_what_is_saved_are_the_weights_and_counters_of_that_moment(tmp_path: Path) -> None:
    at_end: list[Any] = []

    class Noting(Scripted):
        def on_train_epoch_end(self) -> None:
            at_end.append((weights(self), self.global_step))

    saver = ModelCheckpoint(tmp_path, monitor="score", save_top_k=-1)
    trainer(max_epochs=2, enable_checkpointing=True, callbacks=saver).fit(
        Noting([1.0, 2.0]), loader(4, 2), loader(2, 2)
    )

    for epoch, (state, step) in enumerate(at_end):
        saved = torch.load(tmp_path / f"epoch={epoch}-step={step}.ckpt", weights_only=True)
        assert same(saved["state_dict"], state)
        assert (saved["epoch"], saved["global_step"]) == (epoch, step)


@pytest.mark.parametrize(("every", "n", "kept"), [(2, 10, {2, 4}), (3, 10, {3}), (4, 6, {4}), (7, 6, set())])
def test_every_so_many_updates(tmp_path: Path, every: int, n: int, kept: set[int]) -> None:
    """``n`` samples are ``n / 2`` updates an epoch; with several epochs the count goes on."""
    saver = ModelCheckpoint(tmp_path, every_n_train_steps=every, save_top_k=-1, filename="{step}")

    fit(saver, [0.0] if n == 10 else [0.0, 0.0], n=n)

    assert files(tmp_path) == {f"step={step}.ckpt" for step in kept}


def test_every_so_many_updates_counts_updates_not_batches(tmp_path: Path) -> None:
    saver = ModelCheckpoint(tmp_path, every_n_train_steps=2, save_top_k=-1, filename="{step}")

    fit(saver, [0.0], n=16, accumulate_grad_batches=2)

    assert files(tmp_path) == {"step=2.ckpt", "step=4.ckpt"}


def test_validations_inside_an_epoch_are_saved_when_they_measured(tmp_path: Path) -> None:
    saver = ModelCheckpoint(tmp_path, monitor="score", save_top_k=-1)
    run = trainer(max_epochs=1, enable_checkpointing=True, callbacks=saver, val_check_interval=2)

    run.fit(Scripted([3.0, 1.0, 2.0]), loader(12, 2), loader(2, 2))

    assert files(tmp_path) == {f"epoch=0-step={step}.ckpt" for step in (2, 4, 6)}
    assert saver.best_model_score == 1.0


def test_weights_alone_are_smaller_and_cannot_be_resumed(tmp_path: Path) -> None:
    saver = ModelCheckpoint(tmp_path, save_weights_only=True)
    _, module = fit(saver, [1.0])

    saved = torch.load(saver.best_model_path, weights_only=True)

    assert same(saved["state_dict"], weights(module))
    assert "optimizer_states" not in saved


def test_file_names_follow_the_template(tmp_path: Path) -> None:
    saver = ModelCheckpoint(tmp_path, filename="{epoch}-{score:.2f}", monitor="score", save_top_k=-1)

    fit(saver, [0.123, 4.5])

    assert files(tmp_path) == {"epoch=0-score=0.12.ckpt", "epoch=1-score=4.50.ckpt"}


def test_a_quantity_that_was_not_logged_is_an_error_that_names_what_was(tmp_path: Path) -> None:
    saver = ModelCheckpoint(tmp_path, monitor="accuracy")

    with pytest.raises(RuntimeError, match=r"watches 'accuracy', which was not logged.*'score'.*self\.log\('accuracy'"):
        fit(saver, [1.0])
    assert files(tmp_path) == set()


def test_an_epoch_without_validation_is_the_last_but_never_the_best(tmp_path: Path) -> None:
    saver = ModelCheckpoint(tmp_path, monitor="score", save_top_k=-1, filename="{epoch}-{score:.0f}")

    fit(saver, [3.0, 2.0], check_val_every_n_epoch=2, max_epochs=3)

    assert Path(saver.last_model_path).name == "epoch=2-step=3.ckpt"
    assert {Path(path).name: score for path, score in saver.best_k_models.items()} == {"epoch=1-score=3.ckpt": 3.0}


def test_a_run_that_ends_inside_an_epoch_saves_where_it_ended(tmp_path: Path) -> None:
    saver = ModelCheckpoint(tmp_path)

    fit(saver, [1.0], n=10, max_steps=3)

    saved = torch.load(saver.last_model_path, weights_only=True)
    assert (saved["global_step"], saved["loops"]["progress"]["batch"]) == (3, 3)


def test_it_says_what_it_saved_if_asked(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    saver = ModelCheckpoint(tmp_path, verbose=True)

    fit(saver, [1.0])

    assert capsys.readouterr().out == f"ModelCheckpoint: saved {saver.last_model_path}\n"


def test_two_of_them_watch_two_quantities(tmp_path: Path) -> None:
    low = ModelCheckpoint(tmp_path / "low", monitor="score", save_last=False)
    high = ModelCheckpoint(tmp_path / "high", monitor="score", mode="max", save_last=False)
    run = trainer(max_epochs=6, enable_checkpointing=True, callbacks=[low, high])

    run.fit(Scripted(VALUES), loader(2, 2), loader(2, 2))

    assert (files(tmp_path / "low"), files(tmp_path / "high")) == (names(3), names(5))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"every_n_train_steps": 2, "every_n_epochs": 1}, "not both"),
        ({"every_n_train_steps": 0}, "every_n_train_steps must be at least 1, got 0"),
        ({"every_n_epochs": -1}, "every_n_epochs must be at least 1, got -1"),
        ({"mode": "best"}, "'best'"),
    ],
)
def test_settings_that_contradict_each_other_are_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        ModelCheckpoint(**options)


def test_a_run_that_is_cut_short_is_saved_also_between_its_steps(tmp_path) -> None:
    keep = ModelCheckpoint(tmp_path, every_n_train_steps=100)
    run = trainer(max_steps=3, enable_checkpointing=True, callbacks=[keep])
    run.fit(Regression(), loader())
    saved = torch.load(keep.last_model_path)
    assert (saved["global_step"], saved["loops"]["progress"]["point"]) == (3, "batch")


def test_older_spellings_mean_what_they_meant(tmp_path: Path) -> None:
    with pytest.warns(DeprecationWarning, match="filepath.*dirpath and filename"):
        saver = ModelCheckpoint(
            filepath=tmp_path / "{epoch}-{score:.0f}", monitor="score", prefix="mine", save_top_k=-1
        )
    assert saver.dirpath == str(tmp_path)
    fit(saver, [3.0, 4.0])
    assert files(tmp_path) == {"mine-epoch=0-score=3.ckpt", "mine-epoch=1-score=4.ckpt"}

    with pytest.warns(DeprecationWarning, match="period"):
        assert ModelCheckpoint(period=3).every_n_epochs == 3
    with pytest.warns(DeprecationWarning, match="filepath"):
        whole = ModelCheckpoint(filepath=tmp_path)
    assert (whole.dirpath, whole.filename) == (str(tmp_path), None)
    for monitor, mode in (("val_acc", "max"), ("fmeasure_1", "max"), ("val_loss", "min"), (None, "min")):
        with pytest.warns(DeprecationWarning, match=f"mode='{mode}'"):
            assert ModelCheckpoint(monitor=monitor, mode="auto").mode == mode


def test_names_may_hold_the_values_alone_and_a_taken_name_may_be_written_over(tmp_path: Path) -> None:
    fit(ModelCheckpoint(tmp_path / "a", filename="{epoch}-{step}", auto_insert_metric_name=False), [1.0])
    assert files(tmp_path / "a") == {"0-1.ckpt"}

    for counter, names_there in ((True, {"model.ckpt", "model-v1.ckpt"}), (False, {"model.ckpt"})):
        folder = tmp_path / str(counter)
        folder.mkdir()
        (folder / "model.ckpt").write_text("of somebody else")
        fit(ModelCheckpoint(folder, filename="model", enable_version_counter=counter), [1.0])
        assert files(folder) == names_there


def test_the_kth_best_and_the_current_score_are_there_to_be_read(tmp_path: Path) -> None:
    saver = ModelCheckpoint(tmp_path, monitor="score", save_top_k=3)
    fit(saver, VALUES)
    assert saver.kth_value == sorted(VALUES)[2]
    assert {Path(saver.kth_best_model_path).name} == names(1)
    assert saver.current_score == VALUES[-1]


class Clock:
    """Time that passes when told."""

    now = 100.0

    def __call__(self) -> float:
        return self.now


def test_whenever_so_much_time_has_passed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock()
    monkeypatch.setattr("time.monotonic", clock)

    class Slow(Regression):
        def training_step(self, batch: Any, batch_idx: int) -> Any:
            clock.now += 10.0
            return super().training_step(batch, batch_idx)

    saver = ModelCheckpoint(tmp_path, train_time_interval="30s", save_top_k=-1, filename="{step}")
    run = trainer(max_epochs=1, enable_checkpointing=True, callbacks=saver)
    run.fit(Slow(), loader(20, 2))

    assert files(tmp_path) == {f"step={step}.ckpt" for step in (3, 6, 9)}


@pytest.mark.parametrize(
    ("at_epoch_end", "steps", "best"),
    [(None, {2, 4, 5}, {2}), (True, {5}, set()), (False, {2, 4}, {2})],
)
def test_at_which_ends_it_saves(tmp_path: Path, at_epoch_end: bool | None, steps: set[int], best: set[int]) -> None:
    """Validation after batches 2 and 4 of 5: what is saved after 5 was not measured."""
    saver = ModelCheckpoint(tmp_path, monitor="score", save_top_k=-1, save_on_train_epoch_end=at_epoch_end)
    run = trainer(max_epochs=1, enable_checkpointing=True, callbacks=saver, val_check_interval=2)
    if best:
        run.fit(Scripted([1.0, 2.0]), loader(10, 2), loader(2, 2))
    else:
        with pytest.warns(UserWarning, match="never after a batch at which that was measured"):
            run.fit(Scripted([1.0, 2.0]), loader(10, 2), loader(2, 2))

    assert files(tmp_path) == {f"epoch=0-step={step}.ckpt" for step in steps}
    assert {int(Path(p).stem.split("=")[-1]) for p in [saver.best_model_path] if p} == best


def test_a_score_belongs_to_the_weights_it_was_measured_with(tmp_path: Path) -> None:
    """Saved every 2 updates, measured every 3: only after 6 and 12 do both meet."""
    saver = ModelCheckpoint(tmp_path, monitor="score", every_n_train_steps=2, save_top_k=-1, filename="{step}")
    run = trainer(max_epochs=1, enable_checkpointing=True, callbacks=saver, val_check_interval=3)

    run.fit(Scripted([1.0, 4.0, 2.0, 3.0]), loader(24, 2), loader(2, 2))

    scores = {Path(path).name: score for path, score in saver.best_k_models.items()}
    assert scores == {"step=6.ckpt": 4.0, "step=12.ckpt": 3.0}
    saved = torch.load(saver.best_model_path, weights_only=True)
    assert saved["global_step"] == 12


def test_the_best_of_another_folder_stays_the_best_until_it_is_beaten(tmp_path: Path) -> None:
    first = ModelCheckpoint(tmp_path / "old", monitor="score")
    fit(first, [2.0, 3.0])

    again = ModelCheckpoint(tmp_path / "new", monitor="score")
    fit(again, [5.0], first.last_model_path, max_epochs=3)
    assert (again.best_model_path, again.best_model_score) == (first.best_model_path, 2.0)

    better = ModelCheckpoint(tmp_path / "newer", monitor="score")
    fit(better, [5.0, 1.0], first.last_model_path, max_epochs=4)
    assert (Path(better.best_model_path).parent.name, better.best_model_score) == ("newer", 1.0)


def test_a_folder_that_was_moved_keeps_its_best(tmp_path: Path) -> None:
    first = ModelCheckpoint(tmp_path / "old", monitor="score")
    fit(first, [2.0, 3.0])
    (tmp_path / "old").rename(tmp_path / "moved")

    again = ModelCheckpoint(tmp_path / "moved", monitor="score")
    fit(again, [5.0], tmp_path / "moved" / Path(first.last_model_path).name, max_epochs=3)

    assert again.best_model_path == str(tmp_path / "moved" / Path(first.best_model_path).name)


def test_saving_in_the_background_writes_the_same_and_is_done_when_fit_returns(tmp_path: Path) -> None:
    savers = [
        ModelCheckpoint(tmp_path / str(b), every_n_train_steps=1, save_top_k=-1, background=b) for b in (False, True)
    ]
    for saver in savers:
        torch.manual_seed(0)
        fit(saver, [1.0, 2.0], n=8)

    assert files(tmp_path / "True") == files(tmp_path / "False") == {p.name for p in (tmp_path / "True").glob("*.ckpt")}
    for path in (tmp_path / "True").glob("*.ckpt"):
        one, other = (torch.load(tmp_path / name / path.name, weights_only=True) for name in ("True", "False"))
        assert same(one["state_dict"], other["state_dict"])
        assert same(one["optimizer_states"], other["optimizer_states"])
    assert Path(savers[1].last_model_path).name == Path(savers[0].last_model_path).name == "epoch=1-step=8.ckpt"


def test_what_goes_wrong_in_the_background_ends_the_run_at_the_next_batch(tmp_path: Path) -> None:
    class Waiting(Scripted):
        def on_train_batch_start(self, batch: Any, batch_idx: int) -> None:
            if batch_idx == 1:
                (tmp_path / "kept").rename(tmp_path / "gone")
                (tmp_path / "kept").write_text("no folder")
            if batch_idx > 2:
                for thread in threading.enumerate():
                    if thread.name == "lit-checkpoint-save":
                        thread.join()

    saver = ModelCheckpoint(tmp_path / "kept", every_n_train_steps=1, background=True)
    module = Waiting([1.0])
    with pytest.raises(OSError, match="kept"):
        trainer(max_epochs=1, enable_checkpointing=True, callbacks=saver).fit(module, loader(40, 2), loader(2, 2))
    assert len(module.losses) <= 5


def test_an_exception_is_saved_if_asked(tmp_path: Path) -> None:
    class Failing(Regression):
        def training_step(self, batch: Any, batch_idx: int) -> Any:
            if batch_idx == 2:
                raise ArithmeticError("mine")
            return super().training_step(batch, batch_idx)

    saver = ModelCheckpoint(tmp_path, save_on_exception=True)
    with pytest.raises(ArithmeticError):
        trainer(max_epochs=1, enable_checkpointing=True, callbacks=saver).fit(Failing(), loader())
    assert torch.load(tmp_path / "on_exception.ckpt", weights_only=True)["global_step"] == 2


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            {"every_n_train_steps": 2, "train_time_interval": "1h"},
            "every_n_train_steps or train_time_interval, not both",
        ),
        ({"train_time_interval": "soon"}, "train_time_interval is a positive duration.*'soon'"),
        ({"period": 2, "every_n_epochs": 1}, "period is the older spelling"),
        ({"filepath": "a/b", "dirpath": "c"}, "filepath is the older spelling"),
    ],
)
def test_more_settings_that_contradict_each_other_are_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        ModelCheckpoint(**options)


@pytest.mark.parametrize(
    ("settings", "listens"),
    [
        ({}, False),
        ({"every_n_epochs": 2, "save_last": True}, False),
        ({"every_n_train_steps": 10}, True),
        ({"train_time_interval": timedelta(hours=1)}, True),
        ({"monitor": "loss"}, True),
        ({"background": True}, True),
    ],
)
def test_batches_are_listened_to_only_where_something_can_be_due_at_one(
    settings: dict[str, Any], listens: bool
) -> None:
    class Own(ModelCheckpoint):
        def on_train_batch_end(self, *args: Any) -> None:
            """Of a user."""

    assert ModelCheckpoint(**settings).listens_to("on_train_batch_end") == listens
    assert ModelCheckpoint(**settings).listens_to("on_train_epoch_end")
    assert Own(**settings).listens_to("on_train_batch_end")
