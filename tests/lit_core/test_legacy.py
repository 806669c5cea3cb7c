"""Older spellings of the Trainer's arguments."""

from typing import Any

import pytest

from lit_core import ModelCheckpoint, ProgressBar, Trainer
from lit_core.legacy import translate


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


def test_the_warning_points_at_the_line_that_calls_the_trainer() -> None:
    with pytest.warns(DeprecationWarning, match="older spelling") as caught:
        Trainer(accelerator="cpu", logger=False, progress_bar_refresh_rate=0)

    assert [warning.filename for warning in caught] == [__file__]


def test_a_checkpoint_callback_joins_the_other_callbacks() -> None:
    bar, saver = ProgressBar(), ModelCheckpoint(monitor="loss")

    with pytest.warns(DeprecationWarning, match="checkpoint_callback"):
        trainer = Trainer(accelerator="cpu", logger=False, callbacks=bar, checkpoint_callback=saver)

    assert trainer.callbacks == [bar, saver]


@pytest.mark.parametrize(("wrong", "hint"), [("max_epoch", "max_epochs"), ("gpu", "gpus"), ("zebra", None)])
def test_an_unknown_argument_is_refused_with_the_nearest_name(wrong: str, hint: str | None) -> None:
    with pytest.raises(TypeError) as caught:
        Trainer(**{wrong: 1})

    assert f"no argument {wrong!r}" in str(caught.value)
    assert ("Did you mean" in str(caught.value)) == (hint is not None)
    assert hint is None or f"{hint!r}" in str(caught.value)
