"""The tuner at the beginning of a fit."""

from typing import Any

import pytest
import torch

from lit_core.tuner import BatchSizeFinder, LearningRateFinder
from tests.lit_core.tiny import Regression, loader, same, trainer, weights
from tests.lit_core.tuner.bench import Data, Sized, Slope


def test_the_run_trains_with_the_rate_that_was_found() -> None:
    module, finder = Slope(lr=123.0), LearningRateFinder(min_lr=1e-3, num_training=40)

    run = trainer(callbacks=[finder])
    run.fit(module)

    assert finder.found is not None
    assert module.hparams.lr == finder.found.suggestion() == run.optimizers[0].param_groups[0]["lr"]
    twin = Slope(lr=module.hparams.lr)
    trainer().fit(twin)
    assert same(weights(module), weights(twin)), "and its search left no trace in the weights"


def test_the_run_trains_with_the_size_that_was_found() -> None:
    module, finder = Sized(fits=100), BatchSizeFinder(mode="binsearch")
    data = Data()

    trainer(callbacks=[finder]).fit(module)
    assert finder.found == module.batch_size == 100
    assert [len(batch) for batch in module.seen] == [100, 100, 100]

    torch.manual_seed(0)
    trainer(callbacks=[BatchSizeFinder()]).fit(Sized(), datamodule=data)
    assert data.hparams.batch_size == 64
    assert data.setups == 1


def test_other_stages_are_left_alone() -> None:
    finder: Any = LearningRateFinder()

    trainer(callbacks=[finder, BatchSizeFinder()]).validate(Sized(), loader(), verbose=False)

    assert finder.found is None


def test_loaders_that_were_passed_to_fit_cannot_be_searched() -> None:
    with pytest.raises(ValueError, match="LearningRateFinder works on the train_dataloader of the module"):
        trainer(callbacks=[LearningRateFinder()]).fit(Regression(), loader())
    with pytest.raises(ValueError, match="There is no attribute 'batch_size'"):
        trainer(callbacks=[BatchSizeFinder()]).fit(Regression(), loader())
