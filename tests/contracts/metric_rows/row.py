"""What a row of the table of metrics is, and the data that several families share."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import torch

if TYPE_CHECKING:
    from collections.abc import Callable

    import lit_metrics as lm

SIZES = (5, 3, 6, 1)


def batches(make: Callable[[torch.Generator, int], tuple[Any, ...]]) -> list[tuple[Any, ...]]:
    generator = torch.Generator().manual_seed(1)
    return [make(generator, n) for n in SIZES]


def scores(k: int) -> Callable[[torch.Generator, int], tuple[Any, ...]]:
    return lambda g, n: (torch.randn(n, k, generator=g), torch.randint(k, (n,), generator=g))


def binary(g: torch.Generator, n: int) -> tuple[Any, ...]:
    return torch.rand(n, generator=g), torch.randint(2, (n,), generator=g)


def logits(g: torch.Generator, n: int) -> tuple[Any, ...]:
    return 5 * torch.randn(n, generator=g), torch.randint(2, (n,), generator=g)


def labels(g: torch.Generator, n: int) -> tuple[Any, ...]:
    return torch.rand(n, 4, generator=g), torch.randint(2, (n, 4), generator=g)


def values(g: torch.Generator, n: int) -> tuple[Any, ...]:
    return torch.randn(n, generator=g), torch.randn(n, generator=g)


def outputs(g: torch.Generator, n: int) -> tuple[Any, ...]:
    return torch.randn(n, 3, generator=g), torch.randn(n, 3, generator=g)


def one_value(g: torch.Generator, n: int) -> tuple[Any, ...]:
    return (torch.randn(n, generator=g),)


def weighted(g: torch.Generator, n: int) -> tuple[Any, ...]:
    return torch.randn(n, generator=g), torch.rand(n, generator=g)


@dataclass
class Row:
    """One metric: how to make it, what to feed it, what to expect of all batches together."""

    make: Callable[[], lm.Metric]
    data: Callable[[torch.Generator, int], tuple[Any, ...]]
    reference: Callable[..., Any] | None = None
    options: dict[str, Any] = field(default_factory=dict)
    bad: Callable[..., list[tuple[Any, ...]]] | None = None
    """Makes batches of wrong values out of a right one."""


def bad_labels_or_scores(preds: torch.Tensor, target: torch.Tensor, *more: Any) -> list[tuple[Any, ...]]:
    if not preds.is_floating_point():
        return [(preds + 1000, target, *more), (preds, target - 1000, *more)]
    unordered = torch.full_like(preds, torch.nan)
    return [(preds, target + 1000, *more), (preds, target - 1000, *more), (unordered, target, *more)]


def bad_labels(preds: torch.Tensor, target: torch.Tensor, *more: Any) -> list[tuple[Any, ...]]:
    return [(preds + 1000, target, *more), (preds, target - 1000, *more)]


ORDERED = {"order_matters": True}
