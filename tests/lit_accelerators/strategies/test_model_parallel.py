import functools
import itertools
from collections.abc import Callable
from typing import Any

import pytest
import torch
import torch._dynamo  # imported here, and not in every forked process
import torch.distributed.fsdp
import torch.distributed.tensor.parallel
from torch import Tensor, nn
from torch.distributed.fsdp import fully_shard
from torch.distributed.tensor import DTensor
from torch.distributed.tensor.parallel import ColwiseParallel, RowwiseParallel, parallelize_module
from torch.utils.data import DataLoader, TensorDataset

from lit_accelerators import (
    ModelParallelStrategy,
    ScaledPrecision,
    SingleDeviceStrategy,
    Strategy,
    TruePrecision,
    connect,
)
from tests.lit_accelerators.joined import run_cases, run_joined
from tests.lit_accelerators.strategies.updates import State, Trained, go_on, share, tokens, train, train_bare

Shape = tuple[int, int]

PLAN = {
    "embed": "colwise_gathered",
    "layers.*.query": "colwise",
    "layers.*.key": "colwise",
    "layers.*.value": "colwise",
    "layers.*.out": "rowwise",
    "layers.*.up": "colwise",
    "layers.*.down": "rowwise",
    "head": "colwise_gathered",
}
SHAPES = [(1, 2), (2, 2)]


class Layer(nn.Module):
    """Attention with heads of 4, then a perceptron."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.norm, self.second_norm = nn.LayerNorm(width), nn.LayerNorm(width)
        # Without biases: that of the keys has no influence, and Adam makes steps of the noise in its gradient.
        self.query, self.key, self.value = (nn.Linear(width, width, bias=False) for _ in range(3))
        self.out = nn.Linear(width, width)
        self.up, self.down = nn.Linear(width, 12), nn.Linear(12, width)

    def forward(self, x: Tensor) -> Tensor:
        h = self.norm(x)
        heads = [part(h).unflatten(-1, (-1, 4)).transpose(1, 2) for part in (self.query, self.key, self.value)]
        x = x + self.out(nn.functional.scaled_dot_product_attention(*heads, is_causal=True).transpose(1, 2).flatten(2))
        out: Tensor = x + self.down(torch.tanh(self.up(self.second_norm(x))))
        return out


class Net(nn.Module):
    def __init__(self, seed: int = 0, width: int = 8) -> None:
        super().__init__()
        with torch.random.fork_rng():
            torch.manual_seed(seed)
            self.embed = nn.Embedding(11, width)
            self.layers = nn.ModuleList([Layer(width) for _ in range(2)])
            self.scale = nn.Parameter(torch.ones(3))
            self.head = nn.Linear(width, 10)

    def forward(self, tokens: Tensor) -> Tensor:
        x = self.embed(tokens)
        for layer in self.layers:
            x = layer(x)
        out: Tensor = self.head(x) * self.scale.mean()
        return out

    def loss(self, tokens: Tensor) -> Tensor:
        return nn.functional.cross_entropy(self(tokens[:, :-1]).flatten(0, 1).float(), tokens[:, 1:].flatten())


def launch(function: Callable[..., Any], shape: Shape, **options: Any) -> Any:
    options = {"plan": PLAN, "wrap": ["Layer"], **options}
    ranks = list(range(shape[0] * shape[1]))
    strategy = ModelParallelStrategy(indices=ranks, start="fork", tensor_parallel_size=shape[1], **options)
    return run_joined(strategy, function)


def by_plan(strategy: Strategy, **options: Any) -> Trained:
    return train(strategy, Net(seed=strategy.global_rank), lr=0.02, **options)


def alone(dtype: torch.dtype = torch.float32) -> Trained:
    return train_bare(Net().to(dtype), lr=0.02)


def configured(strategy: ModelParallelStrategy, *, shard: bool) -> Trained:
    """With what a user's ``configure_model`` does with ``self.device_mesh``."""
    # fully_shard keeps of what each process has: that must be the same.
    net = Net(seed=0 if shard else strategy.global_rank)
    mesh = strategy.device_mesh
    styles = {"query": ColwiseParallel(), "key": ColwiseParallel(), "value": ColwiseParallel(), "up": ColwiseParallel()}
    for layer in net.layers:
        parallelize_module(
            layer, mesh["tensor_parallel"], {**styles, "out": RowwiseParallel(), "down": RowwiseParallel()}
        )
        if shard:
            fully_shard(layer, mesh=mesh["data_parallel"])
    return train(strategy, net, lr=0.02)


def elements(strategy: Strategy) -> list[list[int]]:
    """What each process holds of a layer and of a norm: parameters, gradients, optimizer states."""
    net = strategy.setup_module(Net())
    optimizer = torch.optim.AdamW(net.parameters(), lr=0.1)
    strategy.backward(strategy.setup_step(net, net.loss)(tokens(0)))
    optimizer.step()
    held = {name: p for name, p in net.named_parameters() if name.endswith(("0.up.weight", "0.norm.weight"))}
    counts = [[t.to_local().numel() for t in (p, p.grad, optimizer.state[p]["exp_avg"])] for p in held.values()]
    assert all(isinstance(p, DTensor) for p in held.values())
    return strategy.collectives.all_gather_object(list(itertools.chain(*counts)))


def plain_loop(run: Any, batch_size: int) -> tuple[State, list[int], float]:
    torch.set_num_threads(1)
    run.seed(3)
    net = Net()
    model, optimizer = run.setup(net, torch.optim.SGD(net.parameters(), lr=0.1))
    data = TensorDataset(torch.cat([tokens(seed) for seed in range(3)]), torch.arange(24))
    seen = []
    for batch, numbers in run.setup_dataloader(DataLoader(data, batch_size)):
        optimizer.zero_grad()
        loss = nn.functional.cross_entropy(model(batch[:, :-1]).flatten(0, 1), batch[:, 1:].flatten())
        run.backward(loss)
        run.clip_gradients(optimizer, max_norm=0.5)
        optimizer.step()
        seen += run.all_gather(numbers).flatten().tolist()
    total = run.all_reduce(torch.tensor(float(len(numbers))), "sum")
    return run.strategy.module_state(net), sorted(seen), float(total)


def connected(shape: Shape) -> Any:
    ranks = list(range(shape[0] * shape[1]))
    strategy = ModelParallelStrategy(indices=ranks, start="fork", plan=PLAN, tensor_parallel_size=shape[1])
    run = connect(strategy=strategy)
    return run.launch(plain_loop, run, 8 // shape[0])


def count(strategy: Strategy) -> list[Any]:
    rank, once = strategy.global_rank, strategy.data_collectives
    tensor = torch.tensor([float(rank)])
    told = [
        *(once.all_reduce(tensor, op).tolist() for op in ("sum", "mean", "max", "min")),
        once.all_gather({"rank": tensor})["rank"].flatten().tolist(),
        once.all_gather_object(rank),
        once.broadcast(rank, src=1),
    ]
    once.barrier()
    return strategy.collectives.all_gather_object(((strategy.data_rank, strategy.speaks_for_samples), told))


def in_float16(strategy: Strategy) -> tuple[State, list[float]]:
    """Three updates, of which the second has a gradient that is not finite in one part."""
    net = strategy.setup_module(Net())
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
    step, precision = strategy.setup_step(net, net.loss), strategy.precision
    for update in range(3):
        optimizer.zero_grad()
        strategy.backward(step(share(strategy, tokens(update))))
        grad: Any = net.layers[0].up.weight.grad
        if update == 1 and strategy.global_rank == strategy.world_size - 1:
            grad.to_local()[0] = torch.nan
        precision.optimizer_step(optimizer)
    scales = strategy.collectives.all_gather_object(precision.state_dict()["scale"])
    return strategy.module_state(net), scales


@functools.cache
def outcomes(shape: Shape) -> dict[str, Any]:
    """What all tests with a grid of this shape look at."""
    saved = alone()
    cases: dict[str, Callable[[], Any]] = {
        "plan": lambda: launch(by_plan, shape),
        "float64": lambda: launch(by_plan, shape, precision=TruePrecision(torch.float64)),
        "configured": lambda: launch(functools.partial(configured, shard=False), shape, plan=None),
        "configured and sharded": lambda: launch(functools.partial(configured, shard=True), shape, plan=None),
        "going on": lambda: launch(lambda strategy: go_on(strategy, Net(seed=5), saved), shape),
        "plain loop": lambda: connected(shape),
        "float16": lambda: launch(in_float16, shape, precision=ScaledPrecision(init_scale=64.0)),
    }
    if shape[0] > 1:  # torch's loops over many tensors at once take no mixture of cut tensors and whole ones
        cases["foreach"] = lambda: launch(functools.partial(by_plan, foreach=True), shape)
        cases["elements"] = lambda: launch(elements, shape)
        cases["count"] = lambda: launch(count, shape)
    return run_cases(shape[0] * shape[1], cases)


@pytest.mark.parametrize(
    ("case", "shape"),
    [("foreach", (2, 2)), *itertools.product(["plan", "configured", "configured and sharded"], SHAPES)],
)
def test_what_is_cut_by_plan_or_by_configure_model_trains_as_in_one_process(case: str, shape: Shape) -> None:
    (state, optimizer_state, norms), (expected, expected_optimizer, expected_norms) = outcomes(shape)[case], alone()

    assert norms == pytest.approx(expected_norms, rel=1e-5)
    assert list(state) == list(expected)
    torch.testing.assert_close(state, dict(expected), rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(optimizer_state["state"], expected_optimizer["state"], rtol=1e-4, atol=1e-5)
    assert optimizer_state["param_groups"] == [
        {**group, "foreach": optimizer_state["param_groups"][0]["foreach"]}
        for group in expected_optimizer["param_groups"]
    ]


@pytest.mark.parametrize("shape", SHAPES)
def test_in_float64_nothing_is_lost_but_the_last_bits(shape: Shape) -> None:
    state, _, norms = outcomes(shape)["float64"]

    expected, _, expected_norms = alone(torch.float64)
    torch.testing.assert_close(state, dict(expected), rtol=1e-9, atol=1e-11)
    assert norms == pytest.approx(expected_norms, rel=1e-12)


def test_processes_keep_a_part_of_what_is_cut_and_of_what_is_sharded() -> None:
    # A norm of 8 is shared by the two processes along one dimension, a layer of 12 x 8 by all four.
    assert outcomes((2, 2))["elements"] == [[4, 4, 4, 24, 24, 24]] * 4


@pytest.mark.parametrize("shape", SHAPES)
def test_one_process_goes_on_from_it_and_it_goes_on_from_one_process(shape: Shape) -> None:
    expected = go_on(SingleDeviceStrategy(), Net(seed=5), alone())

    torch.testing.assert_close(outcomes(shape)["going on"], expected, rtol=1e-4, atol=1e-5)
    back = go_on(SingleDeviceStrategy(), Net(seed=5), outcomes(shape)["plan"])
    torch.testing.assert_close(back, expected, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("shape", SHAPES)
def test_a_plain_loop_is_dealt_the_samples_of_its_group_and_trained(shape: Shape) -> None:
    state, seen, total = outcomes(shape)["plain loop"]
    expected, _, expected_total = plain_loop(connect("cpu", 1), 8)

    torch.testing.assert_close(state, expected, rtol=1e-4, atol=1e-5)
    assert seen == list(range(24))
    assert total == expected_total == 8


def test_counting_over_samples_counts_each_once_and_tells_every_process_the_same() -> None:
    ranks, told = zip(*outcomes((2, 2))["count"], strict=True)
    assert ranks == ((0, True), (0, False), (1, True), (1, False))
    assert list(told) == [[[2.0], [1.0], [2.0], [0.0], [0.0, 2.0], [0, 2], 2]] * 4  # of ranks 0 and 2


@pytest.mark.parametrize("shape", SHAPES)
def test_with_float16_processes_agree_on_the_scale_of_parts_and_of_what_is_whole(shape: Shape) -> None:
    state, scales = outcomes(shape)["float16"]

    net, scaler = Net(), torch.amp.GradScaler("cpu", init_scale=64.0)
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
    for update in (0, 2):
        optimizer.zero_grad()
        with torch.autocast("cpu", torch.float16):
            loss = net.loss(tokens(update))
        scaler.scale(loss).backward()
        scaler.step(optimizer)
        scaler.update()
    assert scales == [32.0] * shape[0] * shape[1]
    torch.testing.assert_close(state, dict(net.state_dict()), rtol=1e-2, atol=1e-3)


def test_processes_that_would_do_the_same_work_are_warned_of() -> None:
    with pytest.raises(UserWarning, match=r"Nothing in Net is cut over the 2 processes.*tensor_parallel_size=1"):
        launch(lambda strategy: strategy.setup_module(Net()), (2, 2), plan=None)


@pytest.mark.parametrize(
    ("sizes", "message"),
    [
        ({"tensor_parallel_size": 3}, r"tensor_parallel_size=3, but 4 processes.*1, 2, 4"),
        ({"data_parallel_size": 0}, "at least 1, got 0"),
        ({"data_parallel_size": 2, "tensor_parallel_size": 1}, r"is 2, but there are 4 processes.*size=2"),
    ],
)
def test_sizes_that_are_not_those_of_the_run_are_refused(sizes: dict[str, int], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        ModelParallelStrategy(indices=[0, 1, 2, 3], **sizes)


@pytest.mark.parametrize(
    ("plan", "message"),
    [
        ({"layers.*.upp": "colwise"}, r"'layers.\*.upp' is the name of no module in Net.*layers.0.up"),
        ({"head": "columnwise"}, r"'columnwise' at 'head'.*'colwise'.*rowwise"),
        ({"layers.*": "colwise"}, r"'layers.0' is Layer"),
        ({"scale": "colwise"}, "the name of no module"),
        ({"embed": "rowwise"}, r"'embed' into 2 parts, but its dimension of 11"),
        ({"head": 3}, "ParallelStyle"),
    ],
)
def test_a_plan_that_does_not_fit_is_refused_with_what_would(plan: dict[str, Any], message: str) -> None:
    with pytest.raises((ValueError, TypeError), match=message):
        launch(lambda strategy: strategy.setup_module(Net()), (1, 2), plan=plan)
