"""Curves and their areas against scikit-learn, to 1e-12."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pytest
import torch

import lit_metrics as lm
import lit_metrics.functional as F

sk = pytest.importorskip("sklearn.metrics")
label_binarize = pytest.importorskip("sklearn.preprocessing").label_binarize

CLOSE: dict[str, Any] = {"rtol": 1e-12, "atol": 1e-12}


def data(n: int, kind: str, dtype: torch.dtype, seed: int) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    g = torch.Generator().manual_seed(seed)
    target = torch.randint(2, (n,), generator=g)
    preds = torch.randn(n, generator=g) + target
    if kind == "tied":
        preds = (preds * 3).round() / 3
    elif kind == "constant":
        preds = torch.full((n,), 0.25)
    return preds.to(dtype), target, torch.rand(n, generator=g).double()


@pytest.mark.parametrize("kind", ["continuous", "tied", "constant"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("weighted", [False, True])
def test_binary_curves_and_areas(kind: str, dtype: torch.dtype, weighted: bool) -> None:
    for seed, n in ((0, 300), (1, 17)):
        preds, target, weights = data(n, kind, dtype, seed)
        y, s = target.numpy(), preds.numpy()
        own: dict[str, Any] = {"sample_weight": weights} if weighted else {}
        theirs: dict[str, Any] = {"sample_weight": weights.numpy()} if weighted else {}
        found = F.binary_roc(preds, target, **own)
        for a, b in zip(found, sk.roc_curve(y, s, drop_intermediate=False, **theirs), strict=True):
            np.testing.assert_allclose(a.numpy(), b, **CLOSE)
        line = F.binary_precision_recall_curve(preds, target, **own)
        for a, b in zip(line, sk.precision_recall_curve(y, s, **theirs), strict=True):
            np.testing.assert_allclose(a.numpy(), b, **CLOSE)
        np.testing.assert_allclose(F.binary_auroc(preds, target, **own), sk.roc_auc_score(y, s, **theirs), **CLOSE)
        value = F.binary_average_precision(preds, target, **own)
        np.testing.assert_allclose(value, sk.average_precision_score(y, s, **theirs), **CLOSE)
        for limit in (0.01, 0.3, 0.99, 1.0):
            value = F.binary_auroc(preds, target, max_fpr=limit, **own)
            np.testing.assert_allclose(value, sk.roc_auc_score(y, s, max_fpr=limit, **theirs), **CLOSE)


@pytest.mark.parametrize("average", ["macro", "weighted", "micro", "none"])
@pytest.mark.parametrize("weighted", [False, True])
def test_multiclass_and_multilabel_areas(average: Any, weighted: bool) -> None:
    g = torch.Generator().manual_seed(3)
    preds = ((torch.randn(120, 4, generator=g) * 2).round() / 2).double().softmax(1)
    target, weights = torch.randint(4, (120,), generator=g), torch.rand(120, generator=g).double()
    own: dict[str, Any] = {"sample_weight": weights} if weighted else {}
    theirs: dict[str, Any] = {"sample_weight": weights.numpy()} if weighted else {}
    hot = label_binarize(target.numpy(), classes=range(4))
    many = torch.randint(2, (120, 4), generator=g)
    kind = None if average == "none" else average
    for name, fn in (("auroc", sk.roc_auc_score), ("average_precision", sk.average_precision_score)):
        multiclass = getattr(F, f"multiclass_{name}")(preds, target, 4, average=average, **own)
        np.testing.assert_allclose(multiclass, fn(hot, preds.numpy(), average=kind, **theirs), **CLOSE)
        multilabel = getattr(F, f"multilabel_{name}")(preds, many, 4, average=average, **own)
        np.testing.assert_allclose(multilabel, fn(many.numpy(), preds.numpy(), average=kind, **theirs), **CLOSE)


def test_per_class_curves_and_the_mean_of_defined_classes() -> None:
    g = torch.Generator().manual_seed(4)
    preds, target = torch.randn(60, 5, generator=g), torch.randint(4, (60,), generator=g)  # class 4 is absent
    fpr, tpr, _ = F.multiclass_roc(preds, target, 5)
    areas = []
    for k in range(4):
        expected = sk.roc_curve(target.numpy() == k, preds[:, k].numpy(), drop_intermediate=False)
        np.testing.assert_allclose(fpr[k].numpy(), expected[0], **CLOSE)
        np.testing.assert_allclose(tpr[k].numpy(), expected[1], **CLOSE)
        areas.append(sk.roc_auc_score(target.numpy() == k, preds[:, k].numpy()))
    np.testing.assert_allclose(F.multiclass_auroc(preds, target, 5), np.mean(areas), **CLOSE)


def test_macro_roc_is_the_interpolated_mean() -> None:
    g = torch.Generator().manual_seed(5)
    preds, target = (torch.randn(80, 3, generator=g) * 2).round(), torch.randint(3, (80,), generator=g)
    lines = [sk.roc_curve(target.numpy() == k, preds[:, k].numpy(), drop_intermediate=False) for k in range(3)]
    grid = np.sort(np.concatenate([line[0] for line in lines]))
    expected = np.mean([np.interp(grid, line[0], line[1]) for line in lines], axis=0)
    fpr, tpr, _ = F.multiclass_roc(preds, target, 3, average="macro")
    np.testing.assert_allclose(fpr.numpy(), grid, **CLOSE)
    np.testing.assert_allclose(tpr.numpy(), expected, **CLOSE)


def test_binned_area_is_that_of_scores_rounded_down_to_thresholds() -> None:
    g = torch.Generator().manual_seed(6)
    preds, target = torch.rand(500, generator=g).double(), torch.randint(2, (500,), generator=g)
    grid = np.linspace(0, 1, 21)
    floored = grid[np.searchsorted(grid, preds.numpy(), side="right") - 1]
    value = F.binary_auroc(preds, target, thresholds=21)
    np.testing.assert_allclose(value, sk.roc_auc_score(target.numpy(), floored), **CLOSE)
    value = F.binary_average_precision(preds, target, thresholds=21)
    np.testing.assert_allclose(value, sk.average_precision_score(target.numpy(), floored), **CLOSE)


def test_a_million_scores() -> None:
    g = torch.Generator().manual_seed(7)
    target = torch.randint(2, (1_000_000,), generator=g)
    preds = torch.randn(1_000_000, generator=g) + 0.3 * target
    metric = lm.BinaryAUROC()
    for i in range(4):
        metric.update(preds[i::4], target[i::4])
    np.testing.assert_allclose(metric.compute(), sk.roc_auc_score(target.numpy(), preds.numpy()), **CLOSE)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("weighted", [False, True])
def test_log_loss_and_brier_score(dtype: torch.dtype, weighted: bool) -> None:
    g = torch.Generator().manual_seed(8)
    preds = torch.randn(90, 3, generator=g).to(dtype).softmax(1)
    preds[:2] = torch.eye(3, dtype=dtype)[:2]  # certain, once right and once wrong
    target, weights = torch.randint(3, (90,), generator=g), torch.rand(90, generator=g).double()
    target[:2] = torch.tensor([0, 0])
    own: dict[str, Any] = {"sample_weight": weights} if weighted else {}
    theirs: dict[str, Any] = {"sample_weight": weights.numpy()} if weighted else {}
    rows = preds.double().numpy() if dtype == torch.float64 else preds.numpy()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # float32 rows sum to 1 up to rounding only
        expected = sk.log_loss(target.numpy(), rows, **theirs)
        expected_binary = sk.log_loss((target == 1).numpy(), rows[:, 1], **theirs)
        brier = sk.brier_score_loss(target.numpy(), rows, scale_by_half=False, **theirs)
    close: dict[str, Any] = CLOSE if dtype == torch.float64 else {"rtol": 1e-5, "atol": 1e-6}
    np.testing.assert_allclose(F.log_loss(preds, target, "multiclass", 3, **own), expected, **close)
    binary = F.log_loss(preds[:, 1], (target == 1).long(), "binary", **own)
    np.testing.assert_allclose(binary, expected_binary, **close)
    np.testing.assert_allclose(F.brier_score(preds, target, "multiclass", 3, **own), brier, **close)
    value = F.brier_score(preds[:, 1], (target == 1).long(), "binary", **own)
    np.testing.assert_allclose(value, sk.brier_score_loss((target == 1).numpy(), rows[:, 1], **theirs), **close)
