"""How the benchmark of metrics measures, and the table it prints."""

from __future__ import annotations

import importlib
import importlib.util
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

Call = Callable[[], Any]
TURN_S = 4e-3


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


def in_turns(calls: Sequence[Call], budget: float = 0.6) -> list[list[float]]:
    """Microseconds of thread time of each call, round by round.

    In a round every call has one turn of a few milliseconds, so that a machine whose speed changes within a second hits
    all alike: what is compared is what stands in one round. The first sixth of a turn is not counted: there a call pays
    for the caches that the other one left behind.

    Args:
        calls: What to measure.
        budget: Seconds for each call; there are at least five rounds and at most 100.
    """
    numbers, longest = [], 0.0
    for call in calls:
        call()
        number, spent = 1, _spent(call, 1)
        while spent < TURN_S:
            number *= 2
            spent = _spent(call, number)
        numbers.append(number)
        longest = max(longest, spent)
    rounds = max(5, min(100, int(budget / longest)))
    return [[_spent(*turn) / turn[1] * 1e6 for turn in zip(calls, numbers, strict=True)] for _ in range(rounds)]


def _spent(call: Call, number: int) -> float:
    for _ in range(number // 6):
        call()
    start = time.thread_time()
    for _ in range(number):
        call()
    return time.thread_time() - start


def compare(ours: Call, *others: Call) -> tuple[float, list[float], list[float]]:
    """Medians over rounds: microseconds of our call, of the others, and how many times theirs ours costs."""
    rounds = in_turns([ours, *others])
    cost, *costs = (statistics.median(spent) for spent in zip(*rounds, strict=True))
    ratios = [statistics.median(spent[0] / spent[i] for spent in rounds) for i in range(1, len(others) + 1)]
    return cost, costs, ratios


def print_table(title: str, cases: Sequence[Case]) -> int:
    """Measures and prints the rows; returns how many bounds are broken."""
    broken = 0
    print(f"\n{title:58s} {'plain us':>10s} {'lit us':>10s} {'x plain':>8s} {'bound':>6s}  peers, to lit (bound)")
    control = next(
        (Case("control: the first hand-written row, to itself", c.plain, c.plain) for c in cases if c.plain), None
    )
    for case in [control, *cases] if control else cases:
        cost, costs, ratios = compare(case.ours, *[case.plain] if case.plain else [])
        base, times_plain = (costs[0], ratios[0]) if case.plain else (None, None)
        # Not among the turns of the bound: what needs much memory leaves cold caches to what runs next.
        beside = {name: 1 / compare(case.ours, call)[2][0] for name, call in case.peers.items()}
        late = times_plain is not None and case.bound is not None and times_plain > case.bound
        slow = case.faster is not None and beside.get("torchmetrics", case.faster) < case.faster
        broken += late + slow
        ratio = "" if times_plain is None else f"{times_plain:.2f}"
        shown = [f"{name} {times:.1f}x" for name, times in beside.items()]
        shown += [f"(>= {case.faster:.0f}x)"] if case.faster is not None else []
        print(
            f"{case.what:58s} {'' if base is None else f'{base:.1f}':>10s} {cost:10.1f} {ratio:>8s}"
            f" {'' if case.bound is None else f'{case.bound:.1f}':>6s}  {'  '.join(shown)}"
            + ("  BROKEN" if late or slow else "")
        )
    return broken
