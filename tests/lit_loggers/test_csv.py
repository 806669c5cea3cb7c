import csv
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from lit_loggers import CSVLogger, Row
from lit_loggers.csv import COORDINATES


def table(logger):
    with Path(logger.log_dir, "metrics.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def test_coordinates_come_first_and_unknown_ones_are_empty(tmp_path):
    logger = CSVLogger(tmp_path)
    logger.write(Row({"loss": 0.1}, 5, stage="train", epoch=1, batch=7, samples=64, wall_time_s=1.5))
    logger.write(Row({"loss": 0.2}, 6))
    logger.finalize()
    rows = table(logger)
    assert tuple(rows[0])[:6] == COORDINATES
    assert list(rows[0].values()) == ["5", "train", "1", "7", "64", "1.5", "0.1"]
    assert list(rows[1].values()) == ["6", "", "", "", "", "", "0.2"]


def test_floats_come_back_to_the_last_bit(tmp_path):
    logger = CSVLogger(tmp_path)
    values = [0.1, 1 / 3, 1e-308, 123456789.123456789, 2**53 + 1.0]
    for value in values:
        logger.log_metrics({"x": value})
    logger.finalize()
    assert [float(row["x"]) for row in table(logger)] == values


def test_prefix_is_put_before_every_metric(tmp_path):
    logger = CSVLogger(tmp_path, prefix="run")
    logger.log_metrics({"loss": 1.0}, step=0)
    logger.finalize()
    assert table(logger)[0]["run-loss"] == "1.0"


def test_metric_with_the_name_of_a_coordinate_is_refused(tmp_path):
    with pytest.raises(ValueError, match=r"cannot be called \['epoch'\]"):
        CSVLogger(tmp_path).log_metrics({"epoch": 1.0}, step=0)


def test_no_more_rows_are_held_than_asked_for(tmp_path):
    logger = CSVLogger(tmp_path, flush_every_n_rows=10)
    for step in range(25):
        logger.log_metrics({"a": 1.0}, step=step)
        assert len(table(logger) if step >= 9 else []) == (step + 1) // 10 * 10
    with pytest.raises(ValueError, match="flush_every_n_rows=0"):
        CSVLogger(tmp_path, flush_every_n_rows=0)


def test_killed_process_loses_only_rows_since_the_last_flush(tmp_path):
    code = """
import os, sys
from lit_loggers import CSVLogger
logger = CSVLogger(sys.argv[1], version=0, flush_every_n_rows=10)
for step in range(37):
    logger.log_metrics({"a": float(step)}, step=step)
os.kill(os.getpid(), 9)
"""
    subprocess.run([sys.executable, "-c", code, str(tmp_path)], check=False)
    assert [row["step"] for row in table(CSVLogger(tmp_path, version=0))] == [str(step) for step in range(30)]


@pytest.mark.parametrize("torn", ["3,,,", "3,,,,,,1.", '3,"ab'])
def test_line_torn_by_a_crash_is_dropped_when_the_run_goes_on(tmp_path, torn):
    first = CSVLogger(tmp_path, version=0)
    for step in range(3):
        first.log_metrics({"a": 1.0}, step=step)
    first.finalize()
    with Path(first.log_dir, "metrics.csv").open("a") as file:
        file.write(torn)
    again = CSVLogger(tmp_path, version=0)
    again.log_metrics({"a": 2.0}, step=3)
    again.finalize()
    assert [(row["step"], row["a"]) for row in table(again)] == [("0", "1.0"), ("1", "1.0"), ("2", "1.0"), ("3", "2.0")]


@pytest.mark.parametrize("header", ["", "step,sta"])
def test_torn_header_is_written_again(tmp_path, header):
    Path(tmp_path, "lightning_logs", "version_0").mkdir(parents=True)
    Path(tmp_path, "lightning_logs", "version_0", "metrics.csv").write_text(header)
    logger = CSVLogger(tmp_path, version=0)
    logger.log_metrics({"a": 2.0}, step=3)
    logger.finalize()
    assert [row["a"] for row in table(logger)] == ["2.0"]


def test_growing_header_that_fails_leaves_the_old_file(tmp_path, monkeypatch):
    logger = CSVLogger(tmp_path)
    logger.log_metrics({"a": 1.0}, step=0)
    logger.flush()
    before = Path(logger.log_dir, "metrics.csv").read_text()
    logger.log_metrics({"b": 1.0}, step=1)

    def fail(*args):
        raise OSError("disk full")

    with monkeypatch.context() as patch:
        patch.setattr(os, "replace", fail)
        with pytest.raises(OSError, match="disk full"):
            logger.flush()
    assert Path(logger.log_dir, "metrics.csv").read_text() == before
    assert [path.name for path in Path(logger.log_dir).iterdir()] == ["metrics.csv"]
    logger.flush()
    assert [row["b"] for row in table(logger)] == ["", "1.0"]


def test_hyperparameters_of_an_existing_version_are_added_to(tmp_path):
    CSVLogger(tmp_path, version=0).log_hyperparams({"lr": 0.1, "layers": (1, 2), "by_class": {0: "cat"}})
    again = CSVLogger(tmp_path, version=0)
    again.log_hyperparams({"lr": 0.2})
    found = json.loads(Path(again.log_dir, "hparams.json").read_text())
    assert found == {"lr": 0.2, "layers": [1, 2], "by_class": {"0": "cat"}}
