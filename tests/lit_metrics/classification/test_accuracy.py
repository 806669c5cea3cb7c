"""Accuracy: values worked out by hand or by numpy, traps of other libraries, and refused inputs."""

from __future__ import annotations

import math
import pickle
from typing import Any

import numpy as np
import pytest
import torch

import lit_metrics as lm
import lit_metrics.functional as F
from lit_metrics.functional.classification import _task


def draw(n: int, k: int, seed: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    g = torch.Generator().manual_seed(seed)
    return torch.randn(n, k, generator=g), torch.randint(k, (n,), generator=g)


def test_small_logits_fed_one_by_one_give_the_value_of_one_batch() -> None:
    preds, target = torch.tensor([3.0, -2.0, 0.3, 0.4]), torch.tensor([1, 0, 1, 1])
    metric = lm.BinaryAccuracy(logits=True)
    for i in range(4):
        metric.update(preds[i : i + 1], target[i : i + 1])
    assert metric.compute() == F.binary_accuracy(preds, target, logits=True) == 1


def test_logits_without_the_flag_are_refused_with_a_hint() -> None:
    metric = lm.BinaryAccuracy()
    for wrong in ([3.0, 0.2], [-0.1, 0.2], [math.nan, 0.2]):
        with pytest.raises(ValueError, match="logits=True"):
            metric.update(wrong, [1, 0])
    assert metric.update_count == 0


def test_threshold_in_probability_applies_to_logits() -> None:
    logits, target = torch.linspace(-4, 4, 101).double(), torch.arange(101) % 2
    for threshold in (0.1, 0.5, 0.9):
        expected = ((logits.sigmoid() > threshold) == target).double().mean()
        assert F.binary_accuracy(logits, target, threshold, logits=True) == expected


def test_scores_equal_to_the_threshold_are_negative() -> None:
    assert F.binary_accuracy([0.5], [0]) == 1
    assert F.binary_accuracy([0.0], [1], logits=True) == 0


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16, torch.float16])
def test_nan_scores_are_refused_whatever_the_dtype(dtype: torch.dtype) -> None:
    preds = torch.tensor([[math.nan, 0.1], [0.2, 0.3]], dtype=dtype)
    metric = lm.MulticlassAccuracy(2)
    with pytest.raises(ValueError, match="NaN"):
        metric.update(preds, torch.tensor([0, 1]))
    assert metric.update_count == 0
    with pytest.raises(ValueError, match="NaN"):
        F.binary_accuracy(preds[:, 0], torch.tensor([0, 1]), logits=True)


def test_infinite_scores_are_scores() -> None:
    preds = torch.tensor([[-math.inf, 0.0], [math.inf, 0.0], [-math.inf, math.inf]])
    assert lm.MulticlassAccuracy(2, average="micro")(preds, torch.tensor([1, 0, 1])) == 1


def test_ignored_class_leaves_the_macro_average() -> None:
    preds, target = torch.tensor([0, 0, 1, 2, 2]), torch.tensor([0, 1, 1, 2, 2])
    # class 2 is ignored: recalls are 1 of 1 and 1 of 2
    assert F.multiclass_accuracy(preds, target, 3, ignore_index=2) == 0.75
    per_class = F.multiclass_accuracy(preds, target, 3, average="none", ignore_index=2)
    assert per_class[:2].tolist() == [1.0, 0.5]
    assert math.isnan(per_class[2])


@pytest.mark.parametrize("ignore_index", [-1, -100, 255])
@pytest.mark.parametrize("average", ["micro", "macro", "weighted", "balanced"])
@pytest.mark.parametrize("top_k", [1, 2])
def test_ignore_index_outside_the_classes_equals_leaving_samples_out(
    ignore_index: int, average: Any, top_k: int
) -> None:
    preds, target = draw(40, 5)
    masked = target.clone()
    masked[::3] = ignore_index
    keep = masked != ignore_index
    got = F.multiclass_accuracy(preds, masked, 5, average, top_k, ignore_index=ignore_index)
    assert got == F.multiclass_accuracy(preds[keep], target[keep], 5, average, top_k)


def test_ignore_index_in_binary_and_multilabel_targets() -> None:
    assert F.binary_accuracy([0.9, 0.1, 0.9], [1, -1, 0], ignore_index=-1) == 0.5
    got = F.multilabel_accuracy([[0.9, 0.1], [0.9, 0.1]], [[1, 7], [0, 0]], 2, average=None, ignore_index=7)
    assert got.tolist() == [0.5, 1.0]


def test_macro_counts_a_class_that_was_only_predicted_and_balanced_does_not() -> None:
    preds, target = torch.tensor([0, 1]), torch.tensor([0, 0])
    assert F.multiclass_accuracy(preds, target, 3, average="macro") == 0.25
    assert F.multiclass_accuracy(preds, target, 3, average="balanced") == 0.5
    assert math.isnan(F.multiclass_accuracy(preds, target, 3, average="none")[2])


def test_default_average_is_micro_with_task_and_macro_in_the_class_of_a_task() -> None:
    preds, target = torch.tensor([0, 0, 0, 0]), torch.tensor([0, 0, 0, 1])
    general, special = lm.Accuracy(task="multiclass", num_classes=3), lm.MulticlassAccuracy(num_classes=3)
    assert (general(preds, target), special(preds, target)) == (0.75, 0.5)
    assert "average='micro'" in repr(general)
    assert "average='macro'" in repr(special)


@pytest.mark.parametrize("average", ["micro", "macro", "weighted", "balanced"])
def test_top_k_never_falls_with_k_and_ends_at_one(average: Any) -> None:
    preds, target = draw(60, 6)
    values = [float(F.multiclass_accuracy(preds, target, 6, average, k)) for k in range(1, 7)]
    assert values == sorted(values)
    assert values[-1] == 1


def test_top_k_ties_go_to_the_lower_index() -> None:
    hits = [F.multiclass_accuracy(torch.zeros(4, 4), torch.arange(4), 4, "micro", k) for k in (1, 2, 3, 4)]
    assert [float(h) for h in hits] == [0.25, 0.5, 0.75, 1.0]


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_scores_rank_as_their_float64_copies(dtype: torch.dtype) -> None:
    preds, target = draw(50, 8)
    rounded = preds.to(dtype)
    order = np.argsort(-rounded.double().numpy(), axis=1, kind="stable")
    for k in (1, 3):
        expected = np.mean([t in row[:k] for row, t in zip(order, target.numpy(), strict=True)])
        assert float(F.multiclass_accuracy(rounded, target, 8, "micro", k)) == expected


def test_one_engine_binary_equals_multiclass_and_multilabel() -> None:
    g = torch.Generator().manual_seed(3)
    p, y = torch.rand(30, generator=g), torch.randint(2, (30,), generator=g)
    binary = F.binary_accuracy(p, y)
    assert binary == F.multiclass_accuracy(torch.stack([1 - p, p], 1), y, 2, average="micro")
    assert binary == F.multilabel_accuracy(p[:, None], y[:, None], 1)


@pytest.mark.parametrize("k", [5, 200])
@pytest.mark.parametrize("average", ["micro", "macro", "weighted", "balanced", "none"])
def test_both_layouts_and_the_numpy_path_agree(monkeypatch: pytest.MonkeyPatch, k: int, average: Any) -> None:
    preds, target = draw(300, k)
    weights = torch.rand(300, generator=torch.Generator().manual_seed(0))
    values, weighted = [], []
    for limit in (1, 1000):
        monkeypatch.setattr(_task, "MATRIX_CLASSES", limit)
        for scores in (preds, preds.double()):
            values.append(F.multiclass_accuracy(scores, target, k, average))
            weighted.append(F.multiclass_accuracy(scores, target, k, average, sample_weight=weights))
    for group in (values, weighted):
        for value in group[1:]:
            torch.testing.assert_close(value, group[0], rtol=1e-13, atol=0, equal_nan=True)


def test_samplewise_equals_one_call_per_sample() -> None:
    g = torch.Generator().manual_seed(0)
    preds, target = torch.randn(7, 4, 9, generator=g), torch.randint(4, (7, 9), generator=g)
    for average in ("micro", "macro", "weighted"):
        got = F.multiclass_accuracy(preds, target, 4, average, multidim_average="samplewise")
        rows = [F.multiclass_accuracy(preds[i].T, target[i], 4, average) for i in range(7)]
        torch.testing.assert_close(got, torch.stack(rows), rtol=1e-13, atol=0)
    probs, hits = torch.rand(5, 3, 4, generator=g), torch.randint(2, (5, 3, 4), generator=g)
    expected = ((probs > 0.5) == hits).double().mean((1, 2))
    torch.testing.assert_close(F.multilabel_accuracy(probs, hits, 3, multidim_average="samplewise"), expected)
    torch.testing.assert_close(F.binary_accuracy(probs, hits, multidim_average="samplewise"), expected)


def test_weights_act_as_repetition() -> None:
    preds, target = draw(20, 4)
    times = torch.randint(4, (20,), generator=torch.Generator().manual_seed(1))
    index = torch.arange(20).repeat_interleave(times)
    for average in ("micro", "macro", "weighted", "balanced"):
        got = F.multiclass_accuracy(preds, target, 4, average, sample_weight=times)
        expected = F.multiclass_accuracy(preds[index], target[index], 4, average)
        torch.testing.assert_close(got, expected, rtol=1e-13, atol=0)


def test_weight_zero_hides_padding() -> None:
    metric = lm.MulticlassAccuracy(3, average="micro")
    metric.update([0, 1, 2], [0, 1, 1])
    metric.update([2, 2], [2, 0], sample_weight=[1.0, 0.0])
    assert metric.compute() == 0.75


def test_counts_are_exact_integers_beyond_float32() -> None:
    metric = lm.MulticlassAccuracy(2, average="micro")
    metric.update([0, 1], [0, 1])
    state = metric.batch_state([0], [0])
    state.values["counts"].mul_(2**24)
    metric.merge_state(state)
    metric.update([0], [1])
    assert metric.counts.dtype == torch.int64
    assert metric.compute() == (2**24 + 2) / (2**24 + 3)


def test_deterministic_mode_gives_the_same_counts() -> None:
    preds, target = draw(1000, 500)
    expected = F.multiclass_accuracy(preds, target, 500)
    torch.use_deterministic_algorithms(True)
    try:
        assert F.multiclass_accuracy(preds, target, 500) == expected
        assert F.multiclass_accuracy(preds, target, 500, sample_weight=torch.ones(1000)) == expected
    finally:
        torch.use_deterministic_algorithms(False)


@pytest.mark.parametrize(
    ("preds", "target", "task"),
    [
        (torch.eye(6)[:, :3], torch.tensor([0, 1, 2, 0, 1, 2]), "multiclass"),
        (torch.tensor([0.2, 0.8]), torch.tensor([0, 1]), "binary"),
        (torch.tensor([[0.2, 0.8], [0.9, 0.4]]), torch.tensor([[0, 1], [0, 0]]), "multilabel"),
        (torch.tensor([4, 1, 7]), torch.tensor([4, 2, 7]), "multiclass"),
    ],
)
def test_1_0_accuracy_infers_its_task_once(preds: torch.Tensor, target: torch.Tensor, task: str) -> None:
    metric = lm.Accuracy()
    hard = preds.argmax(1) if preds.ndim == target.ndim + 1 else preds > 0.5 if preds.is_floating_point() else preds
    assert metric(preds, target) == (hard == target).double().mean()
    assert metric.config is not None
    assert metric.config.task == task
    metric.reset()
    assert metric.config.task == task
    twin = pickle.loads(pickle.dumps(metric))
    assert twin(preds, target) == metric(preds, target)


def test_batch_that_disagrees_with_the_inferred_task_is_an_error() -> None:
    metric = lm.Accuracy()
    metric.update(torch.randn(4, 3), torch.tensor([0, 1, 2, 0]))
    before = metric.compute()
    with pytest.raises(ValueError, match="num_classes=3"):
        metric.update(torch.randn(4, 5), torch.tensor([0, 1, 2, 0]))
    with pytest.raises(ValueError, match="must be scores"):
        metric.update(torch.rand(4), torch.tensor([0, 1, 1, 0]))
    assert metric.compute() == before


def test_ambiguous_first_batch_is_an_error_that_freezes_nothing() -> None:
    metric = lm.Accuracy()
    with pytest.raises(ValueError, match="pass task="):
        metric.update(torch.rand(4, 1), torch.tensor([0, 1, 1, 0]))
    metric.update(torch.tensor([0.2, 0.8]), torch.tensor([0, 1]))
    assert metric.compute() == 1
    with pytest.raises(ValueError, match="num_classes must be given"):
        lm.Accuracy(average="macro").update([0, 1], [0, 1])


def test_inferred_task_survives_a_checkpoint() -> None:
    metric, twin = lm.Accuracy(), lm.Accuracy()
    metric.persistent()
    twin.persistent()
    metric.update(torch.eye(3), torch.tensor([0, 1, 1]))
    twin.load_state_dict(metric.state_dict())
    assert twin.compute() == metric.compute()
    twin.update(torch.eye(3), torch.tensor([0, 1, 2]))
    assert twin.compute() == 5 / 6


def test_classes_are_real_classes() -> None:
    assert isinstance(lm.Accuracy(task="binary"), lm.Accuracy)
    for metric in (lm.BinaryAccuracy(), lm.MulticlassAccuracy(3), lm.MultilabelAccuracy(3)):
        assert isinstance(metric, lm.Accuracy)


@pytest.mark.parametrize(
    "kwargs",
    [
        {"task": "multi"},
        {"task": "multiclass", "num_classes": 3, "top_k": 0},
        {"task": "multiclass", "num_classes": 3, "top_k": -1},
        {"task": "multiclass", "num_classes": 3, "top_k": 4},
        {"task": "multiclass", "num_classes": 3, "top_k": 1.5},
        {"task": "multiclass", "num_classes": 0},
        {"task": "multiclass", "num_classes": True},
        {"task": "multiclass", "average": "macro"},
        {"task": "multiclass", "num_classes": 3, "average": "mean"},
        {"task": "multiclass", "num_classes": 3, "ignore_index": 1.0},
        {"task": "binary", "threshold": -0.1},
        {"task": "binary", "threshold": 1.5},
        {"task": "binary", "threshold": math.nan},
        {"task": "binary", "multidim_average": "local"},
        {"task": "multilabel"},
        {"num_classes": 3, "num_labels": 3},
        {"top_k": -1},
        {"multidim_average": "local"},
    ],
)
def test_arguments_out_of_range_are_refused_at_construction(kwargs: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"must be|name different tasks"):
        lm.Accuracy(**kwargs)


@pytest.mark.parametrize(
    ("metric", "preds", "target", "error", "message"),
    [
        (lm.MulticlassAccuracy(3), torch.rand(4, 3), torch.tensor([0, 1, 2, 3]), ValueError, r"labels in \[0, 2\]"),
        (lm.MulticlassAccuracy(3), torch.rand(4, 3), torch.tensor([0, 1, 2, -1]), ValueError, r"labels in \[0, 2\]"),
        (lm.MulticlassAccuracy(3), torch.rand(1, 3), torch.tensor([2**62]), ValueError, r"labels in \[0, 2\]"),
        (lm.MulticlassAccuracy(3), torch.rand(1, 3).double(), torch.tensor([2**62]), ValueError, "target"),
        (lm.MulticlassAccuracy(3), torch.tensor([0, 3]), torch.tensor([0, 1]), ValueError, "preds must be labels"),
        (lm.MulticlassAccuracy(300), torch.tensor([0, 300]), torch.tensor([0, 1]), ValueError, "preds must be labels"),
        (lm.MulticlassAccuracy(300), torch.tensor([0, 1]), torch.tensor([0, 300]), ValueError, "target must hold"),
        (lm.MulticlassAccuracy(3), torch.rand(4, 3), torch.rand(4), TypeError, "target.long"),
        (lm.MulticlassAccuracy(3), torch.rand(4, 3), torch.tensor([0, 1]), ValueError, r"\(4, 3\) and \(2,\)"),
        (lm.MulticlassAccuracy(3, top_k=2), torch.tensor([0, 1]), torch.tensor([0, 1]), ValueError, "needs scores"),
        (lm.BinaryAccuracy(), torch.rand(4), torch.tensor([0, 1]), ValueError, "same shape"),
        (lm.BinaryAccuracy(), torch.rand(2), torch.tensor([0, 2]), ValueError, "target must hold"),
        (lm.BinaryAccuracy(), torch.tensor([0, 2]), torch.tensor([0, 1]), ValueError, "preds must be labels"),
        (lm.MultilabelAccuracy(3), torch.rand(4, 2), torch.ones(4, 2).long(), ValueError, r"\(N, 3, ...\)"),
        (lm.BinaryAccuracy(), "abc", torch.tensor([0]), TypeError, "preds must be a tensor"),
    ],
)
def test_inputs_out_of_range_are_refused_and_change_nothing(
    metric: lm.Metric, preds: Any, target: torch.Tensor, error: type[Exception], message: str
) -> None:
    for call in (metric.update, metric):
        with pytest.raises(error, match=message):
            call(preds, target)
    assert metric.update_count == 0
    assert not metric.counts.any()


def test_wrong_weights_are_refused() -> None:
    with pytest.raises(ValueError, match="one weight per sample"):
        F.binary_accuracy([0.1, 0.2], [0, 1], sample_weight=[1.0, 2.0, 3.0])


def test_invalid_labels_counted_on_an_accelerator_are_reported_by_compute() -> None:
    metric = lm.MulticlassAccuracy(3)
    state = metric.batch_state([0, 1], [0, 1])
    state.values["counts"][3, 0] += 1  # what a device that is not waited for leaves behind
    metric.merge_state(state)
    with pytest.raises(ValueError, match="target must hold"):
        metric.compute()


def test_validation_off_checks_no_values() -> None:
    metric = lm.BinaryAccuracy(validate_args=False)
    metric.update([3.0, -1.0], [1, 0])
    assert metric.compute() == 1


def test_numpy_bool_and_read_only_inputs() -> None:
    preds, target = np.array([True, False]), np.array([1, 1], dtype=np.uint8)
    preds.flags.writeable = False
    assert F.binary_accuracy(preds, target) == 0.5
    assert F.binary_accuracy(torch.tensor([True, False]), torch.tensor([True, True])) == 0.5


def test_nothing_counted_is_nan() -> None:
    empty = torch.zeros(0, dtype=torch.long)
    assert math.isnan(F.binary_accuracy(torch.zeros(0), empty))
    assert math.isnan(F.multiclass_accuracy(torch.zeros(0, 3), empty, 3))
    assert math.isnan(F.multilabel_accuracy(torch.zeros(0, 3), torch.zeros(0, 3).long(), 3))
    assert math.isnan(F.multiclass_accuracy([0, 1], [-1, -1], 3, ignore_index=-1))
