"""Rows of the metrics that rank scores, and of those that read probabilities."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import torch

import lit_metrics as lm
from tests.contracts.metric_rows.row import Row, bad_labels_or_scores, binary, labels, logits, scores

if TYPE_CHECKING:
    from collections.abc import Callable

Array = Any
GRID = [0.0, 0.2, 0.45, 0.7, 1.0]


def probabilities(k: int) -> Callable[[torch.Generator, int], tuple[Any, ...]]:
    return lambda g, n: (torch.randn(n, k, generator=g).softmax(1), torch.randint(k, (n,), generator=g))


def tied(g: torch.Generator, n: int) -> tuple[Any, ...]:
    return torch.randint(5, (n,), generator=g) / 4, torch.randint(2, (n,), generator=g)


def weighted(g: torch.Generator, n: int) -> tuple[Any, ...]:
    return *tied(g, n), torch.randint(4, (n,), generator=g) / 2


def points(p: Array, t: Array, w: Array | None = None) -> list[tuple[float, float, float]]:
    """(threshold, weight of positives at or above it, of negatives), from the definition."""
    p, t = np.asarray(p, dtype=np.float64), np.asarray(t)
    w = np.ones(len(p)) if w is None else np.asarray(w, dtype=np.float64)
    levels = sorted(set(p[w > 0].tolist()), reverse=True)
    return [(s, w[(p >= s) & (t == 1)].sum(), w[(p >= s) & (t == 0)].sum()) for s in levels]


def roc(p: Array, t: Array, w: Array | None = None) -> tuple[Array, Array, Array]:
    table = np.array([(np.inf, 0.0, 0.0), *points(p, t, w)])
    return table[:, 2] / table[-1, 2], table[:, 1] / table[-1, 1], table[:, 0]


def precision_recall(p: Array, t: Array) -> tuple[Array, Array, Array]:
    table = np.array(points(p, t))[::-1]
    precision, recall = table[:, 1] / (table[:, 1] + table[:, 2]), table[:, 1] / table[0, 1]
    return np.append(precision, 1.0), np.append(recall, 0.0), table[:, 0]


def auroc(p: Array, t: Array, w: Array | None = None) -> float:
    """Share of pairs in the right order, by counting pairs."""
    p, t = np.asarray(p, dtype=np.float64), np.asarray(t)
    w = np.ones(len(p)) if w is None else np.asarray(w, dtype=np.float64)
    wins = (p[t == 1][:, None] > p[t == 0]) + 0.5 * (p[t == 1][:, None] == p[t == 0])
    pairs = w[t == 1][:, None] * w[t == 0]
    return float((wins * pairs).sum() / pairs.sum())


def average_precision(p: Array, t: Array, w: Array | None = None) -> float:
    total, before = 0.0, 0.0
    table = points(p, t, w)
    for _, tp, fp in table:
        total, before = total + (tp - before) * tp / (tp + fp), tp
    return total / table[-1][1]


def floored(p: torch.Tensor) -> Array:
    """Scores rounded down to the grid: what a binned curve knows of them."""
    return np.array(GRID)[np.searchsorted(np.array(GRID, np.float32), p.numpy(), side="right") - 1]


def binned_roc(p: torch.Tensor, t: torch.Tensor) -> tuple[Array, Array, Array]:
    grid = np.array(GRID)[::-1]
    reached = p.numpy() >= grid.astype(np.float32)[:, None]
    fpr, tpr = ((reached & (t.numpy() == label)).sum(1) / (t.numpy() == label).sum() for label in (0, 1))
    return fpr, tpr, grid


def each(fn: Callable[..., Any]) -> Callable[..., Any]:
    """The reference for one class against the rest, per class or label."""

    def reference(p: torch.Tensor, t: torch.Tensor) -> Array:
        hot = t if t.ndim == 2 else torch.nn.functional.one_hot(t, p.shape[1])
        return np.array([fn(p[:, k].numpy(), hot[:, k].numpy()) for k in range(p.shape[1])])

    return reference


def mean(fn: Callable[..., Any]) -> Callable[..., Any]:
    return lambda p, t: each(fn)(p, t).mean()


def columns(fn: Callable[..., Any]) -> Callable[..., Any]:
    """The reference for curves: three lists, one entry per class or label."""

    def reference(p: torch.Tensor, t: torch.Tensor) -> Any:
        hot = t if t.ndim == 2 else torch.nn.functional.one_hot(t, p.shape[1])
        return tuple(zip(*(fn(p[:, k].numpy(), hot[:, k].numpy()) for k in range(p.shape[1])), strict=True))

    return reference


def equal_error(p: Array, t: Array) -> float:
    fpr, tpr, _ = roc(p, t)
    gap = np.round(np.abs(fpr - (1 - tpr)), 12)
    return float((fpr + 1 - tpr)[gap.argmin()] / 2)


def log_area(p: Array, t: Array, low: float = 0.1, high: float = 0.9) -> float:
    fpr, tpr, _ = roc(p, t)
    inside = (fpr > low) & (fpr < high)
    x = np.log10(np.concatenate([[low], fpr[inside], [high]]))
    # np.interp takes the last of several points at one x, as the upper end of a vertical step
    y = np.concatenate([[np.interp(low, fpr, tpr)], tpr[inside], [np.interp(high, fpr, tpr)]])
    return float(np.sum(np.diff(x) * (y[1:] + y[:-1]) / 2) / (x[-1] - x[0]))


def best(goal: int, rate: int, least: float, anchored: bool) -> Callable[..., tuple[float, float]]:
    """The operating point by trying them all; columns: recall, precision, specificity."""

    def reference(p: Array, t: Array) -> tuple[float, float]:
        table = points(p, t)
        pos, neg = table[-1][1:]
        rows = [((tp / pos, tp / (tp + fp), 1 - fp / neg), s) for s, tp, fp in table]
        rows = [((0.0, 0.0, 1.0), np.inf), *rows] if anchored else rows
        found = [(row[goal], row[rate], s) for row, s in rows if row[rate] >= least]
        return (max(found)[0], max(found)[2]) if found else (0.0, np.nan)

    return reference


def both(fn: Callable[..., Any]) -> Callable[..., Any]:
    return lambda p, t: tuple(np.array(part) for part in zip(*each(fn)(p, t), strict=True))


def calibration(confidence: Array, correct: Array, n_bins: int = 4) -> float:
    confidence = np.asarray(confidence, dtype=np.float64)
    number = np.minimum((confidence * n_bins).astype(int), n_bins - 1)
    gaps = [
        abs(correct[number == b].mean() - confidence[number == b].mean()) * (number == b).mean()
        for b in set(number.tolist())
    ]
    return float(sum(gaps))


def top_calibration(p: torch.Tensor, t: torch.Tensor) -> float:
    return calibration(p.numpy().max(1), p.numpy().argmax(1) == t.numpy())


def log_likelihood(p: torch.Tensor, t: torch.Tensor) -> float:
    return float(-np.mean([np.log(float(row[c])) for row, c in zip(p, t, strict=True)]))


def squared(p: torch.Tensor, t: torch.Tensor) -> float:
    return float(np.mean((p.double().numpy() - t.numpy()) ** 2))


RECALL, PRECISION, SPECIFICITY = 0, 1, 2
precision_at = best(PRECISION, RECALL, 0.6, anchored=False)
recall_at = best(RECALL, PRECISION, 0.6, anchored=False)
sensitivity_at = best(RECALL, SPECIFICITY, 0.6, anchored=True)
specificity_at = best(SPECIFICITY, RECALL, 0.6, anchored=True)

ROWS: dict[str, Row] = {
    "AUROC": Row(lambda: lm.AUROC(task="binary"), logits, auroc),
    "AUROC(micro)": Row(
        lambda: lm.AUROC(task="multilabel", num_labels=4, average="micro"),
        labels,
        lambda p, t: auroc(p.reshape(-1), t.reshape(-1)),
    ),
    "AveragePrecision": Row(lambda: lm.AveragePrecision(task="binary"), logits, average_precision),
    "BinaryAUROC": Row(lm.BinaryAUROC, tied, auroc),
    "BinaryAUROC(binned)": Row(
        lambda: lm.BinaryAUROC(thresholds=GRID), binary, lambda p, t: auroc(floored(p), t.numpy())
    ),
    "BinaryAUROC(binned, sample_weight)": Row(
        lambda: lm.BinaryAUROC(thresholds=GRID), weighted, lambda p, t, w: auroc(floored(p), t.numpy(), w)
    ),
    "BinaryAUROC(sample_weight)": Row(lm.BinaryAUROC, weighted, auroc),
    "BinaryAveragePrecision": Row(lm.BinaryAveragePrecision, tied, average_precision),
    "BinaryAveragePrecision(sample_weight)": Row(lm.BinaryAveragePrecision, weighted, average_precision),
    "BinaryCalibrationError": Row(lambda: lm.BinaryCalibrationError(4), binary, lambda p, t: calibration(p, t.numpy())),
    "BinaryEER": Row(lm.BinaryEER, tied, equal_error),
    "BinaryLogAUC": Row(lambda: lm.BinaryLogAUC((0.1, 0.9)), tied, log_area),
    "BinaryPrecisionRecallCurve": Row(lm.BinaryPrecisionRecallCurve, tied, precision_recall),
    "BinaryROC": Row(lm.BinaryROC, tied, roc),
    "BinaryROC(binned)": Row(lambda: lm.BinaryROC(thresholds=GRID), binary, binned_roc),
    "BrierScore": Row(lambda: lm.BrierScore(task="binary"), binary, squared),
    "CalibrationError": Row(
        lambda: lm.CalibrationError(task="binary", n_bins=4), binary, lambda p, t: calibration(p, t.numpy())
    ),
    "EER": Row(lambda: lm.EER(task="binary"), binary, equal_error),
    "LogAUC": Row(lambda: lm.LogAUC(task="binary", fpr_range=(0.1, 0.9)), binary, log_area),
    "LogLoss": Row(lambda: lm.LogLoss(task="multiclass", num_classes=3), probabilities(3), log_likelihood),
    "LogLoss(logits)": Row(
        lambda: lm.LogLoss(task="binary", logits=True),
        logits,
        lambda p, t: np.mean(np.logaddexp(0, np.where(t.numpy() == 1, -1, 1) * p.double().numpy())),
    ),
    "MulticlassAUROC": Row(lambda: lm.MulticlassAUROC(3), scores(3), mean(auroc)),
    "MulticlassAUROC(logits)": Row(
        lambda: lm.MulticlassAUROC(3, average="none", logits=True),
        scores(3),
        lambda p, t: each(auroc)(p.double().softmax(1), t),
    ),
    "MulticlassAveragePrecision": Row(
        lambda: lm.MulticlassAveragePrecision(3, average="none"), scores(3), each(average_precision)
    ),
    "MulticlassCalibrationError": Row(lambda: lm.MulticlassCalibrationError(3, 4), probabilities(3), top_calibration),
    "MulticlassEER": Row(lambda: lm.MulticlassEER(3), scores(3), each(equal_error)),
    "MulticlassLogAUC": Row(lambda: lm.MulticlassLogAUC(3, (0.1, 0.9), "macro"), scores(3), mean(log_area)),
    "MulticlassPrecisionRecallCurve": Row(
        lambda: lm.MulticlassPrecisionRecallCurve(3), scores(3), columns(precision_recall)
    ),
    "MulticlassROC": Row(lambda: lm.MulticlassROC(3), scores(3), columns(roc)),
    "MultilabelAUROC": Row(lambda: lm.MultilabelAUROC(4), labels, mean(auroc)),
    "MultilabelAUROC(binned)": Row(
        lambda: lm.MultilabelAUROC(4, "none", GRID),
        labels,
        lambda p, t: np.array([auroc(floored(p[:, k]), t[:, k].numpy()) for k in range(4)]),
    ),
    "MultilabelAveragePrecision": Row(lambda: lm.MultilabelAveragePrecision(4), labels, mean(average_precision)),
    "MultilabelEER": Row(lambda: lm.MultilabelEER(4), labels, each(equal_error)),
    "MultilabelLogAUC": Row(lambda: lm.MultilabelLogAUC(4, (0.1, 0.9)), labels, each(log_area)),
    "MultilabelPrecisionRecallCurve": Row(
        lambda: lm.MultilabelPrecisionRecallCurve(4), labels, columns(precision_recall)
    ),
    "MultilabelROC": Row(lambda: lm.MultilabelROC(4), labels, columns(roc)),
    "PrecisionRecallCurve": Row(lambda: lm.PrecisionRecallCurve(task="binary"), binary, precision_recall),
    "StreamingAUROC": Row(lm.StreamingAUROC, tied, auroc),
    "StreamingAUROC(sample_weight)": Row(lm.StreamingAUROC, weighted, auroc),
    "StreamingAveragePrecision": Row(lm.StreamingAveragePrecision, logits, average_precision),
    "ROC": Row(lambda: lm.ROC(task="binary"), binary, roc),
    "PrecisionAtFixedRecall": Row(lambda: lm.PrecisionAtFixedRecall("binary", 0.6), binary, precision_at),
    "BinaryPrecisionAtFixedRecall": Row(lambda: lm.BinaryPrecisionAtFixedRecall(0.6), tied, precision_at),
    "MulticlassPrecisionAtFixedRecall": Row(
        lambda: lm.MulticlassPrecisionAtFixedRecall(3, 0.6), scores(3), both(precision_at)
    ),
    "MultilabelPrecisionAtFixedRecall": Row(
        lambda: lm.MultilabelPrecisionAtFixedRecall(4, 0.6), labels, both(precision_at)
    ),
    "RecallAtFixedPrecision": Row(lambda: lm.RecallAtFixedPrecision("binary", 0.6), binary, recall_at),
    "BinaryRecallAtFixedPrecision": Row(lambda: lm.BinaryRecallAtFixedPrecision(0.6), tied, recall_at),
    "MulticlassRecallAtFixedPrecision": Row(
        lambda: lm.MulticlassRecallAtFixedPrecision(3, 0.6), scores(3), both(recall_at)
    ),
    "MultilabelRecallAtFixedPrecision": Row(
        lambda: lm.MultilabelRecallAtFixedPrecision(4, 0.6), labels, both(recall_at)
    ),
    "SensitivityAtSpecificity": Row(lambda: lm.SensitivityAtSpecificity("binary", 0.6), binary, sensitivity_at),
    "BinarySensitivityAtSpecificity": Row(lambda: lm.BinarySensitivityAtSpecificity(0.6), tied, sensitivity_at),
    "MulticlassSensitivityAtSpecificity": Row(
        lambda: lm.MulticlassSensitivityAtSpecificity(3, 0.6), scores(3), both(sensitivity_at)
    ),
    "MultilabelSensitivityAtSpecificity": Row(
        lambda: lm.MultilabelSensitivityAtSpecificity(4, 0.6), labels, both(sensitivity_at)
    ),
    "SpecificityAtSensitivity": Row(lambda: lm.SpecificityAtSensitivity("binary", 0.6), binary, specificity_at),
    "BinarySpecificityAtSensitivity": Row(lambda: lm.BinarySpecificityAtSensitivity(0.6), tied, specificity_at),
    "MulticlassSpecificityAtSensitivity": Row(
        lambda: lm.MulticlassSpecificityAtSensitivity(3, 0.6), scores(3), both(specificity_at)
    ),
    "MultilabelSpecificityAtSensitivity": Row(
        lambda: lm.MultilabelSpecificityAtSensitivity(4, 0.6), labels, both(specificity_at)
    ),
}

for one_row in ROWS.values():
    one_row.bad = bad_labels_or_scores
