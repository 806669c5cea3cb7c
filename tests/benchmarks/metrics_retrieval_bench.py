"""What retrieval metrics cost for 2000 queries of 20; run `python tests/benchmarks/metrics_retrieval_bench.py`.

Beside torchmetrics where it is importable; the bound is how many times faster than it. `--check` makes a broken bound
an error.
"""

from __future__ import annotations

import sys
import time
import warnings
from typing import Any

import torch
from metrics_bench import peer

import lit_metrics as lm


def milliseconds(metric: Any, data: tuple[torch.Tensor, ...], rounds: int) -> float:
    """Least thread time of `compute` after one update."""
    times = []
    for _ in range(rounds):
        metric.reset()
        metric.update(*data)
        start = time.thread_time()
        metric.compute()
        times.append(time.thread_time() - start)
    return min(times) * 1e3


def main(check: bool) -> int:
    """Prints the table; returns how many bounds are broken if they are to be checked."""
    torch.set_num_threads(1)
    torch.manual_seed(0)
    warnings.simplefilter("ignore")
    theirs = peer("torchmetrics.retrieval")
    queries, documents = 2000, 20
    data = (
        torch.rand(queries * documents),
        torch.randint(2, (queries * documents,)),
        torch.arange(queries).repeat_interleave(documents),
    )
    cases: list[tuple[str, dict[str, Any], float | None]] = [
        ("RetrievalMAP", {}, 20.0),
        ("RetrievalNormalizedDCG", {}, 20.0),
        ("RetrievalAUROC", {}, 20.0),
        ("RetrievalMRR", {}, None),
        ("RetrievalPrecision", {"top_k": 5}, None),
        ("RetrievalHitRate", {"top_k": 5}, None),
    ]
    broken = 0
    print(f"{'what':30s} {'lit ms':>8s} {'tied ms':>8s} {'torchmetrics ms':>16s} {'faster':>7s} {'bound':>6s}")
    for name, options, bound in cases:
        ours = milliseconds(getattr(lm, name)(**options), data, 9)
        tied = milliseconds(getattr(lm, name)(**options), ((10 * data[0]).round(), *data[1:]), 9)
        line = f"{name:30s} {ours:8.2f} {tied:8.2f}"
        if theirs:
            spent = milliseconds(getattr(theirs, name)(**options), data, 3)
            broken += bound is not None and spent / ours < bound
            line += f" {spent:16.2f} {spent / ours:7.1f} {'' if bound is None else bound:>6}"
        print(line)
    return broken if check else 0


if __name__ == "__main__":
    sys.exit(main("--check" in sys.argv))
