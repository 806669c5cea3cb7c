"""The evaluation loop: modes, gradients, several loaders, what epoch_end gets."""

from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from tests.lit_core.tiny import Regression, loader, same, samples, trainer, weights


def bare_loss(module: Regression, n: int, batch_size: int) -> float:
    """Mean over samples, from batches, in float64."""
    x, y, _ = samples(n).tensors
    net = module.net.eval()
    with torch.no_grad():
        parts = [
            nn.functional.mse_loss(net(x[i : i + batch_size]), y[i : i + batch_size]) for i in range(0, n, batch_size)
        ]
    sizes = [min(batch_size, n - i) for i in range(0, n, batch_size)]
    return float(np.average(np.array([p.item() for p in parts], dtype=np.float64), weights=sizes))


@pytest.mark.parametrize("stage", ["validate", "test"])
def test_the_mean_is_over_samples_not_over_batches(stage: str) -> None:
    module = Regression()
    [result] = getattr(trainer(), stage)(module, loader(7, 4), verbose=False)
    [(key, value)] = result.items()
    assert key == {"validate": "val_loss", "test": "test_loss"}[stage]
    assert value == pytest.approx(bare_loss(module, 7, 4), rel=1e-12)


def test_every_submodule_returns_to_the_mode_it_was_in() -> None:
    modes: list[list[bool]] = []

    class Mixed(Regression):
        def validation_step(self, batch: Any, batch_idx: int) -> None:
            modes.append([child.training for child in self.modules()])

        def on_train_start(self) -> None:
            self.net[2].eval()

        def training_step(self, batch: Any, batch_idx: int) -> Any:
            assert [child.training for child in self.net] == [True, True, False, True]
            return super().training_step(batch, batch_idx)

    module = Mixed(dropout=0.5)
    trainer(val_check_interval=1).fit(module, loader(), loader(4, 2))
    assert len(module.losses) == 4
    assert modes
    assert not any(mode for entry in modes for mode in entry)


def test_modes_return_after_an_exception_too() -> None:
    class Fails(Regression):
        def validation_step(self, batch: Any, batch_idx: int) -> None:
            raise ValueError("no")

    module = Fails()
    module.net[0].eval()
    with pytest.raises(ValueError, match="no"):
        trainer().validate(module, loader(), verbose=False)
    assert [child.training for child in module.net] == [False, True, True, True]
    assert torch.is_grad_enabled()
    assert not torch.is_inference_mode_enabled()


@pytest.mark.parametrize("inference", [True, False])
def test_no_gradients_and_inference_mode_as_chosen(inference: bool) -> None:
    seen = []

    class Looks(Regression):
        def test_step(self, batch: Any, batch_idx: int) -> None:
            seen.append((torch.is_grad_enabled(), torch.is_inference_mode_enabled(), self.loss(batch).requires_grad))

    trainer(inference_mode=inference).test(Looks(), loader(4, 2), verbose=False)
    assert seen == [(False, inference, False)] * 2


def test_evaluation_changes_no_weights_and_no_statistics() -> None:
    class Normed(Regression):
        def __init__(self) -> None:
            super().__init__()
            self.net = nn.Sequential(nn.BatchNorm1d(3), nn.Linear(3, 1))

    module = Normed()
    before = weights(module)
    trainer().validate(module, loader(), verbose=False)
    assert same(weights(module), before)


class Several(Regression):
    def __init__(self) -> None:
        super().__init__()
        self.steps: list[tuple[int, int]] = []
        self.ended: Any = None

    def validation_step(self, batch: Any, batch_idx: int, dataloader_idx: int = 0) -> Any:  # type: ignore[override]
        self.steps.append((dataloader_idx, batch_idx))
        self.log("n", float(dataloader_idx + 1), reduce_fx="sum")
        self.log("both", float(dataloader_idx), add_dataloader_idx=False)
        return batch[2]

    def validation_epoch_end(self, outputs: Any) -> None:
        self.ended = outputs


def test_several_loaders_are_run_one_after_the_other_and_give_one_result_each() -> None:
    module = Several()
    results = trainer().validate(module, [loader(6, 2), loader(4, 4)], verbose=False)
    assert module.steps == [(0, 0), (0, 1), (0, 2), (1, 0)]
    assert results == [
        {"n/dataloader_idx_0": 3.0, "both": 0.4},
        {"n/dataloader_idx_1": 2.0, "both": 0.4},  # 6 samples with 0, 4 with 1
    ]
    assert [[ids.tolist() for ids in one] for one in module.ended] == [[[0, 1], [2, 3], [4, 5]], [[0, 1, 2, 3]]]


def test_epoch_end_of_one_loader_gets_one_list() -> None:
    module = Several()
    trainer().validate(module, loader(4, 2), verbose=False)
    assert [ids.tolist() for ids in module.ended] == [[0, 1], [2, 3]]
    assert module.steps == [(0, 0), (0, 1)]


def test_step_end_gets_and_replaces_what_the_step_returned() -> None:
    class Ends(Several):
        def validation_step_end(self, step_output: Any) -> Any:
            return step_output.sum().item()

    module = Ends()
    trainer().validate(module, loader(4, 2), verbose=False)
    assert module.ended == [1, 5]


@pytest.mark.parametrize(("limit", "batches"), [(2, 2), (0.5, 2), (1.0, 4), (None, 4), (100, 4)])
@pytest.mark.parametrize("stage", ["validate", "test"])
def test_limits_of_batches(stage: str, limit: Any, batches: int) -> None:
    count = []

    class Counts(Regression):
        def validation_step(self, batch: Any, batch_idx: int) -> None:
            count.append(batch_idx)

        def test_step(self, batch: Any, batch_idx: int) -> None:
            count.append(batch_idx)

    name = {"validate": "limit_val_batches", "test": "limit_test_batches"}[stage]
    getattr(trainer(**{name: limit}), stage)(Counts(), loader(8, 2), verbose=False)
    assert count == list(range(batches))


@pytest.mark.parametrize(("steps", "expected"), [(2, [0, 1]), (-1, [0, 1, 2, 3]), (0, [])])
def test_the_sanity_check_runs_so_many_batches_and_keeps_no_numbers(steps: int, expected: list[int]) -> None:
    count: list[int] = []

    class Counts(Regression):
        def validation_step(self, batch: Any, batch_idx: int) -> None:
            count.append(batch_idx)
            self.log("x", 1.0)

        def on_train_start(self) -> None:
            assert "x" not in self.trainer.callback_metrics
            count.append(-1)

    runner = trainer(num_sanity_val_steps=steps)
    runner.fit(Counts(), loader(), loader())
    assert count == [*expected, -1, 0, 1, 2, 3]
    assert runner.metric_version("x") == 1


def test_values_logged_once_before_the_batches_are_not_weighted_by_a_batch_of_training() -> None:
    class Starts(Regression):
        def on_validation_epoch_start(self) -> None:
            self.log("began", 3.0)  # the training batch has no size of its own: nothing to guess from

        def training_step(self, batch: Any, batch_idx: int) -> Any:
            return self.loss((batch["a"][0], batch["a"][1]))

    x, y, _ = samples(2).tensors
    odd = [{"a": (x, y), "b": torch.zeros(5)}] * 2
    runner = trainer(val_check_interval=1)
    runner.fit(Starts(), odd, loader())
    assert float(runner.callback_metrics["began"]) == 3.0


def test_the_modules_own_say_on_modes_is_heard_around_every_evaluation() -> None:
    heard: list[tuple[str, bool]] = []

    class Decides(Regression):
        def on_validation_model_zero_grad(self) -> None:
            heard.append(("zero_grad", self.training))

        def on_validation_model_eval(self) -> None:
            heard.append(("eval", self.net.training))
            self.net.train()

        def on_validation_start(self) -> None:
            heard.append(("start", self.net.training))

        def on_validation_end(self) -> None:
            heard.append(("end", self.net.training))

        def on_validation_model_train(self) -> None:
            heard.append(("train", self.net.training))

        on_test_model_eval = on_predict_model_eval = on_validation_model_eval
        on_test_model_train = on_predict_model_train = on_validation_model_train
        test_step = Regression.validation_step

    runner, module = trainer(), Decides()
    runner.fit(module, loader(), loader())
    around = [("zero_grad", False), ("eval", False), ("start", True), ("end", True), ("train", True)]
    assert heard == around
    runner.test(module, loader(), verbose=False)
    runner.predict(module, loader())
    assert heard[len(around) :] == [("eval", False), ("train", True)] * 2
