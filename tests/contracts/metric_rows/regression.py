"""Rows of the regression metrics; the references are formulas in numpy, scikit-learn and scipy stand in the tests."""

from __future__ import annotations

from collections.abc import Callable
from itertools import combinations
from typing import Any

import numpy as np
import torch

import lit_metrics as lm
from tests.contracts.metric_rows.row import Row, outputs, values

Array = np.ndarray[Any, Any]
Data = Callable[[torch.Generator, int], tuple[Any, ...]]


def by_numpy(formula: Callable[..., Any]) -> Callable[..., Any]:
    return lambda *inputs: formula(*(x.double().numpy() for x in inputs))


def per_output(formula: Callable[..., Any]) -> Callable[..., Any]:
    return lambda p, t: np.array([formula(p[:, i], t[:, i]) for i in range(p.shape[1])])


def weighted(data: Data) -> Data:
    return lambda g, n: (*data(g, n), torch.rand(n, generator=g))


def repeated(data: Data) -> Data:
    return lambda g, n: (*data(g, n), torch.randint(4, (n,), generator=g))


def repeat(formula: Callable[..., Any]) -> Callable[..., Any]:
    return lambda p, t, w: formula(np.repeat(p, w.astype(int), 0), np.repeat(t, w.astype(int), 0))


def positive(g: torch.Generator, n: int) -> tuple[Any, ...]:
    return torch.rand(n, generator=g) + 0.1, torch.rand(n, generator=g) + 0.1


def offset(g: torch.Generator, n: int) -> tuple[Any, ...]:
    target = torch.randn(n, generator=g).double()
    return target + torch.randn(n, generator=g).double() + 1e6, target + 1e6


def tied(g: torch.Generator, n: int) -> tuple[Any, ...]:
    return torch.randint(4, (n,), generator=g), torch.randint(3, (n,), generator=g).float()


def tied_outputs(g: torch.Generator, n: int) -> tuple[Any, ...]:
    return torch.randint(4, (n, 2), generator=g).float(), torch.randint(3, (n, 2), generator=g)


def distributions(g: torch.Generator, n: int) -> tuple[Any, ...]:
    return torch.rand(n, 4, generator=g) + 0.1, torch.rand(n, 4, generator=g) + 0.1


def log_distributions(g: torch.Generator, n: int) -> tuple[Any, ...]:
    return tuple(torch.randn(n, 4, generator=g).double().log_softmax(1) for _ in range(2))


def ensembles(g: torch.Generator, n: int) -> tuple[Any, ...]:
    return torch.randn(n, 5, generator=g), torch.randn(n, generator=g)


def fields(g: torch.Generator, n: int) -> tuple[Any, ...]:
    return torch.rand(n, 3, 4, generator=g), torch.rand(n, 3, 4, generator=g)


def mape(p: Array, t: Array) -> Any:
    return np.mean(abs(p - t) / abs(t))


def smape(p: Array, t: Array) -> Any:
    return np.mean(2 * abs(p - t) / (abs(p) + abs(t)))


def wmape(p: Array, t: Array, w: Array | float = 1.0) -> Any:
    return np.sum(w * abs(p - t)) / np.sum(w * abs(t))


def msle(p: Array, t: Array) -> Any:
    return np.mean((np.log(1 + p) - np.log(1 + t)) ** 2)


def cosine(p: Array, t: Array) -> Any:
    return np.sum(p * t, 1) / np.sqrt(np.sum(p * p, 1) * np.sum(t * t, 1))


def kl(p: Array, q: Array) -> Any:
    p, q = p / p.sum(1, keepdims=True), q / q.sum(1, keepdims=True)
    return np.sum(p * np.log(p / q), 1)


def js(p: Array, q: Array) -> Any:
    p, q = p / p.sum(1, keepdims=True), q / q.sum(1, keepdims=True)
    return (kl(p, (p + q) / 2) + kl(q, (p + q) / 2)) / 2


def rse(p: Array, t: Array) -> Any:
    return np.sum((p - t) ** 2, 0) / np.sum((t - t.mean(0)) ** 2, 0)


def r2(p: Array, t: Array) -> Any:
    return 1 - rse(p, t)


def weighted_r2(p: Array, t: Array, w: Array) -> Any:
    return 1 - np.sum(w * (p - t) ** 2) / np.sum(w * (t - np.average(t, weights=w)) ** 2)


def pearson(p: Array, t: Array) -> Any:
    return np.corrcoef(p, t)[0, 1]


def concordance(p: Array, t: Array) -> Any:
    return 2 * np.cov(p, t)[0, 1] / (p.var(ddof=1) + t.var(ddof=1) + (p.mean() - t.mean()) ** 2)


def ranks(x: Array) -> Any:
    return (x[:, None] > x).sum(1) + (x[:, None] == x).sum(1) / 2


def spearman(p: Array, t: Array) -> Any:
    return pearson(ranks(p), ranks(t))


def kendall_b(p: Array, t: Array) -> Any:
    pairs = list(combinations(range(len(p)), 2))
    x, y = (np.array([np.sign(a[i] - a[j]) for i, j in pairs]) for a in (p, t))
    return np.sum(x * y) / np.sqrt(np.sum(x != 0) * np.sum(y != 0))


def crps(x: Array, y: Array) -> Any:
    spread = abs(x[:, :, None] - x[:, None, :]).mean((1, 2)) / 2
    return np.mean(abs(x - y[:, None]).mean(1) - spread)


def csi(axis: tuple[int, ...]) -> Callable[..., Any]:
    return lambda p, t: np.sum((p >= 0.5) & (t >= 0.5), axis) / np.sum((p >= 0.5) | (t >= 0.5), axis)


def gamma_deviance(p: Array, t: Array) -> Any:
    return 2 * np.mean(np.log(p / t) + t / p - 1)


def row(make: Callable[[], lm.Metric], data: Data, formula: Callable[..., Any], **options: Any) -> Row:
    return Row(make, data, by_numpy(formula), options)


ROWS: dict[str, Row] = {
    "ConcordanceCorrCoef": row(lm.ConcordanceCorrCoef, offset, concordance),
    "ConcordanceCorrCoef(sample_weight)": row(lm.ConcordanceCorrCoef, repeated(values), repeat(concordance)),
    "ContinuousRankedProbabilityScore": row(lm.ContinuousRankedProbabilityScore, ensembles, crps),
    "CosineSimilarity": row(lm.CosineSimilarity, outputs, lambda p, t: cosine(p, t).sum()),
    "CosineSimilarity(mean)": row(
        lambda: lm.CosineSimilarity("mean"), weighted(outputs), lambda p, t, w: np.average(cosine(p, t), weights=w)
    ),
    "CosineSimilarity(none)": row(lambda: lm.CosineSimilarity("none"), outputs, cosine, order_matters=True),
    "CriticalSuccessIndex": row(lambda: lm.CriticalSuccessIndex(0.5), fields, csi((0, 1, 2))),
    "CriticalSuccessIndex(sequence)": row(
        lambda: lm.CriticalSuccessIndex(0.5, keep_sequence_dim=0), fields, csi((1, 2)), order_matters=True
    ),
    "ExplainedVariance": row(lm.ExplainedVariance, offset, lambda p, t: 1 - np.var(p - t) / np.var(t)),
    "ExplainedVariance(outputs)": row(
        lambda: lm.ExplainedVariance(multioutput="variance_weighted"),
        outputs,
        lambda p, t: 1 - np.var(p - t, 0).sum() / np.var(t, 0).sum(),
    ),
    "JensenShannonDivergence": row(lm.JensenShannonDivergence, distributions, lambda p, q: js(p, q).mean()),
    "JensenShannonDivergence(log_prob)": row(
        lambda: lm.JensenShannonDivergence(log_prob=True, reduction="sum"),
        log_distributions,
        lambda p, q: js(np.exp(p), np.exp(q)).sum(),
    ),
    "KLDivergence": row(lm.KLDivergence, distributions, lambda p, q: kl(p, q).mean()),
    "KLDivergence(none)": row(
        lambda: lm.KLDivergence(log_prob=True, reduction=None),
        log_distributions,
        lambda p, q: kl(np.exp(p), np.exp(q)),
        order_matters=True,
    ),
    "KendallRankCorrCoef": row(lm.KendallRankCorrCoef, tied, kendall_b),
    "KendallRankCorrCoef(outputs)": row(
        lambda: lm.KendallRankCorrCoef(num_outputs=2), tied_outputs, per_output(kendall_b)
    ),
    "KendallRankCorrCoef(sample_weight)": row(lm.KendallRankCorrCoef, repeated(tied), repeat(kendall_b)),
    "LogCoshError": row(lm.LogCoshError, values, lambda p, t: np.mean(np.log(np.cosh(p - t)))),
    "LogCoshError(outputs)": row(
        lambda: lm.LogCoshError(num_outputs=3), outputs, lambda p, t: np.mean(np.log(np.cosh(p - t)), 0)
    ),
    "MeanAbsoluteError": row(lm.MeanAbsoluteError, weighted(values), lambda p, t, w: np.average(abs(p - t), weights=w)),
    "MeanAbsoluteError(outputs)": row(
        lambda: lm.MeanAbsoluteError(num_outputs=3), outputs, lambda p, t: np.mean(abs(p - t), 0)
    ),
    "MeanAbsolutePercentageError": row(lm.MeanAbsolutePercentageError, values, mape),
    "MeanSquaredError": row(lm.MeanSquaredError, values, lambda p, t: np.mean((p - t) ** 2)),
    "MeanSquaredError(outputs)": row(
        lambda: lm.MeanSquaredError(squared=False, num_outputs=3),
        outputs,
        lambda p, t: np.sqrt(np.mean((p - t) ** 2, axis=0)),
    ),
    "MeanSquaredError(sample_weight)": row(
        lm.MeanSquaredError, weighted(values), lambda p, t, w: np.average((p - t) ** 2, weights=w)
    ),
    "MeanSquaredLogError": row(lm.MeanSquaredLogError, positive, msle),
    "MinkowskiDistance": row(lambda: lm.MinkowskiDistance(3), values, lambda p, t: np.sum(abs(p - t) ** 3) ** (1 / 3)),
    "MinkowskiDistance(inf)": row(lambda: lm.MinkowskiDistance(float("inf")), values, lambda p, t: abs(p - t).max()),
    "NormalizedRootMeanSquaredError": row(
        lm.NormalizedRootMeanSquaredError, positive, lambda p, t: np.sqrt(np.mean((p - t) ** 2)) / t.mean()
    ),
    "NormalizedRootMeanSquaredError(l2)": row(
        lambda: lm.NormalizedRootMeanSquaredError("l2"),
        outputs,
        lambda p, t: np.sqrt(np.mean((p - t) ** 2)) / np.linalg.norm(t),
    ),
    "NormalizedRootMeanSquaredError(range)": row(
        lambda: lm.NormalizedRootMeanSquaredError("range", num_outputs=3),
        outputs,
        lambda p, t: np.sqrt(np.mean((p - t) ** 2, 0)) / np.ptp(t, axis=0),
    ),
    "NormalizedRootMeanSquaredError(std)": row(
        lambda: lm.NormalizedRootMeanSquaredError("std"), offset, lambda p, t: np.sqrt(np.mean((p - t) ** 2)) / t.std()
    ),
    "PearsonCorrCoef": row(lm.PearsonCorrCoef, offset, pearson),
    "PearsonCorrCoef(outputs)": row(lambda: lm.PearsonCorrCoef(num_outputs=3), outputs, per_output(pearson)),
    "PearsonCorrCoef(sample_weight)": row(lm.PearsonCorrCoef, repeated(values), repeat(pearson)),
    "R2Score": row(lm.R2Score, offset, r2),
    "R2Score(outputs)": row(
        lambda: lm.R2Score(adjusted=2, multioutput="raw_values"), outputs, lambda p, t: 1 - (1 - r2(p, t)) * 14 / 12
    ),
    "R2Score(sample_weight)": row(lm.R2Score, weighted(values), weighted_r2),
    "RelativeSquaredError": row(lambda: lm.RelativeSquaredError(3), outputs, lambda p, t: rse(p, t).mean()),
    "SpearmanCorrCoef": row(lm.SpearmanCorrCoef, tied, spearman),
    "SpearmanCorrCoef(outputs)": row(lambda: lm.SpearmanCorrCoef(num_outputs=2), tied_outputs, per_output(spearman)),
    "SpearmanCorrCoef(sample_weight)": row(lm.SpearmanCorrCoef, repeated(tied), repeat(spearman)),
    "SymmetricMeanAbsolutePercentageError": row(lm.SymmetricMeanAbsolutePercentageError, values, smape),
    "TweedieDevianceScore": row(lambda: lm.TweedieDevianceScore(2), positive, gamma_deviance),
    "WeightedMeanAbsolutePercentageError": row(lm.WeightedMeanAbsolutePercentageError, values, wmape),
    "WeightedMeanAbsolutePercentageError(sample_weight)": row(
        lm.WeightedMeanAbsolutePercentageError, weighted(values), wmape
    ),
}

for name in ("JensenShannonDivergence", "KLDivergence", "TweedieDevianceScore"):
    ROWS[name].bad = lambda p, q: [(-p, q), (p, -q)]
