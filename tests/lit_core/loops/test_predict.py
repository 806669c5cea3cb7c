"""The prediction loop."""

from typing import Any

import pytest
import torch
from torch.utils.data import DataLoader

from lit_core import Callback
from tests.lit_core.tiny import Regression, loader, same, samples, trainer


class Predicts(Regression):
    def predict_step(self, batch: Any, batch_idx: int, dataloader_idx: int = 0) -> Any:
        assert not self.training
        assert not torch.is_grad_enabled()
        return self(batch[0])


def test_predictions_of_all_batches_in_order_equal_a_bare_forward_pass() -> None:
    module = Predicts(dropout=0.5)
    predictions = trainer().predict(module, loader(7, 3))
    with torch.no_grad():
        expected = [module.net.eval()(part) for part in samples(7).tensors[0].split(3)]
    assert same(predictions, expected)


def test_the_default_step_is_forward_of_the_batch_or_of_its_first_element() -> None:
    module = Regression()
    from_batches = trainer().predict(module, loader(4, 2))
    from_tensors = trainer().predict(module, DataLoader(samples(4).tensors[0], batch_size=2))  # type: ignore[arg-type]
    assert same(from_batches, from_tensors)


def test_several_loaders_give_a_list_each() -> None:
    seen = []

    class Which(Regression):
        def predict_step(self, batch: Any, batch_idx: int, dataloader_idx: int = 0) -> Any:
            seen.append((dataloader_idx, batch_idx))
            return batch[2]

    first, second = trainer().predict(Which(), [loader(4, 2), loader(3, 3)])
    assert [ids.tolist() for ids in first] == [[0, 1], [2, 3]]
    assert [ids.tolist() for ids in second] == [[0, 1, 2]]
    assert seen == [(0, 0), (0, 1), (1, 0)]


def test_without_keeping_them_only_callbacks_see_the_predictions() -> None:
    seen = []

    class Writes(Callback):
        def on_predict_batch_end(
            self, trainer: Any, module: Any, outputs: Any, batch: Any, batch_idx: int, dataloader_idx: int = 0
        ) -> None:
            seen.append((tuple(outputs.shape), batch_idx, dataloader_idx))

    assert trainer(callbacks=[Writes()]).predict(Predicts(), loader(4, 2), return_predictions=False) == []
    assert seen == [((2, 1), 0, 0), ((2, 1), 1, 0)]


def test_the_limit_of_batches_holds() -> None:
    assert len(trainer(limit_predict_batches=2).predict(Predicts(), loader(8, 2))) == 2


def test_hooks_are_called_in_this_order() -> None:
    calls: list[str] = []

    def note(name: str) -> Any:
        return lambda self, *args: calls.append(name)

    names = [f"on_predict_{part}" for part in ("start", "epoch_start", "batch_start", "batch_end", "epoch_end", "end")]
    module = type("Notes", (Predicts,), {name: note(name) for name in names})()
    trainer().predict(module, loader(4, 2))
    start, epoch_start, batch_start, batch_end, epoch_end, end = names
    assert calls == [start, epoch_start, *[batch_start, batch_end] * 2, epoch_end, end]


def test_logging_in_prediction_is_refused() -> None:
    class Logs(Regression):
        def predict_step(self, batch: Any, batch_idx: int) -> Any:
            self.log("x", 1.0)

    with pytest.raises(RuntimeError, match="nothing is logged"):
        trainer().predict(Logs(), loader())
