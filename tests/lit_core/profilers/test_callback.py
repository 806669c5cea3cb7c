"""What a run tells a profiler, and that it is the same run without one."""

import copy
import pickle
import time
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from lit_core import Callback, LightningModule
from lit_core.profilers import PassThroughProfiler, Profiler, ProfilerCallback, SimpleProfiler
from tests.lit_core.tiny import Regression, loader, same, trainer, weights


class Record(Profiler):
    """Remembers every call."""

    def __init__(self) -> None:
        super().__init__()
        self.calls: list[str] = []

    def setup(self, folder: str) -> None:
        self.calls.append("setup")

    def start(self, name: str) -> None:
        self.calls.append(f"+{name}")

    def stop(self, name: str) -> None:
        self.calls.append(f"-{name}")

    def step(self) -> None:
        self.calls.append("step")

    def teardown(self) -> None:
        self.calls.append("teardown")

    def summary(self) -> str:
        return "the summary"


def events(stage: str, **settings: Any) -> tuple[list[str], LightningModule]:
    profiler, module = Record(), Regression()
    run = trainer(callbacks=[ProfilerCallback(profiler)], **settings)
    if stage == "fit":
        run.fit(module, loader(4), loader(2))
    else:
        getattr(run, stage)(module, loader(4))
    return profiler.calls, module


def is_nested(calls: list[str]) -> bool:
    stack: list[str] = []
    for call in calls:
        if call[0] == "+":
            stack.append(call[1:])
        elif call[0] == "-" and stack.pop() != call[1:]:
            return False
    return not stack


def test_a_fit_is_told_event_by_event() -> None:
    calls, _ = events("fit", num_sanity_val_steps=1)

    validation = [
        "+validation",
        "+validation_data",
        "-validation_data",
        "+validation_batch",
        "+validation_step",
        "-validation_step",
        "-validation_batch",
        "+validation_data",
        "-validation_data",
        "-validation",
    ]
    batch = [
        "-train_data",
        "+train_batch",
        "+training_step",
        "-training_step",
        "+backward",
        "-backward",
        "+optimizer_step",
        "-optimizer_step",
        "-train_batch",
        "step",
        "+train_data",
    ]
    assert calls == [
        *("setup", "+fit", "+sanity_check", *validation, "-sanity_check", "+train_epoch", "+train_data"),
        *(*batch, *batch, "-train_data", *validation, "+train_data", "-train_data", "-train_epoch"),
        *("-fit", "teardown"),
    ]


@pytest.mark.parametrize("stage", ["validate", "test", "predict"])
def test_the_other_stages_are_told_too(stage: str) -> None:
    calls, _ = events(stage)

    assert is_nested(calls)
    name = "validation" if stage == "validate" else stage
    assert calls.count(f"+{name}_batch") == calls.count("step") == 2
    assert calls.count(f"+{name}_step") == (0 if stage == "predict" else 2), "predict_step was not written"
    assert calls[:2] == ["setup", f"+{stage}"]
    assert calls[-2:] == [f"-{stage}", "teardown"]


@pytest.mark.parametrize("settings", [{"accumulate_grad_batches": 2}, {"gradient_clip_val": 0.5}, {}])
@pytest.mark.parametrize("profiler", ["simple", "advanced"])
def test_the_numbers_of_a_run_are_the_same(settings: dict[str, Any], profiler: str) -> None:
    def weights_after(**more: Any) -> dict[str, Tensor]:
        torch.manual_seed(0)
        module = Regression(dropout=0.3)
        trainer(max_epochs=2, **settings, **more).fit(module, loader(10, shuffle=True), loader())
        return weights(module)

    assert same(weights_after(callbacks=[ProfilerCallback(profiler)]), weights_after())


def test_several_optimizers_and_manual_steps_are_timed_alike() -> None:
    class Manual(LightningModule):
        def __init__(self) -> None:
            super().__init__()
            self.automatic_optimization = False
            self.a, self.b = nn.Linear(3, 1), nn.Linear(3, 1)

        def training_step(self, batch: Any, batch_idx: int) -> None:
            for layer, optimizer in zip((self.a, self.b), self.optimizers(), strict=True):
                optimizer.zero_grad()
                self.manual_backward(layer(batch[0]).square().mean())
                optimizer.step()

        def configure_optimizers(self) -> Any:
            return [torch.optim.SGD(layer.parameters(), lr=0.1) for layer in (self.a, self.b)]

    profiler = Record()
    trainer(callbacks=[ProfilerCallback(profiler)]).fit(Manual(), loader(4))

    assert is_nested(profiler.calls)
    assert profiler.calls.count("+optimizer_step") == 4
    assert profiler.calls.count("+training_step") == 2


def test_lbfgs_runs_its_closure_inside_the_optimizer() -> None:
    class Second(Regression):
        def configure_optimizers(self) -> Any:
            return torch.optim.LBFGS(self.parameters(), max_iter=2)

    profiler = SimpleProfiler()
    trainer(callbacks=[ProfilerCallback(profiler)]).fit(Second(), loader(4))

    assert profiler.events["optimizer_step"].total_s > profiler.events["training_step"].total_s
    assert profiler.events["training_step"].count > profiler.events["optimizer_step"].count == 2


def test_a_skipped_epoch_leaves_no_event_open() -> None:
    class Skip(Callback):
        def on_train_batch_start(self, trainer: Any, module: Any, batch: Any, batch_idx: int) -> int | None:
            return -1 if batch_idx == 1 else None

    profiler = Record()
    trainer(max_epochs=2, callbacks=[Skip(), ProfilerCallback(profiler)]).fit(Regression(), loader(8))

    assert is_nested(profiler.calls)
    assert profiler.calls.count("+training_step") == 2


def test_the_time_of_a_step_is_measured() -> None:
    class Slow(Regression):
        def training_step(self, batch: Any, batch_idx: int) -> Any:
            time.sleep(0.01)
            return super().training_step(batch, batch_idx)

    profiler = SimpleProfiler()
    trainer(callbacks=[ProfilerCallback(profiler)]).fit(Slow(), loader(4))

    timed = profiler.events
    assert timed["fit"].total_s > timed["train_epoch"].total_s > timed["train_batch"].total_s
    assert timed["train_batch"].total_s > timed["training_step"].total_s >= 0.02
    assert timed["optimizer_step"].mean_s < 0.01


def test_the_module_is_left_as_it_was() -> None:
    _, module = events("fit")
    assert not {"training_step", "validation_step"} & set(vars(module))

    given = module.loss
    module.__dict__["training_step"] = lambda batch, batch_idx: given(batch)
    own = module.__dict__["training_step"]
    trainer(callbacks=[ProfilerCallback(PassThroughProfiler())]).fit(module, loader())
    assert module.__dict__["training_step"] is own


def test_a_failure_ends_the_events_and_takes_the_hooks_off() -> None:
    class Fails(Regression):
        def training_step(self, batch: Any, batch_idx: int) -> Any:
            if batch_idx == 1:
                raise ZeroDivisionError
            return super().training_step(batch, batch_idx)

        def configure_optimizers(self) -> Any:
            self.made = super().configure_optimizers()
            return self.made

    profiler, module = Record(), Fails()
    with pytest.raises(ZeroDivisionError):
        trainer(callbacks=[ProfilerCallback(profiler)]).fit(module, loader())

    assert is_nested(profiler.calls)
    assert profiler.calls[-1] == "teardown"
    assert "training_step" not in vars(module)
    before = len(profiler.calls)
    module.made.step()
    assert len(profiler.calls) == before


@pytest.mark.parametrize("duplicate", [copy.deepcopy, lambda module: pickle.loads(pickle.dumps(module))])
def test_a_copy_made_while_it_runs_has_steps_of_its_own(duplicate: Any) -> None:
    copies: list[Regression] = []

    class Copy(Callback):
        def on_train_batch_start(self, trainer: Any, module: Any, batch: Any, batch_idx: int) -> None:
            copies.append(duplicate(module))

    profiler, module = Record(), Regression()
    trainer(callbacks=[ProfilerCallback(profiler), Copy()], max_steps=2).fit(module, loader())

    before, seen = len(profiler.calls), len(module.seen)
    with pytest.warns(UserWarning, match="no Trainer runs"):
        copies[0].training_step(next(iter(loader())), 0)
    assert len(profiler.calls) == before
    assert len(module.seen) == seen
    assert len(copies[0].seen) == 1


def test_the_summary_is_shown_at_the_end_or_written(capsys: pytest.CaptureFixture[str], tmp_path: Any) -> None:
    trainer(callbacks=[ProfilerCallback(Record())]).fit(Regression(), loader())
    assert "the summary" in capsys.readouterr().out

    run = trainer(callbacks=[ProfilerCallback(SimpleProfiler("profile.txt"))], default_root_dir=tmp_path)
    run.fit(Regression(), loader())
    assert "training_step" in (tmp_path / "profile.txt").read_text()
    assert capsys.readouterr().out == ""
