import copy
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

State = dict[str, Any]

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


def tokens(seed: int) -> Tensor:
    return torch.randint(0, 10, (8, 5), generator=torch.Generator().manual_seed(seed))


def share(strategy: Strategy, batch: Tensor) -> Tensor:
    return batch.chunk(strategy.data_world_size)[strategy.data_rank]


def launch(function: Callable[..., Any], shape: tuple[int, int], **options: Any) -> Any:
    options = {"plan": PLAN, "wrap": ["Layer"], **options}
    ranks = list(range(shape[0] * shape[1]))
    strategy = ModelParallelStrategy(indices=ranks, start="fork", tensor_parallel_size=shape[1], **options)

    def main() -> Any:
        torch.set_num_threads(1)
        strategy.setup_environment()
        try:
            return function(strategy)
        finally:
            strategy.teardown()

    return strategy.launcher.launch(main)


def train(strategy: Strategy, net: nn.Module | None = None, **options: Any) -> tuple[State, State, list[float]]:
    """Four updates with accumulation, and clipping that bites."""
    net = strategy.setup_module(Net(seed=strategy.global_rank) if net is None else net)
    optimizer = torch.optim.AdamW(net.parameters(), lr=0.02, **options)
    step = strategy.setup_step(net, net.loss)
    norms = []
    for update in range(4):
        optimizer.zero_grad()
        for part in (0, 1):
            strategy.backward(step(share(strategy, tokens(2 * update + part))) / 2)
        norms.append(float(strategy.clip_gradients(optimizer, max_norm=0.5)))
        strategy.precision.optimizer_step(optimizer)
    return strategy.module_state(net), strategy.optimizer_state(net, optimizer), norms


def train_alone(dtype: torch.dtype = torch.float32) -> tuple[State, State, list[float]]:
    """The same in a bare loop."""
    net = Net().to(dtype)
    optimizer = torch.optim.AdamW(net.parameters(), lr=0.02)
    norms = []
    for update in range(4):
        optimizer.zero_grad()
        for part in (0, 1):
            (net.loss(tokens(2 * update + part)) / 2).backward()
        norms.append(float(nn.utils.clip_grad_norm_(net.parameters(), 0.5)))
        optimizer.step()
    return net.state_dict(), optimizer.state_dict(), norms


def assert_alike(found: tuple[State, State, list[float]], expected: tuple[State, State, list[float]]) -> None:
    assert found[2] == pytest.approx(expected[2], rel=1e-5)
    assert list(found[0]) == list(expected[0])
    torch.testing.assert_close(found[0], dict(expected[0]), rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(found[1]["state"], expected[1]["state"], rtol=1e-4, atol=1e-5)
    assert found[1]["param_groups"] == [
        {**group, "foreach": found[1]["param_groups"][0]["foreach"]} for group in expected[1]["param_groups"]
    ]


@pytest.mark.parametrize("shape", SHAPES)
def test_attention_and_perceptrons_cut_by_name_train_as_in_one_process(shape: tuple[int, int]) -> None:
    assert_alike(launch(train, shape), train_alone())


def test_the_optimizers_loops_over_many_tensors_at_once_do_the_same() -> None:
    assert_alike(launch(lambda strategy: train(strategy, foreach=True), (2, 2)), train_alone())


def test_in_float64_nothing_is_lost_but_the_last_bits() -> None:
    state, _, norms = launch(train, (2, 2), precision=TruePrecision(torch.float64))

    expected, _, expected_norms = train_alone(torch.float64)
    torch.testing.assert_close(state, dict(expected), rtol=1e-9, atol=1e-11)
    assert norms == pytest.approx(expected_norms, rel=1e-12)


def configured(strategy: ModelParallelStrategy, *, shard: bool, meta: bool = False) -> Net:
    """What a user's ``configure_model`` does with ``self.device_mesh``."""
    with torch.device("meta" if meta else "cpu"):
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
    return net


@pytest.mark.parametrize(("shape", "shard"), [((1, 2), False), ((1, 2), True), ((2, 2), False), ((2, 2), True)])
def test_what_configure_model_cut_and_sharded_trains_as_in_one_process(shape: tuple[int, int], shard: bool) -> None:
    found = launch(lambda strategy: train(strategy, configured(strategy, shard=shard)), shape, plan=None)
    assert_alike(found, train_alone())


def test_processes_keep_a_part_of_what_is_cut_and_of_what_is_sharded() -> None:
    def elements(strategy: Strategy) -> list[list[int]]:
        net = strategy.setup_module(Net())
        optimizer = torch.optim.AdamW(net.parameters(), lr=0.1)
        strategy.backward(strategy.setup_step(net, net.loss)(tokens(0)))
        optimizer.step()
        held = {name: p for name, p in net.named_parameters() if name.endswith(("0.up.weight", "0.norm.weight"))}
        counts = [[t.to_local().numel() for t in (p, p.grad, optimizer.state[p]["exp_avg"])] for p in held.values()]
        assert all(isinstance(p, DTensor) for p in held.values())
        return strategy.collectives.all_gather_object(list(itertools.chain(*counts)))

    # A norm of 8 is shared by the two processes along one dimension, a layer of 12 x 8 by all four.
    assert launch(elements, (2, 2)) == [[4, 4, 4, 24, 24, 24]] * 4


@pytest.mark.parametrize("shape", SHAPES)
def test_one_process_goes_on_from_it_and_it_goes_on_from_one_process(shape: tuple[int, int]) -> None:
    def go_on(strategy: Strategy, saved: tuple[State, State, Any]) -> State:
        net = strategy.setup_module(Net(seed=5))
        optimizer = torch.optim.AdamW(net.parameters(), lr=0.9)
        strategy.load_module_state(net, saved[0])
        strategy.load_optimizer_state(net, optimizer, copy.deepcopy(saved[1]))  # torch takes over the very tensors
        strategy.backward(strategy.setup_step(net, net.loss)(share(strategy, tokens(20))))
        optimizer.step()
        return strategy.module_state(net)

    alone, cut = train_alone(), launch(train, shape)
    expected = go_on(SingleDeviceStrategy(), alone)

    torch.testing.assert_close(launch(lambda strategy: go_on(strategy, alone), shape), expected, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(go_on(SingleDeviceStrategy(), cut), expected, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("shape", SHAPES)
def test_a_plain_loop_is_dealt_the_samples_of_its_group_and_trained(shape: tuple[int, int]) -> None:
    def loop(run: Any, batch_size: int) -> tuple[State, list[int], float]:
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

    strategy = ModelParallelStrategy(
        indices=list(range(shape[0] * shape[1])), start="fork", plan=PLAN, tensor_parallel_size=shape[1]
    )
    run = connect(strategy=strategy)
    state, seen, total = run.launch(loop, run, 8 // shape[0])
    expected, _, expected_total = loop(connect("cpu", 1), 8)

    torch.testing.assert_close(state, expected, rtol=1e-4, atol=1e-5)
    assert seen == list(range(24))
    assert total == expected_total == 8


def test_counting_over_samples_counts_each_once_and_tells_every_process_the_same() -> None:
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

    ranks, told = zip(*launch(count, (2, 2)), strict=True)
    assert ranks == ((0, True), (0, False), (1, True), (1, False))
    assert list(told) == [[[2.0], [1.0], [2.0], [0.0], [0.0, 2.0], [0, 2], 2]] * 4  # of ranks 0 and 2


def test_processes_that_would_do_the_same_work_are_warned_of() -> None:
    with pytest.raises(UserWarning, match=r"Nothing in Net is cut over the 2 processes.*tensor_parallel_size=1"):
        launch(lambda strategy: strategy.setup_module(Net()), (2, 2), plan=None)


def test_with_float16_processes_agree_on_the_scale_of_parts_and_of_what_is_whole() -> None:
    def steps(strategy: Strategy) -> State:
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
        assert scales == [32.0] * strategy.world_size
        return strategy.module_state(net)

    net, scaler = Net(), torch.amp.GradScaler("cpu", init_scale=64.0)
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
    for update in (0, 2):
        optimizer.zero_grad()
        with torch.autocast("cpu", torch.float16):
            loss = net.loss(tokens(update))
        scaler.scale(loss).backward()
        scaler.step(optimizer)
        scaler.update()
    for shape in SHAPES:
        state = launch(steps, shape, precision=ScaledPrecision(init_scale=64.0))
        torch.testing.assert_close(state, dict(net.state_dict()), rtol=1e-2, atol=1e-3)


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
