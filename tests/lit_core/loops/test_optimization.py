"""From a batch to an update: the order of calls, what may be replaced, what is counted."""

import copy
import warnings
from typing import Any

import pytest
import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

from lit_core import LightningModule
from tests.lit_core.tiny import Regression, loader, network, same, samples, trainer, weights


class Two(LightningModule):
    """Two regressions, an optimizer each."""

    def __init__(self, frequencies: tuple[int, ...] = (0, 0)) -> None:
        super().__init__()
        self.a, self.b = network(), network()
        self.frequencies = frequencies
        self.turns: list[int] = []

    def loss(self, batch: Any, index: int) -> torch.Tensor:
        return nn.functional.mse_loss((self.a, self.b)[index](batch[0]), batch[1])

    def training_step(self, batch: Any, batch_idx: int, optimizer_idx: int) -> Any:
        self.turns.append(optimizer_idx)
        return self.loss(batch, optimizer_idx)

    def configure_optimizers(self) -> Any:
        optimizers = [torch.optim.SGD(part.parameters(), lr=0.1) for part in (self.a, self.b)]
        return [
            {"optimizer": optimizer, "frequency": frequency, "name": name}
            for optimizer, frequency, name in zip(optimizers, self.frequencies, "ab", strict=True)
        ]


class Manual(Two):
    """Steps a in every batch, b in every second, c... by hand, around the wrapper or through it."""

    def __init__(self, how: str) -> None:
        super().__init__()
        self.automatic_optimization = False
        self.how = how

    def training_step(self, batch: Any, batch_idx: int) -> Any:  # type: ignore[override]
        for index, wrapped in enumerate(self.optimizers()):
            optimizer = wrapped.optimizer if self.how == "raw" else wrapped
            if index == 1 and batch_idx % 2:
                continue
            optimizer.zero_grad()
            self.manual_backward(self.loss(batch, index))
            optimizer.step()


def test_global_step_counts_updates_in_automatic_mode() -> None:
    runner = trainer(max_epochs=2)
    runner.fit(Regression(), loader(8, 2))
    assert (runner.global_step, runner.progress.optimizer_steps) == (8, {"optimizer_0": 8})


def test_global_step_counts_a_batch_once_whatever_the_number_of_optimizers() -> None:
    runner = trainer(max_epochs=2)
    runner.fit(Two(), loader(8, 2))
    assert (runner.global_step, runner.progress.optimizer_steps) == (8, {"a": 8, "b": 8})


@pytest.mark.parametrize("how", ["wrapped", "raw"])
def test_global_step_counts_batches_in_which_something_stepped_in_manual_mode(how: str) -> None:
    runner = trainer(max_epochs=2)
    runner.fit(Manual(how), loader(8, 2))
    assert (runner.global_step, runner.progress.optimizer_steps) == (8, {"a": 8, "b": 4})


def test_a_manual_batch_without_a_step_is_no_update() -> None:
    class Rarely(Manual):
        def training_step(self, batch: Any, batch_idx: int) -> Any:  # type: ignore[override]
            if batch_idx == 2:
                super().training_step(batch, batch_idx)

    runner = trainer()
    runner.fit(Rarely("wrapped"), loader(8, 2))
    assert (runner.global_step, runner.progress.batches) == (1, 4)


def test_frequencies_give_optimizers_their_turns() -> None:
    module = Two((1, 2))
    runner = trainer(max_epochs=2)
    runner.fit(module, loader(8, 2))
    assert module.turns == [0, 1, 1, 0, 1, 1, 0, 1]
    assert (runner.global_step, runner.progress.optimizer_steps) == (8, {"a": 3, "b": 5})


def test_a_frequency_for_only_one_optimizer_is_refused() -> None:
    with pytest.raises(ValueError, match="frequency"):
        trainer().fit(Two((1, 0)), loader())


def test_frequencies_with_accumulation_are_refused_as_groups_and_turns_would_cut_each_other() -> None:
    with pytest.raises(ValueError, match=r"accumulate_grad_batches=2.*frequency"):
        trainer(accumulate_grad_batches=2).fit(Two((1, 1)), loader())


@pytest.mark.parametrize("output", [torch.tensor(1.0, requires_grad=True), {"loss": None, "c": None}, 3])
def test_several_optimizers_with_neither_optimizer_idx_nor_losses_by_name_are_refused(output: Any) -> None:
    class Lost(Two):
        def training_step(self, batch: Any, batch_idx: int) -> Any:  # type: ignore[override]
            return output

    with pytest.raises(TypeError, match=r"optimizers a, b.*losses by optimizer name.*optimizer_idx"):
        trainer().fit(Lost(), loader())


class Joint(Two):
    """All losses of one forward pass at once; each model's loss depends on both models."""

    def __init__(self, skip_b: int = 0, **own: Any) -> None:
        super().__init__()
        self.own, self.skip_b = own, skip_b

    def losses(self, batch: Any) -> tuple[torch.Tensor, torch.Tensor]:
        a, b = self.a(batch[0]), self.b(batch[0])
        return nn.functional.mse_loss(a + b.tanh(), batch[1]), nn.functional.mse_loss(a * b, batch[1])

    def training_step(self, batch: Any, batch_idx: int) -> Any:  # type: ignore[override]
        a, b = self.losses(batch)
        return {"a": a, "b": None if self.skip_b and batch_idx % self.skip_b else b, "note": 3}

    def configure_optimizers(self) -> Any:
        return [
            {"optimizer": torch.optim.Adam(part.parameters(), lr=0.05), "name": name, **self.own.get(name, {})}
            for part, name in ((self.a, "a"), (self.b, "b"))
        ]


@pytest.mark.parametrize("skip_b", [0, 2])
def test_losses_by_optimizer_name_equal_a_bare_loop_of_gradients_for_own_parameters(
    skip_b: int,
) -> None:
    module = Joint(skip_b)
    bare = copy.deepcopy(module)
    trainer(max_epochs=2).fit(module, loader(8, 2))

    optimizers = {name: torch.optim.Adam(getattr(bare, name).parameters(), lr=0.05) for name in "ab"}
    for _ in range(2):
        for i, batch in enumerate(loader(8, 2)):
            losses = dict(zip("ab", bare.losses(batch), strict=True))
            chosen = [name for name in "ab" if name == "a" or not (skip_b and i % skip_b)]
            for name in chosen:
                own = list(getattr(bare, name).parameters())
                for parameter, grad in zip(own, torch.autograd.grad(losses[name], own, retain_graph=True), strict=True):
                    parameter.grad = grad
            for name in chosen:
                optimizers[name].step()

    assert same(weights(module), weights(bare))


def test_each_optimizer_has_its_own_accumulation_and_clipping() -> None:
    module = Joint(a={"accumulate_grad_batches": 3, "gradient_clip_val": 0.05}, b={"accumulate_grad_batches": 2})
    bare = copy.deepcopy(module)
    runner = trainer(max_epochs=1)
    runner.fit(module, loader(16, 2))

    optimizers = {name: torch.optim.Adam(getattr(bare, name).parameters(), lr=0.05) for name in "ab"}
    sizes = {"a": [3, 3, 3, 3, 3, 3, 2, 2], "b": [2] * 8}
    steps = {"a": {2, 5, 7}, "b": {1, 3, 5, 7}}
    for i, batch in enumerate(loader(16, 2)):
        losses = dict(zip("ab", bare.losses(batch), strict=True))
        for name in "ab":
            (losses[name] / sizes[name][i]).backward(inputs=list(getattr(bare, name).parameters()), retain_graph=True)
        for name in "ab":
            if i in steps[name]:
                if name == "a":
                    nn.utils.clip_grad_norm_(bare.a.parameters(), 0.05)
                optimizers[name].step()
                optimizers[name].zero_grad()

    assert same(weights(module), weights(bare))
    assert runner.progress.optimizer_steps == {"a": 3, "b": 4}
    assert runner.global_step == len(steps["a"] | steps["b"])


def test_a_scheduler_of_updates_counts_the_steps_of_its_own_optimizer() -> None:
    class Scheduled(Joint):
        def configure_optimizers(self) -> Any:
            configs = super().configure_optimizers()
            for config in configs:
                scheduler = torch.optim.lr_scheduler.StepLR(config["optimizer"], 1, gamma=0.5)
                config["lr_scheduler"] = {"scheduler": scheduler, "interval": "step"}
            return configs

    runner = trainer()
    runner.fit(Scheduled(b={"accumulate_grad_batches": 4}), loader(16, 2))
    assert [config.scheduler.last_epoch for config in runner.lr_scheduler_configs] == [8, 2]


@pytest.mark.parametrize(
    ("own", "message"),
    [
        ({"accumulate_grad_batches": 0}, "accumulate_grad_batches of the optimizer 'a'"),
        ({"gradient_clip_val": -1.0}, "gradient_clip_val of the optimizer 'a'"),
        ({"gradient_clip_algorithm": "size"}, "'norm' or 'value'"),
        ({"name": "b"}, "Two optimizers are named 'b'"),
    ],
)
def test_settings_of_an_optimizer_that_make_no_sense_are_refused(own: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        trainer().fit(Joint(a=own), loader())


def test_a_schedule_of_accumulation_holds_from_its_epochs_on() -> None:
    module = Regression()
    bare = copy.deepcopy(module)
    runner = trainer(max_epochs=3, accumulate_grad_batches={1: 2, 2: 4})
    runner.fit(module, loader(8, 2))

    optimizer = bare.configure_optimizers()
    for size in (1, 2, 4):
        for i, batch in enumerate(loader(8, 2)):
            (bare.loss(batch) / size).backward()
            if (i + 1) % size == 0:
                optimizer.step()
                optimizer.zero_grad()

    assert same(weights(module), weights(bare))
    assert runner.global_step == 4 + 2 + 1 == runner.estimated_stepping_batches


class Recurrent(LightningModule):
    """A GRU over sequences of seven steps."""

    def __init__(self) -> None:
        super().__init__()
        self.rnn, self.out = nn.GRU(3, 4, batch_first=True), nn.Linear(4, 1)
        self.lengths: list[int] = []

    def step(self, x: torch.Tensor, y: torch.Tensor, hiddens: Any) -> tuple[torch.Tensor, Any]:
        found, hiddens = self.rnn(x, hiddens)
        return nn.functional.mse_loss(self.out(found), y), hiddens

    def training_step(self, batch: Any, batch_idx: int, hiddens: Any) -> Any:
        self.lengths.append(batch[0].shape[1])
        loss, hiddens = self.step(*batch, hiddens)
        return {"loss": loss, "hiddens": hiddens}

    def configure_optimizers(self) -> Any:
        return torch.optim.SGD(self.parameters(), lr=0.1)


def sequences(length: int = 7) -> DataLoader[Any]:
    generator = torch.Generator().manual_seed(0)
    x, y = torch.randn(6, length, 3, generator=generator), torch.randn(6, length, 1, generator=generator)
    return DataLoader(TensorDataset(x, y), batch_size=2)


def test_truncated_backpropagation_through_time_equals_a_bare_loop() -> None:
    module = Recurrent()
    bare = copy.deepcopy(module)
    runner = trainer(truncated_bptt_steps=3)
    runner.fit(module, sequences())

    optimizer = bare.configure_optimizers()
    for x, y in sequences():
        hiddens = None
        for begin in (0, 3, 6):
            loss, hiddens = bare.step(x[:, begin : begin + 3], y[:, begin : begin + 3], hiddens)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            hiddens = hiddens.detach()

    assert module.lengths == [3, 3, 1] * 3
    assert same(weights(module), weights(bare))
    assert (runner.global_step, runner.progress.optimizer_steps) == (3, {"optimizer_0": 9})


def test_a_way_of_ones_own_to_cut_batches_is_used() -> None:
    class Halves(Recurrent):
        truncated_bptt_steps = 2

        def tbptt_split_batch(self, batch: Any, split_size: int) -> list[Any]:
            return [tuple(part[:, 1:] for part in batch), tuple(part[:, :split_size] for part in batch)]

    module = Halves()
    trainer().fit(module, sequences())
    assert module.lengths == [6, 2] * 3


def test_what_truncated_backpropagation_needs_is_said() -> None:
    class NoState(Recurrent):
        def training_step(self, batch: Any, batch_idx: int, hiddens: Any) -> Any:
            return self.step(*batch, hiddens)[0]

    with pytest.raises(TypeError, match=r"'hiddens'.*got Tensor"):
        trainer(truncated_bptt_steps=2).fit(NoState(), sequences())
    with pytest.raises(TypeError, match="training_step must take hiddens"):
        trainer(truncated_bptt_steps=2).fit(Regression(), loader())
    with pytest.raises(ValueError, match="accumulate_grad_batches"):
        trainer(truncated_bptt_steps=2, accumulate_grad_batches=2).fit(Recurrent(), sequences())


def test_the_parameters_of_other_optimizers_get_no_gradient_and_are_switched_on_again() -> None:
    class Joint(Two):
        def training_step(self, batch: Any, batch_idx: int, optimizer_idx: int) -> Any:
            own, other = (self.a, self.b) if optimizer_idx == 0 else (self.b, self.a)
            assert all(p.requires_grad for p in own.parameters())
            assert not any(p.requires_grad for p in other.parameters())
            return nn.functional.mse_loss(self.a(batch[0]) + self.b(batch[0]), batch[1])

    class Frozen(Joint):
        def on_fit_start(self) -> None:
            self.frozen = self.a[0].bias.requires_grad_(False)

        def training_step(self, batch: Any, batch_idx: int, optimizer_idx: int) -> Any:
            return nn.functional.mse_loss(self.a(batch[0]) + self.b(batch[0]), batch[1])

    module = Joint()
    trainer().fit(module, loader())
    assert all(p.requires_grad for p in module.parameters())
    frozen = Frozen()
    trainer().fit(frozen, loader())
    assert [p.requires_grad for p in frozen.a.parameters()] == [True, False, True, True]


@pytest.mark.parametrize("output", ["loss", 3.0, {"los": torch.tensor(1.0)}, [torch.tensor(1.0)]])
def test_what_is_no_loss_is_refused_and_named(output: Any) -> None:
    class Wrong(Regression):
        def training_step(self, batch: Any, batch_idx: int) -> Any:
            return output

    got = "keys \\['los'\\]" if isinstance(output, dict) else type(output).__name__
    with pytest.raises(TypeError, match=f"training_step returns the loss.*{got}"):
        trainer().fit(Wrong(), loader())


def test_a_dict_with_the_loss_trains_as_the_loss_does() -> None:
    class Dict(Regression):
        def training_step(self, batch: Any, batch_idx: int) -> Any:
            return {"loss": super().training_step(batch, batch_idx), "more": 1}

    torch.manual_seed(0)
    module = Dict()
    plain = Regression()
    plain.load_state_dict(module.state_dict())
    trainer().fit(module, loader())
    trainer().fit(plain, loader())
    assert same(weights(module), weights(plain))


def test_an_optimizer_step_that_calls_the_closure_itself_is_the_step() -> None:
    seen: list[Any] = []

    class Own(Regression):
        def optimizer_step(self, epoch: int, batch_idx: int, optimizer: Any, optimizer_closure: Any) -> None:
            loss = optimizer_closure()
            seen.append((epoch, batch_idx, type(optimizer.optimizer).__name__, float(loss.detach())))
            optimizer.step()

    torch.manual_seed(0)
    module = Own()
    plain = copy.deepcopy(module.net)
    runner = trainer(max_epochs=2, gradient_clip_val=0.4)
    runner.fit(module, loader(6, 2))
    optimizer = torch.optim.SGD(plain.parameters(), lr=0.1)
    x, y, _ = samples(6).tensors
    for _ in range(2):
        for i in (0, 2, 4):
            optimizer.zero_grad()
            nn.functional.mse_loss(plain(x[i : i + 2]), y[i : i + 2]).backward()
            nn.utils.clip_grad_norm_(list(plain.parameters()), 0.4)
            optimizer.step()
    assert same(weights(module.net), weights(plain))
    assert [s[:3] for s in seen] == [(e, b, "SGD") for e in (0, 1) for b in (0, 1, 2)]
    assert [s[3] for s in seen] == [float(loss) for loss in module.losses]
    assert runner.global_step == 6


def test_an_optimizer_step_that_never_steps_makes_no_update() -> None:
    class Never(Regression):
        def optimizer_step(self, epoch: int, batch_idx: int, optimizer: Any, optimizer_closure: Any) -> None:
            optimizer_closure()

    module = Never()
    before = weights(module)
    runner = trainer()
    runner.fit(module, loader())
    assert runner.global_step == 0
    assert same(weights(module), before)
    assert len(module.losses) == 4


def test_an_optimizer_step_every_second_batch_trains_on_those_batches() -> None:
    class Second(Regression):
        def optimizer_step(self, epoch: int, batch_idx: int, optimizer: Any, optimizer_closure: Any) -> None:
            if batch_idx % 2:
                optimizer.step(closure=optimizer_closure)

    module = Second()
    runner = trainer()
    runner.fit(module, loader(8, 2))
    assert module.seen == [[2, 3], [6, 7]]
    assert runner.global_step == 2


def test_own_backward_zero_grad_and_clipping_are_used() -> None:
    calls: list[Any] = []

    class Own(Regression):
        def backward(self, loss: torch.Tensor, *args: Any, **kwargs: Any) -> None:
            calls.append("backward")
            (2 * loss).backward()

        def optimizer_zero_grad(self, epoch: int, batch_idx: int, optimizer: Any, optimizer_idx: int) -> None:
            calls.append(("zero", epoch, batch_idx, optimizer_idx))
            optimizer.zero_grad(set_to_none=False)

        def configure_gradient_clipping(
            self, optimizer: Any, gradient_clip_val: Any = None, gradient_clip_algorithm: Any = None
        ) -> None:
            calls.append(("clip", gradient_clip_val, gradient_clip_algorithm))
            for parameter in self.parameters():
                parameter.grad.sign_()

    torch.manual_seed(0)
    module = Own()
    plain = copy.deepcopy(module.net)
    trainer(gradient_clip_val=0.7, gradient_clip_algorithm="value").fit(module, loader(4, 2))
    assert calls == [x for i in (0, 1) for x in (("zero", 0, i, 0), "backward", ("clip", 0.7, "value"))]
    optimizer = torch.optim.SGD(plain.parameters(), lr=0.1)
    x, y, _ = samples(4).tensors
    for i in (0, 2):
        optimizer.zero_grad()
        (2 * nn.functional.mse_loss(plain(x[i : i + 2]), y[i : i + 2])).backward()
        for parameter in plain.parameters():
            assert parameter.grad is not None
            parameter.grad.sign_()
        optimizer.step()
    assert same(weights(module.net), weights(plain))


def test_on_before_optimizer_step_sees_gradients_before_clipping() -> None:
    norms: list[float] = []

    class Looks(Regression):
        def on_before_optimizer_step(self, optimizer: Any) -> None:
            norms.append(float(torch.stack([p.grad.norm() for p in self.parameters() if p.grad is not None]).norm()))

        def on_train_batch_end(self, outputs: Any, batch: Any, batch_idx: int) -> None:
            norms.append(float(torch.stack([p.grad.norm() for p in self.parameters() if p.grad is not None]).norm()))

    trainer(gradient_clip_val=1e-3, limit_train_batches=1).fit(Looks(), loader())
    assert norms[0] > 1e-2
    assert norms[1] == pytest.approx(1e-3, rel=1e-3)


@pytest.mark.parametrize("setting", [{"accumulate_grad_batches": 2}, {"gradient_clip_val": 1.0}])
def test_settings_of_automatic_optimization_are_refused_in_manual_mode(setting: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=next(iter(setting))):
        trainer(**setting).fit(Manual("raw"), loader())


def test_no_optimizer_at_all_runs_the_steps_and_updates_nothing() -> None:
    class Nothing(Regression):
        def configure_optimizers(self) -> Any:
            return None

    module = Nothing()
    before = weights(module)
    runner = trainer()
    runner.fit(module, loader())
    assert len(module.losses) == 4
    assert runner.global_step == 0
    assert same(weights(module), before)


def test_optimizers_are_left_without_hooks_after_the_run() -> None:
    runner = trainer()
    runner.fit(Regression(), loader())
    assert not runner.optimizers[0]._optimizer_step_post_hooks


def test_the_batch_of_a_short_last_batch_counts_as_a_whole_batch_in_its_group() -> None:
    torch.manual_seed(0)
    module = Regression()
    plain = copy.deepcopy(module.net)
    trainer(accumulate_grad_batches=2).fit(module, loader(3, 2))
    x, y, _ = samples(3).tensors
    optimizer = torch.optim.SGD(plain.parameters(), lr=0.1)
    loss = nn.functional.mse_loss(plain(x[:2]), y[:2]) + nn.functional.mse_loss(plain(x[2:]), y[2:])
    (loss / 2).backward()
    optimizer.step()
    for name, value in weights(plain).items():
        torch.testing.assert_close(module.net.state_dict()[name], value)


def test_batches_beyond_the_announced_length_make_groups_of_their_own() -> None:
    """Announced 3 of 8 batches, groups of 2: {0, 1}, {2}, then {3, 4}, {5, 6}, {7}, each the mean of its batches."""

    class Longer(torch.utils.data.IterableDataset):
        def __len__(self) -> int:
            return 3

        def __iter__(self):
            return iter(torch.arange(8.0))

    class Sum(LightningModule):
        def __init__(self) -> None:
            super().__init__()
            self.w = torch.nn.Parameter(torch.zeros(()))
            self.steps: list[float] = []

        def training_step(self, batch, batch_idx):
            return self.w * batch.sum()

        def on_before_optimizer_step(self, optimizer):
            self.steps.append(float(self.w.grad))

        def configure_optimizers(self):
            return torch.optim.SGD(self.parameters(), lr=0.0)

    module = Sum()
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Length of IterableDataset")
        trainer(max_epochs=1, accumulate_grad_batches=2).fit(module, DataLoader(Longer(), batch_size=None))
    assert module.steps == [0.5, 2.0, 3.5, 5.5, 7.0]
