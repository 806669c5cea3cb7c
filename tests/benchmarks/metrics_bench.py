"""What metrics cost, beside hand-written torch and other libraries; `hatch run bench:metrics` prints the whole table.

Names of families measure those alone: `hatch run bench:metrics text retrieval`. torchmetrics and torcheval appear where
they are importable. `--check` makes a broken bound an error. Times are thread times of one thread.
"""

from __future__ import annotations

import statistics
import subprocess
import sys
import time
import warnings
from importlib import import_module
from pathlib import Path
from typing import Any

import torch

sys.path.insert(0, str(Path(__file__).parents[2]))

import lit_metrics as lm
from tests.benchmarks.metrics_table import peer, print_table

FAMILIES = ("classification", "curves", "regression", "retrieval", "text")


def forwards(metric: Any, batch: tuple[torch.Tensor, ...]) -> float:
    """Returns microseconds of thread time of each of 100 forwards."""
    start = time.thread_time()
    for _ in range(100):
        metric(*batch)
    return (time.thread_time() - start) / 100 * 1e6


def print_histories() -> int:
    """Prints what forward costs after many steps, to what it costs after few; returns how many bounds are broken."""
    broken = 0
    scores = torch.rand(32), torch.randint(2, (32,))
    print(f"\n{'forward of list states':58s} {'step 10':>10s} {'step 5000':>10s} {'ratio':>8s} {'bound':>6s}")
    for make, batch in ((lm.CatMetric, scores[:1]), (lm.BinaryAUROC, scores)):
        short, long = make(), make()
        for _ in range(5000):
            long.update(*batch)
        rounds = []
        for _ in range(15):
            short.reset()
            for _ in range(10):
                short.update(*batch)
            rounds.append((forwards(short, batch), forwards(long, batch)))
        few, many = (statistics.median(spent) for spent in zip(*rounds, strict=True))
        ratio = statistics.median(b / a for a, b in rounds)
        broken += ratio > 1.5
        print(f"{make.__name__:58s} {few:10.1f} {many:10.1f} {ratio:8.2f} {1.5:6.1f}")
    return broken


def import_cost() -> tuple[float, float]:
    """Returns CPU milliseconds of `import lit_metrics` after `import torch`, and up to its first metric."""
    code = (
        "import torch, time; a = time.process_time(); import lit_metrics; b = time.process_time();"
        "lit_metrics.Accuracy; print(b - a, time.process_time() - a)"
    )
    command = [sys.executable, "-c", code]
    outputs = [subprocess.run(command, capture_output=True, text=True, check=True).stdout for _ in range(3)]
    runs = [[float(part) * 1e3 for part in output.split()] for output in outputs]
    return min(run[0] for run in runs), min(run[1] for run in runs)


def main(words: list[str]) -> int:
    """Prints the table; returns how many bounds are broken if they are to be checked."""
    torch.set_num_threads(1)
    warnings.simplefilter("ignore")
    tm, te = peer("torchmetrics"), peer("torcheval.metrics")
    asked = [word for word in words if word != "--check"]
    if unknown := set(asked) - set(FAMILIES):
        raise SystemExit(f"no such family: {', '.join(sorted(unknown))}; there are {', '.join(FAMILIES)}")
    broken = 0
    for family in asked or FAMILIES:
        torch.manual_seed(0)
        broken += print_table(family, import_module(f"tests.benchmarks.metrics_{family}_bench").cases(tm, te))
    if not asked:
        broken += print_histories()
        package, first = import_cost()
        broken += package > 50
        print(
            f"\nimport lit_metrics after torch: {package:.1f} ms CPU (bound 50), up to the first metric {first:.1f} ms"
        )
    print(f"\n{broken} bounds are broken")
    return broken if "--check" in words else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
