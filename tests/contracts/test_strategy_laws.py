"""Laws that every strategy keeps, with every precision. A new one adds a row to ``TABLE``."""

import contextlib
import copy
import functools
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest
import torch
import torch._dynamo  # DistributedDataParallel imports it: once here, and not in every forked process
import torch.distributed.fsdp  # the same
from torch import Tensor, nn

from lit_accelerators import (
    CPUAccelerator,
    CUDAAccelerator,
    DDPStrategy,
    DPStrategy,
    FSDPStrategy,
    FullPrecision,
    MixedPrecision,
    ModelParallelStrategy,
    Precision,
    SingleDeviceStrategy,
    Strategy,
)
from tests.lit_accelerators.joined import run_joined

# torch says so of units whose output is a view, as that of a layer whose output stays cut.
pytestmark = pytest.mark.filterwarnings("ignore:FSDP2-wrapped module")


@dataclass(frozen=True)
class Row:
    """One way of running.

    ``tolerance``: of gradients of order 1, to one process with all samples. ``keeps``: whether ``no_sync`` keeps
    gradients in the process. ``by_hand``: whether a step may call backward itself. ``states``: the processes that get
    whole states. ``together``: processes that see the same samples.
    """

    make: Callable[[Precision], Strategy]
    ranks: int
    precision: type[Precision]
    tolerance: float
    keeps: bool = True
    by_hand: bool = True
    states: int | None = None
    together: int = 1


def ddp(precision: Precision) -> Strategy:
    return DDPStrategy(CPUAccelerator(), [0, 1], precision, start="fork")


def ddp_cuda(precision: Precision) -> Strategy:
    return DDPStrategy(CUDAAccelerator(), [0, 1], precision, start="spawn")


def fsdp(precision: Precision) -> Strategy:
    return FSDPStrategy(CPUAccelerator(), [0, 1], precision, start="fork", wrap=30)


def fsdp_whole(precision: Precision) -> Strategy:
    return FSDPStrategy(CPUAccelerator(), [0, 1], precision, start="fork")


def fsdp_cuda(precision: Precision) -> Strategy:
    return FSDPStrategy(CUDAAccelerator(), [0, 1], precision, start="spawn", wrap=30)


def hsdp(precision: Precision) -> Strategy:
    return FSDPStrategy(CPUAccelerator(), [0, 1, 2, 3], precision, start="fork", wrap=30, device_mesh=(2, 2))


PLAN = {"first": "colwise", "second": "rowwise"}


def tensor_parallel(precision: Precision) -> Strategy:
    return ModelParallelStrategy(CPUAccelerator(), [0, 1], precision, start="fork", plan=PLAN)


def model_parallel(precision: Precision) -> Strategy:
    return ModelParallelStrategy(
        CPUAccelerator(), [0, 1, 2, 3], precision, start="fork", plan=PLAN, tensor_parallel_size=2, wrap=30
    )


def model_parallel_cuda(precision: Precision) -> Strategy:
    return ModelParallelStrategy(CUDAAccelerator(), [0, 1], precision, start="spawn", plan=PLAN)


def dp(precision: Precision) -> Strategy:
    return DPStrategy(CPUAccelerator(), [0, 1], precision)


def ddp2(precision: Precision) -> Strategy:
    return DPStrategy(CPUAccelerator(), [0, 1], precision, between_nodes=True)


def single(precision: Precision) -> Strategy:
    return SingleDeviceStrategy(CPUAccelerator(), 0, precision)


def single_cuda(precision: Precision) -> Strategy:
    return SingleDeviceStrategy(CUDAAccelerator(), 0, precision)


# float32: two orders of summation differ by some units in the last place. bfloat16 keeps 8 bits: each rank rounds its
# gradient once, one process rounds the sum once.
TABLE = {
    "single_device": Row(single, 1, FullPrecision, 0.0),
    "single_device bf16-mixed": Row(single, 1, MixedPrecision, 0.0),
    "ddp": Row(ddp, 2, FullPrecision, 1e-6),
    "ddp bf16-mixed": Row(ddp, 2, MixedPrecision, 1e-2),
    "fsdp": Row(fsdp, 2, FullPrecision, 1e-6, keeps=False, states=1),
    "fsdp without units": Row(fsdp_whole, 2, FullPrecision, 1e-6, keeps=False, states=1),
    "fsdp bf16-mixed": Row(fsdp, 2, MixedPrecision, 1e-2, keeps=False, states=1),
    "fsdp hybrid": Row(hsdp, 4, FullPrecision, 1e-6, keeps=False, states=1),
    "tensor parallel bf16-mixed": Row(tensor_parallel, 2, MixedPrecision, 1e-2, states=1, together=2),
    "model_parallel": Row(model_parallel, 4, FullPrecision, 1e-6, keeps=False, states=1, together=2),
    "dp": Row(dp, 1, FullPrecision, 1e-6, by_hand=False),
    "dp bf16-mixed": Row(dp, 1, MixedPrecision, 1e-2, by_hand=False),
    "ddp2 of one node": Row(ddp2, 1, FullPrecision, 1e-6, by_hand=False),
    "fsdp cuda": Row(fsdp_cuda, 2, FullPrecision, 1e-6, keeps=False, states=1),
    "model_parallel cuda": Row(model_parallel_cuda, 2, FullPrecision, 1e-6, states=1, together=2),
    "single_device cuda": Row(single_cuda, 1, FullPrecision, 1e-6),
    "single_device cuda bf16-mixed": Row(single_cuda, 1, MixedPrecision, 1e-2),
    "ddp cuda": Row(ddp_cuda, 2, FullPrecision, 1e-6),
    "ddp cuda bf16-mixed": Row(ddp_cuda, 2, MixedPrecision, 1e-2),
}


def marks(name: str) -> list[pytest.MarkDecorator]:
    if "cuda" not in name:
        return []
    gpus = TABLE[name].ranks
    return [
        pytest.mark.cuda,
        pytest.mark.skipif(torch.cuda.device_count() < gpus, reason=f"needs {gpus} CUDA device(s)"),
    ]


@pytest.fixture(params=[pytest.param(name, marks=marks(name)) for name in TABLE])
def row(request: pytest.FixtureRequest) -> Row:
    return TABLE[request.param]


@functools.cache
def outcomes(row: Row) -> dict[Any, Any]:
    """What came of every law, all in the same processes: started once, and what torch does first is done once."""
    laws = [law for law in LAWS if row.by_hand or law[0] is not toggle]
    found: dict[Any, Any] = row.make(row.precision()).launcher.launch(run_all, row, laws)
    return found


def run_all(row: Row, laws: list[Any]) -> dict[Any, Any]:
    return {(function.__name__, *args): run_one(row, function, args) for function, *args in laws}


def run_one(row: Row, function: Callable[..., Any], args: Any) -> Any:
    try:
        return run_joined(row.make(row.precision()), function, *args)
    except Exception as error:
        raise RuntimeError(f"{function.__name__}{tuple(args)}: {error}") from error


def outcome(row: Row, function: Callable[..., Any], *args: Any) -> Any:
    return outcomes(row)[(function.__name__, *args)]


class Net(nn.Module):
    """Three layers, the same for the same seed."""

    def __init__(self, seed: int = 0) -> None:
        super().__init__()
        with torch.random.fork_rng():
            torch.manual_seed(seed)
            self.first = nn.Linear(4, 8)
            self.second = nn.Linear(8, 8)
            self.last = nn.Linear(8, 1)

    def loss(self, batch: tuple[Tensor, Tensor]) -> Tensor:
        x, y = batch
        return nn.functional.mse_loss(self.last(torch.tanh(self.second(self.first(x)))).float(), y)


def samples(seed: int) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(12, 4, generator=generator), torch.randn(12, 1, generator=generator)


def share(strategy: Strategy, batch: tuple[Tensor, Tensor]) -> tuple[Tensor, Tensor]:
    x, y = (part.chunk(strategy.data_world_size)[strategy.data_rank].to(strategy.device) for part in batch)
    return x, y


def whole(gradient: Tensor) -> Tensor:
    """On the CPU; of a sharded one, in every process."""
    return getattr(gradient, "full_tensor", lambda: gradient)().clone().cpu()


def gradients(module: nn.Module) -> list[Tensor]:
    return [whole(parameter.grad) for parameter in module.parameters() if parameter.grad is not None]


def bare_loss(row: Row, net: Net, seed: int) -> Tensor:
    """The loss of one process over all samples, with no strategy."""
    mixed = row.precision is MixedPrecision
    with torch.autocast("cpu", torch.bfloat16) if mixed else contextlib.nullcontext():
        return net.loss(samples(seed))


def bare_gradients(row: Row, *, batches: int) -> list[Tensor]:
    net = Net()
    for seed in range(batches):
        bare_loss(row, net, seed).backward()
    return gradients(net)


def assert_near(actual: list[Tensor], expected: list[Tensor], row: Row) -> None:
    assert len(actual) == len(expected)
    for one, other in zip(actual, expected, strict=True):
        torch.testing.assert_close(one, other, rtol=row.tolerance, atol=row.tolerance)


def one_step(strategy: Strategy, gradient_sync: Any) -> list[list[Tensor]]:
    net = strategy.setup_module(Net(seed=strategy.global_rank))  # rank 0's weights must win
    step = strategy.setup_step(net, net.loss, gradient_sync=gradient_sync)
    strategy.backward(step(share(strategy, samples(0))))
    return strategy.collectives.all_gather_object(gradients(net))


@pytest.mark.parametrize("gradient_sync", ["step", "backward"])
def test_gradients_are_those_of_one_process_with_all_samples_in_every_rank(row: Row, gradient_sync: str) -> None:
    everywhere = outcome(row, one_step, gradient_sync)

    assert len(everywhere) == row.ranks
    for found in everywhere:
        assert_near(found, bare_gradients(row, batches=1), row)
        assert all(torch.equal(one, other) for one, other in zip(found, everywhere[0], strict=True))


def accumulate(strategy: Strategy, gradient_sync: Any) -> tuple[list[list[Tensor]], list[Tensor], list[Tensor]]:
    net = strategy.setup_module(Net())
    step = strategy.setup_step(net, net.loss, gradient_sync=gradient_sync)
    first = share(strategy, samples(0))
    with strategy.no_sync():
        strategy.backward(step(first))
    local = gradients(net)
    strategy.backward(step(share(strategy, samples(1))))
    alone = Net().to(strategy.device)
    strategy.precision.wrap_step(alone.loss, strategy.device)(first).backward()
    return strategy.collectives.all_gather_object(gradients(net)), local, gradients(alone)


@pytest.mark.parametrize("gradient_sync", ["step", "backward"])
def test_no_sync_keeps_gradients_local_or_sharded_and_the_next_backward_averages_their_sum(
    row: Row, gradient_sync: str
) -> None:
    everywhere, local, alone = outcome(row, accumulate, gradient_sync)

    if row.keeps:
        assert_near(local, alone, row)
    for found in everywhere:
        assert_near(found, bare_gradients(row, batches=2), row)


def backward_repeatedly(strategy: Strategy) -> list[list[Tensor]]:
    net = strategy.setup_module(Net())
    step = strategy.setup_step(net, lambda batches: [net.loss(batch) for batch in batches], gradient_sync="backward")
    for loss in step([share(strategy, samples(seed)) for seed in (0, 1)]):
        strategy.backward(loss)
    strategy.backward(sum(step([share(strategy, samples(2))])))
    return strategy.collectives.all_gather_object(gradients(net))


def test_backward_may_run_any_number_of_times_in_a_step(row: Row) -> None:
    for found in outcome(row, backward_repeatedly):
        assert_near(found, bare_gradients(row, batches=3), row)


def toggle(strategy: Strategy) -> list[list[list[Tensor | None]]]:
    net = strategy.setup_module(Net())
    history: list[list[Tensor | None]] = []

    def manual_step(batch: tuple[Tensor, Tensor]) -> None:
        for frozen in ("first", "last"):
            net.get_submodule(frozen).requires_grad_(False)
            strategy.backward(net.loss(batch))
            history.append([None if p.grad is None else whole(p.grad) for p in net.parameters()])
            net.get_submodule(frozen).requires_grad_(True)
            net.zero_grad()

    step = strategy.setup_step(net, manual_step, gradient_sync="backward")
    for seed in (0, 1):
        step(share(strategy, samples(seed)))
    return strategy.collectives.all_gather_object(history)


def test_parameters_switched_off_and_on_inside_a_step_get_the_right_gradients(row: Row) -> None:
    if not row.by_hand:
        with pytest.raises(RuntimeError, match="once per part"):
            run_joined(row.make(row.precision()), toggle)
        return
    everywhere = outcome(row, toggle)

    net = Net()
    expected: list[list[Tensor | None]] = []
    for seed in (0, 1):
        for frozen in ("first", "last"):
            net.get_submodule(frozen).requires_grad_(False)
            bare_loss(row, net, seed).backward()
            expected.append([None if p.grad is None else p.grad.clone() for p in net.parameters()])
            net.get_submodule(frozen).requires_grad_(True)
            net.zero_grad()
    for history in everywhere:
        for found, right in zip(history, expected, strict=True):
            assert [g is None for g in found] == [g is None for g in right]
            assert_near([g for g in found if g is not None], [g for g in right if g is not None], row)


def train(strategy: Strategy) -> tuple[list[dict[str, Tensor]], dict[str, Any]]:
    net = strategy.setup_module(Net())
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1, momentum=0.9)
    step = strategy.setup_step(net, net.loss)
    for seed in range(4):
        optimizer.zero_grad()
        strategy.backward(step(share(strategy, samples(seed))))
        strategy.clip_gradients(optimizer, max_norm=0.5)
        strategy.precision.optimizer_step(optimizer)
    states = strategy.collectives.all_gather_object(strategy.module_state(net))
    return states, strategy.optimizer_state(net, optimizer)


def test_trained_weights_are_those_of_a_bare_loop_and_have_its_names(row: Row) -> None:
    states, optimizer_state = outcome(row, train)

    net = Net()
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1, momentum=0.9)
    for seed in range(4):
        optimizer.zero_grad()
        bare_loss(row, net, seed).backward()
        nn.utils.clip_grad_norm_(net.parameters(), 0.5)
        optimizer.step()
    assert [bool(state) for state in states] == [rank < (row.states or row.ranks) for rank in range(row.ranks)]
    for state in filter(None, states):
        assert list(state) == list(net.state_dict())
        assert_near([value.cpu() for value in state.values()], list(net.state_dict().values()), row)
    momenta = [entry["momentum_buffer"].cpu() for entry in optimizer_state["state"].values()]
    assert_near(momenta, [entry["momentum_buffer"] for entry in optimizer.state_dict()["state"].values()], row)
    torch.optim.SGD(copy.deepcopy(net).parameters(), lr=0.1, momentum=0.9).load_state_dict(optimizer_state)


def evaluate_and_skip(strategy: Strategy) -> tuple[Tensor, list[None], list[Tensor]]:
    frozen = strategy.setup_module(Net().requires_grad_(False))
    evaluate = strategy.setup_step(frozen, frozen.loss)
    value = evaluate(tuple(part.to(strategy.device) for part in samples(0)))
    net = strategy.setup_module(Net())
    step = strategy.setup_step(net, lambda batch: None if batch is None else net.loss(batch))
    skipped = [step(None), step(None)]
    strategy.backward(step(share(strategy, samples(0))))
    return value.detach().cpu(), skipped, gradients(net)


def test_a_module_without_trainable_parameters_runs_and_a_step_may_return_nothing(row: Row) -> None:
    value, skipped, found = outcome(row, evaluate_and_skip)

    torch.testing.assert_close(value, bare_loss(row, Net(), 0).detach(), rtol=row.tolerance, atol=row.tolerance)
    assert skipped == [None, None]
    assert_near(found, bare_gradients(row, batches=1), row)


def talk(strategy: Strategy) -> list[Any]:
    rank, size = strategy.global_rank, strategy.world_size
    collectives = strategy.collectives
    values = [
        collectives.all_reduce(torch.tensor([rank + 1.0], device=strategy.device), "sum").tolist(),
        collectives.all_reduce(torch.tensor([rank + 1.0], device=strategy.device), "mean").tolist(),
        collectives.all_gather({"a": [float(rank)], "b": "text"}),
        collectives.all_gather_object(("rank", rank)),
        collectives.broadcast(f"from {rank}", src=size - 1),
    ]
    collectives.barrier()
    strategy.setup_environment()
    return collectives.all_gather_object((rank, size, strategy.is_global_zero, strategy.device.type, values))


def test_collectives_say_the_same_in_every_rank_and_ranks_are_known(row: Row) -> None:
    ranks = list(range(row.ranks))
    strategy = row.make(row.precision())

    assert (strategy.data_world_size, strategy.data_rank) == (row.ranks // row.together, 0)
    assert strategy.speaks_for_samples
    for rank, (found_rank, size, is_zero, device, values) in enumerate(outcome(row, talk)):
        assert (found_rank, size, is_zero) == (rank, row.ranks, rank == 0)
        assert device == row.make(row.precision()).accelerator.name
        total, mean, gathered, objects, sent = values
        assert total == [sum(r + 1.0 for r in ranks)]
        assert mean == [sum(r + 1.0 for r in ranks) / row.ranks]
        assert gathered["a"][0].tolist() == [float(r) for r in ranks]
        assert gathered["b"] == "text"
        assert objects == [("rank", r) for r in ranks]
        assert sent == f"from {row.ranks - 1}"


def leave(strategy: Strategy) -> bool:
    strategy.teardown()
    return torch.distributed.is_initialized()


def test_teardown_may_be_called_twice_and_before_any_setup(row: Row) -> None:
    strategy = row.make(row.precision())

    strategy.teardown()
    still_joined = outcome(row, leave)
    strategy.teardown()

    assert not still_joined
    assert (strategy.global_rank, strategy.world_size) == (0, row.ranks)


def clip(strategy: Strategy) -> tuple[float, float, list[float]]:
    parameter = nn.Parameter(torch.zeros(2, device=strategy.device))
    optimizer = torch.optim.SGD([parameter], lr=1.0)
    parameter.grad = torch.tensor([3.0, -4.0], device=strategy.device)
    norm = strategy.clip_gradients(optimizer, max_norm=1.0)
    clipped = float(parameter.grad.norm())
    strategy.clip_gradients(optimizer, clip_value=0.1)
    assert norm is not None
    return float(norm), clipped, parameter.grad.tolist()


def test_clipping_returns_the_norm_before_and_bounds_the_norm_or_the_values_after(row: Row) -> None:
    norm, clipped, values = outcome(row, clip)

    assert norm == pytest.approx(5.0)
    assert clipped == pytest.approx(1.0, rel=1e-4)
    assert values == pytest.approx([0.1, -0.1])


def states_of_a_run(strategy: Strategy) -> tuple[Any, ...]:
    net = strategy.setup_module(Net())
    optimizer = torch.optim.AdamW(net.parameters(), lr=0.1)
    step = strategy.setup_step(net, net.loss)
    strategy.backward(step(share(strategy, samples(0))))
    strategy.precision.optimizer_step(optimizer)
    optimizer.zero_grad()
    with strategy.no_sync():
        strategy.backward(step(share(strategy, samples(1))))
    kept = strategy.gradient_state(net)
    saved = strategy.collectives.broadcast((strategy.module_state(net), strategy.optimizer_state(net, optimizer)))
    return net, optimizer, step, kept, *saved


def go_on_elsewhere(strategy: Strategy) -> tuple[Any, ...]:
    net, optimizer, step, kept, module_state, optimizer_state = states_of_a_run(strategy)
    other = strategy.setup_module(Net(seed=7))
    other_optimizer = torch.optim.AdamW(other.parameters(), lr=0.5)
    strategy.load_module_state(other, module_state)
    strategy.load_optimizer_state(other, other_optimizer, optimizer_state)
    strategy.load_gradient_state(other, kept)
    other_step = strategy.setup_step(other, other.loss)
    ended = []
    for its_step, its_optimizer, module in ((step, optimizer, net), (other_step, other_optimizer, other)):
        strategy.backward(its_step(share(strategy, samples(2))))
        strategy.precision.optimizer_step(its_optimizer)
        ended.append(strategy.module_state(module))
    with pytest.raises(RuntimeError, match=r"unknown"):
        strategy.load_module_state(other, {**module_state, "unknown": torch.zeros(1)})
    alone = Net(seed=8)
    strategy.load_module_state(alone, module_state)
    return *ended, module_state, alone.state_dict()


def test_a_module_with_the_states_of_another_goes_on_as_that_one_does(row: Row) -> None:
    first, second, saved, alone = outcome(row, go_on_elsewhere)

    assert list(first) == list(Net().state_dict())
    for name, value in first.items():
        assert torch.equal(value, second[name])
        assert torch.equal(saved[name].cpu(), alone[name])


def evaluate_unevenly(strategy: Strategy) -> tuple[list[float], list[Tensor]]:
    net = strategy.setup_module(Net())
    batch = tuple(part.to(strategy.device) for part in samples(0))
    values = []
    for _ in range(2):  # training goes on between evaluations
        with strategy.evaluation(net), torch.inference_mode():
            evaluate = strategy.setup_step(net, net.loss, gradient_sync=None)
            for _ in range(3 * strategy.data_rank):
                evaluate(batch)
            values.append(evaluate(batch).item())
        strategy.backward(strategy.setup_step(net, net.loss)(share(strategy, samples(0))))
    return values, gradients(net)


def test_processes_may_evaluate_different_numbers_of_batches_between_training_steps(row: Row) -> None:
    values, found = outcome(row, evaluate_unevenly)

    expected = bare_loss(row, Net(), 0).item()
    assert values == pytest.approx([expected, expected], rel=max(row.tolerance, 1e-6))
    assert_near([gradient / 2 for gradient in found], bare_gradients(row, batches=1), row)


def sync_by_hand(strategy: Strategy) -> list[list[Tensor]]:
    net = strategy.setup_module(Net())
    step = strategy.setup_step(net, net.loss, gradient_sync="backward")
    with strategy.no_sync():
        strategy.backward(step(share(strategy, samples(0))))
    strategy.sync_gradients(list(net.parameters()))
    return strategy.collectives.all_gather_object(gradients(net))


def test_gradients_that_no_sync_kept_are_averaged_on_demand(row: Row) -> None:
    for found in outcome(row, sync_by_hand):
        assert_near(found, bare_gradients(row, batches=1), row)


LAWS: list[Any] = [
    *((law, gradient_sync) for law in (one_step, accumulate) for gradient_sync in ("step", "backward")),
    (backward_repeatedly,),
    (toggle,),
    (train,),
    (evaluate_and_skip,),
    (talk,),
    (leave,),
    (clip,),
    (go_on_elsewhere,),
    (evaluate_unevenly,),
    (sync_by_hand,),
]
