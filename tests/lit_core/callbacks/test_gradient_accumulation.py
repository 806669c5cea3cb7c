"""Accumulation by epoch as a callback: what the argument of the Trainer does."""

from typing import Any

import pytest
import torch

from lit_core.callbacks import GradientAccumulationScheduler
from tests.lit_core.tiny import Regression, loader, same, trainer, weights

SCHEDULE = {0: 4, 2: 2}


def test_it_trains_as_the_argument_does() -> None:
    ends = []
    for settings in ({"callbacks": GradientAccumulationScheduler(SCHEDULE)}, {"accumulate_grad_batches": SCHEDULE}):
        torch.manual_seed(0)
        module, run = Regression(), trainer(max_epochs=4, **settings)
        run.fit(module, loader(8, 2))
        ends.append((weights(module), run.global_step))

    assert same(*ends)
    assert ends[0][1] == 1 + 1 + 2 + 2


@pytest.mark.parametrize(
    "settings",
    [
        {"callbacks": [GradientAccumulationScheduler(SCHEDULE), GradientAccumulationScheduler({0: 2})]},
        {"callbacks": GradientAccumulationScheduler(SCHEDULE), "accumulate_grad_batches": 2},
    ],
)
def test_two_answers_are_refused(settings: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="more than once"):
        trainer(**settings)


def test_the_same_answer_twice_and_bad_numbers() -> None:
    trainer(callbacks=GradientAccumulationScheduler(SCHEDULE), accumulate_grad_batches=dict(SCHEDULE))
    with pytest.raises(ValueError, match="accumulate_grad_batches"):
        trainer(callbacks=GradientAccumulationScheduler({0: 0}))


def test_from_a_module_it_comes_too_late() -> None:
    class Brings(Regression):
        def configure_callbacks(self) -> Any:
            return GradientAccumulationScheduler(SCHEDULE)

    run = trainer()
    with pytest.raises(ValueError, match="give it to the Trainer"):
        run.fit(Brings(), loader())
