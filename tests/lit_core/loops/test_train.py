"""The training loop: which hook when, where an epoch ends, what stops it."""

import copy
import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, IterableDataset

from lit_core import Callback, LightningModule
from lit_core.hooks import EVENTS, HOOKS
from tests.lit_core.tiny import Regression, Rows, loader, same, samples, trainer, weights

NOT_SPIED = {"configure_callbacks", "configure_optimizers", "backward", "transfer_batch_to_device", "predict_step"}
SPIED = [
    name
    for name, hook in HOOKS.items()
    if "module" in hook.owners and name not in NOT_SPIED and not name.endswith("_dataloader") and not hook.today
]


def spy_on_module(base: type[LightningModule], calls: list[str]) -> type[LightningModule]:
    """A class whose every hook notes its name and then does what ``base`` does."""

    def spying(name: str) -> Any:
        original = getattr(base, name)

        def method(self: Any, *args: Any) -> Any:
            calls.append(name)
            return original(self, *args)

        return method

    return type("Spied", (base,), {name: spying(name) for name in SPIED})


def spy_callback(calls: list[str], *names: str) -> Callback:
    def noting(name: str) -> Any:
        return lambda self, trainer, module, *args: calls.append(f"c.{name}")

    return type("Spy", (Callback,), {name: noting(name) for name in names or EVENTS})()


class Silent(Regression):
    def training_step(self, batch: Any, batch_idx: int) -> Any:
        return self.loss(batch)

    def validation_step(self, batch: Any, batch_idx: int) -> None:
        self.loss(batch)


def starts(name: str) -> list[str]:
    """An event that begins: callbacks, then the module."""
    return [f"c.{name}", name]


def ends(name: str) -> list[str]:
    """An event that ends: the module, then callbacks."""
    return [name, f"c.{name}"]


TRANSFER = ["on_before_batch_transfer", "on_after_batch_transfer"]


def train_batch(*, first: bool, last: bool) -> list[str]:
    zero = [*starts("on_before_zero_grad"), "optimizer_zero_grad"] if first else []
    inside = [
        "training_step",
        "training_step_end",
        *zero,
        *starts("on_before_backward"),
        *starts("on_after_backward"),
    ]
    if last:
        inside = ["optimizer_step", *inside, *starts("on_before_optimizer_step"), "configure_gradient_clipping"]
    return [*TRANSFER, *starts("on_train_batch_start"), *inside, *ends("on_train_batch_end")]


def validation(batches: int) -> list[str]:
    batch = [
        *TRANSFER,
        *starts("on_validation_batch_start"),
        "validation_step",
        "validation_step_end",
        *ends("on_validation_batch_end"),
    ]
    return [
        *starts("on_validation_start"),
        *starts("on_validation_epoch_start"),
        *batch * batches,
        "validation_epoch_end",
        *ends("on_validation_epoch_end"),
        *ends("on_validation_end"),
    ]


def test_every_hook_of_module_and_callbacks_is_called_in_this_order() -> None:
    calls: list[str] = []
    runner = trainer(callbacks=[spy_callback(calls)], num_sanity_val_steps=1, accumulate_grad_batches=2)
    runner.fit(spy_on_module(Silent, calls)(), loader(6, 2), loader(4, 2))
    assert calls == [
        "prepare_data",
        *starts("setup"),
        "configure_model",
        *starts("on_fit_start"),
        "c.on_sanity_check_start",
        *validation(1),
        "c.on_sanity_check_end",
        *starts("on_train_start"),
        *starts("on_train_epoch_start"),
        *train_batch(first=True, last=False),
        *train_batch(first=False, last=True),
        *train_batch(first=True, last=True),  # the short last group
        *validation(2),
        "training_epoch_end",
        *ends("on_train_epoch_end"),
        *ends("on_train_end"),
        *ends("on_fit_end"),
        *ends("teardown"),
    ]


class OldCallback(Callback):
    """Methods with the names and the signatures of PyTorch Lightning 1.0."""

    def __init__(self, calls: list[str]) -> None:
        self.calls = calls
        self.outputs: list[Any] = []

    def on_epoch_start(self, trainer: Any, pl_module: Any) -> None:
        self.calls.append("c.on_epoch_start")

    def on_batch_end(self, trainer: Any, pl_module: Any) -> None:
        self.calls.append("c.on_batch_end")

    def on_train_batch_end(  # type: ignore[override]
        self, trainer: Any, pl_module: Any, outputs: Any, batch: Any, batch_idx: int, dataloader_idx: int
    ) -> None:
        self.calls.append(f"c.on_train_batch_end {batch_idx} {dataloader_idx}")

    def on_train_epoch_end(self, trainer: Any, pl_module: Any, outputs: Any) -> None:  # type: ignore[override]
        self.outputs = list(outputs)


def test_modules_and_callbacks_of_1_0_run_as_they_are() -> None:
    calls: list[str] = []

    def noting(name: str) -> Any:
        return lambda self: calls.append(name)

    class Old(Silent):
        def on_train_batch_start(self, batch: Any, batch_idx: int, dataloader_idx: int) -> None:  # type: ignore[override]
            calls.append(f"on_train_batch_start {batch_idx} {dataloader_idx}")

        def on_epoch_end(self) -> None:
            calls.append("on_epoch_end")
            self.log("late", 2.0)

        def optimizer_step(  # type: ignore[override]
            self,
            epoch: int,
            batch_idx: int,
            optimizer: Any,
            optimizer_idx: int,
            optimizer_closure: Any,
            on_tpu: bool,
            using_native_amp: bool,
            using_lbfgs: bool,
        ) -> None:
            calls.append(f"optimizer_step {optimizer_idx} {on_tpu}")
            optimizer.step(closure=optimizer_closure)

    for name in (
        "on_pretrain_routine_start",
        "on_pretrain_routine_end",
        "on_fit_start",
        "on_epoch_start",
        "on_batch_start",
    ):
        setattr(Old, name, noting(name))
    callback = OldCallback(calls)
    runner = trainer(callbacks=[callback])
    runner.fit(Old(), loader(4, 2))

    batch = ["on_batch_start", "on_train_batch_start {} 0", "optimizer_step 0 False", "c.on_batch_end"]
    assert calls == [
        "on_fit_start",
        "on_pretrain_routine_start",
        "on_pretrain_routine_end",
        "c.on_epoch_start",
        "on_epoch_start",
        *[call.format(i) for i in range(2) for call in [*batch, "c.on_train_batch_end {} 0"]],
        "on_epoch_end",
    ]
    assert len(callback.outputs) == 2
    assert runner.callback_metrics["late"] == 2


def test_steps_that_take_the_batch_alone_are_given_it_alone() -> None:
    class Short(Regression):
        def training_step(self, batch: Any) -> Any:  # type: ignore[override]
            return self.loss(batch)

        def validation_step(self, batch: Any) -> None:  # type: ignore[override]
            self.log("val_loss", self.loss(batch))

        def predict_step(self, batch: Any) -> Any:  # type: ignore[override]
            return len(batch[0])

    runner, module = trainer(), Short()
    runner.fit(module, loader(4, 2), loader(4, 2))
    assert "val_loss" in runner.callback_metrics
    assert runner.predict(module, loader(4, 2)) == [2, 2]


def test_the_end_by_ctrl_c_is_told_to_callbacks() -> None:
    class Heard(Callback):
        heard = 0

        def on_train_batch_end(self, trainer: Any, module: Any, outputs: Any, batch: Any, batch_idx: int) -> None:
            os.kill(os.getpid(), signal.SIGINT)

        def on_keyboard_interrupt(self, trainer: Any, module: Any) -> None:
            self.heard += 1

    callback = Heard()
    runner = trainer(callbacks=[callback])
    runner.fit(Regression(), loader(8, 2))
    assert (callback.heard, runner.global_step, runner.stop_reason) == (1, 1, "interrupt")


def test_training_stops_when_max_time_has_passed_and_says_so() -> None:
    class Slow(Regression):
        def training_step(self, batch: Any, batch_idx: int) -> Any:
            time.sleep(0.02)
            return super().training_step(batch, batch_idx)

    runner = trainer(max_time={"seconds": 0.1}, max_epochs=-1)
    runner.fit(Slow(), loader(8, 2))
    assert 2 <= runner.global_step <= 6
    assert runner.stop_reason == "max_time of 0.1 s has passed"


@pytest.mark.parametrize("every", [0, 2])
def test_loaders_of_hooks_are_made_anew_every_so_many_epochs(every: int) -> None:
    class Own(Regression):
        made = 0

        def train_dataloader(self) -> Any:
            self.made += 1
            return loader(4, 2)

    module = Own()
    trainer(max_epochs=5, reload_dataloaders_every_n_epochs=every).fit(module)
    assert module.made == (3 if every else 1)
    assert len(module.losses) == 10


def test_a_resume_inside_an_epoch_does_not_make_loaders_anew(tmp_path: Path) -> None:
    class Own(Regression):
        made = 0

        def train_dataloader(self) -> Any:
            self.made += 1
            return loader(8, 2)

    first = trainer(max_epochs=2, max_steps=6, reload_dataloaders_every_n_epochs=1)
    first.fit(Own())
    first.save_checkpoint(tmp_path / "inside.ckpt")
    module = Own()
    trainer(max_epochs=2, reload_dataloaders_every_n_epochs=1).fit(module, ckpt_path=tmp_path / "inside.ckpt")
    assert module.made == 1
    assert len(module.losses) == 2


def test_overfitting_repeats_the_same_batches_unshuffled() -> None:
    module = Regression()
    data = DataLoader(samples(16), batch_size=2, shuffle=True)
    runner = trainer(max_epochs=3, overfit_batches=2)
    runner.fit(module, data, loader(8, 2))
    assert module.seen == [[0, 1], [2, 3]] * 3
    assert runner.num_training_batches == runner.num_evaluation_batches == 2


def test_what_the_module_logs_in_an_end_hook_is_there_for_callbacks_of_the_same_hook() -> None:
    class Logs(Silent):
        def on_train_epoch_end(self) -> None:
            self.log("a", 1.0)

        def on_validation_epoch_end(self) -> None:
            self.log("b", 2.0)

        def on_train_batch_end(self, outputs: Any, batch: Any, batch_idx: int) -> None:
            self.log("c", 3.0)

    found = {}

    class Reads(Callback):
        def on_train_epoch_end(self, trainer: Any, module: Any) -> None:
            found["a"] = float(trainer.callback_metrics["a"])

        def on_validation_epoch_end(self, trainer: Any, module: Any) -> None:
            found["b"] = float(trainer.callback_metrics["b"])

        def on_train_batch_end(self, trainer: Any, module: Any, outputs: Any, batch: Any, batch_idx: int) -> None:
            found["c"] = float(trainer.callback_metrics["c"])

    trainer(callbacks=[Reads()]).fit(Logs(), loader(), loader())
    assert found == {"a": 1.0, "b": 2.0, "c": 3.0}


def test_callbacks_that_decide_run_after_those_that_observe_whatever_their_order_in_the_list() -> None:
    calls: list[str] = []

    def make(phase: str) -> Callback:
        def note(self: Any, trainer: Any, module: Any) -> None:
            calls.append(phase)

        return type(phase, (Callback,), {"phase": phase, "on_train_epoch_end": note})()

    trainer(callbacks=[make("save"), make("decide"), make("observe")]).fit(Silent(), loader())
    assert calls == ["observe", "decide", "save"]


@pytest.mark.parametrize("who", ["module", "callback"])
def test_minus_one_from_on_train_batch_start_skips_the_rest_of_the_epoch(who: str) -> None:
    class Skips(Regression):
        def on_train_batch_start(self, batch: Any, batch_idx: int) -> int | None:
            return -1 if batch_idx == 2 and who == "module" else None

    class Skipper(Callback):
        def on_train_batch_start(self, trainer: Any, module: Any, batch: Any, batch_idx: int) -> int | None:
            return -1 if batch_idx == 2 and who == "callback" else None

    calls: list[str] = []
    module = Skips()
    spy = spy_callback(calls, "on_train_epoch_end", "on_validation_end")
    runner = trainer(max_epochs=2, callbacks=[Skipper(), spy])
    runner.fit(module, loader(10, 2), loader())
    assert module.seen == [[0, 1], [2, 3]] * 2
    assert calls == ["c.on_validation_end", "c.on_train_epoch_end"] * 2
    assert (runner.global_step, runner.current_epoch) == (4, 2)


def mean_loss(net: Any, *begins: int) -> Tensor:
    """Mean over batches of two samples that begin there."""
    x, y, _ = samples(16).tensors
    return torch.stack([torch.nn.functional.mse_loss(net(x[i : i + 2]), y[i : i + 2]) for i in begins]).mean()


def assert_close(module: torch.nn.Module, reference: torch.nn.Module) -> None:
    for name, value in reference.state_dict().items():
        torch.testing.assert_close(module.state_dict()[name], value)


def test_a_skip_inside_an_accumulation_group_steps_what_is_there_with_its_real_weight() -> None:
    class Skips(Silent):
        def on_train_batch_start(self, batch: Any, batch_idx: int) -> int | None:
            return -1 if batch_idx == 3 else None

    torch.manual_seed(0)
    module = Skips()
    twin = copy.deepcopy(module.net)
    runner = trainer(accumulate_grad_batches=4)
    runner.fit(module, loader(16, 2))
    optimizer = torch.optim.SGD(twin.parameters(), lr=0.1)
    mean_loss(twin, 0, 2, 4).backward()
    optimizer.step()
    assert_close(module.net, twin)
    assert runner.global_step == 1


def test_max_steps_counts_updates_and_ends_inside_an_epoch() -> None:
    module = Regression()
    runner = trainer(max_epochs=-1, max_steps=3, accumulate_grad_batches=2)
    runner.fit(module, loader(8, 2))
    assert len(module.losses) == 6
    assert (runner.global_step, runner.current_epoch, runner.progress.batch) == (3, 1, 2)


def test_max_steps_at_the_end_of_an_epoch_closes_it() -> None:
    runner = trainer(max_epochs=-1, max_steps=4)
    runner.fit(Regression(), loader(8, 2))
    assert (runner.global_step, runner.current_epoch, runner.progress.batch) == (4, 1, 0)


@pytest.mark.parametrize("settings", [{"max_epochs": 0}, {"max_steps": 0}])
def test_zero_epochs_and_zero_steps_train_nothing(settings: dict[str, Any]) -> None:
    module = Regression()
    trainer(**settings).fit(module, loader())
    assert module.losses == []


class StopsAt(Callback):
    def __init__(self, batch: int, how: str = "stop") -> None:
        self.batch, self.how = batch, how

    def on_train_batch_end(self, trainer: Any, module: Any, outputs: Any, batch: Any, batch_idx: int) -> None:
        if trainer.progress.batches == self.batch:
            if self.how == "stop":
                trainer.stop("enough")
            else:
                trainer.should_stop = True


@pytest.mark.parametrize("how", ["stop", "should_stop"])
def test_a_stop_is_obeyed_after_the_batch(how: str) -> None:
    module = Regression()
    runner = trainer(max_epochs=5, callbacks=[StopsAt(2, how)])
    runner.fit(module, loader(8, 2))
    assert len(module.losses) == 2
    assert runner.should_stop
    assert runner.stop_reason
    assert how == "should_stop" or runner.stop_reason == "enough"


@pytest.mark.parametrize(
    ("settings", "batches"), [({"min_epochs": 2}, 8), ({"min_steps": 6}, 6), ({"min_epochs": 1, "min_steps": 3}, 4)]
)
def test_no_stop_before_the_minimum_of_epochs_and_steps(settings: dict[str, Any], batches: int) -> None:
    module = Regression()
    trainer(max_epochs=5, callbacks=[StopsAt(2)], **settings).fit(module, loader(8, 2))
    assert len(module.losses) == batches


def test_a_stop_that_a_validation_asks_for_is_obeyed_at_once() -> None:
    class Stops(Callback):
        def on_validation_end(self, trainer: Any, module: Any) -> None:
            trainer.stop("bad")

    module = Regression()
    trainer(max_epochs=5, val_check_interval=3, callbacks=[Stops()]).fit(module, loader(16, 2), loader())
    assert len(module.losses) == 3


def test_a_second_fit_of_the_same_trainer_goes_on_from_the_clock() -> None:
    module = Regression()
    runner = trainer(max_epochs=1)
    runner.fit(module, loader(8, 2))
    runner.fit(module, loader(8, 2))
    assert len(module.losses) == 4
    assert runner.current_epoch == 1


class Validations(Callback):
    """Notes ``(epoch, batches of the epoch that were done)`` at each validation."""

    def __init__(self) -> None:
        self.at: list[tuple[int, int]] = []

    def on_validation_start(self, trainer: Any, module: Any) -> None:
        self.at.append((trainer.current_epoch, trainer.progress.batch))


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({}, [(0, 5), (1, 5)]),
        ({"val_check_interval": 2}, [(0, 2), (0, 4), (1, 2), (1, 4)]),
        ({"val_check_interval": 5}, [(0, 5), (1, 5)]),
        ({"val_check_interval": 1}, [(e, b) for e in (0, 1) for b in (1, 2, 3, 4, 5)]),
        ({"val_check_interval": 0.5}, [(0, 2), (0, 4), (1, 2), (1, 4)]),
        ({"val_check_interval": 0.1}, [(e, b) for e in (0, 1) for b in (1, 2, 3, 4, 5)]),
        ({"check_val_every_n_epoch": 2}, [(1, 5)]),
        ({"check_val_every_n_epoch": 2, "val_check_interval": 3}, [(1, 3)]),
        ({"check_val_every_n_epoch": None, "val_check_interval": 4}, [(0, 4), (1, 3)]),
        ({"check_val_every_n_epoch": None, "val_check_interval": 7}, [(1, 2)]),
        ({"limit_val_batches": 0}, []),
        ({"limit_train_batches": 3}, [(0, 3), (1, 3)]),
        ({"limit_train_batches": 4, "val_check_interval": 0.5}, [(0, 2), (0, 4), (1, 2), (1, 4)]),
    ],
)
def test_validation_comes_when_its_interval_says(settings: dict[str, Any], expected: list[tuple[int, int]]) -> None:
    watch = Validations()
    trainer(max_epochs=2, callbacks=[watch], **settings).fit(Regression(), loader(10, 2), loader())
    assert watch.at == expected


def test_validation_comes_when_its_time_has_passed() -> None:
    class Slow(Regression):
        def training_step(self, batch: Any, batch_idx: int) -> Any:
            time.sleep(0.02)
            return super().training_step(batch, batch_idx)

    validations = Validations()
    trainer(val_check_interval={"seconds": 0.07}, max_epochs=1, callbacks=[validations]).fit(
        Slow(), loader(40, 2), loader(2, 2)
    )
    assert 3 <= len(validations.at) <= 6


def test_an_interval_longer_than_the_epoch_is_refused_as_it_would_never_validate() -> None:
    with pytest.raises(ValueError, match=r"val_check_interval=6.*5 batches.*check_val_every_n_epoch=None"):
        trainer(val_check_interval=6).fit(Regression(), loader(10, 2), loader())


@pytest.mark.parametrize("settings", [{"val_check_interval": 100}, {"check_val_every_n_epoch": 3}, {}])
def test_a_fast_dev_run_validates_whatever_the_intervals_are(settings: dict[str, Any]) -> None:
    watch = Validations()
    trainer(fast_dev_run=2, callbacks=[watch], **settings).fit(Regression(), loader(10, 2), loader())
    assert watch.at == [(0, 2)]


class Stream(IterableDataset[Any]):
    def __init__(self, n: int) -> None:
        self.n = n

    def __iter__(self) -> Iterator[Any]:
        data = samples(self.n)
        return iter(data[i] for i in range(self.n))


class Announced(Stream):
    """Says that it is longer than it is."""

    def __len__(self) -> int:
        return 20


def test_a_fraction_of_an_epoch_of_unknown_length_is_refused() -> None:
    with pytest.raises(ValueError, match="fraction"):
        trainer(val_check_interval=0.5).fit(Regression(), DataLoader(Stream(6), batch_size=2), loader())


def test_training_goes_on_in_training_mode_with_gradients_after_validation() -> None:
    class Checks(Regression):
        def training_step(self, batch: Any, batch_idx: int) -> Any:
            assert self.training
            assert self.net[2].training
            assert torch.is_grad_enabled()
            assert not torch.is_inference_mode_enabled()
            return super().training_step(batch, batch_idx)

    module = Checks(dropout=0.3)
    trainer(val_check_interval=2, num_sanity_val_steps=2).fit(module, loader(), loader())
    assert len(module.losses) == 4


@pytest.mark.parametrize("dataset", [Stream(7), Announced(7)], ids=["no length", "wrong length"])
def test_an_iterable_dataset_ends_its_epoch_when_it_is_exhausted_and_validates(dataset: Any) -> None:
    watch, rows, module = Validations(), Rows(), Regression()
    runner = trainer(max_epochs=2, callbacks=[watch], logger=rows)
    runner.fit(module, DataLoader(dataset, batch_size=2), loader())
    assert watch.at == [(0, 4), (1, 4)]
    assert len(module.losses) == 8
    assert [step for step, _ in rows.of("loss_epoch")] == [4, 8]
    assert runner.current_epoch == 2


@pytest.mark.parametrize("dataset", [Stream(12), Announced(12)], ids=["no length", "wrong length"])
def test_a_group_that_the_end_of_the_data_cuts_is_stepped_with_its_real_weight(dataset: Any) -> None:
    torch.manual_seed(0)
    module = Silent()
    twin = copy.deepcopy(module.net)
    runner = trainer(accumulate_grad_batches=4)
    runner.fit(module, DataLoader(dataset, batch_size=2))
    optimizer = torch.optim.SGD(twin.parameters(), lr=0.1)
    for group in ((0, 2, 4, 6), (8, 10)):
        optimizer.zero_grad()
        x, y, _ = samples(12).tensors
        losses = [torch.nn.functional.mse_loss(twin(x[i : i + 2]), y[i : i + 2]) for i in group]
        torch.stack(losses).mean().backward()
        optimizer.step()
    assert_close(module.net, twin)
    assert runner.global_step == 2


def test_an_unlimited_stream_is_cut_by_limit_train_batches() -> None:
    module = Regression()
    runner = trainer(max_epochs=2, limit_train_batches=3)
    runner.fit(module, DataLoader(Stream(100), batch_size=2))
    assert module.seen == [[0, 1], [2, 3], [4, 5]] * 2
    assert runner.num_training_batches == 3


def test_a_list_of_batches_is_a_loader() -> None:
    module = Regression()
    trainer(max_epochs=2).fit(module, list(loader(6, 2)), [list(loader(4, 2))])
    assert module.seen == [[0, 1], [2, 3], [4, 5]] * 2


class Faulty(Dataset[Any]):
    def __init__(self, error: type[Exception]) -> None:
        self.error, self.data = error, samples(8)

    def __len__(self) -> int:
        return 8

    def __getitem__(self, index: int) -> Any:
        if index == 5:
            raise self.error("from the dataset")
        return self.data[index]


@pytest.mark.parametrize("error", [StopIteration, IndexError, KeyError])
@pytest.mark.parametrize("where", ["training_step", "validation_step", "on_train_batch_end"])
def test_exceptions_of_user_code_propagate(error: type[Exception], where: str) -> None:
    def fail(self: Any, *args: Any) -> None:
        raise error("from the user")

    module = type("Fails", (Regression,), {where: fail})()
    with pytest.raises(error, match="from the user"):
        trainer(max_epochs=2).fit(module, loader(), loader())


@pytest.mark.parametrize("error", [IndexError, KeyError])
def test_exceptions_of_a_dataset_propagate(error: type[Exception]) -> None:
    with pytest.raises(error, match="from the dataset"):
        trainer(max_epochs=2).fit(Regression(), DataLoader(Faulty(error), batch_size=2))


@pytest.mark.parametrize("stage", ["train", "val"])
def test_a_stop_iteration_of_a_dataset_does_not_end_an_epoch_silently(stage: str) -> None:
    bad = DataLoader(Faulty(StopIteration), batch_size=2)
    train, val = (bad, loader()) if stage == "train" else (loader(), bad)
    with pytest.raises(RuntimeError, match=f"{stage}_dataloader ended after 2 of 4 batches.*StopIteration"):
        trainer(max_epochs=2).fit(Regression(), train, val)


def test_a_stop_iteration_of_a_dataset_does_not_end_prediction_silently() -> None:
    class First(Regression):
        def predict_step(self, batch: Any, batch_idx: int) -> Any:
            return self(batch[0])

    with pytest.raises(RuntimeError, match="ended after 2 of 4 batches"):
        trainer().predict(First(), DataLoader(Faulty(StopIteration), batch_size=2))


def test_a_loss_of_none_skips_the_update_and_no_hook_of_backward_runs() -> None:
    calls: list[str] = []

    class SomeNone(Regression):
        def training_step(self, batch: Any, batch_idx: int) -> Any:
            loss = super().training_step(batch, batch_idx)
            return None if batch_idx % 2 else loss

    torch.manual_seed(0)
    module = SomeNone()
    twin = copy.deepcopy(module.net)
    runner = trainer(callbacks=[spy_callback(calls, "on_before_backward", "on_before_optimizer_step")])
    runner.fit(module, loader(8, 2))
    assert runner.global_step == 2
    assert runner.progress.batches == 4
    assert calls == ["c.on_before_backward", "c.on_before_optimizer_step"] * 2
    optimizer = torch.optim.SGD(twin.parameters(), lr=0.1)
    x, y, _ = samples(8).tensors
    for i in (0, 4):
        optimizer.zero_grad()
        torch.nn.functional.mse_loss(twin(x[i : i + 2]), y[i : i + 2]).backward()
        optimizer.step()
    assert same(weights(module.net), weights(twin))


def test_training_epoch_end_gets_what_every_step_returned_without_its_graph() -> None:
    got: list[Any] = []

    class Ends(Regression):
        def training_step(self, batch: Any, batch_idx: int) -> Any:
            return {"loss": super().training_step(batch, batch_idx), "ids": batch[2], "nested": [(batch[0],)]}

        def training_epoch_end(self, outputs: Any) -> None:
            got.append(list(outputs))
            self.log("n", float(len(outputs)))

    rows = Rows()
    module = Ends()
    trainer(max_epochs=2, logger=rows).fit(module, loader(6, 2))
    assert [[o["ids"].tolist() for o in outputs] for outputs in got] == [[[0, 1], [2, 3], [4, 5]]] * 2
    losses = [o["loss"] for outputs in got for o in outputs]
    assert same(losses, module.losses)
    assert not any(loss.requires_grad for loss in losses)
    assert rows.of("n") == [(3, 3.0), (6, 3.0)]


def test_training_step_end_makes_the_loss_from_what_the_step_returned() -> None:
    class Ends(Silent):
        def training_step(self, batch: Any, batch_idx: int) -> Any:
            return self(batch[0]), batch[1]

        def training_step_end(self, step_output: Any) -> Any:
            return torch.nn.functional.mse_loss(*step_output)

    torch.manual_seed(0)
    module = Ends()
    torch.manual_seed(0)
    plain = Silent()
    trainer().fit(module, loader())
    trainer().fit(plain, loader())
    assert same(weights(module), weights(plain))


def test_on_train_batch_end_gets_the_output_detached_and_the_batch() -> None:
    seen = []

    class Watch(Callback):
        def on_train_batch_end(self, trainer: Any, module: Any, outputs: Any, batch: Any, batch_idx: int) -> None:
            seen.append((outputs.requires_grad, float(outputs), batch[2].tolist(), batch_idx))

    module = Regression()
    trainer(callbacks=[Watch()]).fit(module, loader(4, 2))
    assert seen == [(False, float(module.losses[i]), [2 * i, 2 * i + 1], i) for i in (0, 1)]


def test_the_clock_counts_batches_samples_and_steps() -> None:
    runner = trainer(max_epochs=2, accumulate_grad_batches=2)
    runner.fit(Regression(), loader(7, 2))
    progress = runner.progress
    assert (progress.epoch, progress.batches, progress.samples, progress.global_step) == (2, 8, 14, 4)
    assert progress.optimizer_steps == {"optimizer_0": 4}
