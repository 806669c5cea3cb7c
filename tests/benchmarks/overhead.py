"""Overhead of the Trainer over a bare PyTorch loop, as ratios of interleaved runs in one process.

Run with ``hatch run bench:overhead`` (pytorch-lightning beside it), or
``hatch run python tests/benchmarks/overhead.py``. A tiny MLP (32-64-2), batches of 32 from a DataLoader, SGD, one
thread: nothing hides the cost of the loop. Time is the CPU time of the whole process, so that other programs on the
machine disturb the ratio little.
"""

import argparse
import importlib.util
import logging
import os
import statistics
import sys
import tempfile
import time
import warnings
from collections.abc import Callable
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path

import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

from lit_core import LightningModule, Trainer

BOUNDS = {
    "fit, nothing logged": 1.03,
    "four self.log(on_step, on_epoch) per step": 1.08,
    "all defaults: TensorBoard, bar, checkpoint, one log": 1.12,
    "validate": 1.05,
    "predict": 1.05,
}
FIRST_STEP_MS = 50
Case = Callable[[DataLoader, int], object]


def network() -> nn.Module:
    return nn.Sequential(nn.Linear(32, 64), nn.ReLU(), nn.Linear(64, 2))


def data(batches: int) -> DataLoader:
    x = torch.randn(batches * 32, 32, generator=torch.Generator().manual_seed(0))
    return DataLoader(TensorDataset(x, (x[:, 0] > 0).long()), batch_size=32, shuffle=True)


def make_module(base: type, logs: int) -> nn.Module:
    class Tiny(base):
        def __init__(self) -> None:
            super().__init__()
            self.net = network()

        def training_step(self, batch, batch_idx):
            loss = nn.functional.cross_entropy(self.net(batch[0]), batch[1])
            if logs == 1:
                self.log("loss", loss)
            else:
                for i in range(logs):
                    self.log(f"loss_{i}", loss, on_step=True, on_epoch=True)
            return loss

        def validation_step(self, batch, batch_idx):
            nn.functional.cross_entropy(self.net(batch[0]), batch[1])

        def predict_step(self, batch, batch_idx):
            return self.net(batch[0])

        def configure_optimizers(self):
            return torch.optim.SGD(self.parameters(), lr=0.01)

    return Tiny()


def bare_fit(loader: DataLoader, epochs: int) -> None:
    model = network()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
    model.train()
    for _ in range(epochs):
        for x, y in loader:
            loss = nn.functional.cross_entropy(model(x), y)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()


def bare_validate(loader: DataLoader, epochs: int) -> None:
    model = network().eval()
    with torch.inference_mode():
        for _ in range(epochs):
            for x, y in loader:
                nn.functional.cross_entropy(model(x), y)


def bare_predict(loader: DataLoader, epochs: int) -> None:
    model = network().eval()
    with torch.inference_mode():
        for _ in range(epochs):
            [model(x) for x, _ in loader]


BARE: dict[str, Case] = {"validate": bare_validate, "predict": bare_predict}


def framework_cases(trainer_class: type, module_class: type) -> dict[str, Case]:
    silent = {"logger": False, "enable_checkpointing": False, "enable_progress_bar": False}
    if trainer_class is not Trainer:
        silent["enable_model_summary"] = False

    def trainer(**options):
        return trainer_class(accelerator="cpu", devices=1, **options)

    def fit(logs: int) -> Case:
        return lambda loader, epochs: trainer(max_epochs=epochs, **silent).fit(make_module(module_class, logs), loader)

    def fit_with_defaults(loader: DataLoader, epochs: int) -> None:
        with tempfile.TemporaryDirectory() as folder:
            trainer(max_epochs=epochs, default_root_dir=folder).fit(make_module(module_class, 1), loader)

    def validate(loader: DataLoader, epochs: int) -> None:
        run, module = trainer(**silent), make_module(module_class, 0)
        for _ in range(epochs):
            run.validate(module, loader, verbose=False)

    def predict(loader: DataLoader, epochs: int) -> None:
        run, module = trainer(**silent), make_module(module_class, 0)
        for _ in range(epochs):
            run.predict(module, loader)

    return dict(zip(BOUNDS, [fit(0), fit(4), fit_with_defaults, validate, predict], strict=True))


def ratios(case: str, run: Case, loader: DataLoader, epochs: int, rounds: int) -> tuple[float, float, float]:
    """Ratio to the bare loop, microseconds per batch beyond it, and of it: medians over pairs run one after another."""
    batches = len(loader) * epochs
    bare, pairs = BARE.get(case, bare_fit), []
    for i in range(rounds + 1):
        seconds: dict[Case, float] = {}
        for function in (bare, run) if i % 2 else (run, bare):  # in turns, so that who goes first does not matter
            begin = time.process_time()
            function(loader, epochs)
            seconds[function] = time.process_time() - begin
        if i:  # the first pair warms up
            pairs.append((seconds[bare], seconds[run]))
    ratio = statistics.median(ours / theirs for theirs, ours in pairs)
    extra_us = statistics.median((ours - theirs) / batches * 1e6 for theirs, ours in pairs)
    bare_us = statistics.median(theirs / batches * 1e6 for theirs, _ in pairs)
    return ratio, extra_us, bare_us


def first_step_ms(trainer_class: type, module_class: type, rounds: int) -> float:
    """Milliseconds from ``Trainer(...)`` with all defaults to the first training step; median."""
    times = []
    for _ in range(rounds):
        module = make_module(module_class, 0)
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
    parser.add_argument("--batches", type=int, default=500, help="batches per epoch")
    parser.add_argument("--epochs", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=40)
    parser.add_argument("--peer-rounds", type=int, default=3)
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    torch.set_num_threads(1)
    loader, others = data(options.batches), peers()
    print(f"torch {torch.__version__}, one thread, {options.epochs} epochs of {options.batches} batches, ", end="")
    print(f"medians of {options.rounds} interleaved pairs")
    print(f"{'case':<52} {'bare us':>8} {'extra us':>9} {'ratio':>6} {'bound':>6}  {'  '.join(others)}")
    over = False
    for case, run in framework_cases(Trainer, LightningModule).items():
        with Path(os.devnull).open("w") as nowhere, redirect_stderr(nowhere), redirect_stdout(nowhere):
            ratio, extra, bare = ratios(case, run, loader, options.epochs, options.rounds)
            beside = [ratios(case, c[case], loader, options.epochs, options.peer_rounds)[0] for c in others.values()]
        over |= ratio > BOUNDS[case]
        columns = "  ".join(f"{value:.2f}" for value in beside)
        mark = "  OVER" if ratio > BOUNDS[case] else ""
        print(f"{case:<52} {bare:8.1f} {extra:9.1f} {ratio:6.3f} {BOUNDS[case]:6.2f}  {columns}{mark}")
        sys.stdout.flush()
    with Path(os.devnull).open("w") as nowhere, redirect_stderr(nowhere), redirect_stdout(nowhere):
        first = first_step_ms(Trainer, LightningModule, 10)
    over |= first > FIRST_STEP_MS
    mark = "  OVER" if first > FIRST_STEP_MS else ""
    print(f"{'Trainer(...) to the first step, ms':<52} {'':8} {'':9} {first:6.1f} {FIRST_STEP_MS:6.0f}{mark}")
    return int(over)


if __name__ == "__main__":
    raise SystemExit(main())
