"""What goes together and what does not: one table, asked when a strategy is made."""

from dataclasses import dataclass
from fnmatch import fnmatchcase

_SEVERAL_PROCESSES = ("ddp*", "fsdp*", "model_parallel*")


@dataclass(frozen=True)
class Refusal:
    """A combination that does not work; each of the three is a pattern (``"ddp*"``, ``"*"``)."""

    strategy: str
    accelerator: str
    precision: str
    reason: str
    """Why, and what to write instead."""


REFUSALS: tuple[Refusal, ...] = (
    *(
        Refusal(
            strategy, "mps", "*", "Apple silicon has one GPU, which processes cannot share: strategy='single_device'."
        )
        for strategy in _SEVERAL_PROCESSES
    ),
    Refusal(
        "*",
        "mps",
        "64-true",
        "The GPU of Apple silicon does not know float64: accelerator='cpu', or precision='32-true'.",
    ),
    Refusal(
        "*",
        "mps",
        "float8-mixed",
        "The GPU of Apple silicon does not know float8: precision='bf16-mixed'.",
    ),
)
"""The table."""

STRATEGY_NAMES = ("single_device", "dp", "ddp", "ddp2", "fsdp", "model_parallel")
ACCELERATOR_NAMES = ("cpu", "cuda", "mps")
PRECISION_NAMES = ("32-true", "64-true", "16-true", "bf16-true", "16-mixed", "bf16-mixed", "float8-mixed")


def find_refusal(strategy: str, accelerator: str, precision: str) -> Refusal | None:
    """The first row that refuses the combination, None if it works.

    Example:
        >>> find_refusal("ddp", "cpu", "32-true") is None
        True
        >>> find_refusal("ddp_spawn", "mps", "32-true").reason
        "Apple silicon has one GPU, which processes cannot share: strategy='single_device'."
    """
    for row in REFUSALS:
        asked = ((strategy, row.strategy), (accelerator, row.accelerator), (precision, row.precision))
        if all(fnmatchcase(name, pattern) for name, pattern in asked):
            return row
    return None


def check_combination(strategy: str, accelerator: str, precision: str) -> None:
    """Refuse what does not go together.

    Raises:
        ValueError: with the reason and what to write instead.
    """
    refusal = find_refusal(strategy, accelerator, precision)
    if refusal is not None:
        raise ValueError(
            f"strategy={strategy!r}, accelerator={accelerator!r} and precision={precision!r} do not go together. "
            f"{refusal.reason}"
        )


def capability_table() -> str:
    """The strategies (rows) and precisions (columns) with the accelerators on which they work together, as text.

    Example:
        >>> print(capability_table().splitlines()[0].split()[:3])
        ['strategy', '32-true', '64-true']
    """
    header = ["strategy", *PRECISION_NAMES]
    rows = [[strategy, *(_where(strategy, precision) for precision in PRECISION_NAMES)] for strategy in STRATEGY_NAMES]
    widths = [max(len(row[column]) for row in [header, *rows]) for column in range(len(header))]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) for row in [header, *rows]]
    return "\n".join(line.rstrip() for line in lines)


def _where(strategy: str, precision: str) -> str:
    works = [name for name in ACCELERATOR_NAMES if find_refusal(strategy, name, precision) is None]
    return " ".join(works) or "-"
