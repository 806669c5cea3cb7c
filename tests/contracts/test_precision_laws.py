"""Laws that every precision keeps, against a loop of torch alone. A new one adds a row to ``TABLE``."""

import contextlib
import pickle
from dataclasses import dataclass
from typing import Any

import pytest
import torch
import torch._dynamo  # DistributedDataParallel imports it: once here, and not in every forked process
from torch import Tensor, nn

from lit_accelerators import Connection, Strategy, connect, make_strategy


@dataclass(frozen=True)
class Row:
    """What a bare loop writes for a precision.

    ``parameters`` and ``autocast``: dtypes. ``scaled``: with a gradient scaler. ``tolerance``: of trained weights of
    order 1, two processes to one: the units in the last place of the format in which gradients are rounded.
    """

    parameters: torch.dtype = torch.float32
    autocast: torch.dtype | None = None
    scaled: bool = False
    tolerance: float = 1e-6


TABLE = {
    "64-true": Row(parameters=torch.float64, tolerance=1e-14),
    "32-true": Row(),
    "16-true": Row(parameters=torch.float16, tolerance=2e-3),
    "bf16-true": Row(parameters=torch.bfloat16, tolerance=1.6e-2),
    "16-mixed": Row(autocast=torch.float16, scaled=True, tolerance=1e-3),
    "bf16-mixed": Row(autocast=torch.bfloat16, tolerance=5e-3),
}
DEVICES = [
    "cpu",
    pytest.param(
        "cuda",
        marks=[pytest.mark.cuda, pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")],
    ),
    pytest.param("mps", marks=[pytest.mark.skipif(not torch.backends.mps.is_available(), reason="needs Apple's GPU")]),
]
BATCHES = 6


@pytest.fixture(params=TABLE)
def word(request: pytest.FixtureRequest) -> str:
    return str(request.param)


class Net(nn.Module):
    """Two layers and a loss that makes a tensor of its own."""

    def __init__(self) -> None:
        super().__init__()
        with torch.random.fork_rng():
            torch.manual_seed(0)
            self.first, self.last = nn.Linear(4, 8), nn.Linear(8, 1)
        self.register_buffer("calls", torch.zeros(1))

    def forward(self, x: Tensor) -> Tensor:
        shift = torch.full((8,), 0.1, device=x.device)
        assert shift.dtype == self.first.weight.dtype
        self.calls += 1
        return self.last(torch.tanh(self.first(x) + shift))

    def loss(self, batch: tuple[Tensor, Tensor, Tensor]) -> Tensor:
        x, y, kind = batch
        assert kind.dtype == torch.int64
        return nn.functional.mse_loss(self(x) * kind.unsqueeze(1), y)


def samples(index: int) -> tuple[Tensor, Tensor, Tensor]:
    generator = torch.Generator().manual_seed(index)
    kinds = torch.randint(1, 3, (8,), generator=generator)
    return torch.randn(8, 4, generator=generator), torch.randn(8, 1, generator=generator), kinds


@contextlib.contextmanager
def default_dtype(dtype: torch.dtype) -> Any:
    torch.set_default_dtype(dtype)
    try:
        yield
    finally:
        torch.set_default_dtype(torch.float32)


def bare_loop(row: Row, device: str, clip: float | None) -> dict[str, Tensor]:
    net = Net().to(device)
    for parameter in net.parameters():
        parameter.data = parameter.data.to(row.parameters)
    net.calls = net.calls.to(row.parameters)
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1, momentum=0.9)
    scaler = torch.amp.GradScaler(device, enabled=row.scaled)
    for index in range(BATCHES):
        x, y, kind = (part.to(device) for part in samples(index))
        optimizer.zero_grad()
        with torch.autocast(device, row.autocast, enabled=row.autocast is not None), default_dtype(row.parameters):
            loss = net.loss((x.to(row.parameters), y.to(row.parameters), kind))
        scaler.scale(loss).backward()
        if clip is not None:
            scaler.unscale_(optimizer)
            nn.utils.clip_grad_norm_(net.parameters(), clip)
        scaler.step(optimizer)
        scaler.update()
    return {name: value.cpu() for name, value in net.state_dict().items()}


def our_loop(strategy: Strategy, clip: float | None) -> dict[str, Tensor]:
    torch.set_num_threads(1)
    precision = strategy.precision
    strategy.setup_environment()
    try:
        net: Any = strategy.setup_module(Net())
        optimizer = torch.optim.SGD(net.parameters(), lr=0.1, momentum=0.9)
        step = strategy.setup_step(net, net.loss)
        for index in range(BATCHES):
            share = tuple(
                part.chunk(strategy.world_size)[strategy.global_rank].to(strategy.device) for part in samples(index)
            )
            optimizer.zero_grad()
            strategy.backward(step(precision.convert_batch(share) if precision.converts_batch else share))
            if clip is not None:
                strategy.clip_gradients(optimizer, max_norm=clip)
            precision.optimizer_step(optimizer)
        return {name: value.cpu() for name, value in strategy.module_state(net).items()}
    finally:
        strategy.teardown()


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("clip", [None, 0.2])
def test_one_process_trains_bit_for_bit_like_a_loop_of_torch(word: str, device: str, clip: float | None) -> None:
    if (device, word) == ("mps", "64-true"):
        pytest.skip("mps has no float64")

    found = our_loop(make_strategy(device, 1, precision=word), clip)

    expected = bare_loop(TABLE[word], device, clip)
    assert list(found) == list(expected)
    for name, value in expected.items():
        assert torch.equal(found[name], value), name
        assert found[name].dtype == TABLE[word].parameters
    assert not torch.equal(expected["first.weight"], Net().first.weight.to(TABLE[word].parameters))


@pytest.mark.parametrize("clip", [None, 0.2])
def test_two_processes_train_like_one_with_all_samples(word: str, clip: float | None) -> None:
    strategy = make_strategy("cpu", 2, strategy="ddp_fork", precision=word)

    found = strategy.launcher.launch(our_loop, strategy, clip)

    for name, value in bare_loop(TABLE[word], "cpu", clip).items():
        torch.testing.assert_close(found[name], value, rtol=TABLE[word].tolerance, atol=TABLE[word].tolerance)


def overflow_in_rank_one(strategy: Strategy) -> tuple[bool, list[float]]:
    strategy.setup_environment()
    try:
        net: Any = strategy.setup_module(Net())
        optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
        step = strategy.setup_step(net, net.loss)
        before = net.first.weight.detach().clone()
        strategy.backward(step(samples(0)) * (float("inf") if strategy.global_rank else 1.0))
        strategy.precision.optimizer_step(optimizer)
        scales = strategy.collectives.all_gather_object(strategy.precision.state_dict()["scale"])
        return torch.equal(net.first.weight, before), scales
    finally:
        strategy.teardown()


@pytest.mark.parametrize("scaled", [name for name, row in TABLE.items() if row.scaled])
def test_an_overflow_in_one_process_makes_all_leave_out_the_step_and_keep_one_scale(scaled: str) -> None:
    strategy = make_strategy("cpu", 2, strategy="ddp_fork", precision=scaled)

    unchanged, scales = strategy.launcher.launch(overflow_in_rank_one, strategy)

    assert unchanged
    assert scales == [2.0**15, 2.0**15]


def connected_loop(run: Connection) -> dict[str, Tensor]:
    net, optimizer = run.setup(*(lambda m: (m, torch.optim.SGD(m.parameters(), lr=0.1, momentum=0.9)))(Net()))
    loader = run.setup_dataloader(torch.utils.data.DataLoader([samples(i) for i in range(BATCHES)], batch_size=None))
    for x, y, kind in loader:
        optimizer.zero_grad()
        run.backward(nn.functional.mse_loss(net(x) * kind.unsqueeze(1), y))
        optimizer.step()
    return dict(net.state_dict())


def test_a_connected_loop_is_the_same_for_every_precision(word: str) -> None:
    run = connect("cpu", precision=word)

    found = run.launch(connected_loop, run)

    row = TABLE[word]
    expected = bare_loop(row, "cpu", None)
    assert all(torch.equal(found[name], expected[name]) for name in expected)


def test_what_is_not_to_be_done_is_not_done(word: str) -> None:
    precision = make_strategy("cpu", precision=word).precision
    step = Net().loss
    batch = samples(0)

    assert precision.converts_batch == (precision.convert_batch(batch)[0] is not batch[0])
    if precision.plain:
        assert precision.wrap_step(step, torch.device("cpu")) == step
    wrapped = precision.wrap_step(step, torch.device("cpu"))
    assert wrapped.__name__ == "loss"


def test_a_state_is_plain_comes_back_and_may_be_another_precisions(word: str, tmp_path: Any) -> None:
    precision = make_strategy("cpu", precision=word).precision
    torch.save(precision.state_dict(), tmp_path / "state")
    state = torch.load(tmp_path / "state", weights_only=True)

    precision.load_state_dict(state)
    assert precision.state_dict() == state
    for other in TABLE:
        precision.load_state_dict(make_strategy("cpu", precision=other).precision.state_dict())


def test_it_travels_to_the_processes_that_are_started(word: str) -> None:
    precision = pickle.loads(pickle.dumps(make_strategy("cpu", precision=word).precision))

    assert precision.name == word


def test_a_module_is_built_in_the_format_it_will_have(word: str) -> None:
    precision = make_strategy("cpu", precision=word).precision
    with precision.building():
        built = Net()

    assert built.first.weight.dtype == TABLE[word].parameters
    assert torch.get_default_dtype() == torch.float32
    assert precision.convert_module(built).first.weight.dtype == TABLE[word].parameters
