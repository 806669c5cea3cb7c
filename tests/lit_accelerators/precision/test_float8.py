import importlib.util

import pytest
import torch
from torch import Tensor, nn

from lit_accelerators import FSDPStrategy, ModelParallelStrategy, connect, make_strategy
from lit_accelerators.precision.float8 import Float8Precision

needs_torchao = pytest.mark.skipif(importlib.util.find_spec("torchao") is None, reason="needs torchao")
# Of torch, of torchao's import, and of units whose output is a view.
pytestmark = pytest.mark.filterwarnings("ignore")


class Net(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        with torch.random.fork_rng():
            torch.manual_seed(0)
            self.up, self.down, self.head = nn.Linear(32, 64), nn.Linear(64, 32), nn.Linear(32, 3)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.head(x + self.down(torch.tanh(self.up(x))))
        return out


def samples(seed: int) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(16, 32, generator=generator), torch.randint(0, 3, (16,), generator=generator)


def train(run: object, net: nn.Module) -> dict[str, Tensor]:
    torch.set_num_threads(1)
    model, optimizer = run.setup(net, torch.optim.SGD(net.parameters(), lr=0.1))
    for seed in range(5):
        optimizer.zero_grad()
        x, y = (part.to(run.device) for part in samples(seed))
        run.backward(nn.functional.cross_entropy(model(x), y))
        run.clip_gradients(optimizer, max_norm=1.0)
        optimizer.step()
    return run.strategy.module_state(net)


def train_with_torchao(emulate: bool, device: str = "cpu") -> dict[str, Tensor]:
    from torchao.float8 import Float8LinearConfig, convert_to_float8_training

    net = convert_to_float8_training(
        Net().to(device),
        config=Float8LinearConfig(emulate=emulate),
        module_filter_fn=lambda module, name: name != "head",
    )
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
    for seed in range(5):
        optimizer.zero_grad()
        x, y = (part.to(device) for part in samples(seed))
        with torch.autocast(device, torch.bfloat16):
            out = net(x)
        nn.functional.cross_entropy(out.float(), y).backward()
        nn.utils.clip_grad_norm_(net.parameters(), 1.0)
        optimizer.step()
    return net.state_dict()


@pytest.mark.skipif(importlib.util.find_spec("torchao") is not None, reason="torchao is there")
def test_without_torchao_the_extra_is_named() -> None:
    with pytest.raises(ModuleNotFoundError, match=r"lit-accelerators\[float8\]"):
        make_strategy("cpu", precision="float8-mixed")


@needs_torchao
def test_a_loop_trains_as_one_of_torchao_and_not_as_one_in_bfloat16() -> None:
    state = train(connect("cpu", precision="float8-mixed"), Net())

    for name, value in train_with_torchao(emulate=True).items():
        assert torch.equal(state[name], value), name
    rounded_less = train(connect("cpu", precision="bf16-mixed"), Net())
    difference = (state["up.weight"] - rounded_less["up.weight"]).abs().max()
    assert 1e-6 < difference < 1e-2
    assert state["up.weight"].dtype is torch.float32


@needs_torchao
@pytest.mark.parametrize("strategy", ["ddp", "fsdp", "model_parallel"])
def test_processes_that_share_the_work_train_as_one(strategy: str) -> None:
    if strategy == "ddp":
        run = connect("cpu", 2, strategy="ddp_fork", precision="float8-mixed")
    elif strategy == "fsdp":
        run = connect(strategy=FSDPStrategy(indices=[0, 1], start="fork", wrap=1000, precision=Float8Precision()))
    else:
        plan = {"up": "colwise", "down": "rowwise"}
        run = connect(
            strategy=ModelParallelStrategy(indices=[0, 1], start="fork", plan=plan, precision=Float8Precision())
        )
    # All processes see all samples. A cut tensor has a scale of its own, so the rounding differs.
    tolerance = 2e-2 if strategy == "model_parallel" else 1e-3
    torch.testing.assert_close(
        run.launch(train, run, Net()), dict(train_with_torchao(emulate=True)), rtol=0, atol=tolerance
    )


@needs_torchao
def test_layers_that_cannot_be_or_shall_not_be_stay_as_they_are() -> None:
    names = {
        name: type(part).__name__
        for name, part in Float8Precision(skip=lambda name, module: name == "down")
        .convert_module(Net())
        .named_modules()
    }
    assert names == {"": "Net", "up": "Float8Linear", "down": "Linear", "head": "Linear"}
    with pytest.raises(ValueError, match=r"Sequential has no nn.Linear whose sizes are multiples of 16"):
        Float8Precision().convert_module(nn.Sequential(nn.Linear(3, 16)))


@needs_torchao
def test_devices_without_float8_are_refused() -> None:
    with pytest.raises(ValueError, match=r"not on mps.*bf16-mixed"):
        Float8Precision().check_device(torch.device("mps"))


@needs_torchao
@pytest.mark.cuda
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_on_a_gpu_products_are_those_of_the_gpu() -> None:
    state = train(connect("cuda", 1, precision="float8-mixed"), Net())

    expected = train_with_torchao(emulate=False, device="cuda")
    for name, value in expected.items():
        torch.testing.assert_close(state[name], value)
