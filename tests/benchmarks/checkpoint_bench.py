"""Speed of saving and loading one checkpoint, as ratios to plain torch and to a memory copy in the same run.

    python tests/benchmarks/checkpoint_bench.py [--mb 1000] [--rounds 7] [--dir FOLDER]

The rounds of the two sides alternate; each figure is the best of its rounds, since what else runs on the machine only
adds to it. Verifying runs beside reading and flushing: with every core busy the ratios are higher. Before a round of
``blocked`` the saver is idle: what is measured is the time until ``save`` returns. A bound that does not hold makes the
exit status 1.
"""

import argparse
import json
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
BLOCKED_BOUND = 1.3
LATEST_BOUND_MS = 50.0


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


def compare(
    rounds: int,
    plain: Callable[[], object],
    ours: Callable[[], object],
    before: Callable[[], object] = lambda: None,
) -> tuple[float, float]:
    """Best seconds of the two, taken alternately after one round each that does not count; ``before`` is not timed."""
    seconds: tuple[list[float], list[float]] = ([], [])
    for i in range(rounds + 1):
        for side, function in zip(seconds, (plain, ours), strict=True):
            before()
            start = time.perf_counter()
            result = function()
            elapsed = time.perf_counter() - start
            del result
            if i:
                side.append(elapsed)
    return min(seconds[0]), min(seconds[1])


def tensors_in(state: object) -> list[torch.Tensor]:
    if isinstance(state, torch.Tensor):
        return [state]
    items = state.values() if isinstance(state, dict) else state if isinstance(state, list) else ()
    return [tensor for item in items for tensor in tensors_in(item)]


def blocked(rounds: int, state: dict[str, object], path: Path) -> tuple[float, float]:
    """Seconds of one copy of all tensors to memory that is there, and those for which ``save`` blocks its caller."""
    sources = tensors_in(state)
    targets = [torch.empty_like(source) for source in sources]

    def copy() -> None:
        for source, target in zip(sources, targets, strict=True):
            target.copy_(source)

    with lit_checkpoint.BackgroundSaver() as saver:
        return compare(rounds, copy, lambda: saver.save(state, path), before=saver.wait)


def latest_of_a_thousand(rounds: int, folder: Path) -> tuple[float, float]:
    """Seconds of listing a folder of 1,000 checkpoints with their times, and of finding the newest that is whole."""
    folder.mkdir()
    lit_checkpoint.save({"weight": torch.ones(10)}, folder / "step=0.ckpt")
    content = (folder / "step=0.ckpt").read_bytes()
    entries = []
    for step in range(1000):
        name = f"step={step}.ckpt"
        (folder / name).write_bytes(content)
        entries.append({"file": name, "step": step, "score": 0.5, "size": len(content), "time": 1e9 + step})
    (folder / "index.json").write_text(json.dumps({"format": 1, "checkpoints": entries}, indent=2))
    return compare(rounds, lambda: [e.stat() for e in os.scandir(folder)], lambda: lit_checkpoint.latest_valid(folder))


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("--mb", type=int, default=1000)
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
            report(name, reference, plain_s, ours_s, bound)
        copy_s, blocked_s = blocked(args.rounds, state, ours)
        failed |= blocked_s > BLOCKED_BOUND * copy_s
        report("blocked", "one memory copy", copy_s, blocked_s, BLOCKED_BOUND)
        list_s, latest_s = latest_of_a_thousand(args.rounds, Path(folder, "thousand"))
        beyond_ms = 1e3 * (latest_s - list_s)
        failed |= beyond_ms > LATEST_BOUND_MS
        print(f"latest_valid of 1,000: {beyond_ms:.1f} ms beyond listing the folder, bound {LATEST_BOUND_MS:.0f} ms")
    return int(failed)


def report(name: str, reference: str, plain_s: float, ours_s: float, bound: float) -> None:
    print(f"{name:<8}{reference:<20}{plain_s:>8.3f}{ours_s:>8.3f}{ours_s / plain_s:>8.2f}{bound:>8.2f}")


if __name__ == "__main__":
    sys.exit(main())
