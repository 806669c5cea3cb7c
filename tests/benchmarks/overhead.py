"""Overhead of the Trainer over a bare PyTorch loop, as ratios of interleaved runs in one process.

Run with ``hatch run bench:overhead`` (pytorch-lightning beside it), or
``hatch run python tests/benchmarks/overhead.py``. A tiny MLP (32-64-2), batches of 32 from a DataLoader, SGD, one
thread: nothing hides the cost of the loop. The two loops take turns of 50 batches, so that both meet the same machine
even where its speed changes within a second. Time is CPU time: of the bare loop that of its turns, of ours that of all
else the process did, its start and end, files and background threads included. The row "the bare loop" has a second
bare loop in our place: what it is off 1.00 is the error of the figures.
"""

import argparse
import importlib.util
import logging
import math
import os
import statistics
import sys
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path

import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

from lit_core import LightningModule, Trainer

BOUNDS = {
    "the bare loop": None,
    "fit, nothing logged": 1.03,
    "four self.log(on_step, on_epoch) per step": 1.08,
    "all defaults: TensorBoard, bar, checkpoint, one log": 1.12,
    "validate": 1.05,
    "predict": 1.05,
    "fit from a TensorDataset, whose batches are taken whole": None,
}
FIRST_STEP_MS = 50
TURN = 50
Turn = Callable[[], object]
Case = Callable[[DataLoader, int, Turn], object]
Bare = Callable[[DataLoader, int], Iterator[None]]


def network() -> nn.Module:
    return nn.Sequential(nn.Linear(32, 64), nn.ReLU(), nn.Linear(64, 2))


class Samples(TensorDataset):
    """A class of its own, so that the Trainer's loader fetches sample by sample as the bare one does."""


def data(batches: int, dataset: type[TensorDataset] = Samples) -> DataLoader:
    x = torch.randn(batches * 32, 32, generator=torch.Generator().manual_seed(0))
    return DataLoader(dataset(x, (x[:, 0] > 0).long()), batch_size=32, shuffle=True)


def make_module(base: type, logs: int, turn: Turn) -> nn.Module:
    names = [f"loss_{i}" for i in range(logs)]

    class Tiny(base):
        def __init__(self) -> None:
            super().__init__()
            self.net = network()

        def training_step(self, batch, batch_idx):
            if batch_idx % TURN == 0:
                turn()
            loss = nn.functional.cross_entropy(self.net(batch[0]), batch[1])
            if logs == 1:
                self.log("loss", loss)
            elif logs:
                for name in names:
                    self.log(name, loss, on_step=True, on_epoch=True)
            return loss

        def validation_step(self, batch, batch_idx):
            if batch_idx % TURN == 0:
                turn()
            nn.functional.cross_entropy(self.net(batch[0]), batch[1])

        def predict_step(self, batch, batch_idx):
            if batch_idx % TURN == 0:
                turn()
            return self.net(batch[0])

        def configure_optimizers(self):
            return torch.optim.SGD(self.parameters(), lr=0.01)

    return Tiny()


class Turns:
    """The bare loop, which another loop lets go on for :data:`TURN` batches at a time."""

    def __init__(self, loop: Iterator[None]) -> None:
        self.loop = loop
        self.seconds = 0.0

    def take(self) -> bool:
        """One turn; False once the loop has ended."""
        begin = time.thread_time()
        more = next(self.loop, self) is not self
        self.seconds += time.thread_time() - begin
        return more


def bare_fit(loader: DataLoader, epochs: int) -> Iterator[None]:
    model = network()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
    model.train()
    for _ in range(epochs):
        for i, (x, y) in enumerate(loader):
            if i % TURN == 0:
                yield
            loss = nn.functional.cross_entropy(model(x), y)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()


def bare_validate(loader: DataLoader, epochs: int) -> Iterator[None]:
    model = network().eval()
    for _ in range(epochs):
        for i, (x, y) in enumerate(loader):
            if i % TURN == 0:
                yield
            nn.functional.cross_entropy(model(x), y)


def bare_predict(loader: DataLoader, epochs: int) -> Iterator[None]:
    model = network().eval()
    for _ in range(epochs):
        outputs = []
        for i, (x, _) in enumerate(loader):
            if i % TURN == 0:
                yield
            outputs.append(model(x))


BARE: dict[str, Bare] = {"validate": bare_validate, "predict": bare_predict}


def framework_cases(trainer_class: type, module_class: type) -> dict[str, Case]:
    silent = {"logger": False, "enable_checkpointing": False, "enable_progress_bar": False}
    if trainer_class is not Trainer:
        silent["enable_model_summary"] = False

    def trainer(**options):
        return trainer_class(accelerator="cpu", devices=1, **options)

    def bare(loader: DataLoader, epochs: int, turn: Turn) -> None:
        for _ in bare_fit(loader, epochs):
            turn()

    def fit(logs: int) -> Case:
        def run(loader: DataLoader, epochs: int, turn: Turn) -> None:
            trainer(max_epochs=epochs, **silent).fit(make_module(module_class, logs, turn), loader)

        return run

    def fit_with_defaults(loader: DataLoader, epochs: int, turn: Turn) -> None:
        with tempfile.TemporaryDirectory() as folder:
            trainer(max_epochs=epochs, default_root_dir=folder).fit(make_module(module_class, 1, turn), loader)

    def validate(loader: DataLoader, epochs: int, turn: Turn) -> None:
        run, module = trainer(**silent), make_module(module_class, 0, turn)
        for _ in range(epochs):
            run.validate(module, loader, verbose=False)

    def predict(loader: DataLoader, epochs: int, turn: Turn) -> None:
        run, module = trainer(**silent), make_module(module_class, 0, turn)
        for _ in range(epochs):
            run.predict(module, loader)

    return dict(zip(BOUNDS, [bare, fit(0), fit(4), fit_with_defaults, validate, predict, fit(0)], strict=True))


def ratios(case: str, run: Case, loader: DataLoader, epochs: int, rounds: int) -> tuple[float, float, float]:
    """Ratio to the bare loop, microseconds per batch beyond it, and of it: medians over the rounds."""
    batches = len(loader) * epochs
    pairs = []
    for i in range(rounds + 1):
        with torch.inference_mode(case in BARE):  # it is thread-wide: the bare loop runs within ours
            begin = time.process_time()
            turns = Turns(BARE.get(case, bare_fit)(loader, epochs))
            run(loader, epochs, turns.take)
            while turns.take():
                pass
            whole = time.process_time() - begin
        if i:  # the first round warms up
            pairs.append((turns.seconds, whole - turns.seconds))
    ratio = statistics.median(ours / theirs for theirs, ours in pairs)
    extra_us = statistics.median((ours - theirs) / batches * 1e6 for theirs, ours in pairs)
    bare_us = statistics.median(theirs / batches * 1e6 for theirs, _ in pairs)
    return ratio, extra_us, bare_us


def first_step_ms(trainer_class: type, module_class: type, rounds: int) -> float:
    """Milliseconds from ``Trainer(...)`` with all defaults to the first training step; median."""
    times = []
    for _ in range(rounds):
        module = make_module(module_class, 0, lambda: None)
        reached: list[float] = []

        def noting(*args, step=module.training_step, reached=reached):
            reached.append(time.perf_counter())
            return step(*args)

        module.training_step = noting
        with tempfile.TemporaryDirectory() as folder:
            begin = time.perf_counter()
            trainer_class(accelerator="cpu", devices=1, max_steps=1, default_root_dir=folder).fit(module, data(4))
        times.append((reached[0] - begin) * 1e3)
    return statistics.median(times)


def peers() -> dict[str, dict[str, Case]]:
    if not importlib.util.find_spec("pytorch_lightning"):
        return {}
    import pytorch_lightning

    logging.getLogger("pytorch_lightning").setLevel(logging.ERROR)
    name = f"pytorch-lightning {pytorch_lightning.__version__}"
    return {name: framework_cases(pytorch_lightning.Trainer, pytorch_lightning.LightningModule)}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--batches", type=int, default=1000, help="batches per epoch")
    parser.add_argument("--epochs", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=11)
    parser.add_argument("--peer-rounds", type=int, default=3)
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    torch.set_num_threads(1)
    loader, others = data(options.batches), peers()
    tensors = data(options.batches, TensorDataset)
    print(f"torch {torch.__version__}, one thread, {options.epochs} epochs of {options.batches} batches, ", end="")
    print(f"medians of {options.rounds} rounds")
    print(f"{'case':<55} {'bare us':>8} {'extra us':>9} {'ratio':>6} {'bound':>6}  {'  '.join(others)}")
    over = False
    for case, run in framework_cases(Trainer, LightningModule).items():
        with Path(os.devnull).open("w") as nowhere, redirect_stderr(nowhere), redirect_stdout(nowhere):
            source = tensors if "TensorDataset" in case else loader
            ratio, extra, bare = ratios(case, run, source, options.epochs, options.rounds)
            beside = [ratios(case, c[case], source, options.epochs, options.peer_rounds)[0] for c in others.values()]
        bound = BOUNDS[case] or math.inf
        over |= ratio > bound
        columns = "  ".join(f"{value:.2f}" for value in beside)
        mark = "  OVER" if ratio > bound else ""
        print(f"{case:<55} {bare:8.1f} {extra:9.1f} {ratio:6.3f} {bound:6.2f}  {columns}{mark}")
        sys.stdout.flush()
    with Path(os.devnull).open("w") as nowhere, redirect_stderr(nowhere), redirect_stdout(nowhere):
        first = first_step_ms(Trainer, LightningModule, 10)
    over |= first > FIRST_STEP_MS
    mark = "  OVER" if first > FIRST_STEP_MS else ""
    print(f"{'Trainer(...) to the first step, ms':<55} {'':8} {'':9} {first:6.1f} {FIRST_STEP_MS:6.0f}{mark}")
    return int(over)


if __name__ == "__main__":
    raise SystemExit(main())
