"""The counts that many metrics share: values by hand, shared states, the 1.0 constructors, refused arguments."""

from __future__ import annotations

import inspect
import math
import warnings
from typing import Any

import pytest
import torch

import lit_metrics as lm
import lit_metrics.functional as F

FAMILIES = ["Accuracy", "Precision", "Recall", "F1Score", "Specificity", "NegativePredictiveValue"]
PREDS, TARGET = torch.tensor([0, 1, 1, 4]), torch.tensor([0, 0, 1, 3])


def test_counts_by_hand() -> None:
    per_class = F.multiclass_stat_scores(PREDS, TARGET, 6, average="none")
    expected = [[1, 0, 2, 1, 2], [1, 1, 2, 0, 1], [0, 0, 4, 0, 0], [0, 0, 3, 1, 1], [0, 1, 3, 0, 0], [0, 0, 4, 0, 0]]
    assert per_class.tolist() == expected
    assert F.multiclass_stat_scores(PREDS, TARGET, 6, average="micro").tolist() == [2, 2, 18, 2, 4]
    weighted = F.multiclass_stat_scores(PREDS, TARGET, 6, average="weighted")
    assert weighted.tolist() == [0.75, 0.25, 2.25, 0.75, 1.5]
    assert F.binary_stat_scores([1, 1, 0, 0, 0], [1, 0, 1, 1, 0]).tolist() == [1, 1, 1, 2, 3]


@pytest.mark.parametrize("k", [6, 200])
def test_absent_classes_are_nan_and_leave_the_mean(k: int) -> None:
    # classes 0, 1, 3 and 4 occur; the ratios of the others are undefined
    for name, values in {
        "precision": [1, 0.5, 0, 0],
        "recall": [0.5, 1, 0, 0],
        "specificity": [1, 2 / 3, 1, 0.75],
        "negative_predictive_value": [2 / 3, 1, 0.75, 1],
        "f1_score": [2 / 3, 2 / 3, 0, 0],
        "jaccard_index": [0.5, 0.5, 0, 0],
    }.items():
        function = getattr(F, f"multiclass_{name}")
        got = function(PREDS, TARGET, k, average="none")
        torch.testing.assert_close(got[[0, 1, 3, 4]], torch.tensor(values, dtype=torch.float64))
        assert got.isnan().sum() == k - 4
        assert float(function(PREDS, TARGET, k)) == pytest.approx(sum(values) / 4)


def test_samplewise_counts_equal_one_call_per_sample() -> None:
    g = torch.Generator().manual_seed(0)
    preds, target = torch.randint(3, (5, 8), generator=g), torch.randint(3, (5, 8), generator=g)
    for average in ("micro", "macro", "none"):
        got = F.multiclass_stat_scores(preds, target, 3, average, multidim_average="samplewise")
        rows = [F.multiclass_stat_scores(p, t, 3, average) for p, t in zip(preds, target, strict=True)]
        torch.testing.assert_close(got, torch.stack(rows))


def test_nothing_counted_is_nan_whatever_zero_division_says() -> None:
    none = torch.zeros(0, dtype=torch.long)
    for name in ("precision", "recall", "f1_score", "specificity", "jaccard_index"):
        assert math.isnan(getattr(F, f"binary_{name}")(none, none, zero_division=1))
        assert math.isnan(getattr(F, f"multiclass_{name}")(none, none, 3, zero_division=1))
    with pytest.warns(UserWarning, match="no data"):
        assert math.isnan(lm.BinaryF1Score().compute())


def test_zero_division_is_the_value_of_an_empty_denominator() -> None:
    assert F.binary_precision([0, 0], [1, 0]) == 0
    assert F.binary_precision([0, 0], [1, 0], zero_division=1) == 1
    assert math.isnan(F.binary_specificity([1], [1], zero_division=math.nan))
    metric = lm.BinaryPrecision(zero_division=math.nan)
    metric.update([0, 0], [1, 0])
    with pytest.warns(UserWarning, match="undefined"):
        assert math.isnan(metric.compute())


def test_weights_are_repetition_for_every_metric_of_counts() -> None:
    g = torch.Generator().manual_seed(0)
    preds, target = torch.randint(4, (30,), generator=g), torch.randint(4, (30,), generator=g)
    times = torch.randint(4, (30,), generator=g)
    index = torch.arange(30).repeat_interleave(times)
    names = ("precision", "recall", "f1_score", "specificity", "hamming_distance", "jaccard_index", "stat_scores")
    for name in (*names, "negative_predictive_value", "matthews_corrcoef", "cohen_kappa", "confusion_matrix"):
        function = getattr(F, f"multiclass_{name}")
        got, expected = function(preds, target, 4, sample_weight=times), function(preds[index], target[index], 4)
        torch.testing.assert_close(got.double(), expected.double(), rtol=1e-12, atol=0)


def test_metrics_of_one_configuration_share_one_state_whatever_they_read() -> None:
    k = 10
    kinds = [getattr(lm, f"Multiclass{name}") for name in (*FAMILIES, "JaccardIndex", "MatthewsCorrCoef", "CohenKappa")]
    collection = lm.MetricCollection([*(kind(k) for kind in kinds), lm.MulticlassConfusionMatrix(k)])
    assert len(collection.groups) == 1
    g = torch.Generator().manual_seed(0)
    batches = [(torch.randn(20, k, generator=g), torch.randint(k, (20,), generator=g)) for _ in range(3)]
    for batch in batches:
        collection.update(*batch)
    for name, value in collection.compute().items():
        alone = getattr(lm, name)(k)
        for batch in batches:
            alone.update(*batch)
        assert torch.equal(value, alone.compute()), name


def test_thresholds_and_ignored_classes_keep_metrics_apart() -> None:
    # by value both would look alike after the first batch
    metrics = {"low": lm.BinaryAccuracy(0.5), "high": lm.BinaryAccuracy(0.7)}
    collection = lm.MetricCollection(metrics)
    collection.update([0.9, 0.1], [1, 0])
    collection.update([0.6, 0.1], [1, 0])
    assert {name: float(value) for name, value in collection.compute().items()} == {"low": 1.0, "high": 0.75}
    apart = lm.MetricCollection({"all": lm.MulticlassRecall(3), "two": lm.MulticlassRecall(3, ignore_index=2)})
    assert len(apart.groups) == 2


def test_many_classes_share_counts_but_the_matrix_is_kept_where_it_is_asked_for() -> None:
    k = 200
    preds, target = torch.arange(k).roll(1), torch.arange(k)
    counts = lm.MulticlassRecall(k)
    matrix = lm.MulticlassConfusionMatrix(k)
    counts.update(preds, target)
    matrix.update(preds, target)
    assert counts.counts.numel() < 4 * k
    expected = torch.zeros(k, k, dtype=torch.long)
    expected[target, preds] = 1
    assert torch.equal(matrix.compute(), expected)


@pytest.mark.parametrize("name", ["Precision", "Recall", "Fbeta"])
def test_constructors_of_1_0_still_work(name: str) -> None:
    kind = getattr(lm, name)
    scores, target = torch.eye(3)[[0, 1, 1, 2]], torch.tensor([0, 1, 2, 2])
    assert kind()(scores, target) == 0.75  # num_classes=1 of then leaves the task to the data
    assert kind(3)(scores, target) == 0.75
    assert kind(num_classes=3, threshold=0.5, average="macro", compute_on_step=True)(scores, target) > 0.75
    assert kind(num_classes=1)([0.9, 0.2, 0.8], [1, 0, 1]) == 1
    labels = torch.tensor([[1, 0], [1, 1]])
    assert kind(num_classes=2, multilabel=True)(labels.float(), labels) == 1


@pytest.mark.parametrize("name", [*FAMILIES, "HammingDistance", "StatScores", "FBetaScore"])
def test_classes_of_a_task_are_of_the_family(name: str) -> None:
    beta = (1.0,) if name == "FBetaScore" else ()
    family = getattr(lm, name)
    for metric in (
        getattr(lm, f"Binary{name}")(*beta),
        getattr(lm, f"Multiclass{name}")(*beta, 3),
        getattr(lm, f"Multilabel{name}")(*beta, 3),
    ):
        assert isinstance(metric, family)
    assert isinstance(family(task="binary"), family)


def test_argument_names_order_and_defaults_are_those_users_know() -> None:
    def head(thing: Any) -> list[tuple[str, Any]]:
        parameters = inspect.signature(thing).parameters.values()
        return [(p.name, p.default) for p in parameters if p.kind is p.POSITIONAL_OR_KEYWORD]

    none = inspect.Parameter.empty
    tail = [("multidim_average", "global"), ("ignore_index", None), ("validate_args", True), ("zero_division", 0)]
    assert head(F.binary_precision) == [("preds", none), ("target", none), ("threshold", 0.5), *tail]
    assert head(lm.BinaryPrecision) == [("threshold", 0.5), *tail]
    assert head(F.multiclass_fbeta_score)[2:] == [
        ("beta", none), ("num_classes", none), ("average", "macro"), ("top_k", 1), *tail,
    ]  # fmt: skip
    assert head(lm.MulticlassF1Score) == [("num_classes", None), ("top_k", 1), ("average", "macro"), *tail]
    assert head(lm.MultilabelRecall) == [("num_labels", none), ("threshold", 0.5), ("average", "macro"), *tail]
    assert [n for n, _ in head(F.confusion_matrix)][2:7] == [
        "task", "threshold", "num_classes", "num_labels", "normalize",
    ]  # fmt: skip
    assert [n for n, _ in head(lm.BinaryConfusionMatrix)] == ["threshold", "ignore_index", "normalize", "validate_args"]
    assert [n for n, _ in head(F.binary_confusion_matrix)][3:] == ["normalize", "ignore_index", "validate_args"]


@pytest.mark.parametrize(
    "make",
    [
        lambda: lm.MulticlassSpecificity(average="micro"),
        lambda: lm.StatScores(task="multiclass", average="micro"),
        lm.MulticlassPrecision,
        lambda: lm.MulticlassPrecision(3, average="balanced"),
        lambda: lm.MulticlassF1Score(3, average="mean"),  # type: ignore[arg-type]
        lambda: lm.BinaryFBetaScore(0.0),
        lambda: lm.BinaryFBetaScore(math.nan),
        lambda: lm.MulticlassHammingDistance(3, zero_division=1),
        lambda: lm.BinaryStatScores(zero_division=1),
        lambda: lm.ConfusionMatrix(task="binary", normalize="rows"),  # type: ignore[arg-type]
        lambda: lm.CohenKappa(task="multilabel"),
        lambda: lm.MulticlassCohenKappa(3, weights="cubic"),  # type: ignore[arg-type]
        lambda: lm.ExactMatch(task="binary"),  # type: ignore[arg-type]
        lambda: lm.HingeLoss(task="multilabel"),  # type: ignore[arg-type]
        lambda: lm.MulticlassHingeLoss(3, multiclass_mode="one"),  # type: ignore[arg-type]
        lambda: lm.BinaryFairness(1),
        lambda: lm.BinaryFairness(2, "odds"),  # type: ignore[arg-type]
        lambda: lm.MultilabelRankingLoss(0),
    ],
)
def test_arguments_out_of_range_are_refused_at_construction(make: Any) -> None:
    with pytest.raises(ValueError, match="must"):
        make()


def test_labels_of_an_unknown_number_of_classes_give_micro_averages_only() -> None:
    metric = lm.Precision()
    metric.update([7, 1, 3], [7, 2, 3])
    assert metric.compute() == pytest.approx(2 / 3)
    with pytest.raises(ValueError, match="num_classes must be given"):
        lm.Specificity().update([7, 1, 3], [7, 2, 3])


@pytest.mark.parametrize("kind", [lm.MulticlassF1Score, lm.MulticlassConfusionMatrix, lm.MulticlassMatthewsCorrCoef])
def test_a_failed_update_changes_nothing(kind: Any) -> None:
    metric = kind(3)
    metric.update([0, 1], [0, 2])
    before = metric.counts.clone()
    for preds, target in (([0, 3], [0, 1]), ([0, 1], [0, 3]), ([0, 1], [0]), ([[0.1, math.nan, 0.2]], [1])):
        with pytest.raises(ValueError, match="must"):
            metric.update(preds, target)
    assert torch.equal(metric.counts, before)
    assert metric.update_count == 1


def test_defined_values_bring_no_warning() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        lm.MulticlassPrecision(50)([0, 1], [0, 0])


@pytest.mark.parametrize("name", ["f1_score", "precision", "accuracy", "jaccard_index", "cohen_kappa", "hinge_loss"])
def test_functions_compile_into_one_graph(name: str) -> None:
    g = torch.Generator().manual_seed(0)
    scores, target = torch.randn(8, 3, generator=g), torch.randint(3, (8,), generator=g)
    function = getattr(F, f"multiclass_{name}")
    compiled = torch.compile(lambda p, t: function(p, t, 3), fullgraph=True, backend="eager")
    torch.testing.assert_close(compiled(scores, target), function(scores, target, 3))
