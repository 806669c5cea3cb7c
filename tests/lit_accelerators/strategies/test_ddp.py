import contextlib
import functools
import os
import time
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
import torch
import torch._dynamo  # DistributedDataParallel imports it: once here, and not in every forked process
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel
from torch.profiler import ProfilerActivity, profile

from lit_accelerators import DDPStrategy, LocalEnvironment, make_strategy
from tests.lit_accelerators.joined import run_joined


def launch(function: Callable[..., Any], ranks: int = 2, **options: Any) -> Any:
    return run_joined(DDPStrategy(indices=list(range(ranks)), start="fork", **options), function)


class Branches(nn.Module):
    """Uses ``left`` or ``right``, as asked."""

    def __init__(self) -> None:
        super().__init__()
        with torch.random.fork_rng():
            torch.manual_seed(0)
            self.left, self.right, self.head = nn.Linear(3, 3), nn.Linear(3, 3), nn.Linear(3, 1)

    def loss(self, x: Tensor, branch: str) -> Tensor:
        loss: Tensor = self.head(self.get_submodule(branch)(x)).square().mean()
        return loss


def samples(rank: int) -> Tensor:
    return torch.randn(4, 3, generator=torch.Generator().manual_seed(rank))


def by_name(module: nn.Module) -> dict[str, Tensor | None]:
    return {name: None if p.grad is None else p.grad.clone() for name, p in module.named_parameters()}


def test_parameters_without_gradient_are_named_at_the_first_step_with_the_flag_to_set() -> None:
    def one_step(strategy: DDPStrategy) -> None:
        net = strategy.setup_module(Branches())
        strategy.backward(strategy.setup_step(net, net.loss)(samples(0), "left"))

    with pytest.raises(RuntimeError, match=r"right\.weight, right\.bias\..*find_unused_parameters") as caught:
        launch(one_step)

    assert "left" not in str(caught.value)


def test_a_parameter_that_one_rank_alone_leaves_out_is_named_by_that_rank_and_nobody_hangs() -> None:
    def one_step(strategy: DDPStrategy) -> None:
        net = strategy.setup_module(Branches())
        step = strategy.setup_step(net, lambda x: net.loss(x, "left") + strategy.global_rank * 0)
        both = strategy.setup_step(net, lambda x: net.loss(x, "left") + net.loss(x, "right"))
        strategy.backward((both if strategy.global_rank == 0 else step)(samples(0)))

    began = time.monotonic()
    with pytest.raises(RuntimeError, match=r"got no gradient.*right\.weight"):
        launch(one_step)
    assert time.monotonic() - began < 20


@pytest.mark.parametrize("mode", [{"find_unused_parameters": True}, {"gradient_sync": "backward"}])
def test_unused_parameters_keep_no_gradient_and_used_in_one_rank_only_get_their_share(mode: dict[str, Any]) -> None:
    def steps(strategy: DDPStrategy) -> list[dict[str, Tensor | None]]:
        net = strategy.setup_module(Branches())
        step = strategy.setup_step(net, net.loss, gradient_sync=mode.get("gradient_sync", "step"))
        found = []
        for branch in ("left", "left" if strategy.global_rank == 0 else "right"):
            net.zero_grad()
            strategy.backward(step(samples(strategy.global_rank), branch))
            found.append(by_name(net))
        return found

    options = {name: value for name, value in mode.items() if name != "gradient_sync"}
    same, different = launch(steps, **options)

    reference = Branches()
    (0.5 * (reference.loss(samples(0), "left") + reference.loss(samples(1), "left"))).backward()
    assert same["right.weight"] is None
    torch.testing.assert_close(same["left.weight"], reference.left.weight.grad)
    reference = Branches()
    (0.5 * (reference.loss(samples(0), "left") + reference.loss(samples(1), "right"))).backward()
    for name, parameter in reference.named_parameters():
        torch.testing.assert_close(different[name], parameter.grad)


def test_without_sync_a_branch_used_in_the_local_pass_only_is_averaged_in_the_next() -> None:
    def steps(strategy: DDPStrategy) -> dict[str, Tensor | None]:
        net = strategy.setup_module(Branches())
        step = strategy.setup_step(net, net.loss, gradient_sync="backward")
        with strategy.no_sync():
            strategy.backward(step(samples(strategy.global_rank), "left"))
        strategy.backward(step(samples(strategy.global_rank), "right"))
        return by_name(net)

    found = launch(steps)

    reference = Branches()
    for branch in ("left", "right"):
        (0.5 * (reference.loss(samples(0), branch) + reference.loss(samples(1), branch))).backward()
    for name, parameter in reference.named_parameters():
        torch.testing.assert_close(found[name], parameter.grad)


@pytest.mark.parametrize("gradient_sync", ["step", "backward"])
def test_parameters_unfrozen_after_the_setup_are_averaged_from_the_next_step_on(gradient_sync: Any) -> None:
    def steps(strategy: DDPStrategy) -> list[dict[str, Tensor | None]]:
        net = strategy.setup_module(Branches())
        net.left.requires_grad_(False)
        net.right.requires_grad_(False)
        step = strategy.setup_step(net, net.loss, gradient_sync=gradient_sync)
        strategy.backward(step(samples(strategy.global_rank), "left"))
        net.left.requires_grad_(True)
        net.zero_grad()
        strategy.backward(step(samples(strategy.global_rank), "left"))
        return strategy.collectives.all_gather_object(by_name(net))

    everywhere = launch(steps)

    reference = Branches()
    (0.5 * (reference.loss(samples(0), "left") + reference.loss(samples(1), "left"))).backward()
    for found in everywhere:
        torch.testing.assert_close(found["left.weight"], reference.left.weight.grad)


def test_two_modules_may_be_trained_by_losses_that_reach_one_or_both() -> None:
    def make() -> tuple[nn.Module, nn.Module]:
        with torch.random.fork_rng():
            torch.manual_seed(0)
            return nn.Linear(3, 3), nn.Linear(3, 1)

    def steps(strategy: DDPStrategy) -> list[list[Tensor]]:
        generator, judge = (strategy.setup_module(module) for module in make())
        generate = strategy.setup_step(generator, generator.forward)
        decide = strategy.setup_step(judge, judge.forward)
        x = samples(strategy.global_rank)
        strategy.backward(decide(generate(x).detach()).square().mean())
        alone = judge.weight.grad.clone()
        assert generator.weight.grad is None
        judge.zero_grad()
        strategy.backward(decide(generate(x)).square().mean())
        return strategy.collectives.all_gather_object([alone, judge.weight.grad, generator.weight.grad])

    everywhere = launch(steps)

    generator, judge = make()
    judge(generator(torch.cat([samples(0), samples(1)]))).square().mean().backward()
    for alone, together, generated in everywhere:
        torch.testing.assert_close(alone, judge.weight.grad)
        torch.testing.assert_close(together, judge.weight.grad)
        torch.testing.assert_close(generated, generator.weight.grad)


@pytest.mark.parametrize("gradient_sync", ["step", "backward"])
def test_buffers_are_those_of_a_bare_distributed_data_parallel_loop(gradient_sync: Any) -> None:
    def make() -> nn.Module:
        with torch.random.fork_rng():
            torch.manual_seed(0)
            return nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.Linear(4, 1))

    def both(strategy: DDPStrategy) -> list[list[Tensor]]:
        ours = strategy.setup_module(make())
        step = strategy.setup_step(ours, lambda x: ours(x).square().mean(), gradient_sync=gradient_sync)
        bare = DistributedDataParallel(make())
        for index in range(3):
            x = samples(10 * index + strategy.global_rank)
            strategy.backward(step(x))
            bare(x).square().mean().backward()
        names = [f"module.{name}" for name in ours.state_dict()]
        assert names == list(bare.state_dict())
        return [list(ours.state_dict().values()), list(bare.state_dict().values())]

    ours, bare = launch(both)

    assert all(torch.equal(one, other) for one, other in zip(ours, bare, strict=True))


def test_a_step_communicates_exactly_as_bare_distributed_data_parallel_does() -> None:
    def make() -> nn.Module:
        return nn.Sequential(nn.Linear(3, 3), nn.BatchNorm1d(3), nn.Linear(3, 1))

    def count(strategy: DDPStrategy) -> tuple[dict[str, int], dict[str, int]]:
        net = strategy.setup_module(make())
        step = strategy.setup_step(net, lambda x: net(x).sum())
        bare = DistributedDataParallel(make())
        counts = []
        for run in (lambda: strategy.backward(step(samples(0))), lambda: bare(samples(0)).sum().backward()):
            run()
            run()
            with profile(activities=[ProfilerActivity.CPU]) as trace:
                run()
            counts.append({e.key: e.count for e in trace.key_averages() if e.key.startswith("gloo:")})
        return counts[0], counts[1]

    ours, bare = launch(count)

    assert ours == bare
    assert sum(bare.values()) > 0


def test_modules_that_differ_between_processes_are_refused_in_every_process() -> None:
    def different(strategy: DDPStrategy) -> str:
        try:
            strategy.setup_module(nn.Linear(3, 4 + strategy.global_rank))
        except ValueError as error:
            return str(error)
        return "nothing"

    assert launch(different) == (
        "The module differs between processes: rank 0 has weight: float32[4, 3], rank 1 has weight: float32[5, 3]."
    )


def test_weights_of_every_layout_and_dtype_are_those_of_rank_zero() -> None:
    def setup(strategy: DDPStrategy) -> list[dict[str, Tensor]]:
        torch.manual_seed(strategy.global_rank)
        net = nn.Conv2d(3, 4, 2).to(memory_format=torch.channels_last)
        net.register_buffer("brief", torch.randn(3).to(torch.bfloat16))
        net.register_buffer("flag", torch.tensor(strategy.global_rank == 0))
        net.register_buffer("counts", torch.randint(100, (2, 2), dtype=torch.int16))
        return strategy.collectives.all_gather_object(strategy.setup_module(net).state_dict())

    first, second = launch(setup)

    assert first["flag"]
    assert all(torch.equal(first[name], second[name]) for name in first)


def test_a_rank_that_does_not_come_fails_the_others_after_the_timeout() -> None:
    def late(strategy: DDPStrategy) -> None:
        if strategy.global_rank == 1:
            time.sleep(60)
        strategy.collectives.barrier()

    began = time.monotonic()
    with pytest.raises(RuntimeError, match=r"(?i)time"):
        launch(late, timeout=timedelta(seconds=2))

    assert time.monotonic() - began < 20


def test_a_process_group_that_is_there_already_is_used_and_left_alone() -> None:
    strategy = DDPStrategy(indices=[0, 1], start="fork")

    def main() -> bool:
        dist.init_process_group(
            "gloo",
            init_method=f"file://{os.environ['LIT_RUN_DIR']}/other",
            rank=int(os.environ["RANK"]),
            world_size=2,
        )
        strategy.setup_environment()
        strategy.teardown()
        return dist.is_initialized()

    assert strategy.launcher.launch(main)


def test_several_groups_of_one_process_do_not_see_each_others_traces() -> None:
    def again(strategy: DDPStrategy) -> list[Any]:
        values = []
        for number in range(3):
            strategy.teardown()
            strategy.setup_environment()
            values.append(strategy.collectives.all_gather_object((number, strategy.global_rank)))
        return values

    assert launch(again) == [[(n, 0), (n, 1)] for n in range(3)]


def test_methods_that_need_the_others_say_so_before_the_processes_are_joined() -> None:
    strategy = DDPStrategy(indices=[0, 1], start="fork")
    net = Branches()

    with pytest.raises(RuntimeError, match=r"setup_environment\(\) first"):
        strategy.setup_module(net)
    with pytest.raises(RuntimeError, match=r"setup_environment\(\) first"):
        strategy.setup_step(net, net.loss)
    with pytest.raises(RuntimeError, match="launch"):
        strategy.setup_environment()


@pytest.mark.parametrize("options", [{"device_ids": [0]}, {"static_graph": True}, {"buckets": 3}])
def test_options_that_are_not_the_users_are_refused_with_those_that_are(options: dict[str, Any]) -> None:
    with pytest.raises(TypeError, match=rf"{next(iter(options))}.*gradient_as_bucket_view"):
        DDPStrategy(**options)


def test_environment_and_devices_must_agree() -> None:
    with pytest.raises(ValueError, match="3 processes"):
        DDPStrategy(indices=[0, 1, 2], environment=LocalEnvironment(2))


@pytest.mark.parametrize(("hook", "dtype"), [("bf16_compress", torch.bfloat16), ("fp16_compress", torch.float16)])
def test_a_communication_hook_sends_gradients_in_half_the_bits(hook: str, dtype: torch.dtype) -> None:
    def one_step(strategy: DDPStrategy) -> dict[str, Tensor | None]:
        net = strategy.setup_module(Branches())
        strategy.backward(strategy.setup_step(net, lambda x: net.loss(x, "left"))(samples(strategy.global_rank)))
        return by_name(net)

    found = launch(one_step, ddp_comm_hook=hook, find_unused_parameters=True)

    reference = Branches()
    (0.5 * (reference.loss(samples(0), "left") + reference.loss(samples(1), "left"))).backward()
    for name, parameter in reference.named_parameters():
        gradient = found[name]
        if parameter.grad is None:
            continue
        assert gradient is not None
        assert torch.equal(gradient, gradient.to(dtype).float()), "travelled with more bits"
        torch.testing.assert_close(gradient, parameter.grad, rtol=2e-2, atol=2e-3)


def test_a_hook_of_the_user_gets_its_state_also_after_parameters_were_unfrozen() -> None:
    def steps(strategy: DDPStrategy) -> tuple[int, Tensor | None]:
        net = strategy.setup_module(Branches())
        net.right.requires_grad_(False)
        net.left.requires_grad_(False)
        step = strategy.setup_step(net, lambda x: net.loss(x, "left"))
        strategy.backward(step(samples(0)))
        net.left.requires_grad_(True)
        net.zero_grad()
        strategy.backward(step(samples(0)))
        return len(calls), net.left.weight.grad

    calls: list[int] = []

    def hook(state: list[int], bucket: dist.GradBucket) -> torch.futures.Future[Tensor]:
        state.append(bucket.index())
        future: torch.futures.Future[Tensor] = torch.futures.Future()
        future.set_result(torch.full_like(bucket.buffer(), 7.0))
        return future

    count, gradient = launch(steps, ddp_comm_hook=hook, ddp_comm_state=calls)

    assert count == 2
    assert gradient is not None
    assert (gradient == 7.0).all()


def test_words_and_options_that_do_not_exist_are_refused() -> None:
    with pytest.raises(ValueError, match=r"ddp_comm_hook='zip'.*bf16_compress"):
        DDPStrategy(ddp_comm_hook="zip")
    with pytest.raises(ValueError, match=r"sync_batchnorm=True.*GroupNorm"):
        DDPStrategy(sync_batchnorm=True)


@pytest.mark.cuda
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_batch_norm_becomes_that_of_all_processes() -> None:
    strategy = make_strategy("cuda", 1, strategy=functools.partial(DDPStrategy, sync_batchnorm=True))
    strategy.setup_environment()
    try:
        net = strategy.setup_module(nn.Sequential(nn.Linear(3, 3), nn.BatchNorm1d(3)))
        assert isinstance(net[1], nn.SyncBatchNorm)
        strategy.backward(strategy.setup_step(net, lambda x: net(x).sum())(torch.ones(4, 3, device=strategy.device)))
    finally:
        strategy.teardown()


def test_every_way_to_start_has_its_aliases() -> None:
    for word in ("ddp", "ddp_spawn", "ddp_fork", "ddp_notebook"):
        for suffix in ("", "_find_unused_parameters_true", "_find_unused_parameters_false"):
            assert make_strategy("cpu", 2, strategy=word + suffix).name == word
        if word != "ddp":
            assert make_strategy("cpu", 2, strategy=word.replace("ddp", "fsdp")).name == word.replace("ddp", "fsdp")


@pytest.mark.parametrize(("value", "named"), [(True, False), (False, True)])
def test_the_alias_decides_whether_a_left_out_parameter_is_an_error(value: bool, named: bool) -> None:
    strategy = make_strategy("cpu", 2, strategy=f"ddp_fork_find_unused_parameters_{str(value).lower()}")

    def one_step(strategy: DDPStrategy) -> None:
        net = strategy.setup_module(Branches())
        strategy.backward(strategy.setup_step(net, net.loss)(samples(0), "left"))

    with pytest.raises(RuntimeError, match="right") if named else contextlib.nullcontext():
        run_joined(strategy, one_step)
