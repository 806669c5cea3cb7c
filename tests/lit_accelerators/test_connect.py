import functools
from collections.abc import Callable
from typing import Any

import pytest
import torch
import torch._dynamo  # imported here, and not in every forked process
from torch import Tensor, nn
from torch.utils.data import DataLoader, DistributedSampler, IterableDataset, TensorDataset, WeightedRandomSampler

from lit_accelerators import Connection, connect


def two(**flags: Any) -> Connection:
    return connect("cpu", 2, strategy="ddp_fork", **flags)


def in_two(function: Callable[[Connection], Any]) -> Any:
    run = two()

    def main() -> Any:
        torch.set_num_threads(1)
        return function(run)

    return run.launch(main)


def make() -> tuple[nn.Module, torch.optim.Optimizer]:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = nn.Sequential(nn.Linear(4, 8), nn.Tanh(), nn.Linear(8, 1))
    return model, torch.optim.SGD(model.parameters(), lr=0.1)


def data() -> TensorDataset:
    generator = torch.Generator().manual_seed(0)
    return TensorDataset(torch.randn(24, 4, generator=generator), torch.randn(24, 1, generator=generator))


def bare_loop(batch_size: int, precision: str = "32-true") -> dict[str, Tensor]:
    model, optimizer = make()
    for _ in range(2):
        for x, y in DataLoader(data(), batch_size=batch_size):
            optimizer.zero_grad()
            with torch.autocast("cpu", torch.bfloat16, enabled=precision == "bf16-mixed"):
                out = model(x)
            nn.functional.mse_loss(out.float(), y).backward()
            nn.utils.clip_grad_norm_(model.parameters(), 0.5)
            optimizer.step()
    return dict(model.state_dict())


def connected_loop(run: Connection, batch_size: int) -> dict[str, Tensor]:
    torch.set_num_threads(1)
    model, optimizer = run.setup(*make())
    loader = run.setup_dataloader(DataLoader(data(), batch_size=batch_size))
    for _ in range(2):
        for x, y in loader:
            optimizer.zero_grad()
            run.backward(nn.functional.mse_loss(model(x), y))
            run.clip_gradients(optimizer, max_norm=0.5)
            optimizer.step()
    return dict(model.state_dict())


@pytest.mark.parametrize("precision", ["32-true", "bf16-mixed"])
def test_a_connected_loop_on_one_device_is_the_bare_loop_bit_for_bit(precision: str) -> None:
    run = connect("cpu", precision=precision)

    found = run.launch(connected_loop, run, 8)

    expected = bare_loop(8, precision)
    assert list(found) == list(expected)
    assert all(torch.equal(found[name], expected[name]) for name in expected)


def test_a_connected_loop_on_two_processes_is_the_bare_loop_with_both_their_samples() -> None:
    run = two()

    found = run.launch(connected_loop, run, 4)

    expected = bare_loop(8)
    assert list(found) == list(expected)
    for name in expected:
        torch.testing.assert_close(found[name], expected[name], rtol=1e-6, atol=1e-6)


def test_where_nothing_must_wrap_them_model_optimizer_and_loader_are_the_very_objects() -> None:
    run = connect("cpu")
    model, optimizer = make()
    loader = DataLoader(data())

    assert run.setup(model) is model
    assert run.setup(model, optimizer) == (model, optimizer)
    assert run.setup_dataloader(loader) is loader
    assert run.all_reduce(torch.tensor(2.0)) == 2.0
    assert run.no_sync().__enter__() is None


def test_a_wrapped_model_is_used_like_the_module_it_wraps() -> None:
    model, _ = make()
    model.register_buffer("extra", torch.zeros(1))
    run = connect("cpu", precision="bf16-mixed")
    wrapped = run.setup(model)

    assert wrapped is not model
    assert wrapped(torch.ones(1, 4)).dtype == torch.float32
    assert list(wrapped.state_dict()) == list(model.state_dict())
    assert wrapped.extra is model.extra
    assert wrapped.eval().module.training is False
    changed = {name: value + 1 for name, value in model.state_dict().items()}
    wrapped.load_state_dict(changed)
    assert all(torch.equal(model.state_dict()[name], changed[name]) for name in changed)
    model.load_state_dict(wrapped.state_dict())
    with pytest.raises(AttributeError, match="nothing_of_the_kind"):
        wrapped.nothing_of_the_kind  # noqa: B018


def seen(run: Connection, loader: Any, epochs: int = 1) -> list[list[list[int]]]:
    mine = [[int(v) for batch in loader for v in batch] for _ in range(epochs)]
    return run._collectives.all_gather_object(mine)


@pytest.mark.parametrize("size", [1, 7, 8, 9])
def test_evaluation_visits_every_sample_once(size: int) -> None:
    def main(run: Connection) -> Any:
        return seen(run, run.setup_dataloader(DataLoader(range(size), batch_size=2), even=False))

    (first,), (second,) = in_two(main)

    assert sorted(first + second) == list(range(size))


def test_training_gives_every_process_the_same_number_of_batches_in_a_new_order_each_epoch() -> None:
    def main(run: Connection) -> Any:
        run.seed(1)
        loader = run.setup_dataloader(DataLoader(range(9), batch_size=2, shuffle=True))
        return run._collectives.all_gather_object(len(loader)), seen(run, loader, epochs=2)  # type: ignore[arg-type]

    lengths, (first, second) = in_two(main)

    assert lengths[0] == lengths[1] == 3
    for epoch in (0, 1):
        assert set(first[epoch]) | set(second[epoch]) == set(range(9))
    assert first[0] != first[1]


def test_a_distributed_sampler_is_left_in_charge_and_told_the_epoch() -> None:
    def main(run: Connection) -> Any:
        sampler: Any = DistributedSampler(range(8), run.world_size, run.global_rank, seed=3)
        return seen(run, run.setup_dataloader(DataLoader(range(8), batch_size=2, sampler=sampler)), epochs=2)

    first, second = in_two(main)

    assert [sorted(one + other) for one, other in zip(first, second, strict=True)] == [list(range(8))] * 2
    assert first[0] != first[1]


class Stream(IterableDataset[int]):
    def __iter__(self) -> Any:
        return iter(range(4))


@pytest.mark.parametrize("how", ["stream", "sampler"])
def test_samples_that_cannot_be_dealt_are_refused_instead_of_repeated_in_every_process(how: str) -> None:
    loader: Any = (
        DataLoader(Stream()) if how == "stream" else DataLoader(range(4), sampler=WeightedRandomSampler([1.0] * 4, 4))
    )

    with pytest.raises(ValueError, match="cannot be dealt to 2 processes"):
        in_two(lambda run: run.setup_dataloader(loader))


def test_values_are_reduced_gathered_and_sent_and_rank_zero_alone_prints(capfd: pytest.CaptureFixture[str]) -> None:
    def main(run: Connection) -> Any:
        run.print("from", run.global_rank, flush=True)
        run.barrier()
        value = torch.tensor(float(run.global_rank))
        return (
            run.is_global_zero,
            run.device.type,
            run.all_reduce(value).item(),
            run.all_reduce(value, "sum").item(),
            run.all_gather(value).tolist(),
            run.broadcast(run.global_rank, src=1),
        )

    assert in_two(main) == (True, "cpu", 0.5, 1.0, [0.0, 1.0], 1)
    assert capfd.readouterr().out == "from 0\n"


def test_accumulated_gradients_are_averaged_once() -> None:
    def main(run: Connection) -> Any:
        model = run.setup(make()[0])
        x = torch.full((1, 4), 1.0 + run.global_rank)
        with run.no_sync():
            run.backward(model(x).sum())
        run.backward(model(x).sum())
        return [parameter.grad for parameter in model.parameters()]

    found = in_two(main)

    model, _ = make()
    for rank in (0, 1):
        model(torch.full((1, 4), 1.0 + rank)).sum().backward()
    for mine, parameter in zip(found, model.parameters(), strict=True):
        torch.testing.assert_close(mine, parameter.grad)


def test_an_error_in_the_loop_leaves_no_process_group_behind() -> None:
    run = connect("cpu")

    with pytest.raises(KeyError):
        run.launch(functools.partial(dict.__getitem__, {}, "missing"))

    assert not torch.distributed.is_initialized()
