"""Accuracy against scikit-learn."""

from __future__ import annotations

from typing import Any

import pytest
import torch

import lit_metrics.functional as F

sk = pytest.importorskip("sklearn.metrics")


def draw(n: int, k: int, seed: int) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    g = torch.Generator().manual_seed(seed)
    return torch.randn(n, k, generator=g), torch.randint(k, (n,), generator=g), torch.rand(n, generator=g)


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("weighted", [False, True])
def test_micro_and_balanced(seed: int, weighted: bool) -> None:
    preds, target, weight = draw(50, 5, seed)
    w = weight.double() if weighted else None
    hard = preds.argmax(1)
    micro = F.multiclass_accuracy(preds, target, 5, "micro", sample_weight=w)
    assert float(micro) == pytest.approx(sk.accuracy_score(target, hard, sample_weight=w), rel=1e-12)
    balanced = F.multiclass_accuracy(preds, target, 5, "balanced", sample_weight=w)
    assert float(balanced) == pytest.approx(sk.balanced_accuracy_score(target, hard, sample_weight=w), rel=1e-12)


@pytest.mark.parametrize("average", ["macro", "weighted"])
@pytest.mark.parametrize("n", [6, 200])
def test_averages_are_those_of_recall_over_the_classes_present(average: Any, n: int) -> None:
    preds, target, _ = draw(n, 12, 0)
    expected = sk.recall_score(target, preds.argmax(1), average=average, zero_division=0)
    assert float(F.multiclass_accuracy(preds, target, 12, average)) == pytest.approx(expected, rel=1e-12)


def test_macro_with_an_ignored_class_is_recall_over_the_kept_classes() -> None:
    preds, target, _ = draw(80, 4, 1)
    kept = target != 2
    expected = sk.recall_score(target[kept], preds.argmax(1)[kept], labels=[0, 1, 3], average="macro")
    assert float(F.multiclass_accuracy(preds, target, 4, ignore_index=2)) == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("k", [1, 2, 4])
def test_top_k(k: int) -> None:
    preds, target, weight = draw(60, 6, 2)
    weight = weight.double()
    expected = sk.top_k_accuracy_score(target, preds, k=k, labels=range(6), sample_weight=weight)
    got = F.multiclass_accuracy(preds, target, 6, "micro", k, sample_weight=weight)
    assert float(got) == pytest.approx(expected, rel=1e-12)


def test_binary_and_multilabel() -> None:
    g = torch.Generator().manual_seed(0)
    preds, target = torch.rand(40, 3, generator=g), torch.randint(2, (40, 3), generator=g)
    expected = [sk.accuracy_score(target[:, i], preds[:, i] > 0.3) for i in range(3)]
    assert F.multilabel_accuracy(preds, target, 3, 0.3, None).tolist() == pytest.approx(expected)
    assert float(F.binary_accuracy(preds[:, 0], target[:, 0], 0.3)) == pytest.approx(expected[0])
