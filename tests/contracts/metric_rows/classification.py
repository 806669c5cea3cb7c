"""Rows of the classification metrics."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch

import lit_metrics as lm
from tests.contracts.metric_rows.row import ORDERED, Row, binary, labels, logits, scores

if TYPE_CHECKING:
    from collections.abc import Callable


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
}
