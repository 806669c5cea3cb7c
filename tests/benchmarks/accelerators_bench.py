"""What strategies cost beyond the bare loops of PyTorch that do the same, as ratios of interleaved runs.

Run with ``hatch run python tests/benchmarks/accelerators_bench.py`` (``--short`` for a quick look, ``--only ddp`` for
one case). Steps are timed in two processes with gloo, in blocks that take turns; a ratio is the median over pairs of
blocks. A start is the CPU time of a whole run of two spawned processes that train one step.
"""

import argparse
import resource
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import torch
import torch._dynamo  # DistributedDataParallel imports it: once here, and not in every forked process
import torch.distributed as dist
import torch.distributed.fsdp
import torch.multiprocessing as mp
from torch import Tensor, nn
from torch.distributed.device_mesh import init_device_mesh
from torch.nn.parallel import DistributedDataParallel
from torch.optim import Optimizer

from lit_accelerators import DDPStrategy, FSDPStrategy, Strategy, connect

BOUNDS = {
    "ddp step, tiny": 1.05,
    "ddp step, 10M parameters": 1.05,
    "fsdp step, tiny": 1.05,
    "fsdp step, 10M parameters": 1.05,
    "connect, one device": 1.02,
    "ddp_spawn, start to first step": 1.3,
}
WIDTHS = {"tiny": 64, "10M parameters": 1024}
Step = Callable[[Tensor], None]


def network(width: int) -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(*(part for _ in range(10) for part in (nn.Linear(width, width), nn.ReLU())))


def bare_step(model: nn.Module, optimizer: Optimizer) -> Step:
    def step(batch: Tensor) -> None:
        optimizer.zero_grad()
        model(batch).square().mean().backward()
        optimizer.step()

    return step


def strategy_step(strategy: Strategy, model: nn.Module) -> Step:
    model = strategy.setup_module(model)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
    loss_of = strategy.setup_step(model, lambda batch: model(batch).square().mean())

    def step(batch: Tensor) -> None:
        optimizer.zero_grad()
        strategy.backward(loss_of(batch))
        strategy.precision.optimizer_step(optimizer)

    return step


def bare_ddp(width: int) -> Step:
    model = DistributedDataParallel(network(width))
    return bare_step(model, torch.optim.SGD(model.parameters(), lr=0.01))


def bare_fsdp(width: int) -> Step:
    model, mesh = network(width), init_device_mesh("cpu", (2,))
    for part in model:
        if isinstance(part, nn.Linear):
            torch.distributed.fsdp.fully_shard(part, mesh=mesh)
    torch.distributed.fsdp.fully_shard(model, mesh=mesh)
    return bare_step(model, torch.optim.SGD(model.parameters(), lr=0.01))


def ratio(ours: Step, bare: Step, batch: Tensor, pairs: int, steps: int) -> float:
    for step in (ours, bare):
        block(step, batch, max(3, steps // 5))
    found = []
    for pair in range(pairs):
        first, second = (ours, bare) if pair % 2 == 0 else (bare, ours)
        times = {first: block(first, batch, steps)}
        times[second] = block(second, batch, steps)
        found.append(times[ours] / times[bare])
    return statistics.median(found)


def block(step: Step, batch: Tensor, steps: int) -> float:
    if dist.is_initialized():
        dist.barrier()
    began = time.perf_counter()
    for _ in range(steps):
        step(batch)
    return time.perf_counter() - began


def in_two_processes(strategy: Strategy, bare: Callable[[int], Step], size: str, short: bool) -> float:
    def main() -> float:
        torch.set_num_threads(1)
        strategy.setup_environment()
        try:
            width = WIDTHS[size]
            steps = 200 if size == "tiny" else 10
            found: float = ratio(
                strategy_step(strategy, network(width)),
                bare(width),
                torch.randn(16, width),
                6 if short else 30,
                max(4, steps // 4) if short else steps,
            )
            return found
        finally:
            strategy.teardown()

    result: float = strategy.launcher.launch(main)
    return result


def connected(short: bool) -> float:
    torch.set_num_threads(1)
    model, run = network(64), connect("cpu", 1)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
    model, optimizer = run.setup(model, optimizer)

    def step(batch: Tensor) -> None:
        optimizer.zero_grad()
        run.backward(model(batch).square().mean())
        optimizer.step()

    other = network(64)
    bare = bare_step(other, torch.optim.SGD(other.parameters(), lr=0.01))
    return ratio(step, bare, torch.randn(16, 64), 10 if short else 60, 200)


def spawned_by_hand(rank: int, store: str) -> None:
    torch.set_num_threads(1)
    dist.init_process_group("gloo", init_method=f"file://{store}", rank=rank, world_size=2)
    bare_ddp(64)(torch.randn(16, 64))
    dist.destroy_process_group()


def spawned_by_strategy(strategy: Strategy) -> None:
    torch.set_num_threads(1)
    strategy.setup_environment()
    try:
        strategy_step(strategy, network(64))(torch.randn(16, 64))
    finally:
        strategy.teardown()


def started(short: bool) -> float:
    found = []
    for _ in range(1 if short else 5):
        with tempfile.TemporaryDirectory() as folder:
            began = cpu_seconds()
            mp.spawn(spawned_by_hand, (str(Path(folder) / "store"),), nprocs=2)
            between = cpu_seconds()
        strategy = DDPStrategy(indices=[0, 1], start="spawn")
        strategy.launcher.launch(spawned_by_strategy, strategy)
        found.append((cpu_seconds() - between) / (between - began))
    return statistics.median(found)


def cpu_seconds() -> float:
    """Of this process and of those that it started and that have ended: other programs disturb them little."""
    used = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return sum(one.ru_utime + one.ru_stime for one in used)


def cases(short: bool) -> Iterator[tuple[str, Callable[[], float]]]:
    def ddp() -> Strategy:
        return DDPStrategy(indices=[0, 1], start="fork")

    def fsdp() -> Strategy:
        return FSDPStrategy(indices=[0, 1], start="fork", wrap=["Linear"])

    kinds: list[tuple[str, Callable[[], Strategy], Any]] = [("ddp", ddp, bare_ddp), ("fsdp", fsdp, bare_fsdp)]
    for name, make, bare in kinds:
        for size in WIDTHS:
            yield f"{name} step, {size}", lambda m=make, b=bare, s=size: in_two_processes(m(), b, s, short)
    yield "connect, one device", lambda: connected(short)
    yield "ddp_spawn, start to first step", lambda: started(short)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--short", action="store_true", help="fewer repetitions")
    parser.add_argument("--only", default="", help="cases that begin with this")
    options = parser.parse_args()
    missed = 0
    print(f"{'ratio to the bare loop':34}  {'ratio':>6}  bound")
    for name, measure in cases(options.short):
        if name.startswith(options.only):
            found = measure()
            missed += found > BOUNDS[name]
            print(
                f"{name:34}  {found:6.3f}  {BOUNDS[name]:5.2f}{'  missed' if found > BOUNDS[name] else ''}", flush=True
            )
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
