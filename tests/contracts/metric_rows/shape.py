"""Rows of the shape metrics."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

import lit_metrics as lm
from tests.contracts.metric_rows.row import Row


def clouds(g: torch.Generator, n: int) -> tuple[Any, ...]:
    return torch.randn(n, 6, 3, generator=g), torch.randn(n, 6, 3, generator=g)


def disparities(first: torch.Tensor, second: torch.Tensor) -> list[float]:
    found = []
    for a, b in zip(first.double().numpy(), second.double().numpy(), strict=True):
        a, b = ((x - x.mean(0)) / np.linalg.norm(x - x.mean(0)) for x in (a, b))
        found.append(1 - np.linalg.svd(a.T @ b, compute_uv=False).sum() ** 2)
    return found


ROWS: dict[str, Row] = {
    "ProcrustesDisparity": Row(lm.ProcrustesDisparity, clouds, lambda a, b: np.mean(disparities(a, b))),
    "ProcrustesDisparity(sum)": Row(
        lambda: lm.ProcrustesDisparity("sum"), clouds, lambda a, b: np.sum(disparities(a, b))
    ),
}
