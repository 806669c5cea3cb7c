"""The tuner: what it finds, against a closed form and a bare loop, and that nothing else changes."""

from pathlib import Path
from typing import Any, ClassVar

import pytest
import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader

from lit_core import Callback, LightningModule, ModelCheckpoint, Trainer
from lit_core.tuner import Tuner
from tests.lit_core.tiny import QUIET, Regression, Rows, loader, same, samples, trainer, weights
from tests.lit_core.tuner.bench import Data, Sized, Slope, found, optimizer_states


class Momentum(Regression):
    """With a state in its optimizer, dropout and a scheduler."""

    def __init__(self) -> None:
        super().__init__(dropout=0.2)

    def configure_optimizers(self) -> Any:
        optimizer = torch.optim.SGD(self.parameters(), lr=self.lr, momentum=0.9)
        return [optimizer], [torch.optim.lr_scheduler.StepLR(optimizer, 1)]

    def configure_callbacks(self) -> Any:
        return Touch()


class Touch(Callback):
    """Counts what it sees; its count is a part of checkpoints."""

    def __init__(self) -> None:
        self.count = 0

    def on_train_batch_end(self, *args: Any) -> None:
        self.count += 1

    def state_dict(self) -> dict[str, Any]:
        return {"count": self.count}


def bare_sweep(module: Regression, batches: Any, rates: list[float], clip: float) -> list[float]:
    """The losses of a plain loop with one rate for each update, as running means."""
    optimizer = torch.optim.SGD(module.parameters(), lr=1.0, momentum=0.9)
    mean, means = 0.0, []
    steps = 0
    while True:
        for batch in batches:
            if steps == len(rates):
                return means
            for group in optimizer.param_groups:
                group["lr"] = rates[steps]
            loss = module.loss(batch)
            optimizer.zero_grad()
            loss.backward()
            nn.utils.clip_grad_norm_(module.parameters(), clip)
            optimizer.step()
            steps += 1
            mean = 0.98 * mean + 0.02 * loss.item()
            means.append(mean / (1 - 0.98**steps))


def test_the_losses_are_those_of_a_bare_loop_with_the_settings_of_the_trainer() -> None:
    torch.manual_seed(0)
    module, twin = Momentum(), Momentum()
    twin.load_state_dict(module.state_dict())
    for net in (module.net, twin.net):
        net[2].p = 0.0  # each draws from generators of its own

    result = Tuner(trainer(gradient_clip_val=0.1, max_epochs=3)).lr_find(
        module, loader(8), min_lr=1e-4, max_lr=1e-1, num_training=10, early_stop_threshold=None
    )

    rates = [1e-4 * 1000 ** (i / 9) for i in range(10)]
    assert result.results["lr"] == pytest.approx(rates)
    assert result.results["loss"] == pytest.approx(bare_sweep(twin, loader(8), rates, 0.1), rel=1e-5)


def test_accumulated_batches_share_a_rate_and_their_loss_is_a_mean() -> None:
    result = Tuner(trainer(accumulate_grad_batches=2)).lr_find(
        Slope(), min_lr=0.1, max_lr=0.2, num_training=3, mode="linear", early_stop_threshold=None
    )

    assert result.results["lr"] == pytest.approx([0.1, 0.15, 0.2])
    distance = [3.0, 3 * 0.8, 3 * 0.8 * 0.7]
    mean, expected = 0.0, []
    for i, d in enumerate(distance, 1):
        mean = 0.98 * mean + 0.02 * d**2
        expected.append(mean / (1 - 0.98**i))
    assert result.results["loss"] == pytest.approx(expected)


def test_a_sweep_stops_where_the_loss_diverges_and_the_suggestion_is_below() -> None:
    module = Slope()

    result = Tuner(trainer()).lr_find(module, min_lr=1e-3, max_lr=100.0)

    assert len(result.results["lr"]) < 100
    assert 1.0 < result.results["lr"][-1] < 20, "an update with a rate above 1 moves away from the minimum"
    assert 1e-2 < result.suggestion() < 1.0
    assert module.hparams.lr == result.suggestion()


def test_without_a_threshold_it_goes_on_until_the_loss_is_not_finite() -> None:
    result = Tuner(trainer()).lr_find(Slope(), min_lr=1.0, max_lr=1e30, early_stop_threshold=None, update_attr=False)

    assert 10 < len(result.results["lr"]) < 100
    assert all(loss < float("inf") for loss in result.results["loss"])


@pytest.mark.parametrize("fitted", [False, True])
def test_nothing_but_the_attribute_changes(fitted: bool, tmp_path: Path) -> None:
    torch.manual_seed(0)
    module, rows = Momentum(), Rows()
    data = loader(8, shuffle=True, generator=torch.Generator().manual_seed(5))
    keep = ModelCheckpoint(tmp_path / "kept", monitor="loss")
    settings = {**QUIET, "enable_checkpointing": True, "logger": rows, "max_epochs": 2, "default_root_dir": tmp_path}
    run = Trainer(**{**settings, "callbacks": [Touch(), keep]})
    if fitted:
        run.fit(module, data)
    before, drawn = found(run, module, tmp_path), data.generator.get_state()
    states = optimizer_states(run) if fitted else None

    Tuner(run).lr_find(module, data, num_training=20, attr_name="lr", update_attr=False)

    assert same(found(run, module, tmp_path), before)
    assert same(data.generator.get_state(), drawn)
    assert states is None or same(optimizer_states(run), states)

    Tuner(run).lr_find(module, data, num_training=20)
    changed = found(run, module, tmp_path)
    assert changed["attributes"].pop("lr") != before["attributes"].pop("lr")
    assert same(changed, before)


def test_training_after_a_search_is_training_without_one_to_the_last_bit() -> None:
    def trained(*, tune: bool) -> dict[str, Tensor]:
        torch.manual_seed(0)
        module, run = Momentum(), trainer(max_epochs=2)
        data = loader(10, shuffle=True)
        if tune:
            Tuner(run).lr_find(module, data, num_training=15, update_attr=False)
        run.fit(module, data)
        return weights(module)

    assert same(trained(tune=True), trained(tune=False))


def test_a_search_that_fails_changes_nothing(tmp_path: Path) -> None:
    class Fails(Momentum):
        def training_step(self, batch: Any, batch_idx: int) -> Any:
            torch.rand(3)
            if batch_idx == 2:
                raise ZeroDivisionError
            return super().training_step(batch, batch_idx)

    module, run = Fails(), trainer(default_root_dir=tmp_path)
    before = found(run, module, tmp_path)

    with pytest.raises(ZeroDivisionError):
        Tuner(run).lr_find(module, loader(8))

    assert same(found(run, module, tmp_path), before)


def test_the_datamodule_is_a_copy_too() -> None:
    data, module = Data(), Regression()

    Tuner(trainer()).lr_find(module, data, num_training=5, update_attr=False)
    assert Tuner(trainer()).scale_batch_size(module, data) == 64

    assert data.setups == 0
    assert data.hparams.batch_size == 64


def test_manual_optimization_is_swept_by_the_loss_it_returns() -> None:
    class Manual(Slope):
        def __init__(self) -> None:
            super().__init__()
            self.automatic_optimization = False

        def training_step(self, batch: Any, batch_idx: int) -> Tensor:
            optimizer = self.optimizers()
            loss = super().training_step(batch, batch_idx)
            optimizer.zero_grad()
            self.manual_backward(loss)
            optimizer.step()
            return loss

    options = {"min_lr": 1e-3, "max_lr": 1.0, "num_training": 20}
    manual, automatic = (Tuner(trainer()).lr_find(module(), **options) for module in (Manual, Slope))
    assert manual.results["loss"] == pytest.approx(automatic.results["loss"])


def test_what_cannot_be_searched_is_refused() -> None:
    class Two(Regression):
        def training_step(self, batch: Any, batch_idx: int, optimizer_idx: int) -> Any:
            return super().training_step(batch, batch_idx)

        def configure_optimizers(self) -> Any:
            return [super().configure_optimizers(), super().configure_optimizers()]

    class Bare(LightningModule):
        def training_step(self, batch: Any, batch_idx: int) -> Any:
            return None

        def configure_optimizers(self) -> Any:
            return torch.optim.SGD([nn.Parameter(torch.ones(1))], lr=0.1)

    tuner = Tuner(trainer())
    with pytest.raises(ValueError, match="Two has 2 optimizers"):
        tuner.lr_find(Two(), loader())
    with pytest.raises(ValueError, match=r"Bare has neither .* lr or learning_rate to set"):
        tuner.lr_find(Bare(), loader())
    with pytest.raises(ValueError, match="hyperparameter rate to set"):
        tuner.lr_find(Regression(), loader(), attr_name="rate")
    with pytest.raises(RuntimeError, match="saw no finite loss"):
        tuner.lr_find(Bare(), loader(), num_training=2, update_attr=False)
    with pytest.raises(ValueError, match="needs 0 < min_lr < max_lr"):
        tuner.lr_find(Regression(), loader(), min_lr=1.0, max_lr=0.1)
    with pytest.raises(ValueError, match=r"uses 2: tune with Trainer\(devices=1\)"):
        Tuner(trainer(devices=2)).lr_find(Regression(), loader())


@pytest.mark.parametrize(
    ("mode", "fits", "expected"),
    [("power", 100, 64), ("binsearch", 100, 100), ("power", 3, 2), ("binsearch", 1, 1)],
)
def test_the_largest_batch_that_fits_is_found(mode: Any, fits: int, expected: int, tmp_path: Path) -> None:
    module, run = Sized(fits=fits), trainer(default_root_dir=tmp_path)
    before = found(run, module, tmp_path)

    assert Tuner(run).scale_batch_size(module, mode=mode, init_val=2) == expected

    changed = found(run, module, tmp_path)
    assert changed["attributes"].pop("batch_size") == expected != before["attributes"].pop("batch_size")
    assert same(changed, before)


@pytest.mark.parametrize(("n", "fits", "drop_last", "expected"), [(100, 10**9, False, 100), (100, 70, False, 64)])
def test_no_batch_is_larger_than_the_data(n: int, fits: int, drop_last: bool, expected: int) -> None:
    assert Tuner(trainer()).scale_batch_size(Sized(n, fits, drop_last=drop_last)) == expected


def test_batches_that_would_be_dropped_are_not_tried_for_ever() -> None:
    assert Tuner(trainer()).scale_batch_size(Sized(100, drop_last=True)) == 64
    with pytest.raises(ValueError, match="no batch of 512 samples"):
        Tuner(trainer()).scale_batch_size(Sized(100, drop_last=True), init_val=512)


def test_trials_are_limited_in_number_and_length() -> None:
    class Counts(Sized):
        batches: ClassVar[list[int]] = []

        def training_step(self, batch: Any, batch_idx: int) -> Any:
            self.batches.append(len(batch[0]))
            return super().training_step(batch, batch_idx)

    module = Counts()
    run = trainer(accumulate_grad_batches=4, limit_train_batches=1)
    size = Tuner(run).scale_batch_size(module, max_trials=3, steps_per_trial=2, update_attr=False)

    assert size == 8
    assert Counts.batches == [2, 2, 4, 4, 8, 8]
    assert module.batch_size == 8, "as it was"


def test_nothing_that_fits_is_said() -> None:
    with pytest.raises(RuntimeError, match="Not even batches of 1 samples fit"):
        Tuner(trainer()).scale_batch_size(Sized(fits=0), init_val=4)


def test_another_error_is_not_taken_for_a_lack_of_memory() -> None:
    class Fails(Sized):
        def training_step(self, batch: Any, batch_idx: int) -> Any:
            raise RuntimeError("shapes do not match")

    with pytest.raises(RuntimeError, match="shapes do not match"):
        Tuner(trainer()).scale_batch_size(Fails())


def test_an_attribute_without_effect_is_found_out() -> None:
    class Fixed(Sized):
        def train_dataloader(self) -> Any:
            return DataLoader(samples(64), batch_size=16)

    module = Fixed()
    with pytest.raises(ValueError, match="batch_size=2 gives batches of 16"):
        Tuner(trainer()).scale_batch_size(module)
    assert module.batch_size == 8
    with pytest.raises(ValueError, match="There is no attribute 'size'"):
        Tuner(trainer()).scale_batch_size(Sized(), batch_arg_name="size")
    plain = Regression()
    plain.batch_size = 4
    with pytest.raises(ValueError, match="There is no train_dataloader"):
        Tuner(trainer()).scale_batch_size(plain)
    with pytest.raises(ValueError, match="mode 'power' or 'binsearch'"):
        Tuner(trainer()).scale_batch_size(Sized(), mode="linear")  # type: ignore[arg-type]
