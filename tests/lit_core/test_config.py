"""Settings of the Trainer: what makes no sense cannot be built, and the message says what was got."""

import math
from typing import Any

import pytest
import torch

from lit_core import Trainer
from lit_core.config import TrainerConfig
from tests.lit_core.tiny import Regression, loader, trainer


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"max_epochs": -2}, r"max_epochs must be a whole number >= -1 or None, got -2"),
        ({"max_epochs": 1.5}, r"max_epochs .* got 1\.5"),
        ({"max_epochs": True}, r"max_epochs .* got True"),
        ({"max_steps": -2}, r"max_steps must be a whole number >= -1, got -2"),
        ({"max_steps": None}, r"max_steps .* got None"),
        ({"min_epochs": -1}, r"min_epochs .* got -1"),
        ({"min_steps": "3"}, r"min_steps .* got '3'"),
        ({"num_sanity_val_steps": -2}, r"num_sanity_val_steps .* got -2"),
        ({"log_every_n_steps": 0}, r"log_every_n_steps .* >= 1, got 0"),
        ({"accumulate_grad_batches": 0}, r"accumulate_grad_batches .* got 0"),
        ({"num_nodes": 0}, r"num_nodes .* got 0"),
        ({"check_val_every_n_epoch": 0}, r"check_val_every_n_epoch .* or None, got 0"),
        ({"limit_train_batches": -1}, r"limit_train_batches .* got -1"),
        ({"limit_val_batches": 1.5}, r"limit_val_batches .* fraction in \[0\.0, 1\.0\], got 1\.5"),
        ({"limit_test_batches": True}, r"limit_test_batches .* got True"),
        ({"limit_predict_batches": "all"}, r"limit_predict_batches .* got 'all'"),
        ({"limit_train_batches": math.nan}, r"limit_train_batches .* got nan"),
        ({"val_check_interval": 0}, r"val_check_interval .* got 0"),
        ({"val_check_interval": 1.1}, r"val_check_interval .* got 1\.1"),
        ({"val_check_interval": True}, r"val_check_interval .* got True"),
        ({"check_val_every_n_epoch": None, "val_check_interval": 0.5}, r"check_val_every_n_epoch=None .* got 0\.5"),
        ({"gradient_clip_val": 0}, r"gradient_clip_val must be positive or None, got 0"),
        ({"gradient_clip_val": -1.0}, r"gradient_clip_val .* got -1\.0"),
        ({"gradient_clip_val": math.nan}, r"gradient_clip_val .* got nan"),
        ({"gradient_clip_algorithm": "l2"}, r"'norm' or 'value', got 'l2'"),
        ({"fast_dev_run": -1}, r"fast_dev_run .* got -1"),
        ({"max_time": "12h30"}, r"max_time is a positive duration.*got '12h30'"),
        ({"max_time": {"hour": 1}}, r"max_time .* got \{'hour': 1\}"),
        ({"val_check_interval": "0s"}, r"val_check_interval .* got '0s'"),
        ({"accumulate_grad_batches": {0: 0}}, r"accumulate_grad_batches .* got \{0: 0\}"),
        ({"accumulate_grad_batches": {}}, r"accumulate_grad_batches .* got \{\}"),
        ({"accumulate_grad_batches": {"0": 2}}, r"accumulate_grad_batches .* got \{'0': 2\}"),
        ({"overfit_batches": -1}, r"overfit_batches .* got -1"),
        ({"deterministic": "yes"}, r"deterministic .* got 'yes'"),
        ({"deterministic": True, "benchmark": True}, r"benchmark=True .* deterministic forbids"),
        ({"truncated_bptt_steps": 0}, r"truncated_bptt_steps .* got 0"),
        ({"min_epochs": 3, "max_epochs": 2}, r"min_epochs=3 is more than max_epochs=2"),
        ({"min_steps": 3, "max_steps": 2}, r"min_steps=3 is more than max_steps=2"),
    ],
)
def test_what_makes_no_sense_is_refused_with_the_name_and_the_value(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        TrainerConfig(**settings)


@pytest.mark.parametrize(
    "settings",
    [
        {"max_epochs": -1},
        {"max_epochs": 0},
        {"min_epochs": 3},
        {"min_epochs": 3, "max_epochs": -1},
        {"num_sanity_val_steps": -1},
        {"check_val_every_n_epoch": None, "val_check_interval": 3},
        {"limit_train_batches": 0},
        {"limit_train_batches": 0.0},
        {"limit_train_batches": 1.0},
        {"fast_dev_run": 3},
        {"gradient_clip_val": 0.5, "gradient_clip_algorithm": "value"},
        {"max_time": "00:00:00:01"},
        {"val_check_interval": "1.5min"},
        {"accumulate_grad_batches": {2: 4}},
    ],
)
def test_the_limits_of_what_makes_sense_are_accepted(settings: dict[str, Any]) -> None:
    config = TrainerConfig(**settings)

    assert {name: getattr(config, name) for name in settings} == settings


@pytest.mark.parametrize(
    ("settings", "epochs", "steps"),
    [
        ({}, 1000, math.inf),
        ({"max_epochs": 3}, 3, math.inf),
        ({"max_epochs": -1}, math.inf, math.inf),
        ({"max_steps": 7}, math.inf, 7),
        ({"max_steps": 0}, math.inf, 0),
        ({"max_epochs": 3, "max_steps": 7}, 3, 7),
        ({"fast_dev_run": True, "max_epochs": 3, "max_steps": 7}, 1, 1),
        ({"fast_dev_run": 4}, 1, 4),
    ],
)
def test_what_ends_training_follows_from_epochs_and_steps(
    settings: dict[str, Any], epochs: float, steps: float
) -> None:
    config = TrainerConfig(**settings)

    assert (config.last_epoch, config.last_step) == (epochs, steps)


def test_a_fast_dev_run_limits_every_stage() -> None:
    config = TrainerConfig(fast_dev_run=2, limit_train_batches=10, limit_val_batches=0.5)

    assert [config.limit(stage) for stage in ("train", "val", "test", "predict")] == [2, 2, 2, 2]


def test_settings_cannot_be_changed_afterwards() -> None:
    with pytest.raises(AttributeError):
        TrainerConfig().max_epochs = 3  # type: ignore[misc]


def test_barebones_turns_off_all_that_is_not_training_and_refuses_what_asks_for_it() -> None:
    runner = Trainer(accelerator="cpu", barebones=True)
    assert runner.loggers == runner.callbacks == []
    with pytest.raises(ValueError, match="barebones=True turns logger off, but logger='csv'"):
        Trainer(accelerator="cpu", barebones=True, logger="csv")


@pytest.mark.parametrize("deterministic", [True, "warn"])
def test_torch_is_deterministic_inside_a_run_and_as_before_after_it(deterministic: Any) -> None:
    seen: list[tuple[bool, bool, bool]] = []

    class Looks(Regression):
        def training_step(self, batch: Any, batch_idx: int) -> Any:
            seen.append(
                (
                    torch.are_deterministic_algorithms_enabled(),
                    torch.is_deterministic_algorithms_warn_only_enabled(),
                    torch.is_anomaly_enabled(),
                )
            )
            return super().training_step(batch, batch_idx)

    trainer(deterministic=deterministic, detect_anomaly=True, limit_train_batches=1).fit(Looks(), loader())
    assert seen == [(True, deterministic == "warn", True)]
    assert not torch.are_deterministic_algorithms_enabled()
    assert not torch.is_anomaly_enabled()
