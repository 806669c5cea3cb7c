"""PyTorch's profiler over the batches of a run."""

import json
from pathlib import Path
from typing import Any

import pytest
from torch.profiler import ProfilerActivity, schedule

from lit_core.profilers import ProfilerCallback, PyTorchProfiler
from tests.lit_core.tiny import Regression, loader, trainer

CPU: dict[str, Any] = {"activities": [ProfilerActivity.CPU]}


def names(path: str) -> list[str]:
    return [event.get("name", "") for event in json.loads(Path(path).read_text())["traceEvents"]]


def test_the_trace_holds_the_events_and_operators_of_the_batches_asked_for(tmp_path: Path) -> None:
    profiler = PyTorchProfiler("profile.txt", **CPU)
    run = trainer(callbacks=[ProfilerCallback(profiler)], default_root_dir=tmp_path)
    run.fit(Regression(), loader(16))

    (path,) = profiler.trace_files
    assert Path(path).parent == tmp_path / "profile"
    assert path.endswith(".pt.trace.json"), "the name by which TensorBoard finds it"
    found = names(path)
    assert found.count("training_step") == found.count("backward") == 3, "of eight batches the third to fifth"
    assert found.count("aten::mse_loss") == 3
    assert "optimizer_step" in found
    assert "aten::mse_loss" in (tmp_path / "profile.txt").read_text()


def test_a_schedule_is_followed_and_a_recording_cut_short_is_kept(tmp_path: Path) -> None:
    profiler = PyTorchProfiler(schedule=schedule(wait=0, warmup=1, active=2), **CPU)
    profiler.setup(str(tmp_path))
    for _ in range(5):
        with profiler.profile("batch"):
            sum(range(10))
        profiler.step()
    with profiler.profile("batch"):
        sum(range(10))
    profiler.start("open")
    profiler.teardown()

    assert [names(path).count("batch") for path in profiler.trace_files] == [2, 2]
    assert f"Traces in {tmp_path / 'profile'}" in profiler.summary()


def test_a_run_that_is_too_short_says_so(tmp_path: Path) -> None:
    profiler = PyTorchProfiler(**CPU)
    trainer(callbacks=[ProfilerCallback(profiler)], default_root_dir=tmp_path).validate(Regression(), loader(2))

    assert profiler.summary().startswith("Nothing was recorded")
    assert list(tmp_path.iterdir()) == []


def test_an_event_that_was_not_started_is_refused() -> None:
    with pytest.raises(ValueError, match="'a' was not started"):
        PyTorchProfiler().stop("a")
