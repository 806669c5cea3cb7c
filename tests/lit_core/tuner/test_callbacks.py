"""The tuner at the beginning of a fit."""

from typing import Any

import pytest
import torch
from torch.utils.data import DataLoader

from lit_core import LightningModule
from lit_core.tuner import BatchSizeFinder, LearningRateFinder
from tests.lit_core.tiny import Regression, loader, same, samples, trainer, weights
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


def test_a_loader_that_was_passed_is_made_anew_with_the_size_that_was_found() -> None:
    module, given = Regression(), loader(64, 2, shuffle=True)
    finder = BatchSizeFinder(max_trials=4, update_attr=False)

    trainer(callbacks=[finder]).fit(module, given)

    assert finder.found == 16
    assert [len(seen) for seen in module.seen] == [16, 16, 16, 16]
    assert sorted(i for seen in module.seen for i in seen) == list(range(64))
    assert given.batch_size == 2


def test_the_rate_is_found_on_a_loader_that_was_passed() -> None:
    class Passed(Slope):
        train_dataloader = LightningModule.train_dataloader

    module, twin = Passed(lr=123.0), Slope(lr=123.0)
    finder = LearningRateFinder(min_lr=1e-3, num_training=40)
    trainer(callbacks=[finder]).fit(module, DataLoader(torch.ones(40, 1), batch_size=2))
    trainer(callbacks=[LearningRateFinder(min_lr=1e-3, num_training=40)]).fit(twin)

    assert finder.found is not None
    assert module.hparams.lr == twin.hparams.lr == finder.found.suggestion()


@pytest.mark.parametrize(
    "given",
    [
        [torch.ones(2, 3)],
        DataLoader(samples(8), batch_size=None),
        DataLoader(samples(8), batch_sampler=[[0, 1], [2, 3]]),
    ],
)
def test_a_loader_whose_size_nobody_can_change_is_refused(given: Any) -> None:
    with pytest.raises(ValueError, match=r"cannot be changed from outside|no size to change"):
        trainer(callbacks=[BatchSizeFinder()]).fit(Regression(), given)


def test_without_data_the_finders_say_what_is_missing() -> None:
    with pytest.raises(ValueError, match="There is no attribute 'batch_size'"):
        trainer(callbacks=[BatchSizeFinder()]).fit(Regression())


def test_tune_refuses_a_loader_whose_new_size_nobody_would_see() -> None:
    with pytest.raises(ValueError, match="BatchSizeFinder"):
        trainer(auto_scale_batch_size=True).tune(Sized(), loader())
