"""Calibration error, log loss and Brier score: closed forms, edges and refused inputs."""

from __future__ import annotations

import functools
import math
from typing import Any

import numpy as np
import pytest
import torch

import lit_metrics as lm
import lit_metrics.functional as F


def by_bins(confidence: np.ndarray, correct: np.ndarray, n_bins: int, norm: str) -> float:
    """The definition over the bins of np.histogram."""
    edges = np.arange(n_bins + 1) / n_bins
    gaps, shares = [], []
    for b in range(n_bins):
        last = b == n_bins - 1
        inside = (confidence >= edges[b]) & ((confidence <= 1) if last else (confidence < edges[b + 1]))
        if inside.any():
            gaps.append(abs(correct[inside].mean() - confidence[inside].mean()))
            shares.append(inside.mean())
    gap, share = np.array(gaps), np.array(shares)
    return float({"l1": (gap * share).sum(), "l2": math.sqrt((gap**2 * share).sum()), "max": gap.max()}[norm])


@pytest.mark.parametrize("norm", ["l1", "l2", "max"])
@pytest.mark.parametrize("n_bins", [1, 2, 10, 15])
def test_error_is_that_of_the_bins_of_a_histogram(norm: Any, n_bins: int) -> None:
    g = torch.Generator().manual_seed(0)
    preds = (torch.rand(200, generator=g).double() * 20).round() / 20  # many on the edges, some 0 and 1
    target = torch.randint(2, (200,), generator=g)
    expected = by_bins(preds.numpy(), target.numpy(), n_bins, norm)
    assert F.binary_calibration_error(preds, target, n_bins, norm).item() == pytest.approx(expected, abs=1e-14)
    scores, classes = torch.randn(200, 4, generator=g).double().softmax(1), torch.randint(4, (200,), generator=g)
    right = (scores.argmax(1) == classes).numpy()
    expected = by_bins(scores.amax(1).numpy(), right, n_bins, norm)
    value = F.multiclass_calibration_error(scores, classes, 4, n_bins, norm)
    assert value.item() == pytest.approx(expected, abs=1e-14)


def test_full_confidence_falls_in_the_last_bin() -> None:
    # one bin from 0.5 to 1 holds both: mean confidence 0.8, accuracy 0.5
    assert F.binary_calibration_error([1.0, 0.6], [0, 1], n_bins=2).item() == pytest.approx(0.3)
    assert F.binary_calibration_error([0.0, 1.0], [0, 1]) == 0
    assert F.multiclass_calibration_error([[1.0, 0.0], [0.6, 0.4]], [1, 0], 2, n_bins=2).item() == pytest.approx(0.3)


def test_logits_are_said_and_never_guessed() -> None:
    g = torch.Generator().manual_seed(1)
    preds, target = 3 * torch.randn(50, generator=g), torch.randint(2, (50,), generator=g)
    expected = F.binary_calibration_error(preds.double().sigmoid(), target)
    metric = lm.BinaryCalibrationError(logits=True)
    for i in range(50):
        metric.update(preds[i : i + 1], target[i : i + 1])
    assert metric.compute().item() == pytest.approx(expected.item(), abs=1e-14)
    with pytest.raises(ValueError, match="logits=True"):
        lm.BinaryCalibrationError().update(preds, target)


def test_state_is_three_sums_per_bin_and_shared_between_norms() -> None:
    norms: tuple[Any, ...] = ("l1", "l2", "max")
    collection = lm.MetricCollection({norm: lm.BinaryCalibrationError(10, norm) for norm in norms})
    for seed in range(3):
        g = torch.Generator().manual_seed(seed)
        collection.update(torch.rand(100, generator=g), torch.randint(2, (100,), generator=g))
    assert len(collection.groups) == 1
    assert torch.as_tensor(collection["l1"].metric_state["bins"]).shape == (10, 3)
    values = collection.compute()
    assert values["l1"] <= values["l2"] <= values["max"]


def test_weights_and_ignored_targets() -> None:
    g = torch.Generator().manual_seed(2)
    preds, target = torch.rand(40, generator=g), torch.randint(2, (40,), generator=g)
    weights = torch.arange(40) % 3
    repeated = preds.repeat_interleave(weights), target.repeat_interleave(weights)
    ignored = target.masked_fill(weights == 0, -1)
    kept = weights > 0
    for fn in (F.binary_calibration_error, functools.partial(F.log_loss, task="binary")):
        assert fn(preds, target, sample_weight=weights).item() == pytest.approx(fn(*repeated).item(), abs=1e-14)
        value = fn(preds.masked_fill(~kept, math.nan), ignored, ignore_index=-1)
        assert value.item() == pytest.approx(fn(preds[kept], target[kept]).item(), abs=1e-14)


def test_log_loss_of_large_logits_is_exact() -> None:
    assert F.log_loss([800.0, -800.0], [0, 1], "binary", logits=True) == 800
    assert F.log_loss([[900.0, 0.0, 0.0]], [1], "multiclass", 3, logits=True) == 900
    logits, target = torch.tensor([[0.3, -2.0], [1.5, 0.2]]).double(), torch.tensor([[1, 0], [0, 1]])
    expected = torch.nn.functional.binary_cross_entropy_with_logits(logits, target.double())
    assert torch.allclose(F.log_loss(logits, target, "multilabel", num_labels=2, logits=True), expected, rtol=1e-14)


def test_scores_can_be_differentiated() -> None:
    logits = torch.randn(6, 3, dtype=torch.float64, requires_grad=True, generator=None)
    target = torch.tensor([0, 1, 2, 0, 1, 2])
    (mine,) = torch.autograd.grad(F.log_loss(logits, target, "multiclass", 3, logits=True), logits)
    (expected,) = torch.autograd.grad(torch.nn.functional.cross_entropy(logits, target), logits)
    assert torch.allclose(mine, expected, rtol=1e-12)
    assert torch.autograd.gradcheck(lambda x: F.brier_score(x, target, "multiclass", 3, logits=True), logits)


def test_brier_score_lies_between_its_bounds() -> None:
    assert F.brier_score([[1.0, 0.0, 0.0]], [0], "multiclass", 3) == 0
    assert F.brier_score([[1.0, 0.0, 0.0]], [1], "multiclass", 3) == 2
    assert F.brier_score([[0.5, 1.0]], [[0, 1]], "multilabel", num_labels=2) == 0.125


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: lm.BinaryCalibrationError(0), "n_bins"),
        (lambda: lm.BinaryCalibrationError(10, "l3"), "norm"),  # type: ignore[arg-type]
        (lambda: lm.CalibrationError("multilabel"), "task"),  # type: ignore[arg-type]
        (lambda: lm.LogLoss("multiclass"), "num_classes"),
        (lambda: F.log_loss([0.2, 1.2], [0, 1], "binary"), "logits=True"),
        (lambda: F.log_loss([0.2, 0.3], [0, 2], "binary"), r"\[0, 1\]"),
        (lambda: F.brier_score([0.2, 0.3], [[0, 1]], "binary"), "same shape"),
        (lambda: F.brier_score([0.2, math.nan], [0, 1], "binary", logits=True), "NaN"),
    ],
)
def test_bad_input_is_refused_with_its_name(call: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        call()


def test_nothing_seen_is_nan_with_one_warning() -> None:
    for metric in (lm.BinaryCalibrationError(), lm.BinaryCalibrationError(norm="max"), lm.LogLoss("binary")):
        with pytest.warns(UserWarning, match="no data"):
            assert metric.compute().isnan()
