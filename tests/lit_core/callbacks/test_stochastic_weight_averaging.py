"""StochasticWeightAveraging against torch's recipe: AveragedModel and SWALR in a bare loop."""

from pathlib import Path
from typing import Any

import pytest
import torch
from torch.optim.lr_scheduler import ExponentialLR
from torch.optim.swa_utils import SWALR, AveragedModel

from lit_core.callbacks import StochasticWeightAveraging
from tests.lit_core.callbacks.resumed import whole_and_resumed
from tests.lit_core.tiny import Regression, loader, same, trainer, weights


class Falling(Regression):
    """Its learning rate falls with every epoch, or every update."""

    interval = "epoch"

    def __init__(self) -> None:
        super().__init__(dropout=0.2)
        self.rates: list[float] = []

    def training_step(self, batch: Any, batch_idx: int) -> Any:
        self.rates.append(self.optimizers().param_groups[0]["lr"])
        return super().training_step(batch, batch_idx)

    def configure_optimizers(self) -> Any:
        optimizer = torch.optim.SGD(self.parameters(), lr=0.2)
        return [optimizer], [{"scheduler": ExponentialLR(optimizer, 0.9), "interval": self.interval}]


class FallingByStep(Falling):
    interval = "step"


@pytest.mark.parametrize("strategy", ["cos", "linear"])
@pytest.mark.parametrize(("start", "first"), [(2, 2), (0.5, 3)])
def test_it_is_the_recipe_of_torch(strategy: Any, start: Any, first: int) -> None:
    module, twin = Falling(), Falling()
    twin.load_state_dict(module.state_dict())
    callback = StochasticWeightAveraging(
        0.05, swa_epoch_start=start, annealing_epochs=3, annealing_strategy=strategy, device=None
    )
    torch.manual_seed(5)
    trainer(max_epochs=6, callbacks=callback).fit(module, loader(8, 2))

    batches = list(loader(8, 2))
    torch.manual_seed(5)
    optimizer = torch.optim.SGD(twin.parameters(), lr=0.2)
    scheduler, swa_scheduler, rates = ExponentialLR(optimizer, 0.9), None, []
    average = AveragedModel(twin, use_buffers=True)
    for epoch in range(6):
        if epoch == first:
            swa_scheduler = SWALR(optimizer, 0.05, anneal_epochs=3, anneal_strategy=strategy)
        for batch in batches:
            rates.append(optimizer.param_groups[0]["lr"])
            optimizer.zero_grad()
            twin.loss(batch).backward()
            optimizer.step()
        if swa_scheduler is not None:
            average.update_parameters(twin)
            swa_scheduler.step()
        else:
            scheduler.step()

    assert module.rates == pytest.approx(rates)
    for name, value in weights(module).items():
        torch.testing.assert_close(value, average.module.state_dict()[name], msg=name)


def test_schedulers_that_step_with_updates_do_not_move_the_rate() -> None:
    module = FallingByStep()
    trainer(max_epochs=4, callbacks=StochasticWeightAveraging(0.05, swa_epoch_start=2, annealing_epochs=1)).fit(
        module, loader(8, 2)
    )

    assert module.rates[8:] == pytest.approx([0.2 * 0.9**8] * 4 + [0.05] * 4)


def test_groups_have_rates_of_their_own_and_must_be_as_many() -> None:
    class Groups(Falling):
        def configure_optimizers(self) -> Any:
            groups = [{"params": self.net[0].parameters()}, {"params": self.net[3].parameters()}]
            return torch.optim.SGD(groups, lr=0.2)

    run = trainer(max_epochs=2, callbacks=StochasticWeightAveraging([0.1, 0.3], 0, annealing_epochs=0))
    run.fit(Groups(), loader(4, 2))
    assert [group["lr"] for group in run.optimizers[0].param_groups] == [0.1, 0.3]

    with pytest.raises(ValueError, match="swa_lrs has 3 learning rates for 2 parameter groups"):
        trainer(max_epochs=2, callbacks=StochasticWeightAveraging([0.1, 0.2, 0.3], 0)).fit(Groups(), loader(4, 2))


def test_before_its_first_epoch_nothing_changes() -> None:
    module, twin = Falling(), Falling()
    twin.load_state_dict(module.state_dict())
    for each, callbacks in ((module, [StochasticWeightAveraging(0.05, swa_epoch_start=5)]), (twin, [])):
        torch.manual_seed(5)
        trainer(max_epochs=2, callbacks=callbacks).fit(each, loader(8, 2))

    assert same(weights(module), weights(twin))


@pytest.mark.parametrize("cut", [1, 2, 3])
@pytest.mark.parametrize("make", [Falling, FallingByStep])
def test_a_resumed_run_is_the_uninterrupted_one(tmp_path: Path, cut: int, make: Any) -> None:
    (whole, module, _), (rest, resumed, _) = whole_and_resumed(
        tmp_path, lambda: [StochasticWeightAveraging(0.05, swa_epoch_start=1, annealing_epochs=2)], make, cut=cut
    )

    assert same(weights(resumed), weights(module))
    assert resumed.rates == module.rates[5 * cut :]
    assert rest.callback_metrics["val_loss"] == whole.callback_metrics["val_loss"]


def test_settings_that_make_no_sense_are_refused() -> None:
    for options, message in (
        ({"swa_lrs": 0.0}, "swa_lrs must be a positive number"),
        ({"swa_lrs": 0.1, "swa_epoch_start": 1.5}, "got 1.5"),
        ({"swa_lrs": 0.1, "swa_epoch_start": -1}, "got -1"),
        ({"swa_lrs": 0.1, "annealing_strategy": "exp"}, "'exp'"),
        ({"swa_lrs": 0.1, "annealing_epochs": -1}, "got -1"),
    ):
        with pytest.raises(ValueError, match=message):
            StochasticWeightAveraging(**options)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match=r"swa_epoch_start=0\.8 is a fraction of max_epochs, which has no limit"):
        trainer(max_epochs=-1, max_steps=3, callbacks=StochasticWeightAveraging(0.1)).fit(Falling(), loader(4, 2))
