"""Under torchrun, processes that are started again go on by themselves, and come to what nobody disturbed comes to."""

import csv
import os
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.integration import elastic_runs
from tests.lit_accelerators.agents import run_under_agents
from tests.lit_core.tiny import same

pytestmark = [pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork"), pytest.mark.timeout(280)]


def run(folder: Path, kills: list[list[int]], fits: int, every: int = 2, **agents: int) -> str:
    """Train under torchrun, with these numbers of agents and processes; returns what was written to stderr."""
    arguments = (folder, kills, fits, every)
    done = run_under_agents(folder, elastic_runs.train_started, *arguments, max_restarts=len(kills), **agents)
    assert not any(done.exit_codes), done.stderr[-4000:]
    return done.stderr


def rows(folder: Path) -> list[dict[str, Any]]:
    with (folder / "rows" / "version_0" / "metrics.csv").open() as file:
        return [{k: v for k, v in row.items() if k != "wall_time_s" and v} for row in csv.DictReader(file)]


def weights(folder: Path, fit: int = 0) -> Any:
    return torch.load(folder / f"final_{fit}.pt")


def test_a_killed_process_costs_nothing_but_time(tmp_path: Path) -> None:
    """Killed inside the second epoch, six batches of five a epoch in; checkpoints are after every second batch."""
    said = run(tmp_path / "killed", [[0, 0, 7]], fits=1)

    whole = tmp_path / "whole"
    elastic_runs.train(whole, [], 1, devices=2, strategy="ddp_fork")
    assert said.count("Started again: training goes on from") == 1
    assert "step=6.ckpt" in said
    assert same(weights(tmp_path / "killed"), weights(whole))
    assert rows(tmp_path / "killed") == rows(whole)


def test_an_attempt_that_saved_nothing_leaves_no_rows_to_the_next(tmp_path: Path) -> None:
    """Killed in the second epoch, after rows of steps, of a validation and of an epoch."""
    said = run(tmp_path / "killed", [[0, 0, 7]], fits=1, every=100)

    elastic_runs.train(tmp_path / "whole", [], 1, every=100, devices=2, strategy="ddp_fork")
    assert "Started again" not in said
    assert same(weights(tmp_path / "killed"), weights(tmp_path / "whole"))
    assert rows(tmp_path / "killed") == rows(tmp_path / "whole")


def test_what_another_run_or_another_fit_saved_is_not_gone_on_from(tmp_path: Path) -> None:
    """Killed before the first save beside an older run's files, after the newest file was damaged, in a second fit."""
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    for folder in (whole, killed):
        elastic_runs.train(folder, [], 1, seed=4)
        (folder / "final_0.pt").unlink()

    said = run(killed, [[0, 0, 1], [1, 0, 7], [2, 1, 3]], fits=2)

    run(whole, [], fits=2)
    steps = [line.rpartition("step=")[2] for line in said.splitlines() if line.startswith("Started again")]
    assert steps == ["4.ckpt", "10.ckpt", "2.ckpt"]
    for fit in range(2):
        assert same(weights(killed, fit), weights(whole, fit)), fit


def test_on_two_nodes_all_meet_again(tmp_path: Path) -> None:
    """Two agents of torchrun on this machine; each counts the failures of its own processes only."""
    killed, whole = tmp_path / "killed", tmp_path / "whole"
    said = run(killed, [[0, 0, 7]], fits=1, nodes=2, processes=1)

    elastic_runs.train(whole, [], 1, devices=2, strategy="ddp_fork")
    assert said.count("Started again: training goes on from") == 1
    assert same(weights(killed), weights(whole))
