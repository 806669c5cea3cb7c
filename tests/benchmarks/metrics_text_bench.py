"""What text metrics cost on small corpora; run `python tests/benchmarks/metrics_text_bench.py`.

Beside torchmetrics where it is importable; the bound is how many times faster than it. `--check` makes a broken bound
an error.
"""

from __future__ import annotations

import random
import sys
import time
import warnings
from typing import TYPE_CHECKING

import torch
from metrics_bench import peer

import lit_metrics.functional as F

if TYPE_CHECKING:
    from collections.abc import Callable


def corpus(sentences: int, words: int) -> tuple[list[str], list[str]]:
    """Predictions and references of random words; every other prediction is its reference with a tenth changed."""
    rng = random.Random(0)
    vocabulary = [f"w{i}" for i in range(500)]
    target = [rng.choices(vocabulary, k=words) for _ in range(sentences)]
    preds = [
        [rng.choice(vocabulary) if i % 2 or rng.random() < 0.1 else word for word in line]
        for i, line in enumerate(target)
    ]
    return [" ".join(line) for line in preds], [" ".join(line) for line in target]


def milliseconds(call: Callable[[], object], rounds: int) -> float:
    """Least thread time of a call."""
    times = []
    for _ in range(rounds):
        start = time.thread_time()
        call()
        times.append(time.thread_time() - start)
    return min(times) * 1e3


def main(check: bool) -> int:
    """Prints the table; returns how many bounds are broken if they are to be checked."""
    torch.set_num_threads(1)
    warnings.simplefilter("ignore")
    theirs = peer("torchmetrics.functional.text")
    preds, target = corpus(200, 30)
    lists = [[line] for line in target]
    cases: list[tuple[str, int, bool, float | None]] = [
        ("word_error_rate", 200, False, 10.0),
        ("char_error_rate", 60, False, 10.0),
        ("edit_distance", 30, False, 10.0),
        ("match_error_rate", 200, False, None),
        ("bleu_score", 200, True, 10.0),
        ("sacre_bleu_score", 200, True, 10.0),
        ("chrf_score", 60, True, None),
        ("translation_edit_rate", 30, True, None),
        ("extended_edit_distance", 10, True, None),
    ]
    broken = 0
    print(f"{'what':30s} {'texts':>6s} {'lit ms':>8s} {'torchmetrics ms':>16s} {'faster':>7s} {'bound':>6s}")
    for name, count, several, bound in cases:
        data = preds[:count], (lists if several else target)[:count]
        ours = milliseconds(lambda name=name, data=data: getattr(F, name)(*data), 5)
        line = f"{name:30s} {count:6d} {ours:8.2f}"
        if theirs:
            spent = milliseconds(lambda name=name, data=data: getattr(theirs, name)(*data), 2)
            broken += bound is not None and spent / ours < bound
            line += f" {spent:16.2f} {spent / ours:7.1f} {'' if bound is None else bound:>6}"
        print(line)
    return broken if check else 0


if __name__ == "__main__":
    sys.exit(main("--check" in sys.argv))
