import json
import math
import shutil
import threading
import warnings
from contextlib import suppress
from pathlib import Path

import pytest
import torch

from lit_checkpoint import CheckpointManager, FileCheckpointIO, load, resolve_checkpoint


def names(folder):
    return sorted(path.name for path in Path(folder).iterdir() if path.suffix == ".ckpt")


def run(manager, scores, start=0):
    for step, score in enumerate(scores, start):
        manager.save({"step": step}, step=step, metrics={"loss": score})


@pytest.mark.parametrize("mode", ["min", "max"])
@pytest.mark.parametrize("top_k", [0, 1, 2, 3, -1])
@pytest.mark.parametrize("save_last", [True, False])
def test_kept_are_exactly_the_k_best_so_far_and_the_last(tmp_path, mode, top_k, save_last):
    scores = [0.5, 0.7, 0.3, float("nan"), 0.9, 0.3, 0.1, float("inf"), 0.8]
    manager = CheckpointManager(tmp_path, monitor="loss", mode=mode, save_top_k=top_k, save_last=save_last)
    for step, score in enumerate(scores):
        manager.save({"step": step}, step=step, metrics={"loss": score})
        # The reference: sort all scores so far; of two equal ones the older wins.
        ranked = sorted((s, i) for i, s in enumerate(scores[: step + 1]) if not math.isnan(s))
        if mode == "max":
            ranked = sorted(ranked, key=lambda pair: (-pair[0], pair[1]))
        best = [i for _, i in (ranked if top_k == -1 else ranked[:top_k])]
        kept = set(range(step + 1)) if top_k == -1 else set(best) | ({step} if save_last else set())
        assert names(tmp_path) == sorted(f"step={i}.ckpt" for i in kept)
        assert [Path(path).name for path in manager.best_k] == [f"step={i}.ckpt" for i in best]
        assert manager.best_path == (str(tmp_path / f"step={best[0]}.ckpt") if best else None)
        assert manager.best_score == (scores[best[0]] if best else None)
        assert manager.last_path == (str(tmp_path / f"step={step}.ckpt") if save_last else None)
        for which, path in (("best", manager.best_path), ("last", manager.last_path)):
            if path is not None:
                assert resolve_checkpoint(tmp_path, which) == path


def test_without_monitor_the_newest_k_are_kept(tmp_path):
    manager = CheckpointManager(tmp_path, save_top_k=2)
    for step in range(4):
        manager.save({}, step=step, epoch=step)
    assert names(tmp_path) == ["epoch=2-step=2.ckpt", "epoch=3-step=3.ckpt"]
    assert manager.best_path == manager.last_path


def test_state_is_not_built_when_it_is_not_wanted(tmp_path):
    manager = CheckpointManager(tmp_path, monitor="loss", save_last=False)
    run(manager, [0.5])

    def costly():
        raise AssertionError("called")

    assert manager.wants({"loss": 0.6}) is False
    assert manager.wants({"loss": torch.tensor(0.4)}) is True
    assert manager.save(costly, step=1, metrics={"loss": 0.6}) is None
    assert manager.save(lambda: {"a": 1}, step=2, metrics={"loss": 0.4}) == str(tmp_path / "step=2.ckpt")
    assert load(manager.best_path) == {"a": 1}


def test_missing_monitor_is_an_error_but_no_metrics_at_all_saves_the_last(tmp_path):
    manager = CheckpointManager(tmp_path, monitor="loss", filename="{step}-{loss:.2f}")
    with pytest.raises(ValueError, match=r"monitor='loss' is not among the metrics\. There is: acc, los\."):
        manager.save({}, step=1, metrics={"los": 1.0, "acc": 2.0})
    assert manager.save({}, step=2) == str(tmp_path / "step=2.ckpt")
    assert manager.best_path is None
    run(manager, [0.5], start=3)
    assert names(tmp_path) == ["step=3-loss=0.50.ckpt"]


def test_metric_missing_in_the_file_name_is_an_error_before_anything_is_written(tmp_path):
    manager = CheckpointManager(tmp_path / "run", filename="{step}-{acc}")
    with pytest.raises(ValueError, match=r"asks for 'acc', which is not there\. There is: loss, step"):
        manager.save({}, step=1, metrics={"loss": 0.1})
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("restart", [False, True])
def test_newest_best_and_milestones_are_kept_together(tmp_path, restart):
    def make():
        return CheckpointManager(tmp_path, monitor="loss", save_top_k=1, save_last=2, keep_every_n_steps=10)

    manager = make()
    steps = [3, 7, 12, 15, 18, 21, 24, 27, 29, 31]
    losses = [9, 8, 7, 1, 5, 6, 7, 8, 9, 9]
    for count, (step, loss) in enumerate(zip(steps, losses, strict=True), 1):
        manager.save({"step": step}, step=step, metrics={"loss": loss})
        # The reference: the first at or after 10, 20, 30; the best so far; the newest two.
        done = list(zip(losses[:count], steps[:count], strict=True))
        milestones = {next(s for s in steps if s >= m) for m in (10, 20, 30)} & set(steps[:count])
        expected = milestones | {min(done)[1]} | set(steps[max(0, count - 2) : count])
        assert names(tmp_path) == sorted(f"step={s}.ckpt" for s in expected)
        if restart:
            manager = make()


def test_a_milestone_alone_is_wanted_and_nothing_between(tmp_path):
    manager = CheckpointManager(tmp_path, save_top_k=0, save_last=False, keep_every_n_steps=5)
    saved = [step for step in range(1, 13) if manager.save({}, step=step) is not None]
    assert saved == [5, 10]
    assert (manager.wants(step=14), manager.wants(step=15), manager.wants()) == (False, True, False)


def test_readers_beside_a_manager_always_find_a_whole_checkpoint(tmp_path, make_state, assert_state):
    manager = CheckpointManager(tmp_path, monitor="loss")
    manager.save(make_state(0), step=0, metrics={"loss": 0.5})
    stop = threading.Event()
    loaded = [0, 0]
    failures = []

    def read(which: str, place: int) -> None:
        try:
            while not stop.is_set():
                with suppress(FileNotFoundError):  # removed between the two: the pointer names a newer one by now
                    found = load(resolve_checkpoint(tmp_path, which))
                    assert_state(found, found["global_step"])
                    loaded[place] += 1
                    CheckpointManager(tmp_path, monitor="loss")
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=read, args=pair) for pair in (("last", 0), ("best", 1))]
    for thread in threads:
        thread.start()
    step = 0
    while (step < 40 or min(loaded) < 5) and not failures:
        step += 1
        manager.save(make_state(step), step=step, metrics={"loss": (step * 7) % 11})
    stop.set()
    for thread in threads:
        thread.join()
    assert not failures


def test_restart_goes_on_with_the_same_folder(tmp_path):
    run(CheckpointManager(tmp_path, monitor="loss", save_top_k=2), [0.5, 0.2, 0.4])
    manager = CheckpointManager(tmp_path, monitor="loss", save_top_k=2)
    assert manager.best_score == 0.2
    assert manager.last_path == str(tmp_path / "step=2.ckpt")
    run(manager, [0.3], start=3)
    assert names(tmp_path) == ["step=1.ckpt", "step=3.ckpt"]


def test_moved_folder_goes_on(tmp_path):
    run(CheckpointManager(tmp_path / "a", monitor="loss"), [0.5, 0.2, 0.4])
    shutil.move(tmp_path / "a", tmp_path / "b")
    manager = CheckpointManager(tmp_path / "b", monitor="loss")
    assert manager.best_path == str(tmp_path / "b" / "step=1.ckpt")
    assert resolve_checkpoint(tmp_path / "b", "best") == manager.best_path
    run(manager, [0.1], start=3)
    assert names(tmp_path / "b") == ["step=3.ckpt"]


def test_vanished_files_are_forgotten_and_unknown_ones_left_alone(tmp_path):
    run(CheckpointManager(tmp_path, monitor="loss", save_top_k=3), [0.5, 0.2, 0.4])
    (tmp_path / "step=1.ckpt").unlink()
    for name in ("mine.ckpt", "notes.txt", ".keep"):
        (tmp_path / name).write_text("mine")
    manager = CheckpointManager(tmp_path, monitor="loss", save_top_k=1)
    assert manager.best_score == 0.4
    run(manager, [0.3], start=3)
    assert names(tmp_path) == ["mine.ckpt", "step=3.ckpt"]
    assert (tmp_path / "notes.txt").read_text() == "mine"


def test_state_dict_brings_the_table_back_without_the_index(tmp_path):
    first = CheckpointManager(tmp_path, monitor="loss", save_top_k=2)
    run(first, [0.5, 0.2, 0.4])
    state = first.state_dict()
    torch.save(state, tmp_path / "state.pt")
    (tmp_path / "index.json").unlink()
    (tmp_path / "last").unlink()
    second = CheckpointManager(tmp_path, monitor="loss", save_top_k=2)
    assert second.best_path is None
    second.load_state_dict(torch.load(tmp_path / "state.pt", weights_only=True))
    assert second.best_k == first.best_k
    assert second.last_path == first.last_path
    assert second.state_dict() == state


def test_scores_of_another_monitor_are_neither_compared_nor_removed(tmp_path):
    run(CheckpointManager(tmp_path, monitor="loss"), [0.5])
    with pytest.warns(RuntimeWarning, match="chosen by monitor='loss', mode='min'; this manager has monitor='acc'"):
        manager = CheckpointManager(tmp_path, monitor="acc", mode="max")
    manager.save({}, step=7, metrics={"acc": 0.1})
    manager.save({}, step=8, metrics={"acc": 0.2})
    assert names(tmp_path) == ["step=0.ckpt", "step=8.ckpt"]


def test_same_moment_is_replaced_and_another_with_the_same_name_is_numbered(tmp_path):
    manager = CheckpointManager(tmp_path, filename="model", save_top_k=2)
    (tmp_path / "model.ckpt").write_text("mine")
    paths = [Path(manager.save({"i": i}, step=step)).name for i, step in enumerate([1, 1, 2])]
    assert paths == ["model-v1.ckpt", "model-v1.ckpt", "model-v2.ckpt"]
    assert load(tmp_path / "model-v1.ckpt") == {"i": 1}
    assert (tmp_path / "model.ckpt").read_text() == "mine"


def test_index_is_readable_json_with_what_is_kept(tmp_path):
    manager = CheckpointManager(tmp_path, monitor="loss", save_top_k=2)
    for epoch, loss in enumerate([0.5, 0.2, float("nan")]):
        manager.save({"x": torch.zeros(9)}, step=10 * epoch, epoch=epoch, metrics={"loss": loss})
    index = json.loads((tmp_path / "index.json").read_text())
    assert (index["monitor"], index["mode"], index["best"], index["last"]) == (
        *("loss", "min", "epoch=1-step=10.ckpt", "epoch=2-step=20.ckpt"),
    )
    assert [(e["file"], e["step"], e["epoch"], e["score"]) for e in index["checkpoints"]] == [
        ("epoch=0-step=0.ckpt", 0, 0, 0.5),
        ("epoch=1-step=10.ckpt", 10, 1, 0.2),
        ("epoch=2-step=20.ckpt", 20, 2, None),
    ]
    for entry in index["checkpoints"]:
        assert entry["size"] == (tmp_path / entry["file"]).stat().st_size
        assert abs(entry["time"] - (tmp_path / entry["file"]).stat().st_mtime) < 60


def test_old_checkpoint_that_cannot_be_removed_is_said_and_tried_again(tmp_path, monkeypatch):
    manager = CheckpointManager(tmp_path)
    manager.save({}, step=0)

    def refuse(self, path):
        raise PermissionError("not allowed")

    with monkeypatch.context() as patch:
        patch.setattr("lit_checkpoint.FileCheckpointIO.remove", refuse)
        with pytest.warns(RuntimeWarning, match="could not be removed"):
            manager.save({}, step=1)
    assert names(tmp_path) == ["step=0.ckpt", "step=1.ckpt"]
    manager.save({}, step=2)
    assert names(tmp_path) == ["step=2.ckpt"]


def test_nothing_old_is_removed_before_the_new_one_is_verified(tmp_path, monkeypatch):
    manager = CheckpointManager(tmp_path)
    manager.save({"i": 0}, step=0)
    monkeypatch.setattr("lit_checkpoint.container.Checker.check", lambda self, records: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        manager.save({"i": 1}, step=1)
    monkeypatch.undo()
    assert names(tmp_path) == ["step=0.ckpt"]
    assert load(resolve_checkpoint(tmp_path, "last")) == {"i": 0}


@pytest.mark.parametrize("failures", [0, 1, 2, 3])
def test_a_failed_save_is_tried_again_as_often_as_allowed(tmp_path, monkeypatch, failures):
    pauses, left = [], [failures]
    real = FileCheckpointIO.save

    def fail_first(self, state, path):
        left[0] -= 1
        if left[0] >= 0:
            raise OSError(5, "the store is away")
        real(self, state, path)

    monkeypatch.setattr("lit_checkpoint.manager.time.sleep", pauses.append)
    manager = CheckpointManager(tmp_path, retries=2)
    manager.save({"i": 0}, step=0)
    monkeypatch.setattr(FileCheckpointIO, "save", fail_first)
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        if failures == 3:
            with pytest.raises(OSError, match="away"):
                manager.save({"i": 1}, step=1)
        else:
            manager.save({"i": 1}, step=1)
    assert pauses == [1, 2][:failures]
    assert len(told) == len(pauses)
    assert load(resolve_checkpoint(tmp_path, "last")) == {"i": 0 if failures == 3 else 1}


def test_nothing_is_created_before_the_first_save(tmp_path):
    manager = CheckpointManager(tmp_path / "run")
    assert (manager.best_path, manager.last_path, manager.best_k) == (None, None, {})
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("kwargs", "message"),
    [
        ({"mode": "auto"}, "mode='auto'"),
        ({"save_top_k": -2}, "save_top_k=-2"),
        ({"save_last": -1}, "save_last=-1"),
        ({"keep_every_n_steps": 0}, "keep_every_n_steps=0"),
        ({"retries": -1}, "retries=-1"),
        ({"filename": "a/b"}, "filename='a/b'"),
    ],
)
def test_senseless_arguments_are_refused(tmp_path, kwargs, message):
    with pytest.raises(ValueError, match=message):
        CheckpointManager(tmp_path, **kwargs)


def test_memory_url():
    url = "memory://test_manager/run"
    manager = CheckpointManager(url, monitor="loss")
    run(manager, [0.5, 0.2, 0.4])
    assert load(resolve_checkpoint(url, "best")) == {"step": 1}
    assert load(CheckpointManager(url, monitor="loss").last_path) == {"step": 2}
