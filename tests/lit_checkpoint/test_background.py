import subprocess
import sys
import threading

import numpy as np
import pytest
import torch

from lit_checkpoint import BackgroundSaver, CheckpointManager, load, resolve_checkpoint, save


class Slow:
    """A save that begins at once and ends when it is let."""

    def __init__(self, error: BaseException | None = None) -> None:
        self.go = threading.Event()
        self.error = error
        self.seen: list[torch.Tensor] = []

    def __call__(self, state, name):
        assert self.go.wait(30)
        self.seen.append(state["x"].clone())
        if self.error is not None:
            error, self.error = self.error, None
            raise error
        return name


def test_every_saved_state_is_that_of_the_moment_of_the_call(tmp_path, make_state, assert_state):
    state = make_state(0)
    with BackgroundSaver() as saver:
        for step in range(5):
            state["global_step"] = step
            state["state_dict"]["weight"].fill_(step)
            state["state_dict"]["bias"].fill_(step)
            state["optimizer_states"][0]["state"][0]["exp_avg"].fill_(step + 0.5)
            saver.save(state, tmp_path / f"{step}.ckpt")
    for step in range(5):
        assert_state(load(tmp_path / f"{step}.ckpt"), step)


def test_the_file_is_the_one_that_the_foreground_writes(tmp_path, make_state):
    torch.manual_seed(0)
    model = torch.nn.BatchNorm1d(3)
    state = {**make_state(1), "model": model.state_dict(), "parameter": model.weight, "order": (1, [2, {3}])}
    save(state, tmp_path / "a.ckpt")
    with BackgroundSaver() as saver:
        saver.save(lambda: state, tmp_path / "b.ckpt")
    assert (tmp_path / "a.ckpt").read_bytes() == (tmp_path / "b.ckpt").read_bytes()


def test_the_caller_goes_on_while_the_save_is_under_way():
    slow = Slow()
    x = torch.zeros(3)
    saver = BackgroundSaver(slow)
    saver.save({"x": x}, "a")
    assert saver.poll() is False
    x += 1
    with pytest.raises(TimeoutError, match=r"not finished after 0\.01 s"):
        saver.wait(0.01)
    slow.go.set()
    assert saver.wait() == "a"
    assert saver.poll() is True
    assert torch.equal(slow.seen[0], torch.zeros(3))
    saver.close()


def test_one_save_at_a_time_the_next_waits():
    slow = Slow()
    saver = BackgroundSaver(slow)
    saver.save({"x": torch.zeros(1)}, "a")
    threading.Timer(0.05, slow.go.set).start()
    saver.save({"x": torch.ones(1)}, "b")
    assert len(slow.seen) >= 1, "the second began before the first had ended"
    assert saver.wait() == "b"
    assert [x.item() for x in slow.seen] == [0.0, 1.0]
    saver.close()


def test_one_save_at_a_time_or_an_error_that_leaves_it_alone():
    slow = Slow()
    saver = BackgroundSaver(slow, when_busy="raise")
    saver.save({"x": torch.zeros(1)}, "a")
    with pytest.raises(RuntimeError, match="still under way"):
        saver.save({"x": torch.ones(1)}, "b")
    slow.go.set()
    assert saver.wait() == "a"
    saver.save({"x": torch.ones(1)}, "c")
    assert saver.wait() == "c"
    saver.close()


@pytest.mark.parametrize("error", [OSError(28, "No space left on device"), KeyboardInterrupt()])
@pytest.mark.parametrize("method", ["poll", "wait", "save", "close"])
def test_an_error_is_raised_once_by_whatever_is_called_next(method, error):
    slow = Slow(error)
    slow.go.set()
    told = threading.Event()
    seen = []
    saver = BackgroundSaver(slow, on_error=lambda e: (seen.append(e), told.set()))
    saver.save({"x": torch.zeros(1)}, "a")
    assert told.wait(30), "the callback hears of it without any further call"
    assert seen == [error]
    saver._thread.join()
    call = getattr(saver, method)
    with pytest.raises(type(error)):
        call({"x": torch.ones(1)}, "b") if method == "save" else call()
    assert saver.wait() is None
    if method != "close":
        saver.save({"x": torch.ones(1)}, "c")
        assert saver.wait() == "c"
    saver.close()
    assert len(slow.seen) == (1 if method == "close" else 2), "the state given to the save that raised is not saved"


def test_leaving_the_block_raises_or_warns_beside_an_error_of_its_own(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(FileExistsError), BackgroundSaver() as saver:
        saver.save({"x": 1}, tmp_path / "file" / "a.ckpt")

    def leave() -> None:
        with BackgroundSaver() as saver:
            saver.save({"x": 1}, tmp_path / "file" / "a.ckpt")
            raise ValueError("of the block")

    with (
        pytest.warns(RuntimeWarning, match="failed as well.*FileExistsError"),
        pytest.raises(ValueError, match="block"),
    ):
        leave()


def test_what_cannot_be_saved_is_said_to_the_caller_at_once(tmp_path):
    with BackgroundSaver() as saver, pytest.raises(TypeError, match=r"state\.x is a numpy\.float64"):
        saver.save({"x": np.float64(1)}, tmp_path / "a.ckpt")
    assert list(tmp_path.iterdir()) == []


def test_closed_means_no_more_saves_and_no_memory(tmp_path):
    saver = BackgroundSaver()
    saver.save({"x": torch.zeros(100)}, tmp_path / "a.ckpt")
    saver.close()
    saver.close()
    assert saver._host.num_bytes == 0
    with pytest.raises(RuntimeError, match="closed"):
        saver.save({}, tmp_path / "b.ckpt")


def test_senseless_policy_is_refused():
    with pytest.raises(ValueError, match="when_busy='skip'"):
        BackgroundSaver(when_busy="skip")


def test_a_manager_removes_nothing_before_the_new_one_is_verified(tmp_path, monkeypatch):
    manager = CheckpointManager(tmp_path, monitor="loss")
    with BackgroundSaver(manager.save) as saver:
        saver.save({"i": 0}, step=0, metrics={"loss": 1.0})
        assert saver.wait() == manager.last_path
        reached, go = threading.Event(), threading.Event()

        def check(self, records):
            reached.set()
            assert go.wait(30)

        monkeypatch.setattr("lit_checkpoint.container.Checker.check", check)
        saver.save({"i": 1}, step=1, metrics={"loss": 0.5})
        assert reached.wait(30)
        monkeypatch.undo()
        assert load(resolve_checkpoint(tmp_path, "last")) == load(resolve_checkpoint(tmp_path, "best")) == {"i": 0}
        assert manager.best_score == 1.0
        go.set()
    assert load(resolve_checkpoint(tmp_path, "last")) == load(manager.best_path) == {"i": 1}
    assert [path.name for path in tmp_path.glob("*.ckpt")] == ["step=1.ckpt"]


def test_a_program_that_ends_without_closing_finishes_its_save(tmp_path):
    code = """
import sys, torch
from lit_checkpoint import BackgroundSaver
BackgroundSaver().save({"x": torch.ones(1_000_000)}, sys.argv[1])
"""
    subprocess.run([sys.executable, "-c", code, tmp_path / "a.ckpt"], check=True)
    assert load(tmp_path / "a.ckpt")["x"].sum() == 1_000_000
