"""How the benchmark of metrics measures, and the table it prints."""

from __future__ import annotations

import importlib
import importlib.util
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

Call = Callable[[], Any]


@dataclass
class Case:
    """One row: what it costs beside plain torch, beside peers, or both.

    Args:
        what: Name of the row.
        ours: The call that is measured.
        plain: The same in hand-written torch.
        bound: How many times the cost of `plain` it may cost.
        peers: The same by other libraries, by their name.
        faster: How many times the cost of torchmetrics it saves at least.
    """

    what: str
    ours: Call
    plain: Call | None = None
    bound: float | None = None
    peers: dict[str, Call] = field(default_factory=dict)
    faster: float | None = None


def peer(name: str) -> Any:
    """Returns the module, or None if it is not installed."""
    return importlib.import_module(name) if importlib.util.find_spec(name.split(".")[0]) else None


def micros(calls: Sequence[Call], rounds: int = 25, budget: float = 0.5) -> list[float]:
    """Least microseconds of thread time of each call, measured in turns so that a busy machine hits all alike.

    Args:
        calls: What to measure.
        rounds: Turns of each call.
        budget: Seconds for one call; one that needs more takes fewer turns, at least two.
    """
    numbers, turns = [], []
    for call in calls:
        call()
        number, spent = 1, _spent(call, 1)
        while spent < 1e-3:
            number *= 2
            spent = min(_spent(call, number), _spent(call, number))  # the first may find cold caches
        numbers.append(number)
        turns.append(max(2, min(rounds, int(budget / spent))))
    least = [float("inf")] * len(calls)
    for turn in range(rounds):
        for i, call in enumerate(calls):
            if turn < turns[i]:
                least[i] = min(least[i], _spent(call, numbers[i]) / numbers[i])
    return [seconds * 1e6 for seconds in least]


def _spent(call: Call, number: int) -> float:
    start = time.thread_time()
    for _ in range(number):
        call()
    return time.thread_time() - start


def print_table(title: str, cases: Sequence[Case]) -> int:
    """Measures and prints the rows; returns how many bounds are broken."""
    broken = 0
    print(f"\n{title:58s} {'plain us':>10s} {'lit us':>10s} {'x plain':>8s} {'bound':>6s}  peers, to lit (bound)")
    for case in cases:
        cost, *rest = micros([case.ours, case.plain] if case.plain else [case.ours])
        base = rest[0] if case.plain else None
        # Not in turns with ours: what needs much memory leaves cold caches to what runs next.
        beside = dict(zip(case.peers, (spent / cost for spent in micros(list(case.peers.values()))), strict=True))
        late = base is not None and case.bound is not None and cost / base > case.bound
        slow = case.faster is not None and beside.get("torchmetrics", case.faster) < case.faster
        broken += late + slow
        ratio = "" if base is None else f"{cost / base:.2f}"
        shown = [f"{name} {times:.1f}x" for name, times in beside.items()]
        shown += [f"(>= {case.faster:.0f}x)"] if case.faster is not None else []
        print(
            f"{case.what:58s} {'' if base is None else f'{base:.1f}':>10s} {cost:10.1f} {ratio:>8s}"
            f" {'' if case.bound is None else f'{case.bound:.1f}':>6s}  {'  '.join(shown)}"
            + ("  BROKEN" if late or slow else "")
        )
    return broken
