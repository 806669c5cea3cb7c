"""SpikeDetection against the rule written out by hand, and against a loop that skips the batch."""

import json
import math
import random
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from lit_core.callbacks import SpikeDetection
from tests.lit_core.tiny import Regression, loader, same, trainer, weights


class Scripted(Regression):
    """Its losses have given values, whatever the weights."""

    def __init__(self, values: list[float]) -> None:
        super().__init__()
        self.values, self.ran = values, 0

    def training_step(self, batch: Any, batch_idx: int) -> Any:
        loss = self.loss(batch)
        self.ran += 1
        return loss - loss.detach() + self.values[batch_idx]


def run(values: list[float], **options: Any) -> tuple[SpikeDetection, Any, Scripted]:
    callback, module = SpikeDetection(**options), Scripted(values)
    fitting = trainer(callbacks=callback)
    fitting.fit(module, loader(2 * len(values), 2))
    return callback, fitting, module


def spikes(values: list[float], *, mode: str, window: int, warmup: int, atol: Any, rtol: Any) -> list[int]:
    good: list[float] = []
    found = []
    for index, value in enumerate(values):
        if not math.isfinite(value):
            found.append(index)
            continue
        if len(good) >= warmup and good:
            mean = sum(good[-window:]) / len(good[-window:])
            worse = value - mean if mode == "min" else mean - value
            if worse > 0 and (atol is None or worse >= atol) and (rtol is None or worse >= rtol * abs(mean)):
                found.append(index)
                continue
        good.append(value)
    return found


@pytest.mark.parametrize("seed", range(6))
def test_it_finds_what_the_rule_says_over_random_losses(seed: int) -> None:
    draw = random.Random(seed)
    options: dict[str, Any] = {
        "mode": draw.choice(["min", "max"]),
        "window": draw.randint(1, 4),
        "warmup": draw.randint(1, 3),
        "atol": draw.choice([None, 0.5]),
        "rtol": draw.choice([None, 0.5, 2.0]),
    }
    values = [draw.choice([1.0, 1.25, 1.5, 6.0, 0.25, math.nan]) for _ in range(16)]

    callback, _, module = run(values, action="exclude", **options)

    assert [spike["batch_idx"] for spike in callback.spikes] == spikes(values, **options)
    assert module.ran == 16


def test_terminate_stops_at_the_spike_without_its_update(capsys: pytest.CaptureFixture[str]) -> None:
    callback, fitting, module = run([1.0, 1.0, 9.0, 1.0])

    assert module.ran == 3
    assert fitting.stop_reason.startswith("SpikeDetection: loss 9 in batch 2 of epoch 0, after a mean of 1")
    assert callback.spikes == [{"epoch": 0, "batch_idx": 2, "global_step": 2, "loss": 9.0, "mean": 1.0}]


@pytest.mark.parametrize("bad", [math.nan, math.inf])
@pytest.mark.parametrize("optimizer", [torch.optim.SGD, torch.optim.Adam])
@pytest.mark.parametrize("clip", [None, 0.1])
def test_exclude_trains_as_if_the_batch_had_not_been_there(bad: float, optimizer: Any, clip: float | None) -> None:
    class Spiky(Regression):
        skip = True

        def training_step(self, batch: Any, batch_idx: int) -> Any:
            return self.loss(batch) * (bad if batch_idx == 2 else 1.0)

        def configure_optimizers(self) -> Any:
            return optimizer(self.parameters(), lr=0.05)

    module, bare = Spiky(), Spiky()
    bare.load_state_dict(module.state_dict())
    run = trainer(callbacks=SpikeDetection(action="exclude", rtol=None, atol=1e9), gradient_clip_val=clip)
    run.fit(module, loader(8, 2))

    steps = bare.configure_optimizers()
    for index, batch in enumerate(loader(8, 2)):
        if index != 2:
            steps.zero_grad()
            bare.loss(batch).backward()
            if clip is not None:
                nn.utils.clip_grad_norm_(bare.parameters(), clip)
            steps.step()
    assert run.global_step == 4
    for name, value in weights(module).items():
        torch.testing.assert_close(value, bare.state_dict()[name], msg=name)


def test_in_an_accumulation_group_the_whole_update_is_dropped() -> None:
    class Spiky(Regression):
        def training_step(self, batch: Any, batch_idx: int) -> Any:
            return self.loss(batch) * (math.nan if batch_idx == 2 else 1.0)

    module = Spiky()
    states = []
    callback = SpikeDetection(action="exclude", rtol=None, atol=1e9)
    module.on_train_batch_end = lambda outputs, batch, batch_idx: states.append(weights(module))  # type: ignore[method-assign]
    trainer(callbacks=callback, accumulate_grad_batches=2).fit(module, loader(8, 2))

    assert same(states[1], states[3])
    assert not same(states[0], states[1])


def test_not_finite_losses_are_let_through_if_asked() -> None:
    callback, _, _ = run([1.0, math.inf, 1.0], finite_only=False)

    assert callback.spikes == []


def test_spikes_are_written_to_a_file(tmp_path: Path) -> None:
    callback, _, _ = run([1.0, 9.0, 1.0, 8.0], action="exclude", exclude_batches_path=tmp_path / "deep" / "spikes.json")

    written = json.loads((tmp_path / "deep" / "spikes.json").read_text())
    assert written == callback.spikes
    assert [spike["batch_idx"] for spike in written] == [1, 3]


def test_a_resumed_run_compares_with_the_losses_before(tmp_path: Path) -> None:
    first = trainer(max_epochs=1, callbacks=SpikeDetection(window=4))
    first.fit(Scripted([1.0, 1.5, 2.0, 1.0]), loader(8, 2))
    first.save_checkpoint(tmp_path / "half.ckpt")

    callback = SpikeDetection(window=4)
    second = trainer(max_epochs=2, callbacks=callback)
    second.fit(Scripted([4.0, 7.0, 1.0, 1.0]), loader(8, 2), ckpt_path=tmp_path / "half.ckpt")

    assert [(spike["loss"], spike["mean"]) for spike in callback.spikes] == [(7.0, 2.125)]


def test_what_it_cannot_watch_is_refused() -> None:
    class ByHand(Regression):
        def __init__(self) -> None:
            super().__init__()
            self.automatic_optimization = False

    with pytest.raises(ValueError, match="one optimizer, got manual optimization"):
        trainer(callbacks=SpikeDetection()).fit(ByHand(), loader(2, 2))
    for options, message in (
        ({"mode": "least"}, "'least'"),
        ({"action": "raise"}, "'raise'"),
        ({"window": 0}, "got 0"),
    ):
        with pytest.raises(ValueError, match=message):
            SpikeDetection(**options)
