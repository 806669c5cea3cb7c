"""Curves and their areas: values worked out by hand, traps of other libraries, and refused inputs."""

from __future__ import annotations

import math
import pickle
import warnings
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch

import lit_metrics as lm
import lit_metrics.functional as F
from lit_metrics.functional.classification import _curves

if TYPE_CHECKING:
    from collections.abc import Callable


def draw(n: int, seed: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    g = torch.Generator().manual_seed(seed)
    return torch.randn(n, generator=g), torch.randint(2, (n,), generator=g)


def draw_classes(n: int, k: int, seed: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    g = torch.Generator().manual_seed(seed)
    return torch.randn(n, k, generator=g), torch.randint(k, (n,), generator=g)


def pair_auroc(p: torch.Tensor, t: torch.Tensor) -> float:
    pos, neg = p[t == 1].double()[:, None], p[t == 0].double()
    return float(((pos > neg).double() + (pos == neg).double() / 2).mean())


def test_logits_fed_one_by_one_rank_as_one_batch() -> None:
    preds, target = torch.tensor([0.2, 0.9, 1.5, -0.5, 3.0]), torch.tensor([0, 0, 1, 0, 1])
    for metric in (lm.BinaryAUROC(), lm.BinaryAveragePrecision()):
        for i in range(5):
            metric.update(preds[i : i + 1], target[i : i + 1])
        assert metric.compute() == 1


def test_large_logits_are_ranked_and_not_saturated() -> None:
    target = torch.tensor([0, 1, 0, 1, 1, 0, 1])
    preds = torch.tensor([98.0, 98.1, 98.2, 98.3, 98.4, 98.05, 98.6])
    assert F.binary_auroc(preds, target) == F.binary_auroc(preds - 98, target) == pair_auroc(preds, target)
    assert F.binary_auroc(preds, target) > 0.8


@pytest.mark.parametrize("fn", [F.binary_auroc, F.binary_average_precision, F.binary_eer])
def test_ranking_metrics_do_not_change_under_increasing_maps(fn: Callable[..., torch.Tensor]) -> None:
    preds, target = draw(200)
    preds = preds.double()
    for other in (preds * 7 - 3, preds.exp(), preds.atan()):
        assert fn(other, target) == fn(preds, target)


def test_equal_scores_form_one_point_whatever_their_order() -> None:
    preds = torch.tensor([0.5, 0.5, 0.5, 0.5, 0.2])
    for target in ([1, 0, 1, 0, 0], [0, 0, 1, 1, 0], [1, 1, 0, 0, 0]):
        fpr, tpr, thresholds = F.binary_roc(preds, target)
        assert tpr.tolist() == [0, 1, 1]
        assert fpr.tolist() == pytest.approx([0, 2 / 3, 1])
        assert thresholds.tolist() == pytest.approx([math.inf, 0.5, 0.2])
        assert F.binary_average_precision(preds, target) == 0.5


def test_negative_zero_and_infinities_are_ordinary_scores() -> None:
    preds = torch.tensor([-0.0, 0.0, math.inf, -math.inf])
    assert F.binary_auroc(preds, [1, 0, 1, 0]) == 3.5 / 4
    assert F.binary_roc(preds.double(), [1, 0, 1, 0])[2].tolist() == [math.inf, math.inf, 0, -math.inf]


@pytest.mark.parametrize("seed", range(5))
def test_packed_sort_of_float32_and_plain_sort_of_float64_give_one_curve(seed: int) -> None:
    preds, target = draw(300, seed)
    preds = (preds * 4).round() / 4 * 10.0 ** torch.randint(-30, 30, (300,), generator=torch.Generator().manual_seed(1))
    for got, expected in zip(F.binary_roc(preds, target), F.binary_roc(preds.double(), target), strict=True):
        assert torch.equal(got.double(), expected)


@pytest.mark.parametrize("value", [0, 1])
def test_one_class_alone_is_undefined_and_says_so_once(value: int) -> None:
    metric = lm.BinaryAUROC()
    metric.update([0.3, 0.6], [value, value])
    with pytest.warns(UserWarning, match="nan"):
        assert metric.compute().isnan()
    metric.update([0.1], [value])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert metric.compute().isnan()


def test_average_precision_without_positives_is_nan_and_without_negatives_one() -> None:
    assert F.binary_average_precision([0.3, 0.6], [0, 0]).isnan()
    assert F.binary_average_precision([0.3, 0.6], [1, 1]) == 1


def test_macro_leaves_absent_classes_out() -> None:
    preds, _ = draw_classes(60, 5)
    target = torch.arange(60) % 3  # classes 3 and 4 never occur
    expected = np.mean([pair_auroc(preds[:, k], (target == k).long()) for k in range(3)])
    assert F.multiclass_auroc(preds, target, 5).item() == pytest.approx(expected, abs=1e-15)
    each = F.multiclass_average_precision(preds, target, 5, average="none")
    assert each.isnan().tolist() == [False, False, False, True, True]
    assert F.multiclass_average_precision(preds, target, 5) == each[:3].mean()


def test_many_classes_of_random_scores_rank_like_chance() -> None:
    preds, target = draw_classes(2000, 300)
    assert abs(F.multiclass_auroc(preds, target, 300).item() - 0.5) < 0.02


def test_weighted_average_weights_by_positives() -> None:
    preds, target = draw_classes(50, 3)
    each = F.multiclass_auroc(preds, target, 3, average="none")
    expected = (each * target.bincount(minlength=3)).sum() / 50
    assert F.multiclass_auroc(preds, target, 3, average="weighted").item() == pytest.approx(expected.item(), abs=1e-15)


def test_binary_is_one_label_and_one_of_two_classes() -> None:
    preds, target = draw(100)
    two = torch.stack([-preds, preds], 1)
    for name in ("auroc", "average_precision"):
        binary = getattr(F, f"binary_{name}")(preds, target)
        assert getattr(F, f"multilabel_{name}")(preds[:, None], target[:, None], 1) == binary
        assert getattr(F, f"multiclass_{name}")(two, target, 2, average="none")[1] == binary


@pytest.mark.parametrize("thresholds", [None, 20])
@pytest.mark.parametrize("ignore_index", [-1, 2, 255])
def test_ignored_targets_are_as_if_absent(thresholds: int | None, ignore_index: int) -> None:
    preds, target = draw(60)
    preds = preds.sigmoid()
    target[::7] = ignore_index
    preds[0] = math.nan  # nothing about an ignored element matters
    kept = target != ignore_index
    for fn in (F.binary_auroc, F.binary_average_precision, F.binary_eer):
        expected = fn(preds[kept], target[kept], thresholds=thresholds)
        assert fn(preds, target, thresholds=thresholds, ignore_index=ignore_index) == expected
    found = F.binary_roc(preds, target, thresholds, ignore_index)
    for got, expected in zip(found, F.binary_roc(preds[kept], target[kept], thresholds), strict=True):
        assert torch.equal(got, expected)


@pytest.mark.parametrize("thresholds", [None, 20])
def test_ignored_labels_and_classes_are_left_out_one_by_one(thresholds: int | None) -> None:
    g = torch.Generator().manual_seed(0)
    preds, target = torch.rand(40, 3, generator=g), torch.randint(2, (40, 3), generator=g)
    holes = torch.rand(40, 3, generator=g) < 0.2
    value = F.multilabel_auroc(preds, target.masked_fill(holes, -1), 3, "none", thresholds, ignore_index=-1)
    for k in range(3):
        keep = ~holes[:, k]
        assert value[k] == F.binary_auroc(preds[keep, k], target[keep, k], thresholds=thresholds)
    classes = target.sum(1)  # 0 to 3
    scores = torch.rand(40, 4, generator=g)
    kept = classes != 1
    value = F.multiclass_auroc(scores, classes, 4, "none", thresholds, ignore_index=1)
    for k in (0, 2, 3):
        expected = F.binary_auroc(scores[kept, k], (classes[kept] == k).long(), thresholds=thresholds)
        assert value[k].item() == pytest.approx(expected.item(), abs=1e-15)
    assert value[1].isnan()


@pytest.mark.parametrize("thresholds", [None, 10])
@pytest.mark.parametrize(
    "fn", [F.binary_auroc, F.binary_average_precision, F.binary_roc, F.binary_precision_recall_curve, F.binary_eer]
)
def test_weights_count_as_repetitions(fn: Callable[..., Any], thresholds: int | None) -> None:
    preds, target = draw(40)
    preds = (preds.sigmoid() * 8).round() / 8
    weights = torch.arange(40) % 4
    got = fn(preds, target, thresholds=thresholds, sample_weight=weights)
    expected = fn(preds.repeat_interleave(weights), target.repeat_interleave(weights), thresholds=thresholds)
    for a, b in zip(torch.atleast_1d(got), torch.atleast_1d(expected), strict=True):
        assert torch.allclose(a, b, rtol=1e-14, atol=1e-14, equal_nan=True)


def test_weights_may_start_in_any_batch() -> None:
    preds, target = draw(30)
    weights = torch.rand(10, generator=torch.Generator().manual_seed(0)).double()
    for order in ((0, 1, 2), (1, 0, 2), (2, 0, 1)):
        metric = lm.BinaryAUROC()
        for i in order:
            part = slice(10 * i, 10 * i + 10)
            metric.update(preds[part], target[part], *([weights] if i == 1 else []))
        full = torch.cat([torch.ones(10), weights, torch.ones(10)])
        assert metric.compute().item() == pytest.approx(F.binary_auroc(preds, target, sample_weight=full).item())


def test_unit_weights_take_no_memory() -> None:
    metric = lm.BinaryAUROC()
    metric.update(*draw(1000))
    assert metric.weights[0].untyped_storage().nbytes() == 1
    assert sum(state[0].untyped_storage().nbytes() for state in (metric.scores, metric.target)) == 5000
    assert pickle.loads(pickle.dumps(metric)).compute() == metric.compute()


def test_one_collection_keeps_one_list_and_sorts_once(monkeypatch: pytest.MonkeyPatch) -> None:
    sorts = []
    rank = _curves.ranked
    monkeypatch.setattr(_curves, "ranked", lambda *args: sorts.append(1) or rank(*args))
    collection = lm.MetricCollection(
        [lm.BinaryAUROC(), lm.BinaryAveragePrecision(), lm.BinaryROC(), lm.BinaryRecallAtFixedPrecision(0.5)]
    )
    preds, target = draw(50)
    collection.update(preds, target)
    assert len(collection.groups) == 1
    values = collection.compute()
    assert len(sorts) == 1
    assert values["BinaryAUROC"] == pair_auroc(preds, target)
    assert lm.BinaryAUROC(thresholds=5).group_key != lm.BinaryAUROC().group_key
    assert lm.BinaryAUROC(ignore_index=-1).group_key != lm.BinaryAUROC().group_key


@pytest.mark.parametrize("task", ["binary", "multiclass", "multilabel"])
def test_binned_counts_are_those_of_comparing_every_score_with_every_threshold(task: str) -> None:
    g = torch.Generator().manual_seed(0)
    grid = torch.tensor([0.0, 0.25, 0.3, 0.75, 1.0])
    preds = (torch.rand(70, 3, generator=g) * 20).round() / 20
    target = torch.randint(2 if task == "multilabel" else 3, (70, 3)[: 1 + (task == "multilabel")], generator=g)
    hot = target if task == "multilabel" else torch.nn.functional.one_hot(target, 3)
    if task == "binary":
        preds, target, hot = preds[:, 0], hot[:, 0], hot[:, :1]
    size = {"multiclass": {"num_classes": 3}, "multilabel": {"num_labels": 3}}.get(task, {})
    fpr, tpr, thresholds = F.roc(preds, target, task=task, thresholds=grid, **size)
    above = preds.reshape(70, -1)[:, :, None] >= grid.flip(0)
    for rate, label in ((tpr, 1), (fpr, 0)):
        mine = (hot == label)[:, :, None]
        expected = (above & mine).sum(0).double() / mine.sum(0)
        assert torch.equal(rate.reshape(expected.shape), expected)
    assert thresholds.tolist() == pytest.approx(grid.flip(0).tolist())


def test_binned_state_has_constant_size_and_adds_up() -> None:
    metric = lm.MulticlassAUROC(3, thresholds=50)
    shape = metric.counts.shape
    for seed in range(3):
        preds, target = draw_classes(40, 3, seed)
        metric.update(preds.softmax(1), target)
    assert metric.counts.shape == shape == (3, 52, 2)
    assert metric.counts.dtype == torch.int64
    assert metric.counts.sum() == 3 * 40 * 3


def test_crowded_scores_are_told_apart_by_thresholds_where_they_are() -> None:
    preds, target = torch.tensor([0.5001, 0.5002, 0.5003, 0.5004]), [0, 0, 1, 1]
    assert F.binary_auroc(preds, target) == 1
    assert F.binary_auroc(preds, target, thresholds=100) == 0.5
    assert F.binary_auroc(preds, target, thresholds=[0.5, 0.50025, 0.6]) == 1


def test_binned_logits_need_the_flag_and_are_compared_without_rounding() -> None:
    preds, target = torch.tensor([20.0, 22.0, 24.0, 26.0]), [0, 1, 0, 1]
    with pytest.raises(ValueError, match="logits=True"):
        F.binary_auroc(preds, target, thresholds=10)
    grid = [0.5, *torch.tensor([21.0, 23.0, 25.0]).double().sigmoid().tolist()]
    assert F.binary_auroc(preds, target, thresholds=grid, logits=True) == 0.75
    _, _, thresholds = F.binary_roc(preds, target, thresholds=grid, logits=True)
    assert thresholds.tolist() == sorted(grid, reverse=True)
    # thresholds that are no probabilities ask for no probabilities
    assert F.binary_auroc(preds, target, thresholds=[21.0, 23.0, 25.0]) == 0.75


def test_thresholds_of_logits_are_probabilities() -> None:
    preds, target = draw(20)
    plain, flagged = F.binary_roc(preds, target), F.binary_roc(preds, target, logits=True)
    assert torch.equal(flagged[2], plain[2].sigmoid())
    assert torch.equal(flagged[1], plain[1])


def test_softmax_is_taken_per_sample_whatever_the_batch() -> None:
    preds, target = draw_classes(40, 3)
    preds = preds * 3
    expected = F.multiclass_auroc(preds.double().softmax(1), target, 3, average="none")
    metric = lm.MulticlassAUROC(3, average="none", logits=True)
    for i in range(40):
        metric.update(preds[i : i + 1], target[i : i + 1])
    assert torch.equal(metric.compute(), expected)
    assert not torch.equal(F.multiclass_auroc(preds, target, 3, average="none"), expected)


@pytest.mark.parametrize("average", ["micro", "macro"])
@pytest.mark.parametrize("thresholds", [None, 10])
def test_area_under_the_averaged_curve_is_the_averaged_area(average: Any, thresholds: int | None) -> None:
    preds, target = draw_classes(80, 4)
    preds = preds.softmax(1)
    precision, recall, _ = F.multiclass_precision_recall_curve(preds, target, 4, thresholds, average)
    steps = (recall[:-1] - recall[1:]) * precision[:-1].nan_to_num()
    expected = F.multiclass_average_precision(preds, target, 4, average, thresholds)
    assert steps.sum().item() == pytest.approx(expected.item(), abs=1e-12)
    if thresholds is None and average == "micro":
        fpr, tpr, _ = F.multiclass_roc(preds, target, 4, average=average)
        expected = F.multiclass_auroc(preds, target, 4, average)
        assert torch.trapezoid(tpr, fpr).item() == pytest.approx(expected.item(), abs=1e-12)


def test_operating_points_at_the_edges() -> None:
    preds, target = torch.tensor([0.1, 0.4, 0.35, 0.8, 0.8]), torch.tensor([0, 0, 1, 1, 0])
    # torchmetrics 1.9.0 gives these, with 1.0 for the threshold above all scores
    assert [v.item() for v in F.binary_recall_at_fixed_precision(preds, target, 0.5)] == pytest.approx([1, 0.35])
    assert [v.item() for v in F.binary_precision_at_fixed_recall(preds, target, 1.0)] == pytest.approx([0.5, 0.35])
    assert [v.item() for v in F.binary_sensitivity_at_specificity(preds, target, 0.5)] == pytest.approx([0.5, 0.8])
    assert [v.item() for v in F.binary_specificity_at_sensitivity(preds, target, 0.7)] == pytest.approx([1 / 3, 0.35])
    assert F.binary_specificity_at_sensitivity(preds, target, 0.0) == (1, math.inf)
    value, threshold = F.binary_recall_at_fixed_precision(preds, target, 0.9)
    assert value == 0
    assert threshold.isnan()
    value, threshold = F.binary_recall_at_fixed_precision(preds, torch.zeros(5).long(), 0.0)
    assert value.isnan()
    assert threshold.isnan()


def test_equal_error_rate_and_log_area_keep_the_values_of_torchmetrics() -> None:
    preds = torch.tensor(
        [[0.335833, 0.440795, 0.223371], [0.260158, 0.310034, 0.429808], [0.288396, 0.432978, 0.278626]]
    )
    preds = torch.cat([preds, torch.tensor([[0.392576, 0.295692, 0.311732], [0.288199, 0.333680, 0.378121]])])
    preds, target = torch.cat([preds, torch.tensor([[0.283986, 0.339703, 0.376311]])]), torch.tensor([0, 1, 2, 0, 1, 1])
    # printed by torchmetrics 1.9.0
    assert F.multiclass_eer(preds, target, 3).tolist() == pytest.approx([0.0, 0.666667, 0.9], abs=1e-6)
    assert F.multiclass_eer(preds, target, 3, average="macro").item() == pytest.approx(0.633333, abs=1e-6)
    assert F.multiclass_eer(preds, target, 3, average="micro").item() == pytest.approx(0.458333, abs=1e-6)
    assert F.multiclass_logauc(preds, target, 3, average=None).tolist() == [1, 0, 0]


def test_log_area_of_chance_is_that_of_the_diagonal() -> None:
    # between 0.001 and 1 the diagonal rises by 0.999 over ln(1000) of logarithm; the trapezoids lie above it
    fpr = np.arange(1, 1001) / 1000
    diagonal = np.trapezoid(fpr, np.log(fpr)) / math.log(1000)
    assert diagonal == pytest.approx(0.999 / math.log(1000), rel=1e-3)
    scores = torch.arange(1000, 0, -1).repeat_interleave(2)
    target = torch.tensor([0, 1]).repeat(1000)
    assert F.binary_logauc(scores, target, (0.001, 1.0)).item() == pytest.approx(diagonal, rel=1e-9)


def test_auc_is_the_trapezoidal_rule_in_either_direction() -> None:
    assert F.auc([0, 1, 3], [1, 1, 3]) == 5
    assert F.auc([3, 1, 0], [3, 1, 1]) == 5
    assert F.auc([1, 0, 3], [1, 1, 3], reorder=True) == 5
    with pytest.raises(ValueError, match="reorder"):
        F.auc([1, 0, 3], [1, 1, 3])


def test_task_is_told_by_shapes_in_the_functions_without_task() -> None:
    preds, target = draw_classes(30, 3)
    assert F.auroc(preds, target) == F.multiclass_auroc(preds, target, 3)
    assert F.auroc(preds[:, 0], target.clamp(max=1)) == F.binary_auroc(preds[:, 0], target.clamp(max=1))
    hot = torch.nn.functional.one_hot(target, 3)
    assert F.average_precision(preds, hot) == F.multilabel_average_precision(preds, hot, 3)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
def test_nan_scores_are_refused_whatever_the_dtype(dtype: torch.dtype) -> None:
    preds = torch.tensor([math.nan, 0.2, 0.8], dtype=dtype)
    for metric in (lm.BinaryAUROC(), lm.BinaryAUROC(thresholds=5), lm.BinaryAUROC(thresholds=[-1.0, 2.0])):
        with pytest.raises(ValueError, match="preds must be"):
            metric.update(preds, torch.tensor([1, 0, 1]))
        assert metric.update_count == 0


BAD: list[tuple[Callable[[], Any], type[Exception], str]] = [
    (lambda: F.binary_auroc([0.1, 0.2], [0, 1, 1]), ValueError, "same shape"),
    (lambda: F.binary_auroc([0.1, 0.2], [0.0, 1.0]), TypeError, "integer labels"),
    (lambda: F.binary_auroc([0.1, 0.2], [0, 2]), ValueError, r"\[0, 1\]"),
    (lambda: F.binary_auroc([0.1, 0.2], [0, -1], thresholds=5), ValueError, r"\[0, 1\]"),
    (lambda: F.binary_auroc([0.1, 0.2], [0, 256]), ValueError, r"\[0, 1\]"),
    (lambda: F.multiclass_auroc([[0.1, 0.2]], [2], 2), ValueError, r"\[0, 1\]"),
    (lambda: F.multiclass_auroc([[0.1, 0.2]], [1], 3), ValueError, r"\(N, 3, ...\)"),
    (lambda: F.multilabel_auroc([[0.1, 0.2]], [[1, 0]], 3), ValueError, r"\(N, 3, ...\)"),
    (lambda: lm.AUROC(task="regression"), ValueError, "task"),
    (lambda: lm.AUROC(task="multiclass"), ValueError, "num_classes"),
    (lambda: lm.MultilabelAUROC(0), ValueError, "num_labels"),
    (lambda: lm.MulticlassAUROC(3, average="best"), ValueError, "average"),
    (lambda: lm.BinaryAUROC(thresholds=1), ValueError, "thresholds"),
    (lambda: lm.BinaryAUROC(thresholds=[]), ValueError, "thresholds"),
    (lambda: lm.BinaryAUROC(max_fpr=0), ValueError, "max_fpr"),
    (lambda: lm.AUROC(task="multiclass", num_classes=3, max_fpr=0.5), ValueError, "max_fpr"),
    (lambda: lm.BinaryRecallAtFixedPrecision(2.0), ValueError, "min_precision"),
    (lambda: lm.BinaryPrecisionAtFixedRecall(-0.1), ValueError, "min_recall"),
    (lambda: lm.BinaryLogAUC(fpr_range=(0, 0.1)), ValueError, "fpr_range"),
    (lambda: lm.BinaryAUROC(ignore_index=0.5), ValueError, "ignore_index"),
    (lambda: F.binary_auroc([0.1, 0.2], [0, 1], sample_weight=[1.0]), ValueError, "sample_weight"),
]


@pytest.mark.parametrize(("call", "error", "message"), BAD)
def test_bad_input_is_refused_with_its_name(call: Callable[[], Any], error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        call()


@pytest.mark.parametrize("thresholds", [None, 5])
def test_what_an_accelerator_could_not_refuse_raises_in_compute(
    thresholds: int | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    good = draw(20)[0].sigmoid(), draw(20)[1]
    for preds, target in (([0.2, math.nan], [1, 0]), ([0.2, 0.3], [1, 3])):
        metric = lm.BinaryAUROC(thresholds=thresholds)
        with monkeypatch.context() as patch:
            patch.setattr(_curves, "checks_are_free", lambda _: False)
            metric.update(*good)
            metric.update(torch.tensor(preds), torch.tensor(target))
        with pytest.raises(ValueError, match="must"):
            metric.compute()


@pytest.mark.parametrize("thresholds", [None, 7])
@pytest.mark.parametrize("ignore_index", [None, -1, 1])
def test_the_path_of_accelerators_gives_the_value_of_host_memory(
    thresholds: int | None, ignore_index: int | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    preds, target = draw_classes(50, 4)
    preds = preds.softmax(1)
    if ignore_index == -1:
        target[::5] = -1
    weights = torch.rand(50, generator=torch.Generator().manual_seed(0))
    for extra in ({}, {"sample_weight": weights}):
        options: dict[str, Any] = {"average": "none", "thresholds": thresholds, "ignore_index": ignore_index, **extra}
        expected = F.multiclass_auroc(preds, target, 4, **options)
        with monkeypatch.context() as patch:
            patch.setattr(_curves, "checks_are_free", lambda _: False)
            patch.setattr("lit_metrics.functional.classification._counting.checks_are_free", lambda _: False)
            assert torch.allclose(F.multiclass_auroc(preds, target, 4, **options), expected, 1e-14, equal_nan=True)


@pytest.mark.parametrize("thresholds", [None, 20])
@pytest.mark.parametrize("task", ["binary", "multiclass", "multilabel"])
def test_state_of_a_batch_compiles_to_one_graph(thresholds: int | None, task: Any) -> None:
    size = {"multiclass": {"num_classes": 3}, "multilabel": {"num_labels": 3}}.get(task, {})
    config = _curves.make_curve_config(task, thresholds, **size)
    preds, target = torch.rand(30, 3), torch.randint(2, (30, 3))
    if task != "multilabel":
        target = target[:, 0]
    if task == "binary":
        preds = preds[:, 0].contiguous()
    compiled = torch.compile(lambda p, t: _curves.curve_state(config, p, t), fullgraph=True, backend="eager")
    expected = _curves.curve_state(config, preds, target)
    found = compiled(preds, target)
    assert found.keys() == expected.keys()
    for name, value in expected.items():
        assert torch.equal(found[name], value)
