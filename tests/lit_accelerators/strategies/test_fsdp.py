import functools
from collections.abc import Callable
from typing import Any

import pytest
import torch
import torch._dynamo  # imported here, and not in every forked process
import torch.distributed.fsdp
from torch import Tensor, nn
from torch.distributed.fsdp import MixedPrecisionPolicy
from torch.distributed.tensor import DTensor

from lit_accelerators import FSDPStrategy, ScaledPrecision, SingleDeviceStrategy, TruePrecision, connect
from tests.lit_accelerators.joined import run_joined
from tests.lit_accelerators.strategies.updates import State, Trained, go_on, share, tokens, train, train_bare

# torch says so of units whose output is a view, as that of nn.Linear for three dimensions.
pytestmark = pytest.mark.filterwarnings("ignore:FSDP2-wrapped module")


def launch(function: Callable[..., Any], ranks: int = 2, **options: Any) -> Any:
    return run_joined(FSDPStrategy(indices=list(range(ranks)), start="fork", **options), function)


class Block(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.norm, self.linear = nn.LayerNorm(width), nn.Linear(width, width)

    def forward(self, x: Tensor) -> Tensor:
        return x + torch.tanh(self.linear(self.norm(x)))


class Net(nn.Module):
    """Blocks, a parameter of its own, and an embedding whose weight is used twice; odd sizes, so shards are uneven."""

    def __init__(self, seed: int = 0, width: int = 7) -> None:
        super().__init__()
        with torch.random.fork_rng():
            torch.manual_seed(seed)
            self.embed = nn.Embedding(11, width)
            self.blocks = nn.ModuleList([Block(width) for _ in range(2)])
            self.head = nn.Linear(width, 11, bias=False)
            self.head.weight = self.embed.weight
            self.scale = nn.Parameter(torch.ones(1))

    def forward(self, tokens: Tensor) -> Tensor:
        x = self.embed(tokens)
        for block in self.blocks:
            x = block(x)
        out: Tensor = self.head(x) * self.scale
        return out

    def loss(self, tokens: Tensor) -> Tensor:
        return nn.functional.cross_entropy(self(tokens[:, :-1]).flatten(0, 1).float(), tokens[:, 1:].flatten())


def trained(strategy: FSDPStrategy, *, same: bool = False) -> Trained:
    """On a part of each batch, or on all of it in every process."""
    net = Net(seed=strategy.global_rank)
    return train(strategy, net, lr=0.05, share=lambda _, batch: batch) if same else train(strategy, net, lr=0.05)


def trained_alone(dtype: torch.dtype = torch.float32) -> Trained:
    return train_bare(Net().to(dtype), lr=0.05)


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"wrap": ["Block"]},
        {"wrap": [Block], "reshard_after_forward": False},
        {"wrap": 20},
        {"wrap": lambda module: isinstance(module, nn.Linear)},
        {"ranks": 3, "wrap": ["Block"]},
        {"ranks": 4, "wrap": ["Block"], "device_mesh": (2, 2)},
        {"ranks": 2, "wrap": ["Block"], "sharding_strategy": "hybrid"},
    ],
    ids=["whole", "names", "classes", "size", "function", "three ranks", "two copies", "a copy per node"],
)
def test_steps_with_accumulation_and_clipping_are_those_of_one_process_with_all_samples(options: State) -> None:
    # Three get unequal shares, whose mean is not that of one process, so all get all samples.
    run = functools.partial(trained, same=options.get("ranks") == 3)
    state, optimizer_state, norms = launch(run, **options)

    expected_state, expected_optimizer, expected_norms = trained_alone()
    assert norms == pytest.approx(expected_norms, rel=1e-5)
    assert list(state) == list(expected_state)
    torch.testing.assert_close(state, dict(expected_state), rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(optimizer_state["state"], expected_optimizer["state"], rtol=1e-4, atol=1e-5)
    assert optimizer_state["param_groups"] == expected_optimizer["param_groups"]


def test_in_float64_nothing_is_lost_but_the_last_bits() -> None:
    state, _, _ = launch(trained, wrap=["Block"], precision=TruePrecision(torch.float64))

    torch.testing.assert_close(state, dict(trained_alone(torch.float64)[0]), rtol=1e-10, atol=1e-12)


def test_with_float16_a_gradient_that_is_infinite_in_one_process_stops_the_step_in_all() -> None:
    def steps(strategy: FSDPStrategy) -> list[Any]:
        net = strategy.setup_module(Net())
        optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
        step, precision = strategy.setup_step(net, net.loss), strategy.precision
        told = []
        for update in range(4):
            optimizer.zero_grad()
            strategy.backward(step(share(strategy, tokens(update))))
            grad: Any = net.embed.weight.grad
            if update == 1 and strategy.global_rank == 1:
                grad.to_local()[0] = torch.inf
            before = net.embed.weight.detach().to_local().clone()
            if update != 2:
                strategy.clip_gradients(optimizer, max_norm=0.5)
            precision.optimizer_step(optimizer)
            told.append((bool((net.embed.weight.to_local() != before).any()), precision.state_dict()["scale"]))
        return [strategy.collectives.all_gather_object(told), strategy.module_state(net)]

    everywhere, state = launch(steps, wrap=["Block"], precision=ScaledPrecision(init_scale=64.0))

    assert everywhere == [[(True, 64.0), (False, 32.0), (True, 32.0), (True, 32.0)]] * 2
    net, scaler = Net(), torch.amp.GradScaler("cpu", init_scale=64.0)
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
    for update in (0, 2, 3):
        optimizer.zero_grad()
        with torch.autocast("cpu", torch.float16):
            loss = net.loss(tokens(update))
        scaler.scale(loss).backward()
        scaler.unscale_(optimizer)
        if update != 2:
            nn.utils.clip_grad_norm_(net.parameters(), 0.5)
        scaler.step(optimizer)
        scaler.update()
    torch.testing.assert_close(state, dict(net.state_dict()), rtol=1e-3, atol=1e-4)


def test_gradients_in_parts_that_were_given_up_after_clipping_are_forgotten_in_all_processes() -> None:
    def give_up(strategy: FSDPStrategy) -> list[float]:
        net = strategy.setup_module(Net())
        optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
        step = strategy.setup_step(net, net.loss)
        norms = []
        for seed in (0, 0):
            strategy.backward(step(share(strategy, tokens(seed))))
            norms.append(float(strategy.clip_gradients(optimizer, max_norm=0.5)))
            if seed == 0 and len(norms) == 1:
                optimizer.zero_grad(set_to_none=False)
        with pytest.raises(RuntimeError, match="added scaled gradients"):
            strategy.backward(step(share(strategy, tokens(1))))
        return norms

    first, second = launch(give_up, wrap=["Block"], precision=ScaledPrecision(init_scale=64.0))
    assert first == pytest.approx(second, rel=1e-6)


def test_each_process_keeps_its_part_of_parameters_gradients_and_optimizer_state_only() -> None:
    def elements(strategy: FSDPStrategy) -> list[list[int]]:
        net = strategy.setup_module(Net(width=8))
        optimizer = torch.optim.AdamW(net.parameters(), lr=0.1)
        strategy.backward(strategy.setup_step(net, net.loss)(tokens(0)))
        optimizer.step()
        held = [
            list(net.parameters()),
            [p.grad for p in net.parameters()],
            [optimizer.state[p]["exp_avg"] for p in net.parameters()],
        ]
        counts = [sum(t.to_local().numel() for t in some if isinstance(t, DTensor)) for some in held]
        return strategy.collectives.all_gather_object(counts)

    first, second = launch(elements, wrap=["Block"])

    total = sum(p.numel() for p in Net(width=8).parameters())
    assert [a + b for a, b in zip(first, second, strict=True)] == [total] * 3
    assert max(first) < 0.6 * total


def test_with_copies_processes_hold_the_part_that_their_copy_gives_them() -> None:
    def held(strategy: FSDPStrategy) -> list[list[float]]:
        net = strategy.setup_module(Net(seed=strategy.global_rank, width=8))
        parameter: Any = net.blocks[0].linear.weight
        return strategy.collectives.all_gather_object(parameter.to_local().flatten().tolist())

    one, two, three, four = launch(held, ranks=4, wrap=["Block"], device_mesh=(2, 2))
    assert one + two == Net(width=8).blocks[0].linear.weight.flatten().tolist()
    assert (three, four) == (one, two)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"device_mesh": (3, 2)}, r"device_mesh=\(3, 2\) must be .* processes, 4"),
        ({"device_mesh": (2, 2), "sharding_strategy": "full"}, "has no copies"),
        ({"sharding_strategy": "half"}, "got 'half'"),
    ],
)
def test_copies_that_are_not_those_of_the_run_are_refused(options: State, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        FSDPStrategy(indices=[0, 1, 2, 3], **options)


def test_what_one_process_saved_is_loaded_sharded_and_the_other_way_round() -> None:
    def both(strategy: FSDPStrategy) -> tuple[Trained, State]:
        sharded = trained(strategy)
        return sharded, go_on(strategy, Net(seed=5), alone)

    alone = trained_alone()
    saved_sharded, sharded = launch(both, wrap=["Block"])
    back = go_on(SingleDeviceStrategy(), Net(seed=5), saved_sharded)
    expected = go_on(SingleDeviceStrategy(), Net(seed=5), alone)

    torch.testing.assert_close(sharded, expected, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(back, expected, rtol=1e-3, atol=1e-4)


def test_freezing_during_an_evaluation_holds_and_a_change_of_weights_there_is_refused() -> None:
    def freeze_then_write(strategy: FSDPStrategy) -> tuple[list[str], str]:
        net = strategy.setup_module(Net())
        evaluate = strategy.setup_step(net, net.loss, gradient_sync=None)
        evaluate(tokens(0))
        net.blocks.requires_grad_(False)
        strategy.backward(strategy.setup_step(net, net.loss)(tokens(0)))
        trained = [name for name, p in net.named_parameters() if p.grad is not None]
        with (
            pytest.raises(RuntimeError, match=r"changed during an evaluation.*: scale\."),
            strategy.evaluation(net),
            torch.no_grad(),
        ):
            net.scale.mul_(2.0)
        return trained, type(net).__name__

    trained, name = launch(freeze_then_write, wrap=["Block"])

    assert sorted(trained) == ["embed.weight", "scale"]
    assert name == "Net"


def test_what_is_evaluated_and_what_is_saved_are_the_running_statistics_of_process_0() -> None:
    """Otherwise a run that is resumed from a checkpoint would measure other numbers than one that went on."""
    batches = torch.randn(2, 5, 3, generator=torch.Generator().manual_seed(0)) + torch.tensor([[[1.0]], [[9.0]]])

    def measure(strategy: FSDPStrategy) -> Any:
        net = strategy.setup_module(nn.Sequential(nn.BatchNorm1d(3), nn.Linear(3, 1)))
        step = strategy.setup_step(net, lambda x: net(x).sum())
        strategy.backward(step(batches[strategy.global_rank]))
        with strategy.evaluation(net):
            seen = strategy.collectives.all_gather_object(net[0].running_mean)
        return seen, strategy.module_state(net).get("0.running_mean")  # all of it is in process 0

    seen, saved = launch(measure)

    expected = 0.1 * batches[0].mean(0)  # momentum 0.1, from 0
    torch.testing.assert_close(saved, expected)
    assert [mean.tolist() for mean in seen] == [saved.tolist()] * 2


def test_a_mixed_precision_policy_decides_how_parameters_travel() -> None:
    def formats(strategy: FSDPStrategy) -> tuple[list[torch.dtype], torch.dtype, torch.dtype]:
        net = strategy.setup_module(Net())
        seen: list[torch.dtype] = []
        net.blocks[0].linear.register_forward_pre_hook(lambda module, args: seen.append(module.weight.dtype))
        strategy.backward(strategy.setup_step(net, net.loss)(tokens(0)))
        parameter = net.blocks[0].linear.weight
        assert parameter.grad is not None
        return seen, parameter.dtype, parameter.grad.dtype

    policy = MixedPrecisionPolicy(param_dtype=torch.bfloat16, reduce_dtype=torch.float32)
    assert launch(formats, wrap=["Block"], mixed_precision=policy) == ([torch.bfloat16], torch.float32, torch.float32)


def test_a_plain_loop_whose_optimizer_was_made_before_is_trained() -> None:
    def loop(run: Any, batches: Callable[[Tensor], Tensor]) -> State:
        torch.set_num_threads(1)
        net = Net()
        model, optimizer = run.setup(net, torch.optim.SGD(net.parameters(), lr=0.1))
        for seed in range(3):
            optimizer.zero_grad()
            batch = batches(tokens(seed))
            run.backward(nn.functional.cross_entropy(model(batch[:, :-1]).flatten(0, 1), batch[:, 1:].flatten()))
            run.clip_gradients(optimizer, max_norm=0.5)
            optimizer.step()
        return run.strategy.module_state(net)

    run = connect("cpu", 2, strategy="fsdp_fork")
    sharded = run.launch(lambda: loop(run, lambda batch: batch.chunk(2)[run.global_rank]))
    torch.testing.assert_close(sharded, loop(connect("cpu", 1), lambda batch: batch), rtol=1e-4, atol=1e-5)
    assert not torch.equal(sharded["scale"], torch.ones(1))


@pytest.mark.parametrize(
    ("wrap", "message"),
    [(["Blok"], r"Blok.*Block, .*Linear"), (0, "at least 1"), (1.5, "got 1.5"), ([nn.Conv1d], "none of these")],
)
def test_a_policy_that_finds_nothing_is_refused_with_what_there_is(wrap: Any, message: str) -> None:
    with pytest.raises((ValueError, TypeError), match=message):
        launch(lambda strategy: strategy.setup_module(Net()), ranks=1, wrap=wrap)


@pytest.mark.parametrize("wrap", [["Block"], 1_000_000])
def test_each_of_several_losses_of_one_forward_pass_reaches_the_parameters_it_is_for(wrap: Any) -> None:
    """As ``Trainer`` does where ``training_step`` returns losses by optimizer name."""

    def losses(net: Net, batch: Tensor) -> list[Tensor]:
        out = net(batch[:, :-1])
        return [nn.functional.cross_entropy(out.flatten(0, 1), batch[:, 1:].flatten()), out.square().mean()]

    def groups(net: Net) -> list[list[nn.Parameter]]:
        return [list(net.blocks[0].parameters()), [*net.blocks[1].parameters(), net.embed.weight]]

    def steps(strategy: FSDPStrategy) -> State:
        net = strategy.setup_module(Net())
        own = groups(net)
        optimizers = [torch.optim.SGD(group, lr=0.1) for group in own]
        step = strategy.setup_step(net, lambda batch: losses(net, batch), gradient_sync="backward")
        for seed in range(3):
            with strategy.no_sync():
                found = step(share(strategy, tokens(seed)))
                for number, (loss, group) in enumerate(zip(found, own, strict=True)):
                    strategy.backward(loss, inputs=group, retain_graph=number == 0)
            assert net.scale.grad is None
            for optimizer, group in zip(optimizers, own, strict=True):
                strategy.sync_gradients(group)
                strategy.precision.optimizer_step(optimizer)
                if seed != 1:  # gradients of the first two batches are added up
                    optimizer.zero_grad()
        return strategy.module_state(net)

    net = Net()
    optimizers = [torch.optim.SGD(group, lr=0.1) for group in groups(net)]
    for seed in range(3):
        for number, (loss, group) in enumerate(zip(losses(net, tokens(seed)), groups(net), strict=True)):
            loss.backward(inputs=group, retain_graph=number == 0)
        for optimizer in optimizers:
            optimizer.step()
            if seed != 1:
                optimizer.zero_grad()
    torch.testing.assert_close(launch(steps, wrap=wrap), dict(net.state_dict()), rtol=1e-4, atol=1e-5)


def test_what_cannot_work_is_refused() -> None:
    def differentiate(strategy: FSDPStrategy) -> None:
        net = strategy.setup_module(Net())
        strategy.backward(strategy.setup_step(net, net.loss)(tokens(0)), inputs=[torch.ones(1, requires_grad=True)])

    with pytest.raises(ValueError, match="1 of 1 are none"):
        launch(differentiate)
    with pytest.raises(ValueError, match="cpu_offload"):
        FSDPStrategy(cpu_offload=True)
