"""Averages of weights that no process holds whole are those of one process, also over a resume."""

import os
import warnings
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from torch.utils.data import DataLoader

from lit_accelerators import FSDPStrategy, ModelParallelStrategy
from lit_checkpoint import ShardedCheckpointIO, load
from lit_core import ModelCheckpoint, Trainer
from lit_core.callbacks import EMAWeightAveraging, StochasticWeightAveraging, WeightAveraging
from tests.integration.test_strategies import Classifier, data

pytestmark = [
    pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork"),
    pytest.mark.timeout(200),
    pytest.mark.filterwarnings("ignore:FSDP2-wrapped module"),  # units of one layer, whose output is a view
]

CALLBACKS: dict[str, Callable[[], Any]] = {
    "ema": partial(EMAWeightAveraging, decay=0.9, update_every_n_steps=2, update_starting_at_step=3),
    "every update": WeightAveraging,
    "swa": partial(StochasticWeightAveraging, swa_lrs=0.05, swa_epoch_start=0, annealing_epochs=2),
}
SHARDED = partial(FSDPStrategy, start="fork", wrap=["Linear"], state_dict_type="sharded")
CUT = {"net.0": "colwise", "net.2": "rowwise"}
STRATEGIES: dict[str, Any] = {
    "one": "auto",
    "fsdp": partial(FSDPStrategy, start="fork"),
    "fsdp in parts": SHARDED,
    "cut": partial(ModelParallelStrategy, start="fork", plan=CUT, tensor_parallel_size=2, state_dict_type="sharded"),
}
ATOL = 1e-6


def fit(
    folder: Path,
    callback: str,
    strategy: str,
    ckpt_path: Any = None,
    *,
    make: Callable[[], Classifier] = Classifier,
    background: bool = False,
    **options: Any,
) -> tuple[Trainer, Classifier]:
    torch.manual_seed(11)
    model, devices = make(), 1 if strategy == "one" else 2
    trainer = Trainer(
        accelerator="cpu",
        devices=devices,
        strategy=STRATEGIES[strategy],
        logger=False,
        enable_progress_bar=False,
        callbacks=[CALLBACKS[callback](), ModelCheckpoint(folder / "saved", background=background)],
        **{"max_epochs": 3, **options},
    )
    samples = 8 if strategy in ("one", "cut") else 4
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "The checkpoint was saved by")
        trainer.fit(model, DataLoader(data(61), samples, shuffle=True), DataLoader(data(37), 5), ckpt_path=ckpt_path)
    return trainer, model


def saved(trainer: Trainer) -> dict[str, dict[str, torch.Tensor]]:
    """The average and the weights in training, as any program reads them."""
    found = load(trainer.checkpoint_callback.last_model_path)
    return {key: found[key] for key in ("state_dict", "current_model_state")}


def assert_equal(found: Any, expected: Any, *, atol: float = ATOL) -> None:
    (trainer, model), (other_trainer, other) = found, expected
    for name, value in other.state_dict().items():
        torch.testing.assert_close(model.state_dict()[name], value, rtol=0, atol=atol, msg=partial(name.__add__))
    for key, weights in saved(other_trainer).items():
        for name, value in weights.items():
            message = partial(f"{key} {name}: ".__add__)
            torch.testing.assert_close(saved(trainer)[key][name], value, rtol=0, atol=atol, msg=message)
    loss = trainer.callback_metrics["val_loss"], other_trainer.callback_metrics["val_loss"]
    torch.testing.assert_close(*loss, rtol=0, atol=atol)
    assert trainer.global_step == other_trainer.global_step


@pytest.fixture(scope="module")
def alone(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What one process makes of it."""
    return {name: fit(tmp_path_factory.mktemp("alone"), name, "one") for name in CALLBACKS}


def test_the_average_is_not_the_weights_in_training(alone: dict[str, Any]) -> None:
    for trainer, model in alone.values():
        weights = saved(trainer)
        assert all(torch.equal(value, weights["state_dict"][name]) for name, value in model.state_dict().items())
        assert all((a - weights["current_model_state"][n]).abs().max() > 1e-3 for n, a in weights["state_dict"].items())


@pytest.mark.parametrize(
    ("callback", "strategy"),
    [("ema", "fsdp"), ("ema", "cut"), ("every update", "fsdp in parts"), ("swa", "fsdp"), ("swa", "fsdp in parts")],
)
def test_two_processes_average_as_one(tmp_path: Path, alone: dict[str, Any], callback: str, strategy: str) -> None:
    assert_equal(fit(tmp_path, callback, strategy), alone[callback])


@pytest.mark.parametrize(
    ("callback", "before", "after"),
    [
        ("ema", "fsdp in parts", "one"),
        ("ema", "one", "fsdp in parts"),
        ("swa", "fsdp", "one"),
        ("swa", "fsdp", "cut"),
    ],
)
def test_an_average_goes_on_in_another_number_of_processes(
    tmp_path: Path, alone: dict[str, Any], callback: str, before: str, after: str
) -> None:
    first, _ = fit(tmp_path / "first", callback, before, max_steps=13)
    path = first.checkpoint_callback.last_model_path
    assert_equal(fit(tmp_path / "rest", callback, after, path), alone[callback])


@pytest.mark.parametrize(("callback", "strategy"), [("ema", "fsdp in parts"), ("swa", "fsdp")])
def test_a_resumed_average_is_exact_and_no_process_reads_it_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, callback: str, strategy: str
) -> None:
    load_parts = ShardedCheckpointIO.load

    def watched(self: ShardedCheckpointIO, path: Any, **options: Any) -> dict[str, Any]:
        found = load_parts(self, path, **options)
        weights = [*found["state_dict"].values(), *found["current_model_state"].values()]
        (tmp_path / f"read_{os.getpid()}").write_text(str(len([tensor for tensor in weights if not tensor.is_meta])))
        return found

    undisturbed = fit(tmp_path / "whole", callback, strategy)
    fit(tmp_path / "run", callback, strategy, max_steps=13, background=True)
    with monkeypatch.context() as patched:
        patched.setattr(ShardedCheckpointIO, "load", watched)
        resumed = fit(tmp_path / "run", callback, strategy, "last")
    assert_equal(resumed, undisturbed, atol=0)
    read = [path.read_text() for path in tmp_path.glob("read_*")]
    assert read == (["0", "0"] if strategy == "fsdp in parts" else [])


class SkipsTheLast(Classifier):
    """Has no loss for the last batch of an epoch, after which some of its parameters are still gathered."""

    def training_step(self, batch: Any, batch_idx: int) -> Any:
        loss = super().training_step(batch, batch_idx)
        return None if batch_idx == 7 else loss


def test_an_epoch_that_ends_without_a_backward_pass_is_averaged_and_validated_as_in_one_process(
    tmp_path: Path,
) -> None:
    one = fit(tmp_path / "one", "swa", "one", make=SkipsTheLast)
    assert_equal(fit(tmp_path / "two", "swa", "fsdp", make=SkipsTheLast), one)
