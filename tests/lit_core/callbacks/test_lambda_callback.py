"""LambdaCallback: functions as hooks."""

from typing import Any

import pytest

from lit_core import Callback
from lit_core.callbacks import LambdaCallback
from lit_core.hooks import overrides
from tests.lit_core.tiny import Regression, loader, trainer


def test_functions_are_called_with_what_methods_get() -> None:
    calls: list[Any] = []
    callback = LambdaCallback(
        setup=lambda trainer, module, stage: calls.append(("setup", stage)),
        on_train_batch_end=lambda trainer, module, outputs, batch, batch_idx: calls.append((batch_idx, len(batch[0]))),
        on_train_epoch_end=lambda trainer, module: calls.append(trainer.current_epoch),
    )

    trainer(max_epochs=1, callbacks=callback).fit(Regression(), loader(4, 2))

    assert calls == [("setup", "fit"), (0, 2), (1, 2), 0]


def test_hooks_that_are_not_given_cost_nothing() -> None:
    callback = LambdaCallback(on_train_start=lambda trainer, module: None, on_train_end=None)

    assert overrides(callback, "on_train_start", Callback)
    assert not overrides(callback, "on_train_end", Callback)
    assert not overrides(callback, "on_train_batch_end", Callback)


def test_several_may_be_used() -> None:
    seen: list[int] = []
    several = [
        LambdaCallback(on_train_start=lambda trainer, module: seen.append(1)),
        LambdaCallback(on_train_start=lambda trainer, module: seen.append(2)),
    ]

    trainer(callbacks=several).fit(Regression(), loader(2, 2))

    assert seen == [1, 2]


def test_what_is_no_hook_or_no_function_is_refused() -> None:
    with pytest.raises(TypeError, match=r"Did you mean 'on_train_epoch_end'\?"):
        LambdaCallback(on_train_epochs_end=lambda trainer, module: None)
    with pytest.raises(TypeError, match="on_train_end must be a function, got int"):
        LambdaCallback(on_train_end=3)  # type: ignore[arg-type]
