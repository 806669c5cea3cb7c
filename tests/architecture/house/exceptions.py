"""Every place where a rule of the house does not hold, with the reason. One that is no longer needed fails a test."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

from house.source import Violation


@dataclass(frozen=True)
class Allowed:
    """How many violations of one rule one place may have, and why."""

    reason: str
    count: int = 1


EXCEPTIONS: dict[tuple[str, str], Allowed] = {
    ("private_reads", "lit_accelerators/strategies/_reducer.py"): Allowed(
        "torch's Reducer has no public way to prepare it for one backward pass; tests run it on every torch we support",
        count=3,
    ),
    ("foreign_writes", "lit_accelerators/_workers.py"): Allowed(
        "what workers do first is an attribute of their DataLoader; it is exchanged, and put back, while they start",
        count=2,
    ),
    ("foreign_writes", "lit_metrics/_lazy.py"): Allowed(
        "a package's module gets a class of its own, so that a sub-module does not hide the function of its name"
    ),
    ("ranks", "lit_checkpoint/group.py"): Allowed(
        "processes that save one checkpoint together must agree, also where no lit_accelerators is: decision 13"
    ),
}
"""By rule (the function's name) and place (a file, or file:name), as the violation gives them."""

LONG_FILES: dict[str, tuple[int, str]] = {}
"""Limit and reason, by file."""

LONG_FUNCTIONS: dict[str, tuple[int, str]] = {}
"""Limit and reason, by file:function."""


def remaining(rule: str, violations: Iterable[Violation], table: dict[tuple[str, str], Allowed]) -> list[Violation]:
    """The violations that the table does not allow; all of a place when there are more than it allows."""
    found = list(violations)
    counts = Counter(violation.place for violation in found)
    allowed = {place: entry.count for (name, place), entry in table.items() if name == rule}
    return [violation for violation in found if counts[violation.place] > allowed.get(violation.place, 0)]


def unneeded(rule: str, violations: Iterable[Violation], table: dict[tuple[str, str], Allowed]) -> list[str]:
    """Entries of the table for ``rule`` that allow more than there is."""
    counts = Counter(violation.place for violation in violations)
    return [f"{rule} {place}" for (name, place), entry in table.items() if name == rule and counts[place] < entry.count]
