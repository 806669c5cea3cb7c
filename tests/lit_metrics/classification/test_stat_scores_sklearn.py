"""Everything that divides counts, against scikit-learn: averages, weights, absent classes, zero_division."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch

import lit_metrics.functional as F

sk = pytest.importorskip("sklearn.metrics")

RATIOS = {"precision": sk.precision_score, "recall": sk.recall_score, "f1_score": sk.f1_score}


def draw(n: int, k: int, seed: int = 0) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    g = torch.Generator().manual_seed(seed)
    return torch.randint(k, (n,), generator=g), torch.randint(k, (n,), generator=g), torch.rand(n, generator=g).double()


@pytest.mark.parametrize("name", RATIOS)
@pytest.mark.parametrize("average", ["micro", "macro", "weighted"])
@pytest.mark.parametrize("n", [4, 100])  # 4 samples of 9 classes leave classes absent, or on one side only
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("zero_division", [0, 1, math.nan])
def test_multiclass(name: str, average: Any, n: int, weighted: bool, zero_division: float) -> None:
    preds, target, weight = draw(n, 9, seed=n)
    w = weight if weighted else None
    expected = RATIOS[name](target, preds, average=average, sample_weight=w, zero_division=zero_division)
    function = getattr(F, f"multiclass_{name}")
    got = function(preds, target, 9, average, zero_division=zero_division, sample_weight=w)
    assert float(got) == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("k", [5, 300])
@pytest.mark.parametrize("beta", [0.5, 1.0, 2.0])
@pytest.mark.parametrize("average", ["micro", "macro", "weighted"])
def test_fbeta(k: int, beta: float, average: Any) -> None:
    preds, target, _ = draw(200, k)
    expected = sk.fbeta_score(target, preds, beta=beta, average=average, zero_division=0)
    assert float(F.multiclass_fbeta_score(preds, target, beta, k, average)) == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("k", [5, 300])
@pytest.mark.parametrize("average", ["micro", "macro", "weighted"])
def test_jaccard(k: int, average: Any) -> None:
    preds, target, weight = draw(200, k)
    expected = sk.jaccard_score(target, preds, average=average, sample_weight=weight, zero_division=0)
    got = F.multiclass_jaccard_index(preds, target, k, average, sample_weight=weight)
    assert float(got) == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("name", RATIOS)
@pytest.mark.parametrize("zero_division", [0, 1])
@pytest.mark.parametrize(("preds", "target"), [([0, 0], [0, 0]), ([0, 0], [1, 1]), ([1, 1], [0, 0]), ([1, 0], [1, 1])])
def test_binary_edges(name: str, zero_division: int, preds: list[int], target: list[int]) -> None:
    expected = RATIOS[name](target, preds, zero_division=zero_division)
    assert float(getattr(F, f"binary_{name}")(preds, target, zero_division=zero_division)) == expected


@pytest.mark.parametrize("name", RATIOS)
@pytest.mark.parametrize("average", ["micro", "macro", "weighted"])
def test_multilabel_with_labels_without_positives(name: str, average: Any) -> None:
    g = torch.Generator().manual_seed(0)
    preds, target = torch.rand(20, 4, generator=g), torch.randint(2, (20, 4), generator=g)
    preds[:, 3], target[:, 3] = 0.1, 0
    expected = RATIOS[name](target, preds > 0.5, average=average, zero_division=0)
    got = getattr(F, f"multilabel_{name}")(preds, target, 4, average=average)
    assert float(got) == pytest.approx(expected, rel=1e-12)


def test_ignored_class_leaves_every_average() -> None:
    preds, target, _ = draw(80, 4)
    kept = target != 2
    for name, reference in RATIOS.items():
        for average in ("micro", "macro", "weighted"):
            expected = reference(target[kept], preds[kept], labels=[0, 1, 3], average=average)
            got = getattr(F, f"multiclass_{name}")(preds, target, 4, average, ignore_index=2)
            assert float(got) == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("normalize", [None, "true", "pred", "all"])
@pytest.mark.parametrize("k", [3, 150])
def test_confusion_matrix(normalize: Any, k: int) -> None:
    preds, target, weight = draw(100, k)
    for w in (None, weight):
        expected = sk.confusion_matrix(target, preds, labels=range(k), sample_weight=w, normalize=normalize)
        got = F.multiclass_confusion_matrix(preds, target, k, normalize, sample_weight=w)
        torch.testing.assert_close(got.double(), torch.from_numpy(expected).double())


def test_multilabel_confusion_matrix() -> None:
    g = torch.Generator().manual_seed(0)
    preds, target = torch.randint(2, (20, 3), generator=g), torch.randint(2, (20, 3), generator=g)
    expected = sk.multilabel_confusion_matrix(target, preds)
    assert F.multilabel_confusion_matrix(preds, target, 3).tolist() == expected.tolist()


@pytest.mark.parametrize("k", [2, 5, 150])
@pytest.mark.parametrize("weighted", [False, True])
def test_matthews_and_kappa(k: int, weighted: bool) -> None:
    preds, target, weight = draw(300, k)
    w = weight if weighted else None
    got = F.multiclass_matthews_corrcoef(preds, target, k, sample_weight=w)
    assert float(got) == pytest.approx(sk.matthews_corrcoef(target, preds, sample_weight=w), abs=1e-12)
    for kind in (None, "linear", "quadratic"):
        got = F.multiclass_cohen_kappa(preds, target, k, kind, sample_weight=w)
        expected = sk.cohen_kappa_score(target, preds, labels=range(k), weights=kind, sample_weight=w)
        assert float(got) == pytest.approx(expected, abs=1e-12)
    if k == 2:
        assert F.binary_matthews_corrcoef(preds, target, sample_weight=w) == pytest.approx(
            sk.matthews_corrcoef(target, preds, sample_weight=w)
        )
        for kind in (None, "linear", "quadratic"):
            assert F.binary_cohen_kappa(preds, target, weights=kind, sample_weight=w) == pytest.approx(
                sk.cohen_kappa_score(target, preds, sample_weight=w)
            )


@pytest.mark.parametrize("weighted", [False, True])
def test_hinge_loss(weighted: bool) -> None:
    g = torch.Generator().manual_seed(0)
    margins, signs = 3 * torch.randn(40, generator=g).double(), torch.randint(2, (40,), generator=g)
    scores, target, w = torch.randn(40, 4, generator=g).double(), torch.randint(4, (40,), generator=g), None
    if weighted:
        w = torch.rand(40, generator=g).double()
    expected = sk.hinge_loss(signs, margins, sample_weight=w)
    assert float(F.binary_hinge_loss(margins, signs, sample_weight=w)) == pytest.approx(expected, rel=1e-12)
    expected = sk.hinge_loss(target, scores, labels=range(4), sample_weight=w)
    assert float(F.multiclass_hinge_loss(scores, target, 4, sample_weight=w)) == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("levels", [3, 10**6])  # few levels make many ties
@pytest.mark.parametrize("weighted", [False, True])
def test_label_ranking(levels: int, weighted: bool) -> None:
    g = torch.Generator().manual_seed(0)
    scores = torch.randint(-levels, levels, (30, 6), generator=g).double() * 10
    target = torch.randint(2, (30, 6), generator=g)
    target[0], target[1] = 0, 1
    w = torch.rand(30, generator=g).double() if weighted else None
    for ours, theirs in (
        (F.multilabel_coverage_error, sk.coverage_error),
        (F.multilabel_ranking_average_precision, sk.label_ranking_average_precision_score),
        (F.multilabel_ranking_loss, sk.label_ranking_loss),
    ):
        expected = theirs(target, scores, sample_weight=None if w is None else w.numpy())
        assert float(ours(scores, target, 6, sample_weight=w)) == pytest.approx(expected, rel=1e-12)


def test_subset_accuracy_and_hamming_loss() -> None:
    g = torch.Generator().manual_seed(0)
    preds, target = torch.randint(2, (50, 3), generator=g), torch.randint(2, (50, 3), generator=g)
    assert float(F.multilabel_exact_match(preds, target, 3)) == pytest.approx(sk.accuracy_score(target, preds))
    assert float(F.multilabel_hamming_distance(preds, target, 3)) == pytest.approx(sk.hamming_loss(target, preds))
