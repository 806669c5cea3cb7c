"""How often the processes of a run talk: as a bare DistributedDataParallel loop, and a control message now and then.

torch's profiler records every operation of a process group, those of DDP's reducer too.
"""

import math
import os
import time
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

import pytest
import torch
import torch._dynamo  # DistributedDataParallel imports it: once here, and not in every forked process
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel
from torch.utils.data import DataLoader, TensorDataset

from lit_accelerators import DDPStrategy, connect
from lit_core import Callback, LightningModule, Trainer

pytestmark = [pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork"), pytest.mark.timeout(120)]

STEPS = 128
MARK = "a batch begins"


def network() -> nn.Sequential:
    """Batch norm has buffers, which DDP broadcasts before each forward pass."""
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(8, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Linear(8, 1))


@dataclass
class Record:
    """The operations of the process group, by step, and how long the steps took."""

    steps: list[Counter[str]] = field(default_factory=list)
    seconds: float = 0.0

    def beyond(self, bare: "Record") -> list[Counter[str]]:
        """What steps have more than those of the bare loop."""
        assert len(self.steps) == len(bare.steps) == STEPS
        return [extra for step, other in zip(self.steps, bare.steps, strict=True) if (extra := step - other)]


class Recorder:
    """Records from the first mark to :meth:`stop`."""

    def __init__(self) -> None:
        self.profiler: Any = torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CPU])
        self.began = 0.0

    def mark(self) -> None:
        if not self.began:
            self.began = time.monotonic()
            self.profiler.start()
        with torch.profiler.record_function(MARK):
            pass

    def stop(self) -> Record:
        seconds = time.monotonic() - self.began
        self.profiler.stop()
        record = Record(seconds=seconds)
        # As they were recorded: profiler.events() makes Python objects of all of them, and costs more than the steps.
        events = [(event.start_ns(), event.name()) for event in self.profiler.profiler.kineto_results.events()]
        for _, name in sorted(event for event in events if event[1] == MARK or event[1].startswith("c10d::")):
            if name == MARK:
                record.steps.append(Counter())
            else:
                record.steps[-1][name] += 1
        return record


class Module(LightningModule):
    def __init__(self, keys: int) -> None:
        super().__init__()
        self.net, self.keys = network(), keys

    def training_step(self, batch: Any, batch_idx: int) -> Tensor:
        loss = self.net(batch[0]).square().mean()
        for key in range(self.keys):
            self.log(f"loss {key}", loss, on_step=True, on_epoch=True)
        return loss

    def configure_optimizers(self) -> Any:
        return torch.optim.SGD(self.parameters(), lr=0.01)


class Listen(Callback):
    """Records the batches of an epoch, without what comes after the last; a result of the run as a callback has it."""

    def __init__(self) -> None:
        self.record: Record | None = None

    def on_train_start(self, trainer: Any, module: Any) -> None:
        self.recorder = Recorder()

    def on_train_batch_start(self, trainer: Any, module: Any, batch: Any, batch_idx: int) -> None:
        if batch_idx < STEPS:
            self.recorder.mark()
        elif self.record is None:
            self.record = self.recorder.stop()

    def state_dict(self) -> dict[str, Any]:
        return {"record": self.record}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.record = state["record"]


def data() -> TensorDataset:
    """One batch of four for each process and step, and one more to stop at."""
    return TensorDataset(torch.randn(2 * 4 * (STEPS + 1), 8, generator=torch.Generator().manual_seed(1)))


@pytest.fixture(scope="module")
def bare() -> Record:
    """A loop of PyTorch's own words."""
    strategy = DDPStrategy(indices=[0, 1], start="fork")

    def main() -> Record:
        strategy.setup_environment()
        torch.set_num_threads(1)
        model = DistributedDataParallel(network())
        optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
        recorder = Recorder()
        for _ in range(STEPS):
            recorder.mark()
            optimizer.zero_grad()
            model(torch.randn(4, 8)).square().mean().backward()
            optimizer.step()
        record = recorder.stop()
        strategy.teardown()
        return record

    record: Record = strategy.launcher.launch(main)
    return record


def recorded(*, keys: int = 1, **settings: Any) -> Record:
    listen = Listen()
    trainer = Trainer(
        accelerator="cpu",
        devices=2,
        strategy="ddp_fork",
        max_epochs=1,
        callbacks=[listen],
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        **settings,
    )
    trainer.fit(Module(keys), DataLoader(data(), batch_size=4))
    assert listen.record is not None
    return listen.record


def test_the_bare_loop_is_seen_to_talk(bare: Record) -> None:
    """One bucket of gradients and the buffers, of two kinds of number, in each step; DDP looks twice at the second."""
    usual = {"c10d::allreduce_": 1, "c10d::broadcast_": 2}
    assert [step for index, step in enumerate(bare.steps) if index != 1] == [usual] * (STEPS - 1)


def test_between_rows_the_trainer_says_what_the_bare_loop_says_and_asks_ever_less_often(bare: Record) -> None:
    record = recorded(log_every_n_steps=10 * STEPS)

    extra = record.beyond(bare)
    assert 1 <= len(extra) <= math.log2(STEPS) + 1 + record.seconds, extra
    assert all(step == {"c10d::allgather_": 1} for step in extra)


def test_a_row_costs_one_reduction_and_one_control_message_however_many_keys(bare: Record) -> None:
    """The row is the gathering of an object, its size and then the object; the message is short."""
    record = recorded(keys=20, log_every_n_steps=32)

    rows = [index for index, step in enumerate(record.steps) if step - bare.steps[index] == {"c10d::allgather_": 3}]
    assert rows == [31, 63, 95, 127]
    between = [step for step in record.beyond(bare) if step != {"c10d::allgather_": 3}]
    assert len(between) <= math.log2(32) + 1 + record.seconds, between
    assert all(step == {"c10d::allgather_": 1} for step in between)


def test_a_plain_loop_with_connect_says_what_the_bare_loop_says(bare: Record) -> None:
    run = connect("cpu", 2, strategy="ddp_fork")

    def main() -> Record:
        torch.set_num_threads(1)
        net = network()
        model, optimizer = run.setup(net, torch.optim.SGD(net.parameters(), lr=0.01))
        recorder = Recorder()
        for (batch,) in run.setup_dataloader(DataLoader(data(), batch_size=4)):
            recorder.mark()
            optimizer.zero_grad()
            run.backward(model(batch).square().mean())
            optimizer.step()
        return recorder.stop()

    steps = run.launch(main).steps
    assert Record(steps[:STEPS]).beyond(bare) == []
