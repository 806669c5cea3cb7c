"""Speed of saving and loading one checkpoint, as ratios to ``torch.save`` and ``torch.load`` in the same run.

    python tests/benchmarks/checkpoint_bench.py [--mb 200] [--rounds 7] [--dir FOLDER]

The rounds of the two sides alternate; each figure is the best of its rounds, since what else runs on the machine only
adds to it. Verifying runs beside reading and flushing: with every core busy the ratios are higher. A bound that does
not hold makes the exit status 1.
"""

import argparse
import os
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import torch

import lit_checkpoint

SAVE_BOUND = 1.10
LOAD_BOUND = 1.25


def make_state(num_mb: int) -> dict[str, object]:
    """A model with a few large layers and many small ones, and its Adam state."""
    large = max(1, num_mb // 3 // 10)
    weights = {f"layers.{i}.weight": torch.randn(2_621_440) for i in range(large)}
    weights |= {f"layers.{i}.bias": torch.randn(512) for i in range(100)}
    moments = {
        i: {"step": torch.tensor(1.0), "exp_avg": weight.clone(), "exp_avg_sq": weight.clone()}
        for i, weight in enumerate(weights.values())
    }
    return {"state_dict": weights, "optimizer_states": [{"state": moments, "param_groups": [{"lr": 1e-3}]}], "epoch": 3}


def torch_save_durably(state: object, path: Path) -> None:
    torch.save(state, path)
    descriptor = os.open(path, os.O_RDONLY)
    os.fsync(descriptor)
    os.close(descriptor)


def compare(rounds: int, plain: Callable[[], object], ours: Callable[[], object]) -> tuple[float, float]:
    """Best seconds of the two, taken alternately after one round each that does not count."""
    seconds: tuple[list[float], list[float]] = ([], [])
    for i in range(rounds + 1):
        for side, function in zip(seconds, (plain, ours), strict=True):
            start = time.perf_counter()
            result = function()
            elapsed = time.perf_counter() - start
            del result
            if i:
                side.append(elapsed)
    return min(seconds[0]), min(seconds[1])


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("--mb", type=int, default=200)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--dir", default=None)
    args = parser.parse_args()
    if os.name == "posix" and "MALLOC_MMAP_THRESHOLD_" not in os.environ:
        # Tensors always get fresh memory then, as in a process that loads once, not by chance that of an earlier round.
        os.execve(sys.executable, [sys.executable, *sys.argv], {**os.environ, "MALLOC_MMAP_THRESHOLD_": "65536"})
    torch.set_num_threads(1)
    state = make_state(args.mb)
    with tempfile.TemporaryDirectory(dir=args.dir) as folder:
        plain, ours = Path(folder, "plain.ckpt"), Path(folder, "ours.ckpt")

        def torch_save() -> None:
            torch_save_durably(state, plain)

        def torch_load() -> object:
            return torch.load(plain, weights_only=True)

        rows = [
            ("save", "torch.save + fsync", SAVE_BOUND, torch_save, lambda: lit_checkpoint.save(state, ours)),
            ("load", "torch.load", LOAD_BOUND, torch_load, lambda: lit_checkpoint.load(ours)),
            ("verify", "torch.load", LOAD_BOUND, torch_load, lambda: lit_checkpoint.verify(ours)),
        ]
        print(f"{args.mb} MB, best of {args.rounds}, {os.cpu_count()} cores")
        print(f"{'what':<8}{'compared with':<20}{'its s':>8}{'ours s':>8}{'ratio':>8}{'bound':>8}")
        failed = False
        for name, reference, bound, theirs, own in rows:
            plain_s, ours_s = compare(args.rounds, theirs, own)
            failed |= ours_s > bound * plain_s
            print(f"{name:<8}{reference:<20}{plain_s:>8.3f}{ours_s:>8.3f}{ours_s / plain_s:>8.2f}{bound:>8.2f}")
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
