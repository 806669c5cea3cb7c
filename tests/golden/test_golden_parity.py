"""Same mathematics means the same bits: the Trainer against loops written out in plain PyTorch."""

import copy
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.optim.lr_scheduler import OneCycleLR, ReduceLROnPlateau, StepLR

from lit_accelerators import epoch_order
from lit_core import Callback, LightningModule
from tests.lit_core.tiny import Regression, loader, network, same, samples, trainer, weights

N, BATCH, EPOCHS = 21, 2, 3  # 11 batches, the last of one sample: neither a multiple of 2 nor of 4


@pytest.fixture(autouse=True)
def _one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def batches(n: int = N, *, shuffle: bool = False, seed: int = 0, epoch: int = 0) -> Iterator[tuple[Tensor, Tensor]]:
    x, y, _ = samples(n).tensors
    order = epoch_order(n, seed=seed, epoch=epoch, shuffle=shuffle)
    for begin in range(0, n, BATCH):
        chosen = order[begin : begin + BATCH]
        yield x[chosen], y[chosen]


class Configured(Regression):
    """A regression whose optimizers are given from outside."""

    def __init__(self, configure: Callable[[Any], Any], *, dropout: float = 0.0) -> None:
        super().__init__(dropout=dropout)
        self.configure = configure

    def configure_optimizers(self) -> Any:
        return self.configure(self.parameters())


OPTIMIZERS: dict[str, Callable[[Any], torch.optim.Optimizer]] = {
    "sgd": lambda p: torch.optim.SGD(p, lr=0.05),
    "momentum": lambda p: torch.optim.SGD(p, lr=0.05, momentum=0.9),
    "adam": lambda p: torch.optim.Adam(p, lr=0.01),
    "adamw": lambda p: torch.optim.AdamW(p, lr=0.01, weight_decay=0.1),
}


def bare(
    net: nn.Module,
    optimizer: torch.optim.Optimizer,
    *,
    accumulate: int = 1,
    clip: Callable[[], Any] | None = None,
    after_step: Callable[[], Any] | None = None,
    after_epoch: Callable[[], Any] | None = None,
    shuffle: bool = False,
    seed: int = 0,
    autocast: bool = False,
) -> list[Tensor]:
    """The reference: what a careful person writes by hand; returns the loss of every batch."""
    losses = []
    for epoch in range(EPOCHS):
        net.train()
        data = list(batches(shuffle=shuffle, seed=seed, epoch=epoch))
        for begin in range(0, len(data), accumulate):
            group = data[begin : begin + accumulate]
            optimizer.zero_grad()
            for x, y in group:
                with torch.autocast("cpu", dtype=torch.bfloat16, enabled=autocast):
                    loss = nn.functional.mse_loss(net(x), y)
                (loss * (1.0 / len(group)) if len(group) > 1 else loss).backward()
                losses.append(loss.detach().clone())
            if clip is not None:
                clip()
            optimizer.step()
            if after_step is not None:
                after_step()
        if after_epoch is not None:
            after_epoch()
    return losses


def compare(module: Regression, net: nn.Module, losses: list[Tensor], **settings: Any) -> None:
    trainer(max_epochs=EPOCHS, **settings).fit(module, loader(N, BATCH))
    assert len(module.losses) == len(losses) == EPOCHS * 11
    assert same(module.losses, losses)
    assert same(weights(module.net), weights(net))


def twins(configure: Callable[[Any], Any], **options: Any) -> tuple[Configured, nn.Module]:
    torch.manual_seed(1)
    module = Configured(configure, **options)
    return module, copy.deepcopy(module.net)


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_losses_and_weights_equal_a_bare_loop(name: str) -> None:
    module, net = twins(OPTIMIZERS[name])
    compare(module, net, bare(net, OPTIMIZERS[name](net.parameters())))


@pytest.mark.parametrize("k", [2, 4, 16])
def test_accumulation_weighs_a_short_last_group_by_its_real_size(k: int) -> None:
    module, net = twins(OPTIMIZERS["momentum"])
    compare(module, net, bare(net, OPTIMIZERS["momentum"](net.parameters()), accumulate=k), accumulate_grad_batches=k)


@pytest.mark.parametrize("k", [1, 2])
@pytest.mark.parametrize(("algorithm", "bound"), [("norm", 0.5), ("value", 0.1)])
def test_clipping_equals_a_bare_loop(algorithm: str, bound: float, k: int) -> None:
    module, net = twins(OPTIMIZERS["sgd"])
    unclipped = copy.deepcopy(net)
    function = nn.utils.clip_grad_norm_ if algorithm == "norm" else nn.utils.clip_grad_value_
    optimizer = OPTIMIZERS["sgd"](net.parameters())
    losses = bare(net, optimizer, accumulate=k, clip=lambda: function(list(net.parameters()), bound))
    compare(
        module,
        net,
        losses,
        gradient_clip_val=bound,
        gradient_clip_algorithm=algorithm,
        accumulate_grad_batches=k,
    )
    bare(unclipped, OPTIMIZERS["sgd"](unclipped.parameters()), accumulate=k)
    assert not same(weights(unclipped), weights(net)), "the bound never mattered, so this test says nothing"


def test_a_scheduler_per_step_equals_a_bare_loop() -> None:
    def one_cycle(optimizer: torch.optim.Optimizer) -> OneCycleLR:
        return OneCycleLR(optimizer, max_lr=0.2, total_steps=EPOCHS * 6)

    def configure(parameters: Any) -> Any:
        optimizer = OPTIMIZERS["momentum"](parameters)
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": one_cycle(optimizer), "interval": "step"}}

    module, net = twins(configure)
    optimizer = OPTIMIZERS["momentum"](net.parameters())
    scheduler = one_cycle(optimizer)
    losses = bare(net, optimizer, accumulate=2, after_step=scheduler.step)
    compare(module, net, losses, accumulate_grad_batches=2)


def test_a_scheduler_every_third_step_equals_a_bare_loop() -> None:
    def configure(parameters: Any) -> Any:
        optimizer = OPTIMIZERS["sgd"](parameters)
        scheduler = StepLR(optimizer, 1, gamma=0.9)
        return [optimizer], [{"scheduler": scheduler, "interval": "step", "frequency": 3}]

    module, net = twins(configure)
    optimizer = OPTIMIZERS["sgd"](net.parameters())
    scheduler, steps = StepLR(optimizer, 1, gamma=0.9), iter(range(1, 1000))
    compare(module, net, bare(net, optimizer, after_step=lambda: next(steps) % 3 or scheduler.step()))


@pytest.mark.parametrize("frequency", [1, 2])
def test_a_scheduler_per_epoch_equals_a_bare_loop(frequency: int) -> None:
    def configure(parameters: Any) -> Any:
        optimizer = OPTIMIZERS["sgd"](parameters)
        scheduler = StepLR(optimizer, 1, gamma=0.5)
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": scheduler, "frequency": frequency}}

    module, net = twins(configure)
    optimizer = OPTIMIZERS["sgd"](net.parameters())
    scheduler, epochs = StepLR(optimizer, 1, gamma=0.5), iter(range(1, 100))
    compare(module, net, bare(net, optimizer, after_epoch=lambda: next(epochs) % frequency or scheduler.step()))


def test_reduce_on_plateau_of_a_validation_loss_equals_a_bare_loop() -> None:
    def plateau(optimizer: torch.optim.Optimizer) -> ReduceLROnPlateau:
        return ReduceLROnPlateau(optimizer, factor=0.5, patience=0, threshold=0.4)

    def configure(parameters: Any) -> Any:
        optimizer = torch.optim.SGD(parameters, lr=0.3)
        return {"optimizer": optimizer, "lr_scheduler": plateau(optimizer), "monitor": "val_loss"}

    module, net = twins(configure)
    optimizer = torch.optim.SGD(net.parameters(), lr=0.3)
    scheduler = plateau(optimizer)
    x, y, _ = samples(7, seed=8).tensors

    def validate() -> None:
        net.eval()
        total = 0.0
        with torch.no_grad():
            for part_x, part_y in ((x[:4], y[:4]), (x[4:], y[4:])):
                total += nn.functional.mse_loss(net(part_x), part_y).double().item() * len(part_x)
        scheduler.step(total / 7)

    losses = bare(net, optimizer, after_epoch=validate)
    runner = trainer(max_epochs=EPOCHS)
    runner.fit(module, loader(N, BATCH), loader(7, 4, seed=8))
    assert same(module.losses, losses)
    assert same(weights(module.net), weights(net))
    assert runner.optimizers[0].param_groups[0]["lr"] == optimizer.param_groups[0]["lr"] < 0.3


def test_the_order_of_a_shuffled_loader_is_that_of_the_seed() -> None:
    module, net = twins(OPTIMIZERS["sgd"])
    losses = bare(net, OPTIMIZERS["sgd"](net.parameters()), shuffle=True, seed=1)
    trainer(max_epochs=EPOCHS).fit(module, loader(N, BATCH, shuffle=True))
    assert same(module.losses, losses)
    assert same(weights(module.net), weights(net))


@pytest.mark.parametrize("workers", [0, 1])
@pytest.mark.parametrize("validate", [False, True])
def test_the_framework_draws_nothing_from_the_generator_that_dropout_uses(workers: int, validate: bool) -> None:
    module, net = twins(OPTIMIZERS["sgd"], dropout=0.5)
    state = torch.get_rng_state()
    losses = bare(net, OPTIMIZERS["sgd"](net.parameters()), shuffle=True, seed=1)
    after = torch.get_rng_state()
    torch.set_rng_state(state)
    runner = trainer(max_epochs=EPOCHS, num_sanity_val_steps=2)
    train = loader(N, BATCH, shuffle=True, num_workers=workers, persistent_workers=bool(workers))
    runner.fit(module, train, loader(7, 4, shuffle=True) if validate else None)
    assert same(module.losses, losses)
    assert same(weights(module.net), weights(net))
    assert torch.equal(torch.get_rng_state(), after)


def test_a_sanity_check_that_draws_random_numbers_does_not_change_training() -> None:
    class Noisy(Configured):
        def validation_step(self, batch: Any, batch_idx: int) -> None:
            torch.rand(3)

    torch.manual_seed(1)
    module = Noisy(OPTIMIZERS["sgd"], dropout=0.5)
    net = copy.deepcopy(module.net)
    state = torch.get_rng_state()
    losses = bare(net, OPTIMIZERS["sgd"](net.parameters()))
    torch.set_rng_state(state)
    runner = trainer(max_epochs=EPOCHS, num_sanity_val_steps=-1, check_val_every_n_epoch=EPOCHS + 1)
    runner.fit(module, loader(N, BATCH), loader(8, 2))
    assert same(module.losses, losses)


def test_bf16_mixed_equals_a_bare_loop_under_autocast() -> None:
    module, net = twins(OPTIMIZERS["adam"])
    compare(module, net, bare(net, OPTIMIZERS["adam"](net.parameters()), autocast=True), precision="bf16-mixed")


def real_fake_loss(score: Tensor, real: bool) -> Tensor:
    return nn.functional.binary_cross_entropy_with_logits(score, torch.full_like(score, float(real)))


class GAN(LightningModule):
    """Two networks, two optimizers, automatic: one loss for each ``optimizer_idx``."""

    def __init__(self) -> None:
        super().__init__()
        self.generator, self.critic = nn.Linear(3, 3), network()
        self.losses: list[Tensor] = []

    def loss(self, x: Tensor, index: int) -> Tensor:
        fake = self.generator(x)
        if index == 0:
            return real_fake_loss(self.critic(fake), True)
        return real_fake_loss(self.critic(x), True) + real_fake_loss(self.critic(fake.detach()), False)

    def training_step(self, batch: Any, batch_idx: int, optimizer_idx: int) -> Tensor:
        loss = self.loss(batch[0], optimizer_idx)
        self.losses.append(loss.detach().clone())
        return loss

    def configure_optimizers(self) -> Any:
        return [
            torch.optim.Adam(self.generator.parameters(), lr=0.01),
            torch.optim.SGD(self.critic.parameters(), lr=0.05, momentum=0.5),
        ]


def bare_gan(model: GAN, *, clip: float, accumulate: int = 1, num_batches: int = 11) -> list[Tensor]:
    """The reference: each network in turn, the other one's parameters switched off."""
    optimizers, losses = GAN.configure_optimizers(model), []
    parts = [model.generator, model.critic]
    data = list(batches())[:num_batches]
    for _ in range(EPOCHS):
        for begin in range(0, len(data), accumulate):
            group = data[begin : begin + accumulate]
            for position, (x, _) in enumerate(group):
                for index, optimizer in enumerate(optimizers):
                    parts[1 - index].requires_grad_(False)
                    loss = model.loss(x, index)
                    losses.append(loss.detach().clone())
                    if position == 0:
                        optimizer.zero_grad()
                    (loss * (1.0 / len(group)) if len(group) > 1 else loss).backward()
                    if position == len(group) - 1:
                        nn.utils.clip_grad_norm_(list(parts[index].parameters()), clip)
                        optimizer.step()
                    parts[1 - index].requires_grad_(True)
    return losses


@pytest.mark.parametrize("accumulate", [1, 4])
def test_two_automatic_optimizers_equal_a_loop_that_toggles_by_hand(accumulate: int) -> None:
    torch.manual_seed(2)
    model = GAN()
    twin = copy.deepcopy(model)
    losses = bare_gan(twin, clip=0.3, accumulate=accumulate)
    trainer(max_epochs=EPOCHS, gradient_clip_val=0.3, accumulate_grad_batches=accumulate).fit(model, loader(N, BATCH))
    assert same(model.losses, losses)
    assert same(weights(model), weights(twin))
    assert all(p.requires_grad for p in model.parameters())


class ManualGAN(GAN):
    """The same, with backward and step by hand."""

    def __init__(self) -> None:
        super().__init__()
        self.automatic_optimization = False

    def training_step(self, batch: Any, batch_idx: int) -> None:  # type: ignore[override]
        for index, optimizer in enumerate(self.optimizers()):
            with self.toggled_optimizer(optimizer):
                loss = super().training_step(batch, batch_idx, index)
                optimizer.zero_grad()
                self.manual_backward(loss)
                self.clip_gradients(optimizer, 0.3)
                optimizer.step()


def test_manual_optimization_equals_a_loop_that_toggles_by_hand() -> None:
    torch.manual_seed(2)
    model = ManualGAN()
    twin = copy.deepcopy(model)
    losses = bare_gan(twin, clip=0.3)
    trainer(max_epochs=EPOCHS).fit(model, loader(N, BATCH))
    assert same(model.losses, losses)
    assert same(weights(model), weights(twin))


def test_optimizers_in_turns_equal_a_bare_loop_with_their_schedulers() -> None:
    class Turns(GAN):
        def configure_optimizers(self) -> Any:
            optimizers = super().configure_optimizers()
            return [
                {
                    "optimizer": optimizer,
                    "frequency": frequency,
                    "lr_scheduler": {"scheduler": StepLR(optimizer, 2, gamma=0.5), "interval": "step"},
                }
                for optimizer, frequency in zip(optimizers, (1, 2), strict=True)
            ]

    torch.manual_seed(2)
    model = Turns()
    twin = copy.deepcopy(model)
    optimizers = GAN.configure_optimizers(twin)
    schedulers = [StepLR(optimizer, 2, gamma=0.5) for optimizer in optimizers]
    parts, losses, done = [twin.generator, twin.critic], [], 0
    for _ in range(EPOCHS):
        for x, _y in batches():
            index = (0, 1, 1)[done % 3]
            parts[1 - index].requires_grad_(False)
            loss = twin.loss(x, index)
            losses.append(loss.detach().clone())
            optimizers[index].zero_grad()
            loss.backward()
            optimizers[index].step()
            schedulers[index].step()
            parts[1 - index].requires_grad_(True)
            done += 1
    runner = trainer(max_epochs=EPOCHS)
    runner.fit(model, loader(N, BATCH))
    assert same(model.losses, losses)
    assert same(weights(model), weights(twin))
    assert [o.param_groups[0]["lr"] for o in runner.optimizers] == [o.param_groups[0]["lr"] for o in optimizers]


def test_lbfgs_equals_a_bare_loop() -> None:
    def lbfgs(parameters: Any) -> torch.optim.LBFGS:
        return torch.optim.LBFGS(parameters, lr=0.3, max_iter=4, line_search_fn="strong_wolfe")

    module, net = twins(lbfgs)
    optimizer = lbfgs(net.parameters())
    losses: list[Tensor] = []
    for _ in range(2):
        for x, y in batches():

            def closure(x: Tensor = x, y: Tensor = y) -> Tensor:
                loss = nn.functional.mse_loss(net(x), y)
                optimizer.zero_grad()
                loss.backward()
                losses.append(loss.detach().clone())
                return loss

            optimizer.step(closure)
    runner = trainer(max_epochs=2)
    runner.fit(module, loader(N, BATCH))
    assert same(module.losses, losses)
    assert same(weights(module.net), weights(net))
    assert runner.global_step == 22


def test_a_callback_that_only_watches_changes_nothing() -> None:
    class Watch(Callback):
        def on_before_optimizer_step(self, trainer: Any, module: Any, optimizer: Any) -> None:
            self.norm = sum(p.grad.norm() for p in module.parameters())

        def on_train_batch_end(self, trainer: Any, module: Any, outputs: Any, batch: Any, batch_idx: int) -> None:
            self.metrics = dict(trainer.callback_metrics)

    module, net = twins(OPTIMIZERS["adam"])
    compare(module, net, bare(net, OPTIMIZERS["adam"](net.parameters())), callbacks=[Watch()])
