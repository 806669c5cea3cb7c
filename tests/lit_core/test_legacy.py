"""Older spellings of the Trainer's arguments."""

import inspect
from pathlib import Path
from typing import Any

import pytest

from lit_core import ModelCheckpoint, ProgressBar, Trainer
from lit_core.callbacks import (
    DeviceStatsMonitor,
    GradientNormMonitor,
    ModelSummary,
    NaNGuard,
    StochasticWeightAveraging,
    TimeTable,
)
from lit_core.legacy import _TRANSLATIONS, merge_legacy, translate
from tests.lit_core.tiny import Regression, loader, trainer


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({"checkpoint_callback": False}, {"enable_checkpointing": False}),
        ({"gpus": 2}, {"accelerator": "cuda", "devices": 2}),
        ({"gpus": 0}, {"accelerator": "cpu"}),
        ({"gpus": None}, {"accelerator": "cpu"}),
        ({"num_processes": 2}, {"accelerator": "cpu", "devices": 2}),
        ({"distributed_backend": "ddp"}, {"strategy": "ddp"}),
        ({"distributed_backend": None}, {"strategy": "auto"}),
        ({"progress_bar_refresh_rate": 0}, {"enable_progress_bar": False}),
        ({"progress_bar_refresh_rate": 20}, {"enable_progress_bar": True}),
        ({"replace_sampler_ddp": False}, {"use_distributed_sampler": False}),
        ({"tpu_cores": 8}, {"accelerator": "tpu", "devices": 8}),
        ({"reload_dataloaders_every_epoch": True}, {"reload_dataloaders_every_n_epochs": 1}),
        ({"weights_save_path": "x"}, {"default_root_dir": "x"}),
    ],
)
def test_older_spellings_become_todays_with_one_warning_that_names_both(
    given: dict[str, Any], expected: dict[str, Any]
) -> None:
    with pytest.warns(DeprecationWarning, match="older spelling") as caught:
        found = translate(given, [])

    assert found == expected
    (warning,) = caught
    assert all(name in str(warning.message) for name in (*given, *expected))


@pytest.mark.parametrize(
    ("given", "kind"),
    [
        ({"track_grad_norm": 2}, GradientNormMonitor),
        ({"terminate_on_nan": True}, NaNGuard),
        ({"log_gpu_memory": "all"}, DeviceStatsMonitor),
        ({"weights_summary": "full"}, ModelSummary),
        ({"stochastic_weight_avg": True}, StochasticWeightAveraging),
    ],
)
def test_older_flags_become_callbacks(given: dict[str, Any], kind: type) -> None:
    with pytest.warns(DeprecationWarning, match="older spelling"):
        runner = trainer(**given, callbacks=ProgressBar())
    assert [type(callback) for callback in runner.callbacks] == [ProgressBar, kind]


FROM_1_0 = """
    logger checkpoint_callback callbacks default_root_dir gradient_clip_val process_position
    num_nodes num_processes gpus auto_select_gpus tpu_cores log_gpu_memory progress_bar_refresh_rate
    overfit_batches track_grad_norm check_val_every_n_epoch fast_dev_run accumulate_grad_batches
    max_epochs min_epochs max_steps min_steps limit_train_batches limit_val_batches
    limit_test_batches val_check_interval flush_logs_every_n_steps log_every_n_steps accelerator
    sync_batchnorm precision weights_summary weights_save_path num_sanity_val_steps
    truncated_bptt_steps resume_from_checkpoint profiler benchmark deterministic
    reload_dataloaders_every_epoch auto_lr_find replace_sampler_ddp terminate_on_nan
    auto_scale_batch_size prepare_data_per_node plugins amp_backend amp_level distributed_backend
    automatic_optimization
"""
FROM_2 = """
    accelerator strategy devices num_nodes precision logger callbacks fast_dev_run max_epochs
    min_epochs max_steps min_steps max_time limit_train_batches limit_val_batches limit_test_batches
    limit_predict_batches overfit_batches val_check_interval check_val_every_n_epoch
    num_sanity_val_steps log_every_n_steps enable_checkpointing enable_progress_bar
    enable_model_summary accumulate_grad_batches gradient_clip_val gradient_clip_algorithm
    deterministic benchmark inference_mode use_distributed_sampler profiler detect_anomaly barebones
    plugins sync_batchnorm reload_dataloaders_every_n_epochs default_root_dir
"""


@pytest.mark.parametrize("name", sorted({*FROM_1_0.split(), *FROM_2.split()}))
def test_every_argument_of_both_eras_is_known(name: str) -> None:
    known = set(inspect.signature(Trainer).parameters) | set(_TRANSLATIONS)
    assert name in known


@pytest.mark.parametrize("name", ["process_position", "flush_logs_every_n_steps", "amp_backend"])
def test_older_arguments_that_have_no_use_any_more_say_so(name: str) -> None:
    with pytest.warns(DeprecationWarning, match=f"{name}=.* has no effect"):
        assert translate({name: 1}, []) == {}


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({"accelerator": "ddp"}, {"accelerator": "auto", "strategy": "ddp"}),
        ({"accelerator": "ddp_cpu"}, {"accelerator": "cpu", "strategy": "ddp_spawn"}),
        ({"precision": 32}, {"precision": "32-true"}),
        ({"precision": 16}, {"precision": "16-mixed"}),
        ({"precision": "bf16"}, {"precision": "bf16-mixed"}),
    ],
)
def test_words_that_moved_to_another_argument_are_understood(given: dict[str, Any], expected: dict[str, Any]) -> None:
    before = {"accelerator": "auto", "strategy": "auto", "precision": "32-true", "gradient_clip_val": 0.0}
    with pytest.warns(DeprecationWarning, match="older spelling"):
        merged = merge_legacy({**before, **given}, {})
    assert merged == {**before, "gradient_clip_val": None, **expected}


def test_resume_from_checkpoint_is_the_ckpt_path_of_fit(tmp_path: Path) -> None:
    first = trainer(max_epochs=1)
    module = Regression()
    first.fit(module, loader())
    first.save_checkpoint(tmp_path / "a.ckpt")

    with pytest.warns(DeprecationWarning, match=r"resume_from_checkpoint.*fit\(\.\.\., ckpt_path="):
        second = trainer(max_epochs=2, resume_from_checkpoint=tmp_path / "a.ckpt")
    second.fit(Regression(), loader())
    assert second.global_step == 2 * first.global_step


def test_the_warning_points_at_the_line_that_calls_the_trainer() -> None:
    with pytest.warns(DeprecationWarning, match="older spelling") as caught:
        Trainer(accelerator="cpu", logger=False, progress_bar_refresh_rate=0)

    assert [warning.filename for warning in caught] == [__file__]


def test_a_checkpoint_callback_joins_the_other_callbacks() -> None:
    bar, saver, table = ProgressBar(), ModelCheckpoint(monitor="loss"), TimeTable()

    quiet: dict[str, Any] = {"accelerator": "cpu", "logger": False, "enable_model_summary": False}
    with pytest.warns(DeprecationWarning, match="checkpoint_callback"):
        trainer = Trainer(**quiet, callbacks=[bar, table], checkpoint_callback=saver)

    assert trainer.callbacks == [bar, table, saver]


@pytest.mark.parametrize(("wrong", "hint"), [("max_epoch", "max_epochs"), ("gpu", "gpus"), ("zebra", None)])
def test_an_unknown_argument_is_refused_with_the_nearest_name(wrong: str, hint: str | None) -> None:
    with pytest.raises(TypeError) as caught:
        Trainer(**{wrong: 1})

    assert f"no argument {wrong!r}" in str(caught.value)
    assert ("Did you mean" in str(caught.value)) == (hint is not None)
    assert hint is None or f"{hint!r}" in str(caught.value)
