"""What metrics of values cost, beside the same written by hand.

The hand-written Pearson keeps the sums that a stable one needs: counts, means and centred sums, merged batch by batch.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch

import lit_metrics as lm
import lit_metrics.functional as F
from tests.benchmarks.metrics_table import Call, Case

if TYPE_CHECKING:
    from collections.abc import Callable


def peers(
    make: Callable[[Any], Any], preds: torch.Tensor, target: torch.Tensor, tm: Any
) -> tuple[dict[str, Call], dict[str, Call]]:
    """Returns update and forward of the metric that `make` gives from torchmetrics."""
    if not tm:
        return {}, {}
    theirs = make(tm)
    return {"torchmetrics": lambda: theirs.update(preds, target)}, {"torchmetrics": lambda: theirs(preds, target)}


def squared_error_cases(n: int, d: int, tm: Any, te: Any) -> list[Case]:
    """Mean squared error of values (n, d)."""
    preds, target = torch.randn(n, d), torch.randn(n, d)
    error, total = torch.tensor(0.0, dtype=torch.float64), torch.tensor(0)

    def plain() -> None:
        error.add_((preds - target).double().square().sum())
        total.add_(target.numel())

    def plain_forward() -> torch.Tensor:
        batch = (preds - target).double().square().sum()
        error.add_(batch)
        total.add_(target.numel())
        return batch / target.numel()

    ours = lm.MeanSquaredError()
    update, forward = peers(lambda m: m.MeanSquaredError(), preds, target, tm)
    if te:
        theirs = te.MeanSquaredError()
        update["torcheval"] = lambda: theirs.update(preds, target)
    return [
        Case(f"MSE update {n}x{d}", lambda: ours.update(preds, target), plain, 2.0, update),
        Case(f"MSE forward {n}x{d}", lambda: ours(preds, target), plain_forward, 3.0, forward),
    ]


class PlainPearson:
    """Chan's update of means and centred sums, as one writes it by hand."""

    def __init__(self, d: int) -> None:
        self.n = torch.tensor(0, dtype=torch.float64)
        self.mean_x, self.mean_y = (torch.zeros(d, dtype=torch.float64) for _ in range(2))
        self.xx, self.yy, self.xy = (torch.zeros(d, dtype=torch.float64) for _ in range(3))

    def update(self, x: torch.Tensor, y: torch.Tensor) -> tuple[torch.Tensor, ...]:
        x, y = x.double(), y.double()
        n = x.shape[0]
        mean_x, mean_y = x.mean(0), y.mean(0)
        dx, dy = x - mean_x, y - mean_y
        xx, yy, xy = (dx * dx).sum(0), (dy * dy).sum(0), (dx * dy).sum(0)
        total = self.n + n
        gap_x, gap_y = mean_x - self.mean_x, mean_y - self.mean_y
        share = self.n * n / total
        self.xx += xx + gap_x * gap_x * share
        self.yy += yy + gap_y * gap_y * share
        self.xy += xy + gap_x * gap_y * share
        self.mean_x += gap_x * n / total
        self.mean_y += gap_y * n / total
        self.n = total
        return xx, yy, xy

    def forward(self, x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        xx, yy, xy = self.update(x, y)
        return xy / (xx * yy).sqrt()


def pearson_cases(n: int, d: int, tm: Any) -> list[Case]:
    """Pearson's correlation of values (n, d)."""
    preds, target = torch.randn(n, d), torch.randn(n, d)
    plain, ours = PlainPearson(d), lm.PearsonCorrCoef(num_outputs=d)
    several = lm.MetricCollection(
        [ours.clone(), lm.ConcordanceCorrCoef(d), lm.R2Score(num_outputs=d), lm.ExplainedVariance(num_outputs=d)]
    )
    update, forward = peers(lambda m: m.PearsonCorrCoef(num_outputs=d), preds, target, tm)
    return [
        Case(
            f"Pearson update {n}x{d}",
            lambda: ours.update(preds, target),
            lambda: plain.update(preds, target),
            2.0,
            update,
        ),
        Case(
            f"Pearson forward {n}x{d}", lambda: ours(preds, target), lambda: plain.forward(preds, target), 3.0, forward
        ),
        Case(
            f"Pearson, concordance, R2, explained variance update {n}x{d}",
            lambda: several.update(preds, target),
            lambda: plain.update(preds, target),
            2.0,
        ),
    ]


def kendall_case(n: int, tm: Any) -> Case:
    """Kendall's correlation, to one sort of its input."""
    preds, target = torch.randn(n), torch.randn(n)
    others = {"torchmetrics": lambda: tm.functional.kendall_rank_corrcoef(preds, target)} if tm else {}
    return Case(f"Kendall {n}, to one sort", lambda: F.kendall_rank_corrcoef(preds, target), preds.sort, 60.0, others)


def cases(tm: Any, te: Any) -> list[Case]:
    """Small batches, and one long column."""
    small = squared_error_cases(32, 10, tm, te) + pearson_cases(32, 10, tm)
    return [*small, *squared_error_cases(4096, 1, tm, te), *pearson_cases(4096, 1, tm), kendall_case(5000, tm)]
