"""The length of training that a trial sees is that of the real one."""

import math
from typing import Any, ClassVar

import pytest

from lit_core.checking.trial import try_stages
from tests.lit_core.tiny import Regression, loader, trainer


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({"max_epochs": 3}, (3, 5, 15)),
        ({"max_epochs": 3, "accumulate_grad_batches": 2}, (3, 5, 9)),
        ({"max_epochs": 3, "limit_train_batches": 0.6}, (3, 3, 9)),
        ({"max_epochs": -1, "max_steps": 7}, (2, 5, 7)),
        ({"max_epochs": 9, "max_steps": 7, "accumulate_grad_batches": 2}, (3, 5, 7)),
        ({"max_epochs": -1}, (math.inf, 5, math.inf)),
        ({"max_epochs": 9, "min_epochs": 2, "max_time": "1h", "fast_dev_run": 2}, (9, 5, 45)),
    ],
)
def test_the_length_is_that_of_the_whole_training(settings: Any, expected: tuple[float, float, float]) -> None:
    facts, found = try_stages(trainer(**settings), Regression(), loader(10, 2), loader(), None)

    assert (facts.trained, found) == (True, [])
    assert (facts.epochs, facts.batches, facts.updates) == expected
    assert facts.logged == {"loss", "loss_step", "loss_epoch", "val_loss"}


def test_one_batch_of_each_loader_is_enough() -> None:
    class Counts(Regression):
        batches: ClassVar[list[str]] = []

        def training_step(self, batch: Any, batch_idx: int) -> Any:
            self.batches.append("train")
            return super().training_step(batch, batch_idx)

        def validation_step(self, batch: Any, batch_idx: int, dataloader_idx: int = 0) -> Any:
            self.batches.append(f"val{dataloader_idx}")

    try_stages(trainer(max_epochs=5), Counts(), loader(), [loader(), loader()], None)

    assert Counts.batches == ["train", "val0", "val1"]
