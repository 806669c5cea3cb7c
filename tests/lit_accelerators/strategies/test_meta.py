"""Modules built on the meta device: memory and values come after sharding."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
import torch._dynamo  # imported here, and not in every forked process
import torch.distributed.fsdp
import torch.distributed.tensor.parallel
from torch import Tensor, nn
from torch.distributed.tensor import DTensor
from torch.distributed.tensor.parallel import ColwiseParallel, parallelize_module

from lit_accelerators import DDPStrategy, FSDPStrategy, ModelParallelStrategy, SingleDeviceStrategy, Strategy
from tests.lit_accelerators.joined import run_joined

pytestmark = pytest.mark.filterwarnings("ignore:FSDP2-wrapped module")


class Scale(nn.Module):
    """A parameter and a buffer of its own."""

    def __init__(self) -> None:
        super().__init__()
        self.factor = nn.Parameter(torch.empty(3))
        self.register_buffer("shift", torch.empty(3))
        self.reset_parameters()

    def reset_parameters(self) -> None:
        nn.init.normal_(self.factor)
        self.shift.fill_(2.0)

    def forward(self, x: Tensor) -> Tensor:
        return x * self.factor.mean() + self.shift.mean()


class Net(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.embed = nn.Embedding(11, 6)
        self.blocks = nn.ModuleList([nn.Sequential(nn.Linear(6, 10), nn.Tanh(), nn.Linear(10, 6)) for _ in range(2)])
        self.norm, self.scale = nn.BatchNorm1d(6), Scale()
        self.head = nn.Linear(6, 11, bias=False)
        self.head.weight = self.embed.weight

    def forward(self, tokens: Tensor) -> Tensor:
        x = self.embed(tokens)
        for block in self.blocks:
            x = x + block(x)
        out: Tensor = self.head(self.scale(self.norm(x)))
        return out

    def loss(self, tokens: Tensor) -> Tensor:
        return nn.functional.cross_entropy(self(tokens[:, 0]), tokens[:, 1])


PLAN = {"blocks.*.0": "colwise", "blocks.*.2": "rowwise"}
STRATEGIES: dict[str, Callable[[], Strategy]] = {
    "single_device": SingleDeviceStrategy,
    "ddp": lambda: DDPStrategy(indices=[0, 1], start="fork"),
    "fsdp": lambda: FSDPStrategy(indices=[0, 1], start="fork"),
    "fsdp with units": lambda: FSDPStrategy(indices=[0, 1, 2], start="fork", wrap=["Linear", "Sequential"]),
    "fsdp hybrid": lambda: FSDPStrategy(indices=[0, 1, 2, 3], start="fork", wrap=["Sequential"], device_mesh=(2, 2)),
    "model_parallel": lambda: ModelParallelStrategy(
        indices=[0, 1, 2, 3], start="fork", plan=PLAN, tensor_parallel_size=2, wrap=["Sequential"]
    ),
    "tensor parallel": lambda: ModelParallelStrategy(indices=[0, 1], start="fork", plan=PLAN),
}


def tokens(seed: int) -> Tensor:
    return torch.randint(0, 11, (12, 2), generator=torch.Generator().manual_seed(seed))


def build_and_train(strategy: Strategy) -> tuple[Any, Any, list[Any], list[float]]:
    torch.manual_seed(3 + strategy.global_rank)  # that of rank 0 must win
    with torch.device("meta"):
        net = Net()
    net = strategy.setup_module(net)
    first = {name: value.clone() for name, value in strategy.module_state(net).items()}
    drawn = torch.rand(1).item()
    assert net.head.weight is net.embed.weight
    assert not any(t.is_meta for t in (*net.parameters(), *net.buffers()))
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
    step = strategy.setup_step(net, net.loss)
    for seed in range(3):
        optimizer.zero_grad()
        strategy.backward(step(tokens(seed)))
        optimizer.step()
    own = [p.to_local().numel() if isinstance(p, DTensor) else p.numel() for p in net.parameters()]
    return first, strategy.module_state(net), strategy.collectives.all_gather_object(own), drawn


@pytest.mark.parametrize("name", STRATEGIES)
def test_values_are_those_of_one_process_that_built_it_in_memory_and_it_trains(name: str) -> None:
    strategy = STRATEGIES[name]()
    first, trained, own, drawn = run_joined(strategy, build_and_train)

    torch.manual_seed(3)
    net = Net()
    assert list(first) == list(net.state_dict())
    for key, value in net.state_dict().items():
        assert torch.equal(first[key], value), key
    assert torch.rand(1).item() == drawn  # rank 0 has drawn as much as that one process
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
    for seed in range(3):
        optimizer.zero_grad()
        net.loss(tokens(seed)).backward()
        optimizer.step()
    torch.testing.assert_close(trained, dict(net.state_dict()), rtol=1e-4, atol=1e-5)
    if "fsdp" in name or "parallel" in name:
        assert all(sum(counts) < 0.8 * sum(p.numel() for p in net.parameters()) for counts in own)


def test_what_configure_model_cut_on_the_meta_device_is_filled() -> None:
    def build(strategy: Strategy) -> dict[str, Tensor]:
        torch.manual_seed(3)
        with torch.device("meta"):
            net = Net()
        for block in net.blocks:
            parallelize_module(block, strategy.device_mesh["tensor_parallel"], {"0": ColwiseParallel()})
        return strategy.module_state(strategy.setup_module(net))

    torch.manual_seed(3)
    state = run_joined(ModelParallelStrategy(indices=[0, 1, 2, 3], start="fork", tensor_parallel_size=2), build)
    for key, value in Net().state_dict().items():
        assert torch.equal(state[key], value), key


def test_parts_that_have_memory_keep_their_values() -> None:
    def build(strategy: Strategy) -> dict[str, Tensor]:
        with torch.device("meta"):
            net = Net()
        net.scale = Scale()
        nn.init.constant_(net.scale.factor, 1.0 + strategy.global_rank)
        return strategy.module_state(strategy.setup_module(net))

    state = run_joined(FSDPStrategy(indices=[0, 1], start="fork"), build)
    assert state["scale.factor"].tolist() == [1.0] * 3  # of rank 0


@pytest.mark.parametrize("name", ["single_device", "ddp", "fsdp", "tensor parallel"])
def test_submodules_without_reset_parameters_are_named(name: str) -> None:
    class Free(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.weight = nn.Parameter(torch.zeros(3))

    def build(strategy: Strategy) -> None:
        with torch.device("meta"):
            net = Net()
            net.free = Free()
        strategy.setup_module(net)

    with pytest.raises(TypeError, match=r"meta device in free \(Free\), and no reset_parameters"):
        run_joined(STRATEGIES[name](), build)
