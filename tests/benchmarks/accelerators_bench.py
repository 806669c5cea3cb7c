"""What strategies cost beyond the bare loops of PyTorch that do the same, as ratios of interleaved runs.

Run with ``hatch run bench:accelerators`` (``--short`` for a quick look, ``--only ddp`` for one case). Steps are timed
in two processes with gloo, in blocks that take turns; the table has the median over pairs of blocks and the quartiles
beside it, which say how much other work on the machine disturbed. A start is a whole run of two spawned processes that
train one step, by the clock and by CPU time, which other work disturbs less. The rows of the Trainer have all that it
does in a batch, log rows and control messages included. How often processes talk is no matter of time:
``tests/integration/test_collectives.py`` counts it.
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
from lit_core import Callback, LightningModule, Trainer

BOUNDS = {
    "ddp step, tiny": 1.05,
    "ddp step, 10M parameters": 1.05,
    "fsdp step, tiny": 1.05,
    "fsdp step, 10M parameters": 1.05,
    "Trainer, ddp step, tiny": 1.05,
    "Trainer, ddp step, 10M parameters": 1.05,
    "connect, one device": 1.02,
    "start to first step, ddp_spawn": 1.3,
    "start to first step, CPU time": 1.3,
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


def ratios(ours: Step, bare: Step, batch: Tensor, pairs: int, steps: int) -> list[float]:
    for step in (ours, bare):
        block(step, batch, max(3, steps // 5))
    found = []
    for pair in range(pairs):
        first, second = (ours, bare) if pair % 2 == 0 else (bare, ours)
        times = {first: block(first, batch, steps)}
        times[second] = block(second, batch, steps)
        found.append(times[ours] / times[bare])
    return found


def block(step: Step, batch: Tensor, steps: int) -> float:
    if dist.is_initialized():
        dist.barrier()
    began = time.perf_counter()
    for _ in range(steps):
        step(batch)
    return time.perf_counter() - began


def in_two_processes(strategy: Strategy, bare: Callable[[int], Step], size: str, short: bool) -> list[float]:
    def main() -> list[float]:
        torch.set_num_threads(1)
        strategy.setup_environment()
        try:
            width = WIDTHS[size]
            steps = 50 if size == "tiny" else 10
            return ratios(
                strategy_step(strategy, network(width)),
                bare(width),
                torch.randn(16, width),
                6 if short else 30,
                max(4, steps // 4) if short else steps,
            )
        finally:
            strategy.teardown()

    result: list[float] = strategy.launcher.launch(main)
    return result


class Timed(LightningModule):
    """Its loss is that of :func:`bare_step`."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.net = network(width)

    def training_step(self, batch: Tensor, batch_idx: int) -> Tensor:
        loss: Tensor = self.net(batch).square().mean()
        self.log("loss", loss)
        return loss

    def configure_optimizers(self) -> Optimizer:
        return torch.optim.SGD(self.parameters(), lr=0.01)


class TakeTurns(Callback):
    """After each block of the Trainer's batches, as many steps of the bare loop; keeps the ratios."""

    def __init__(self, width: int, steps: int) -> None:
        self.found: list[float] = []
        self.width, self.steps = width, steps
        self.bare: Step | None = None
        self.began = 0.0

    def on_train_batch_start(self, trainer: Any, module: Any, batch: Tensor, batch_idx: int) -> None:
        if batch_idx % self.steps:
            return
        took = time.perf_counter() - self.began
        if self.bare is None:
            torch.set_num_threads(1)
            self.bare = bare_ddp(self.width)
        bare = block(self.bare, batch, self.steps)
        if batch_idx > self.steps:  # the first block of each warms up
            self.found.append(took / bare)
        dist.barrier()
        self.began = time.perf_counter()

    def state_dict(self) -> dict[str, Any]:
        return {"found": self.found}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.found = state["found"]


def trained(size: str, short: bool) -> list[float]:
    width, steps, pairs = WIDTHS[size], 50 if size == "tiny" else 10, 6 if short else 30
    turns = TakeTurns(width, steps)
    trainer = Trainer(
        accelerator="cpu",
        devices=2,
        strategy="ddp_fork",
        max_epochs=1,
        callbacks=[turns],
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
    )
    trainer.fit(Timed(width), [torch.randn(16, width)] * (steps * (pairs + 2) + 1))
    return turns.found


def connected(short: bool) -> list[float]:
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
    return ratios(step, bare, torch.randn(16, 64), 10 if short else 60, 200)


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


def started(short: bool) -> Iterator[tuple[float, float]]:
    """Ratios by the clock and by CPU time, of runs that take turns."""

    def by_hand() -> None:
        with tempfile.TemporaryDirectory() as folder:
            mp.spawn(spawned_by_hand, (str(Path(folder) / "store"),), nprocs=2)

    def by_strategy() -> None:
        strategy = DDPStrategy(indices=[0, 1], start="spawn")
        strategy.launcher.launch(spawned_by_strategy, strategy)

    for pair in range(2 if short else 10):
        order = (by_hand, by_strategy) if pair % 2 == 0 else (by_strategy, by_hand)
        took = {run: seconds(run) for run in order}
        yield took[by_strategy][0] / took[by_hand][0], took[by_strategy][1] / took[by_hand][1]


def seconds(run: Callable[[], None]) -> tuple[float, float]:
    """By the clock, and of the CPU."""
    began, before = time.perf_counter(), cpu_seconds()
    run()
    return time.perf_counter() - began, cpu_seconds() - before


def cpu_seconds() -> float:
    """Of this process and of those that it started and that have ended: other programs disturb them little."""
    used = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return sum(one.ru_utime + one.ru_stime for one in used)


def cases(short: bool, only: str) -> Iterator[tuple[str, list[float]]]:
    """Names and ratios, one measured after the other."""

    def ddp() -> Strategy:
        return DDPStrategy(indices=[0, 1], start="fork")

    def fsdp() -> Strategy:
        return FSDPStrategy(indices=[0, 1], start="fork", wrap=["Linear"])

    kinds: list[tuple[str, Callable[[], Strategy], Any]] = [("ddp", ddp, bare_ddp), ("fsdp", fsdp, bare_fsdp)]
    measures: dict[str, Callable[[], list[float]]] = {}
    for name, make, bare in kinds:
        for size in WIDTHS:
            measures[f"{name} step, {size}"] = lambda m=make, b=bare, s=size: in_two_processes(m(), b, s, short)
    for size in WIDTHS:
        measures[f"Trainer, ddp step, {size}"] = lambda s=size: trained(s, short)
    measures["connect, one device"] = lambda: connected(short)
    for name, measure in measures.items():
        if name.startswith(only):
            yield name, measure()
    if "start to first step".startswith(only) or only.startswith("start"):
        clock, cpu = zip(*started(short), strict=True)
        yield "start to first step, ddp_spawn", list(clock)
        yield "start to first step, CPU time", list(cpu)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--short", action="store_true", help="fewer repetitions")
    parser.add_argument("--only", default="", help="cases that begin with this")
    options = parser.parse_args()
    missed = 0
    print(f"{'ratio to the bare loop':34}  {'median':>6}  {'quartiles':>13}  bound")
    for name, found in cases(options.short, options.only):
        low, median, high = statistics.quantiles(found, n=4) if len(found) > 1 else found * 3
        missed += median > BOUNDS[name]
        verdict = "  missed" if median > BOUNDS[name] else ""
        print(f"{name:34}  {median:6.3f}  {low:6.3f} {high:6.3f}  {BOUNDS[name]:5.2f}{verdict}", flush=True)
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
