"""The record of a run: what is in it, where, when there is none, and what it never does."""

import json
import subprocess
import sys
import time
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from lit_core import LightningDataModule, ModelCheckpoint, Trainer, run_record
from lit_core.run_record import NAME, git_state, plain, versions
from lit_loggers import CSVLogger
from tests.lit_core.tiny import QUIET, Regression, loader, trainer


def records(folder: Path) -> list[Path]:
    return sorted(folder.rglob("run*.json"))


class Data(LightningDataModule):
    def __init__(self) -> None:
        super().__init__()
        self.save_hyperparameters({"batch_size": 2})

    def train_dataloader(self) -> Any:
        return loader()


def test_it_holds_what_the_run_was_started_with(tmp_path: Path) -> None:
    torch.manual_seed(41)
    module = Regression()
    module.save_hyperparameters({"lr": 0.1, "widths": (3, 4)})
    run = trainer(logger=CSVLogger(tmp_path), max_epochs=2, accumulate_grad_batches={0: 1, 1: 2}, max_time="1h")

    run.fit(module, datamodule=Data())

    (path,) = records(tmp_path)
    assert path == Path(str(run.log_dir)) / NAME
    record = json.loads(path.read_text())
    assert record["hyperparameters"] == {"lr": 0.1, "widths": [3, 4]}
    assert record["datamodule_hyperparameters"] == {"batch_size": 2}
    assert record["module"] == f"{Regression.__module__}.Regression"
    assert record["seed"] == 41
    settings = record["trainer"]
    assert (settings["max_epochs"], settings["accumulate_grad_batches"], settings["max_time"]) == (
        2,
        {"0": 1, "1": 2},
        "1h",
    )
    assert settings["logger"] == "lit_loggers.csv.CSVLogger"
    assert record["resolved"]["strategy"] == "single_device"
    assert record["resolved"]["accelerator"] == "cpu"
    assert record["packages"]["torch"] == torch.__version__
    assert record["packages"]["numpy"] == np.__version__
    assert {"lit_core", "lit_accelerators", "lit_checkpoint", "lit_loggers"} <= set(record["packages"])
    assert record["python"] == sys.version.split()[0]
    assert Path(sys.orig_argv[0]).name in record["command"]


def git(folder: Path, *args: str) -> str:
    settings = ("-c", "user.name=a", "-c", "user.email=a@b")
    return subprocess.run(["git", *settings, *args], cwd=folder, capture_output=True, text=True, check=True).stdout


def test_git_says_the_commit_and_whether_files_were_changed(tmp_path: Path) -> None:
    inner = tmp_path / "inner"
    inner.mkdir()
    assert git_state(inner) is None
    git(tmp_path, "init", "-b", "trunk")
    (inner / "a.py").write_text("x = 1\n")
    git(tmp_path, "add", ".")
    git(tmp_path, "commit", "-m", "first")
    commit = git(tmp_path, "rev-parse", "HEAD").strip()

    (tmp_path / "untracked.txt").write_text("")
    assert git_state(inner) == {"commit": commit, "branch": "trunk", "dirty": False}
    (inner / "a.py").write_text("x = 2\n")
    assert git_state(inner) == {"commit": commit, "branch": "trunk", "dirty": True}


def test_without_git_it_is_written_all_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))

    trainer(logger=CSVLogger(tmp_path)).fit(Regression(), loader())

    assert json.loads(records(tmp_path)[0].read_text())["git"] is None


@pytest.mark.parametrize(
    ("settings", "places"),
    [
        ({}, []),
        ({"enable_checkpointing": True}, [NAME]),
        ({"enable_checkpointing": True, "callbacks": "kept"}, [f"kept/{NAME}"]),
        ({"enable_checkpointing": True, "fast_dev_run": True, "logger": "csv"}, []),
        ({"barebones": True}, []),
    ],
)
def test_it_lies_where_the_run_writes_and_nowhere_else(
    settings: dict[str, Any], places: list[str], tmp_path: Path
) -> None:
    if "callbacks" in settings:
        settings = {**settings, "callbacks": ModelCheckpoint(tmp_path / settings["callbacks"])}

    Trainer(**{**QUIET, "default_root_dir": tmp_path, **settings}).fit(Regression(), loader())

    assert [str(path.relative_to(tmp_path)) for path in records(tmp_path)] == places


def test_each_fit_has_its_own_and_other_stages_none(tmp_path: Path) -> None:
    run = trainer(logger=CSVLogger(tmp_path), max_epochs=1)

    for _ in range(3):
        run.fit(Regression(), loader())
        run.validate(Regression(), loader())

    assert [path.name for path in records(tmp_path)] == ["run-v1.json", "run-v2.json", NAME]


def test_a_folder_far_away_has_it_too() -> None:
    import fsspec

    root = "memory://runs-with-a-record"
    trainer(default_root_dir=root, enable_checkpointing=True).fit(Regression(), loader())

    with fsspec.open(f"{root}/{NAME}") as file:
        assert json.load(file)["resolved"]["world_size"] == 1


def test_a_record_that_cannot_be_written_is_a_warning(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*args: Any) -> None:
        raise OSError("no space left")

    monkeypatch.setattr(run_record, "write_record", refuse)
    run = trainer(logger=CSVLogger(tmp_path))

    with pytest.warns(UserWarning, match=r"run\.json could not be written to .*no space left"):
        run.fit(Regression(), loader())
    assert run.global_step == 4


def test_a_folder_that_nothing_can_reach_is_a_warning_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(run_record, "folder_of", lambda trainer: "nowhere://runs")

    with pytest.warns(UserWarning, match=r"run\.json could not be written to nowhere://runs"):
        trainer().fit(Regression(), loader(4, 2, num_workers=1))


def test_training_does_not_wait_for_git(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen = []

    class Looks(Regression):
        def training_step(self, batch: Any, batch_idx: int) -> Any:
            seen.append(len(records(tmp_path)))
            return super().training_step(batch, batch_idx)

    def slow(folder: Path) -> None:
        while len(seen) < 4:
            time.sleep(0.001)

    monkeypatch.setattr(run_record, "git_state", slow)
    trainer(logger=CSVLogger(tmp_path)).fit(Looks(), loader())

    assert seen == [0, 0, 0, 0]
    assert len(records(tmp_path)) == 1


def test_secrets_are_left_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SOME_VARIABLE_OF_MINE", "hunter2")
    words = ["python", "train.py", "--api-key=hunter2", "--token", "hunter2", "--max_tokens", "8", "s3://a:hunter2@b/c"]
    monkeypatch.setattr(sys, "orig_argv", words)
    module = Regression()
    module.save_hyperparameters({"wandb_api_key": "hunter2", "num_tokens": 512, "url": "https://me:hunter2@host/x"})

    trainer(logger=CSVLogger(tmp_path)).fit(module, loader())

    text = records(tmp_path)[0].read_text()
    assert "hunter2" not in text
    record = json.loads(text)
    assert record["hyperparameters"] == {"wandb_api_key": "***", "num_tokens": 512, "url": "https://***@host/x"}
    assert record["command"] == "python train.py '--api-key=***' --token '***' --max_tokens 8 's3://***@b/c'"


def function() -> None: ...


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (float("inf"), "inf"),
        (Path("a") / "b", str(Path("a") / "b")),
        (timedelta(minutes=90), "1:30:00"),
        ({1: {2}}, {"1": [2]}),
        (nn.Linear(1, 1), "torch.nn.modules.linear.Linear"),
        (nn.Linear, "torch.nn.modules.linear.Linear"),
        (function, f"{__name__}.function"),
        (
            partial(nn.Linear, 3, bias=False),
            {"partial": "torch.nn.modules.linear.Linear", "args": [3], "keywords": {"bias": False}},
        ),
    ],
)
def test_every_value_becomes_plain(value: Any, expected: Any) -> None:
    assert plain(value) == expected
    json.dumps(plain(value), allow_nan=False)


def test_versions_load_nothing() -> None:
    before = set(sys.modules)

    assert versions()["torch"] == torch.__version__
    assert not versions().keys() & {"json", "re", "argparse"}  # which say one too
    assert set(sys.modules) == before


def test_one_process_of_several_writes_it(tmp_path: Path) -> None:
    run = trainer(devices=2, strategy="ddp_spawn", logger=CSVLogger(tmp_path))

    run.fit(Regression(), loader())

    (path,) = records(tmp_path)
    record = json.loads(path.read_text())
    assert record["resolved"]["world_size"] == 2
    assert record["command"].startswith(Path(sys.executable).name)
    assert "multiprocessing" not in record["command"]
