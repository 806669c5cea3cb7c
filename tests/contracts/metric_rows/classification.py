"""Rows of the classification metrics."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch

import lit_metrics as lm
from tests.contracts.metric_rows.row import ORDERED, Row, bad_labels_or_scores, binary, labels, logits, scores


def hit_rate(p: torch.Tensor, t: torch.Tensor) -> float:
    return float(np.mean(p.numpy().argmax(1) == t.numpy()))


def recalls(k: int) -> Callable[[torch.Tensor, torch.Tensor], np.ndarray]:
    def reference(p: torch.Tensor, t: torch.Tensor) -> np.ndarray:
        found, true = p.numpy().argmax(1), t.numpy()
        return np.array([np.mean(found[true == c] == c) if (true == c).any() else 0.0 for c in range(k)])

    return reference


def top_k_rate(k: int) -> Callable[[torch.Tensor, torch.Tensor], float]:
    return lambda p, t: float(np.mean([c in np.argsort(-row)[:k] for row, c in zip(p.numpy(), t.numpy(), strict=True)]))


def threshold_hits(p: torch.Tensor, t: torch.Tensor) -> torch.Tensor:
    return ((p > 0.5) == t).double()


def confusion(found: np.ndarray, true: np.ndarray, k: int) -> np.ndarray:
    matrix = np.zeros((k, k))
    for f, t in zip(found.ravel(), true.ravel(), strict=True):
        matrix[t, f] += 1
    return matrix


Reading = Callable[[np.ndarray], Any]


def of_classes(value: Reading, k: int) -> Callable[[torch.Tensor, torch.Tensor], Any]:
    """Reference of a multiclass metric: what a confusion matrix, made by a loop, gives."""
    return lambda p, t: value(confusion(p.numpy().argmax(1), t.numpy(), k))


def of_binary(value: Reading) -> Callable[[torch.Tensor, torch.Tensor], Any]:
    return lambda p, t: value(confusion((p > 0.5).numpy().astype(int), t.numpy(), 2))


def of_labels(value: Reading) -> Callable[[torch.Tensor, torch.Tensor], Any]:
    """Reference of a multilabel metric that is a mean over labels."""
    return lambda p, t: np.mean([of_binary(value)(p[:, i], t[:, i]) for i in range(t.shape[1])], axis=0)


def positives(m: np.ndarray) -> tuple[float, float, float, float]:
    """True and false positives, true and false negatives of a binary matrix."""
    return m[1, 1], m[0, 1], m[0, 0], m[1, 0]


def one_against_all(m: np.ndarray) -> list[tuple[float, float, float, float]]:
    total = m.sum()
    rows = [(m[c, c], m[:, c].sum() - m[c, c], m[c].sum() - m[c, c]) for c in range(len(m))]
    return [(tp, fp, total - tp - fp - fn, fn) for tp, fp, fn in rows]


def share(num: float, den: float) -> float:
    return num / den if den else 0.0


RATIOS: dict[str, Callable[[float, float, float, float], float]] = {
    "Precision": lambda tp, fp, tn, fn: share(tp, tp + fp),
    "Recall": lambda tp, fp, tn, fn: share(tp, tp + fn),
    "Specificity": lambda tp, fp, tn, fn: share(tn, tn + fp),
    "NegativePredictiveValue": lambda tp, fp, tn, fn: share(tn, tn + fn),
    "F1Score": lambda tp, fp, tn, fn: share(2 * tp, 2 * tp + fp + fn),
    "JaccardIndex": lambda tp, fp, tn, fn: share(tp, tp + fp + fn),
}


def f2(tp: float, fp: float, tn: float, fn: float) -> float:
    return share(5 * tp, 5 * tp + 4 * fn + fp)


def ratio_rows(name: str) -> dict[str, Row]:
    """Rows of the four classes of a ratio: micro average, binary, macro over classes, macro over labels."""
    ratio = RATIOS[name]
    micro = name != "JaccardIndex"
    general = (lambda m: ratio(*np.sum(one_against_all(m), axis=0))) if micro else macro(ratio)
    make = getattr(lm, f"Multiclass{name}")
    return {
        name: Row(lambda: getattr(lm, name)(task="multiclass", num_classes=4), scores(4), of_classes(general, 4)),
        f"Binary{name}": Row(getattr(lm, f"Binary{name}"), binary, of_binary(lambda m: ratio(*positives(m)))),
        f"Multiclass{name}": Row(lambda: make(4), scores(4), of_classes(macro(ratio), 4)),
        f"Multiclass{name}(many classes)": Row(
            lambda: make(200, average="micro"),
            scores(200),
            of_classes(lambda m: ratio(*np.sum(one_against_all(m), axis=0)), 200),
            {"dtypes": (torch.float64,)},
        ),
        f"Multilabel{name}": Row(
            lambda: getattr(lm, f"Multilabel{name}")(4), labels, of_labels(lambda m: ratio(*positives(m)))
        ),
    }


def macro(ratio: Callable[[float, float, float, float], float]) -> Reading:
    return lambda m: np.mean([ratio(*c) for c in one_against_all(m) if c[0] + c[1] + c[3]])


def stat_scores(m: np.ndarray) -> np.ndarray:
    return np.array([[tp, fp, tn, fn, tp + fn] for tp, fp, tn, fn in one_against_all(m)])


def correlation(p: torch.Tensor, t: torch.Tensor) -> float:
    return float(np.corrcoef((p > 0.5).numpy().ravel(), t.numpy().ravel())[0, 1])


def class_correlation(p: torch.Tensor, t: torch.Tensor) -> float:
    """Correlation of one-hot vectors: sums of the classes' covariances."""
    x, y = np.eye(4)[p.numpy().argmax(1)], np.eye(4)[t.numpy()]
    x, y = x - x.mean(0), y - y.mean(0)
    return float((x * y).sum() / np.sqrt((x * x).sum() * (y * y).sum()))


def kappa(power: int) -> Reading:
    def value(m: np.ndarray) -> float:
        m = m / m.sum()
        cost = np.array([[abs(i - j) ** power for j in range(len(m))] for i in range(len(m))])
        return float(1 - (cost * m).sum() / (cost * np.outer(m.sum(1), m.sum(0))).sum())

    return value


def hinge(p: torch.Tensor, t: torch.Tensor) -> float:
    return float(np.mean([max(0.0, 1 - (2 * y - 1) * d) for d, y in zip(p.tolist(), t.tolist(), strict=True)]))


def crammer_singer(p: torch.Tensor, t: torch.Tensor) -> float:
    losses = [1 - (row[y] - max(d for i, d in enumerate(row) if i != y)) for row, y in pairs(p, t)]
    return float(np.mean(np.maximum(losses, 0)))


def one_vs_all(p: torch.Tensor, t: torch.Tensor) -> np.ndarray:
    signs = 2 * np.eye(3)[t.numpy()] - 1
    return np.maximum(1 - signs * p.double().numpy(), 0).mean(0)


def pairs(p: torch.Tensor, t: torch.Tensor) -> list[tuple[Any, Any]]:
    return list(zip(p.tolist(), t.tolist(), strict=True))


def coverage(p: torch.Tensor, t: torch.Tensor) -> float:
    return float(
        np.mean(
            [
                max((sum(s >= r for s in row) for r, y in zip(row, ys, strict=True) if y), default=0)
                for row, ys in pairs(p, t)
            ]
        )
    )


def ranking_precision(p: torch.Tensor, t: torch.Tensor) -> float:
    values = []
    for row, ys in pairs(p, t):
        relevant = [s for s, y in zip(row, ys, strict=True) if y]
        shares = [sum(s >= r for s in relevant) / sum(s >= r for s in row) for r in relevant]
        values.append(np.mean(shares) if 0 < len(relevant) < len(row) else 1.0)
    return float(np.mean(values))


def ranking_loss(p: torch.Tensor, t: torch.Tensor) -> float:
    values = []
    for row, ys in pairs(p, t):
        wrong = [b >= a for a, y in zip(row, ys, strict=True) if y for b, z in zip(row, ys, strict=True) if not z]
        values.append(np.mean(wrong) if wrong else 0.0)
    return float(np.mean(values))


def grouped(g: torch.Generator, n: int) -> tuple[Any, ...]:
    return (*binary(g, n), torch.randint(2, (n,), generator=g))


def rates(p: torch.Tensor, t: torch.Tensor, groups: torch.Tensor) -> dict[str, np.ndarray]:
    def rate(i: int) -> np.ndarray:
        in_group = groups == i
        return np.array(positives(confusion((p > 0.5).numpy()[in_group].astype(int), t.numpy()[in_group], 2)))

    return {f"group_{i}": rate(i) / rate(i).sum() for i in range(2)}


def parity(p: torch.Tensor, t: torch.Tensor, groups: torch.Tensor) -> dict[str, float]:
    found = {i: float((p[groups == i] > 0.5).double().mean()) for i in range(2)}
    low, high = min(found, key=found.__getitem__), max(found, key=found.__getitem__)
    return {f"DP_{low}_{high}": found[low] / found[high]}


def sequences(g: torch.Generator, n: int) -> tuple[Any, ...]:
    return torch.randint(2, (n, 3), generator=g), torch.randint(2, (n, 3), generator=g)


ROWS: dict[str, Row] = {
    "Accuracy": Row(lm.Accuracy, scores(3), hit_rate),
    "Accuracy(binary)": Row(lambda: lm.Accuracy(task="binary"), binary, lambda p, t: threshold_hits(p, t).mean()),
    "BinaryAccuracy": Row(lm.BinaryAccuracy, binary, lambda p, t: threshold_hits(p, t).mean()),
    "BinaryAccuracy(logits)": Row(
        lambda: lm.BinaryAccuracy(threshold=0.7, logits=True),
        logits,
        lambda p, t: ((p.sigmoid() > 0.7) == t).double().mean(),
    ),
    "MulticlassAccuracy": Row(lambda: lm.MulticlassAccuracy(4), scores(4), lambda p, t: recalls(4)(p, t).mean()),
    "MulticlassAccuracy(many classes)": Row(
        lambda: lm.MulticlassAccuracy(200, average="micro"), scores(200), hit_rate, {"dtypes": (torch.float64,)}
    ),
    "MulticlassAccuracy(none)": Row(lambda: lm.MulticlassAccuracy(4, average="none"), scores(4), recalls(4)),
    "MulticlassAccuracy(sample_weight)": Row(
        lambda: lm.MulticlassAccuracy(3, average="micro"),
        lambda g, n: (*scores(3)(g, n), torch.rand(n, generator=g)),
        lambda p, t, w: np.average(p.numpy().argmax(1) == t.numpy(), weights=w.numpy()),
    ),
    "MulticlassAccuracy(samplewise)": Row(
        lambda: lm.MulticlassAccuracy(3, average="micro", multidim_average="samplewise"),
        lambda g, n: (torch.randn(n, 3, 6, generator=g), torch.randint(3, (n, 6), generator=g)),
        lambda p, t: np.mean(p.numpy().argmax(1) == t.numpy(), axis=1),
        ORDERED,
    ),
    "MulticlassAccuracy(top_k)": Row(
        lambda: lm.MulticlassAccuracy(5, average="micro", top_k=2), scores(5), top_k_rate(2)
    ),
    "MultilabelAccuracy": Row(lambda: lm.MultilabelAccuracy(4), labels, lambda p, t: threshold_hits(p, t).mean()),
    "MultilabelAccuracy(none)": Row(
        lambda: lm.MultilabelAccuracy(4, average=None), labels, lambda p, t: threshold_hits(p, t).mean(0)
    ),
    **{key: row for name in RATIOS for key, row in ratio_rows(name).items()},
    "BinaryJaccardIndex(threshold)": Row(
        lambda: lm.BinaryJaccardIndex(threshold=0.7),
        binary,
        lambda p, t: ((p > 0.7) & (t == 1)).sum() / ((p > 0.7) | (t == 1)).sum(),
    ),
    "MulticlassJaccardIndex(micro)": Row(
        lambda: lm.MulticlassJaccardIndex(4, average="micro"),
        scores(4),
        lambda p, t: (p.argmax(1) == t).sum() / (2 * len(t) - (p.argmax(1) == t).sum()),
    ),
    "MultilabelJaccardIndex(none)": Row(
        lambda: lm.MultilabelJaccardIndex(4, average="none"),
        labels,
        lambda p, t: ((p > 0.5) & (t == 1)).sum(0) / ((p > 0.5) | (t == 1)).sum(0),
    ),
    "FBetaScore": Row(
        lambda: lm.FBetaScore(task="multiclass", beta=2.0, num_classes=4),
        scores(4),
        of_classes(lambda m: f2(*np.sum(one_against_all(m), axis=0)), 4),
    ),
    "BinaryFBetaScore": Row(lambda: lm.BinaryFBetaScore(2.0), binary, of_binary(lambda m: f2(*positives(m)))),
    "MulticlassFBetaScore": Row(lambda: lm.MulticlassFBetaScore(2.0, 4), scores(4), of_classes(macro(f2), 4)),
    "MultilabelFBetaScore": Row(
        lambda: lm.MultilabelFBetaScore(2.0, 4), labels, of_labels(lambda m: f2(*positives(m)))
    ),
    "Fbeta": Row(lambda: lm.Fbeta(num_classes=4, beta=2.0, average="macro"), scores(4), of_classes(macro(f2), 4)),
    "HammingDistance": Row(
        lambda: lm.HammingDistance(task="multiclass", num_classes=3), scores(3), lambda p, t: 1 - hit_rate(p, t)
    ),
    "BinaryHammingDistance": Row(lm.BinaryHammingDistance, binary, lambda p, t: 1 - threshold_hits(p, t).mean()),
    "MulticlassHammingDistance": Row(
        lambda: lm.MulticlassHammingDistance(4), scores(4), lambda p, t: 1 - recalls(4)(p, t).mean()
    ),
    "MultilabelHammingDistance": Row(
        lambda: lm.MultilabelHammingDistance(4), labels, lambda p, t: 1 - threshold_hits(p, t).mean()
    ),
    "StatScores": Row(
        lambda: lm.StatScores(task="multiclass", num_classes=4),
        scores(4),
        of_classes(lambda m: stat_scores(m).sum(0), 4),
    ),
    "BinaryStatScores": Row(lm.BinaryStatScores, binary, of_binary(lambda m: stat_scores(m)[1])),
    "MulticlassStatScores": Row(
        lambda: lm.MulticlassStatScores(4), scores(4), of_classes(lambda m: stat_scores(m).mean(0), 4)
    ),
    "MultilabelStatScores": Row(lambda: lm.MultilabelStatScores(4), labels, of_labels(lambda m: stat_scores(m)[1])),
    "ConfusionMatrix": Row(
        lambda: lm.ConfusionMatrix(task="multiclass", num_classes=4), scores(4), of_classes(lambda m: m, 4)
    ),
    "BinaryConfusionMatrix": Row(lm.BinaryConfusionMatrix, binary, of_binary(lambda m: m)),
    "MulticlassConfusionMatrix": Row(
        lambda: lm.MulticlassConfusionMatrix(4, normalize="all"), scores(4), of_classes(lambda m: m / m.sum(), 4)
    ),
    "MulticlassConfusionMatrix(many classes)": Row(
        lambda: lm.MulticlassConfusionMatrix(150), scores(150), of_classes(lambda m: m, 150), {"dtypes": ()}
    ),
    "MultilabelConfusionMatrix": Row(
        lambda: lm.MultilabelConfusionMatrix(4),
        labels,
        lambda p, t: np.stack([of_binary(lambda m: m)(p[:, i], t[:, i]) for i in range(4)]),
    ),
    "MatthewsCorrCoef": Row(lambda: lm.MatthewsCorrCoef(task="binary"), binary, correlation),
    "BinaryMatthewsCorrCoef": Row(lm.BinaryMatthewsCorrCoef, binary, correlation),
    "MulticlassMatthewsCorrCoef": Row(lambda: lm.MulticlassMatthewsCorrCoef(4), scores(4), class_correlation),
    "MultilabelMatthewsCorrCoef": Row(lambda: lm.MultilabelMatthewsCorrCoef(4), labels, correlation),
    "CohenKappa": Row(
        lambda: lm.CohenKappa(task="multiclass", num_classes=4, weights="quadratic"),
        scores(4),
        of_classes(kappa(2), 4),
    ),
    "BinaryCohenKappa": Row(lm.BinaryCohenKappa, binary, of_binary(kappa(1))),
    "MulticlassCohenKappa": Row(
        lambda: lm.MulticlassCohenKappa(4, weights="linear"), scores(4), of_classes(kappa(1), 4)
    ),
    "ExactMatch": Row(
        lambda: lm.ExactMatch(task="multiclass", num_classes=2), sequences, lambda p, t: (p == t).all(1).double().mean()
    ),
    "MulticlassExactMatch": Row(
        lambda: lm.MulticlassExactMatch(2, multidim_average="samplewise"),
        sequences,
        lambda p, t: (p == t).all(1).double(),
        ORDERED,
    ),
    "MultilabelExactMatch": Row(
        lambda: lm.MultilabelExactMatch(4), labels, lambda p, t: ((p > 0.5) == t).all(1).double().mean()
    ),
    "HingeLoss": Row(
        lambda: lm.HingeLoss(task="multiclass", num_classes=3, multiclass_mode="one-vs-all"), scores(3), one_vs_all
    ),
    "BinaryHingeLoss": Row(lm.BinaryHingeLoss, logits, hinge),
    "MulticlassHingeLoss": Row(lambda: lm.MulticlassHingeLoss(3), scores(3), crammer_singer),
    "MultilabelCoverageError": Row(lambda: lm.MultilabelCoverageError(4), labels, coverage),
    "MultilabelRankingAveragePrecision": Row(
        lambda: lm.MultilabelRankingAveragePrecision(4), labels, ranking_precision
    ),
    "MultilabelRankingLoss": Row(lambda: lm.MultilabelRankingLoss(4), labels, ranking_loss),
    "BinaryGroupStatRates": Row(lambda: lm.BinaryGroupStatRates(2), grouped, rates),
    "BinaryFairness": Row(lambda: lm.BinaryFairness(2, "demographic_parity"), grouped, parity),
}

for one_row in ROWS.values():
    one_row.bad = bad_labels_or_scores
