"""What regression metrics cost, as ratios to hand-written torch; `python tests/benchmarks/metrics_regression_bench.py`.

`--check` makes a broken bound an error. The hand-written Pearson keeps the sums that a stable one needs: counts, means
and centred sums, merged batch by batch.
"""

from __future__ import annotations

import sys
import warnings
from pathlib import Path
from typing import Any

import torch

import lit_metrics as lm
import lit_metrics.functional as F

sys.path.insert(0, str(Path(__file__).parent))

from metrics_bench import Case, micros, peer


def squared_error_cases(n: int, d: int, tm: Any) -> list[Case]:
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
    theirs = tm.MeanSquaredError() if tm else None
    return [
        (
            f"MSE update {n}x{d}",
            plain,
            lambda: ours.update(preds, target),
            2.0,
            {"torchmetrics": lambda: theirs.update(preds, target)} if theirs else {},
        ),
        (
            f"MSE forward {n}x{d}",
            plain_forward,
            lambda: ours(preds, target),
            3.0,
            {"torchmetrics": lambda: theirs(preds, target)} if theirs else {},
        ),
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
    theirs = tm.PearsonCorrCoef(num_outputs=d) if tm else None
    return [
        (
            f"Pearson update {n}x{d}",
            lambda: plain.update(preds, target),
            lambda: ours.update(preds, target),
            2.0,
            {"torchmetrics": lambda: theirs.update(preds, target)} if theirs else {},
        ),
        (
            f"Pearson forward {n}x{d}",
            lambda: plain.forward(preds, target),
            lambda: ours(preds, target),
            3.0,
            {"torchmetrics": lambda: theirs(preds, target)} if theirs else {},
        ),
        (
            f"Pearson, concordance, R2, explained variance update {n}x{d}",
            lambda: plain.update(preds, target),
            lambda: several.update(preds, target),
            2.0,
            {},
        ),
    ]


def kendall_case(n: int, tm: Any) -> Case:
    """Kendall's correlation against one sort of its input."""
    preds, target = torch.randn(n), torch.randn(n)
    others = {"torchmetrics": lambda: tm.functional.kendall_rank_corrcoef(preds, target)} if tm and n <= 5000 else {}
    return (f"Kendall {n}", preds.sort, lambda: F.kendall_rank_corrcoef(preds, target), 60.0, others)


def main(check: bool) -> int:
    """Prints the table; returns how many bounds are broken if they are to be checked."""
    torch.set_num_threads(1)
    torch.manual_seed(0)
    warnings.simplefilter("ignore")
    tm = peer("torchmetrics")
    cases = squared_error_cases(32, 10, tm) + pearson_cases(32, 10, tm) + pearson_cases(4096, 1, tm)
    cases += [kendall_case(5000, tm)]
    broken = 0
    print(f"{'what':62s} {'plain us':>9s} {'lit us':>9s} {'ratio':>6s} {'bound':>6s}  peers")
    for name, plain, ours, bound, others in cases:
        base, cost, *rest = micros([plain, ours, *others.values()])
        beside = "  ".join(f"{other} {spent / base:.1f}x" for other, spent in zip(others, rest, strict=True))
        broken += cost / base > bound
        print(f"{name:62s} {base:9.1f} {cost:9.1f} {cost / base:6.2f} {bound:6.1f}  {beside}")
    return broken if check else 0


if __name__ == "__main__":
    sys.exit(main("--check" in sys.argv))
