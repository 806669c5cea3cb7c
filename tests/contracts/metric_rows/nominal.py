"""Rows of the metrics of nominal variables."""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np
import torch

import lit_metrics as lm
from tests.contracts.metric_rows.row import Row, bad_labels


def categories(g: torch.Generator, n: int) -> tuple[Any, ...]:
    return torch.randint(3, (n,), generator=g), torch.randint(4, (n,), generator=g)


def with_gaps(g: torch.Generator, n: int) -> tuple[Any, ...]:
    p, t = (x.double() for x in categories(g, n))
    return torch.where(torch.rand(n, generator=g) < 0.2, torch.nan, p), t


def counts(g: torch.Generator, n: int) -> tuple[Any, ...]:
    return (torch.nn.functional.one_hot(torch.randint(3, (n, 4), generator=g), 3).sum(1),)


def chances(g: torch.Generator, n: int) -> tuple[Any, ...]:
    return (torch.rand(n, 3, 4, generator=g),)


def phi_squared(p: torch.Tensor, t: torch.Tensor) -> tuple[float, int, int]:
    n, pairs = len(p), Counter(zip(p.tolist(), t.tolist(), strict=True))
    rows, columns = Counter(p.tolist()), Counter(t.tolist())
    chi = sum((pairs[i, j] - a * b / n) ** 2 / (a * b / n) for i, a in rows.items() for j, b in columns.items())
    return chi / n, len(rows), len(columns)


def corrected(p: torch.Tensor, t: torch.Tensor) -> tuple[float, float, float]:
    phi, r, c = phi_squared(p, t)
    n = len(p)
    return max(0.0, phi - (r - 1) * (c - 1) / (n - 1)), r - (r - 1) ** 2 / (n - 1), c - (c - 1) ** 2 / (n - 1)


def cramer(p: torch.Tensor, t: torch.Tensor) -> float:
    phi, r, c = corrected(p, t)
    return float(np.sqrt(phi / (min(r, c) - 1)))


def tschuprow(p: torch.Tensor, t: torch.Tensor) -> float:
    phi, r, c = phi_squared(p, t)
    return float(np.sqrt(phi / np.sqrt((r - 1) * (c - 1))))


def pearson(p: torch.Tensor, t: torch.Tensor) -> float:
    phi, _, _ = phi_squared(p, t)
    return float(np.sqrt(phi / (1 + phi)))


def uncertainty(p: torch.Tensor, t: torch.Tensor) -> float:
    keep = ~p.isnan() if p.is_floating_point() else torch.ones_like(p, dtype=torch.bool)
    p, t = p[keep], t[keep]
    n, alone = len(p), Counter(p.tolist())
    given, pairs = Counter(t.tolist()), Counter(zip(p.tolist(), t.tolist(), strict=True))
    entropy = -sum(k / n * np.log(k / n) for k in alone.values())
    conditional = -sum(k / n * np.log(k / given[j]) for (_, j), k in pairs.items())
    return (entropy - conditional) / entropy


def kappa(ratings: torch.Tensor) -> float:
    x = ratings.numpy().astype(float)
    raters = x.sum(1)[0]
    agreement = np.mean((x * (x - 1)).sum(1) / (raters * (raters - 1)))
    chance = ((x.sum(0) / x.sum()) ** 2).sum()
    return (agreement - chance) / (1 - chance)


ROWS: dict[str, Row] = {
    "CramersV": Row(lambda: lm.CramersV(4), categories, cramer),
    "FleissKappa": Row(lm.FleissKappa, counts, kappa),
    "FleissKappa(probs)": Row(
        lambda: lm.FleissKappa("probs"),
        chances,
        lambda x: kappa(torch.nn.functional.one_hot(x.argmax(1), 3).sum(1)),
        {"dtypes": (torch.float64,)},
    ),
    "PearsonsContingencyCoefficient": Row(lambda: lm.PearsonsContingencyCoefficient(4), categories, pearson),
    "TheilsU": Row(lambda: lm.TheilsU(4), categories, uncertainty),
    "TheilsU(nan)": Row(lambda: lm.TheilsU(4, nan_strategy="drop"), with_gaps, uncertainty),
    "TschuprowsT": Row(lambda: lm.TschuprowsT(4, bias_correction=False), categories, tschuprow),
}

for name, one_row in ROWS.items():
    if "(" not in name and name != "FleissKappa":
        one_row.bad = bad_labels
ROWS["FleissKappa"].bad = lambda ratings: [(-ratings,), (ratings + torch.arange(len(ratings))[:, None],)]
