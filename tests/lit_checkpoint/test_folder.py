import json
import os
import time
from pathlib import Path

import pytest

from lit_checkpoint import CheckpointCorruptError, CheckpointManager, latest_valid, resolve_checkpoint, save


def fill(folder, count=3):
    manager = CheckpointManager(folder, save_top_k=-1)
    return [manager.save({"step": step}, step=step) for step in range(count)]


def damage(path):
    os.truncate(path, 200)


def test_newest_is_found(tmp_path):
    paths = fill(tmp_path)
    assert latest_valid(tmp_path) == paths[-1]


def test_no_checkpoints_at_all_is_none(tmp_path):
    assert latest_valid(tmp_path) is None
    assert latest_valid(tmp_path / "nowhere") is None


def test_damaged_ones_are_skipped_with_a_warning_each(tmp_path):
    paths = fill(tmp_path)
    damage(paths[2])
    with pytest.warns(RuntimeWarning, match=r"Skipped.*step=2\.ckpt: the container is cut short"):
        assert latest_valid(tmp_path) == paths[1]


def test_none_whole_is_an_error_with_every_reason(tmp_path):
    for path in fill(tmp_path):
        damage(path)
    with (
        pytest.warns(RuntimeWarning, match="Skipped"),
        pytest.raises(CheckpointCorruptError, match=r"(?s)None of the 3 .*step=2\.ckpt.*step=1\.ckpt.*step=0\.ckpt"),
    ):
        latest_valid(tmp_path)


def test_order_is_that_of_the_index_not_of_copied_files(tmp_path):
    paths = fill(tmp_path)
    os.utime(paths[0], (time.time() + 1000,) * 2)
    assert latest_valid(tmp_path) == paths[2]


def test_files_without_index_and_strangers(tmp_path):
    for i, name in enumerate(["a.ckpt", "b.ckpt", ".c.ckpt.123.partial", "notes.txt", ".hidden.ckpt"]):
        if name in {"a.ckpt", "b.ckpt"}:
            save({"i": i}, tmp_path / name)
        else:
            (tmp_path / name).write_text("x")
        os.utime(tmp_path / name, (1000 + i,) * 2)
    assert latest_valid(tmp_path) == str(tmp_path / "b.ckpt")


@pytest.mark.parametrize(
    "content", ["", "{", "[]", '{"checkpoints": 3}', '{"checkpoints": [{"file": "../x", "step": 1}]}']
)
def test_unreadable_index_is_said_and_not_used(tmp_path, content):
    paths = fill(tmp_path)
    (tmp_path / "index.json").write_text(content)
    with pytest.warns(RuntimeWarning, match=r"index\.json cannot be understood"):
        assert latest_valid(tmp_path) == paths[2]


def test_best_last_name_and_path_are_resolved(tmp_path):
    manager = CheckpointManager(tmp_path, monitor="loss", save_top_k=2)
    paths = [manager.save({"s": s}, step=s, metrics={"loss": loss}) for s, loss in enumerate([0.5, 0.2, 0.4])]
    assert resolve_checkpoint(tmp_path, "best") == paths[1]
    assert resolve_checkpoint(tmp_path, "last") == paths[2]
    assert resolve_checkpoint(tmp_path, "step=1.ckpt") == paths[1]
    assert resolve_checkpoint(tmp_path / "elsewhere", paths[1]) == paths[1]


def test_what_cannot_be_resolved_names_what_is_there(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"has no 'best' checkpoint\. There are no checkpoints"):
        resolve_checkpoint(tmp_path, "best")
    paths = fill(tmp_path, 2)
    with pytest.raises(FileNotFoundError, match=r"no checkpoint 'x\.ckpt'.*step=0\.ckpt, step=1\.ckpt"):
        resolve_checkpoint(tmp_path, "x.ckpt")
    Path(paths[1]).unlink()
    with pytest.raises(FileNotFoundError, match=r"points to 'step=1\.ckpt', which is gone.*step=0\.ckpt.*latest_valid"):
        resolve_checkpoint(tmp_path, "last")


@pytest.mark.parametrize("content", ["", "..", "/etc/passwd", "a/b.ckpt", "a.ckpt\nb.ckpt"])
def test_pointer_that_leaves_the_folder_is_refused(tmp_path, content):
    fill(tmp_path)
    (tmp_path / "last").write_text(content)
    with pytest.raises(CheckpointCorruptError, match="is not the name of a file"):
        resolve_checkpoint(tmp_path, "last")


def test_newest_of_a_thousand_is_found_quickly(tmp_path):
    entries = []
    for step in range(1000):
        path = tmp_path / f"step={step}.ckpt"
        path.touch()
        entries.append({"file": path.name, "step": step, "time": 1000.0 + step})
    save({"step": 999}, tmp_path / "step=999.ckpt")
    (tmp_path / "index.json").write_text(json.dumps({"format": 1, "checkpoints": entries}))
    start = time.process_time()
    assert latest_valid(tmp_path) == str(tmp_path / "step=999.ckpt")
    assert time.process_time() - start < 0.2
