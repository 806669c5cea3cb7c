"""The list of hooks, against the classes that users derive from; and who is called when."""

import inspect
from typing import Any

import pytest

from lit_core import Callback, LightningDataModule, LightningModule, Trainer
from lit_core.hooks import EVENTS, HOOKS, HookTable, check_hook_names, overrides

OWNERS: dict[str, type] = {"module": LightningModule, "callback": Callback, "datamodule": LightningDataModule}
NOT_HOOKS = {"training_step", "validation_step", "test_step", "predict_step"}  # take any arguments


def parameters(function: Any) -> list[str]:
    return [name for name in inspect.signature(function).parameters if name not in ("self", "args", "kwargs")]


@pytest.mark.parametrize(
    ("owner", "name"), [(o, n) for n, hook in HOOKS.items() if not hook.today for o in hook.owners]
)
def test_every_hook_exists_in_the_classes_of_its_owners_with_the_arguments_of_the_list(owner: str, name: str) -> None:
    found = parameters(getattr(OWNERS[owner], name))

    if name in NOT_HOOKS:
        assert found == []
        return
    assert found == [*(["trainer", "module"] if owner == "callback" and "state" not in name else []), *HOOKS[name].args]


@pytest.mark.parametrize(("owner", "base"), OWNERS.items())
def test_no_class_has_a_hook_that_the_list_lacks(owner: str, base: type) -> None:
    named = {name for name in vars(base) if name.startswith(("on_", "setup", "teardown", "prepare", "configure"))}

    assert named == {
        name
        for name, hook in HOOKS.items()
        if owner in hook.owners
        and not hook.today
        and name.startswith(("on_", "setup", "teardown", "prepare", "configure"))
    }


@pytest.mark.parametrize(
    ("wrong", "meant"),
    [
        ("on_train_epoch_ends", "on_train_epoch_end"),
        ("on_validation_epoch_ende", "on_validation_epoch_end"),
        ("train_dataloaders", "train_dataloader"),
        ("configure_optimizer", "configure_optimizers"),
        ("validation_steps", "validation_step"),
        ("on_train_batch_strat", "on_train_batch_start"),
    ],
)
def test_a_misspelt_hook_is_refused_and_the_one_meant_is_named(wrong: str, meant: str) -> None:
    module = type("Mine", (LightningModule,), {wrong: lambda self: None})()

    with pytest.raises(TypeError, match=rf"Mine\.{wrong} looks like a hook.*'{meant}'"):
        check_hook_names(module, LightningModule)


def test_a_misspelt_hook_stops_a_fit_before_anything_ran() -> None:
    class Mine(LightningModule):
        def on_train_epoch_ende(self) -> None: ...

    with pytest.raises(TypeError, match="on_train_epoch_ende"):
        Trainer(accelerator="cpu", logger=False, enable_checkpointing=False).fit(Mine(), [])


def test_methods_of_ones_own_are_no_misspellings() -> None:
    class Mine(LightningModule):
        def on_the_way(self) -> None: ...
        def training_data(self) -> None: ...
        def step(self) -> None: ...
        def test_accuracy(self) -> None: ...
        def predict(self) -> None: ...

    check_hook_names(Mine(), LightningModule)


def test_an_inherited_override_counts_and_the_base_class_does_not() -> None:
    class First(Callback):
        def on_train_start(self, trainer: Any, module: Any) -> None: ...

    class Second(First): ...

    assert overrides(Second(), "on_train_start", Callback)
    assert not overrides(Second(), "on_train_end", Callback)


class Noted(Callback):
    def __init__(self, name: str, phase: Any, calls: list[str]) -> None:
        self.name, self.phase, self.calls = name, phase, calls

    def on_train_start(self, trainer: Any, module: Any) -> int:
        self.calls.append(self.name)
        return len(self.calls)

    def on_train_end(self, trainer: Any, module: Any) -> None:
        self.calls.append(self.name)

    def on_exception(self, trainer: Any, module: Any, exception: BaseException) -> None:
        raise exception


class NotedModule(LightningModule):
    def __init__(self, calls: list[str]) -> None:
        super().__init__()
        self.calls = calls

    def on_train_start(self) -> None:
        self.calls.append("module")

    def on_train_end(self) -> None:
        self.calls.append("module")


def table(calls: list[str], entered: list[str] | None = None) -> HookTable:
    callbacks = [Noted("saver", "save", calls), Noted("stopper", "decide", calls), Noted("watcher", "observe", calls)]
    entered = [] if entered is None else entered

    def enter(name: str) -> str:
        entered.append(name)
        return "before"

    return HookTable("trainer", NotedModule(calls), LightningModule, callbacks, Callback, enter)


def test_at_a_start_callbacks_run_by_phase_then_the_module_and_their_results_come_back() -> None:
    calls: list[str] = []

    assert table(calls).start("on_train_start") == [1, 2, 3, None]
    assert calls == ["watcher", "stopper", "saver", "module"]


def test_at_an_end_the_module_runs_first_then_callbacks_by_phase() -> None:
    calls: list[str] = []
    hooks = table(calls)

    hooks.end_module("on_train_end")
    assert calls == ["module"]
    hooks.end_callbacks("on_train_end")
    assert calls == ["module", "watcher", "stopper", "saver"]
    hooks.end("on_train_end")
    assert calls == ["module", "watcher", "stopper", "saver"] * 2


def test_what_nobody_implements_is_none_and_running_it_does_nothing() -> None:
    hooks = HookTable("trainer", LightningModule(), LightningModule, [Callback()], Callback, lambda name: name)

    assert set(hooks.calls) == set(EVENTS)
    assert set(hooks.calls.values()) == {None}
    assert hooks.start("on_train_start") == []
    hooks.end("on_train_end")


def test_logging_belongs_to_the_hook_that_runs_also_after_an_exception() -> None:
    entered: list[str] = []
    hooks = table([], entered)

    with pytest.raises(OSError, match="gone"):
        hooks.end("on_exception", OSError("gone"))
    hooks.start("on_train_start")

    assert entered == ["on_exception", "before", "on_train_start", "before"]


def test_a_callback_is_left_out_of_events_that_it_does_not_listen_to() -> None:
    heard: list[str] = []

    class Half(Callback):
        def listens_to(self, event: str) -> bool:
            return event != "on_train_batch_end"

        def on_train_batch_end(self, *args: Any) -> None:
            heard.append("batch")

        def on_train_epoch_end(self, *args: Any) -> None:
            heard.append("epoch")

    hooks = HookTable("trainer", LightningModule(), LightningModule, [Half()], Callback, lambda name: name)
    assert hooks.calls["on_train_batch_end"] is None
    hooks.end("on_train_epoch_end")
    assert heard == ["epoch"]


def test_only_hooks_that_can_answer_count_as_answering() -> None:
    class Module(LightningModule):
        skip = False

        def on_train_start(self):
            self.skip = True

        def on_train_epoch_start(self):
            if self.skip:
                return
            self.skip = not self.skip

        def on_train_batch_start(self, batch, batch_idx):
            return -1 if self.skip else None

        def on_train_batch_end(self, outputs, batch, batch_idx):
            return not self.skip

        def on_train_epoch_end(self):
            return self.skip

    class Watches(Callback):
        def on_train_end(self, trainer, module):  # called with fewer arguments than there are
            ...

        def on_validation_batch_start(self, trainer, module):
            return -1

    table = HookTable(None, Module(), LightningModule, [Watches()], Callback, lambda name: name, {})
    may = {name for name in table.calls if table.may_answer(name)}
    assert may == {"on_train_batch_start", "on_train_batch_end", "on_train_epoch_end", "on_validation_batch_start"}


def test_callbacks_hear_of_a_trainer_that_was_made() -> None:
    heard: list[Any] = []

    class Early(Callback):
        def on_init_start(self, trainer: Any) -> None:
            heard.append(("start", trainer.max_epochs))

        def on_init_end(self, trainer: Any) -> None:
            heard.append(("end", trainer))

    trainer = Trainer(callbacks=[Early()], max_epochs=3, accelerator="cpu", logger=False)
    assert heard == [("start", 3), ("end", trainer)]
