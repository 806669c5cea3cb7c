"""Collections: results equal those of each metric alone; sharing follows from configuration, never from values."""

from __future__ import annotations

import pickle

import pytest
import torch

import lit_metrics as lm
from lit_metrics.classification import stat_scores

AVERAGES = ("micro", "macro", "weighted", "balanced", "none")


def data(n: int = 12, k: int = 4, seed: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    g = torch.Generator().manual_seed(seed)
    return torch.randn(n, k, generator=g), torch.randint(k, (n,), generator=g)


def five() -> dict[str, lm.Metric]:
    return {average: lm.MulticlassAccuracy(4, average=average) for average in AVERAGES}


def alone(metric: lm.Metric, *batches: tuple[torch.Tensor, torch.Tensor]) -> torch.Tensor:
    for batch in batches:
        metric.update(*batch)
    return metric.compute()


def assert_same(got: torch.Tensor, expected: torch.Tensor) -> None:
    torch.testing.assert_close(got, expected, rtol=0, atol=0, equal_nan=True)


def test_every_step_equals_each_metric_alone() -> None:
    collection, singles = lm.MetricCollection(five()), five()
    for seed in range(4):
        batch = data(seed=seed)
        values = collection(*batch) if seed % 2 else collection.update(*batch)
        for name, single in singles.items():
            step = single(*batch)
            if values is not None:
                assert_same(values[name], step)
            assert_same(collection.compute()[name], single.compute())


def test_metrics_of_one_configuration_run_the_kernel_once(monkeypatch: pytest.MonkeyPatch) -> None:
    calls = []
    kernel = stat_scores.count_batch
    monkeypatch.setattr(stat_scores, "count_batch", lambda *args: calls.append(1) or kernel(*args))
    collection = lm.MetricCollection(five() | {"other": lm.MulticlassAccuracy(4, top_k=2)})
    collection.update(*data())
    assert len(calls) == 2
    collection(*data())
    assert len(calls) == 4
    lm.MetricCollection(five(), compute_groups=False).update(*data())
    assert len(calls) == 9


def test_equal_values_of_different_configurations_are_never_shared() -> None:
    low, high = lm.BinaryAccuracy(threshold=0.5), lm.BinaryAccuracy(threshold=0.7)
    collection = lm.MetricCollection({"low": low, "high": high, "ignore": lm.BinaryAccuracy(ignore_index=-1)})
    collection.update([0.9, 0.1], [1, 0])
    collection.update([0.6, 0.6], [1, 1])
    assert {k: float(v) for k, v in collection.compute().items()} == {"low": 1.0, "high": 0.5, "ignore": 1.0}
    assert collection.groups == [["low"], ["high"], ["ignore"]]


def test_update_of_one_member_stays_with_it() -> None:
    collection = lm.MetricCollection(five())
    first, second, third = (data(seed=s) for s in range(3))
    collection.update(*first)
    collection["macro"].update(*second)
    collection["micro"](*third)
    collection.update(*third)
    results = collection.compute()
    assert_same(results["macro"], alone(lm.MulticlassAccuracy(4), first, second, third))
    assert_same(results["micro"], alone(lm.MulticlassAccuracy(4, average="micro"), first, third, third))
    assert_same(results["weighted"], alone(lm.MulticlassAccuracy(4, average="weighted"), first, third))


def test_reset_clone_and_pickle_keep_sharing_and_values() -> None:
    collection = lm.MetricCollection(five())
    collection.update(*data(seed=0))
    for twin in (collection.clone(), pickle.loads(pickle.dumps(collection))):
        assert twin["micro"].store is twin["macro"].store
        twin.update(*data(seed=1))
        assert_same(twin.compute()["macro"], alone(lm.MulticlassAccuracy(4), data(seed=0), data(seed=1)))
    assert_same(collection.compute()["macro"], alone(lm.MulticlassAccuracy(4), data(seed=0)))
    collection.reset()
    collection.update(*data(seed=1))
    assert collection["micro"].store is collection["macro"].store
    assert_same(collection.compute()["macro"], alone(lm.MulticlassAccuracy(4), data(seed=1)))


def test_reset_of_one_member_leaves_the_others() -> None:
    collection = lm.MetricCollection(five())
    collection.update(*data(seed=0))
    collection["micro"].reset()
    collection.update(*data(seed=1))
    assert_same(collection.compute()["micro"], alone(lm.MulticlassAccuracy(4, average="micro"), data(seed=1)))
    assert_same(collection.compute()["macro"], alone(lm.MulticlassAccuracy(4), data(seed=0), data(seed=1)))


def test_failed_update_changes_no_member() -> None:
    collection = lm.MetricCollection(five())
    collection.update(*data())
    before = collection.compute()
    with pytest.raises(ValueError, match="target"):
        collection.update(data()[0], torch.full((12,), 9))
    assert all(torch.equal(before[k], v) for k, v in collection.compute().items())


def test_names_prefixes_and_nesting() -> None:
    inner = lm.MetricCollection([lm.MaxMetric(), lm.MinMetric()], prefix="in_")
    outer = lm.MetricCollection({"a": inner, "mean": lm.MeanMetric()}, prefix="val/", postfix="!")
    assert list(outer) == ["val/a_in_MaxMetric!", "val/a_in_MinMetric!", "val/mean!"]
    outer.update([1.0, 3.0])
    assert [float(v) for v in outer.compute().values()] == [3, 1, 2]
    assert "mean" in outer
    assert "val/mean!" in outer
    assert outer["mean"] is outer["val/mean!"]
    assert list(outer.clone(prefix="test/"))[2] == "test/mean!"
    assert list(lm.MetricCollection(lm.MaxMetric(), lm.MinMetric())) == ["MaxMetric", "MinMetric"]
    assert len(lm.MetricCollection({"x": lm.MaxMetric()}, {"y": lm.MinMetric()})) == 2


def test_keyword_arguments_reach_only_the_metrics_that_know_them() -> None:
    collection = lm.MetricCollection({"mean": lm.MeanMetric(), "max": lm.MaxMetric()})
    collection.update(value=[1.0, 3.0], weight=[3.0, 1.0])
    assert {k: float(v) for k, v in collection.compute().items()} == {"mean": 1.5, "max": 3}


def test_state_dict_round_trip_by_metric_name() -> None:
    collection, other = lm.MetricCollection(five()), lm.MetricCollection(five())
    collection.persistent()
    other.persistent()
    collection.update(*data())
    saved = collection.state_dict()
    assert "macro.counts" in saved
    other.load_state_dict(saved)
    other.update(*data(seed=1))
    collection.update(*data(seed=1))
    for key, value in collection.compute().items():
        assert_same(other.compute()[key], value)


def test_merging_collections_merges_each_metric() -> None:
    left, right = lm.MetricCollection(five()), lm.MetricCollection(five())
    left.update(*data(seed=0))
    right.update(*data(seed=1))
    left.merge_state(right)
    for name, single in five().items():
        assert_same(left.compute()[name], alone(single, data(seed=0), data(seed=1)))
    with pytest.raises(ValueError, match="collection of"):
        left.merge_state(lm.MetricCollection(lm.MaxMetric()))


@pytest.mark.parametrize(
    ("metrics", "error", "message"),
    [
        ([lm.MaxMetric(), lm.MaxMetric()], ValueError, "two metrics are called 'MaxMetric'"),
        ({"update": lm.MaxMetric()}, ValueError, "cannot name a metric"),
        ({"a.b": lm.MaxMetric()}, ValueError, "cannot name a metric"),
        ([torch.nn.Linear(1, 1)], TypeError, "expected a Metric"),
        ("MaxMetric", TypeError, "list, dict or collection"),
    ],
)
def test_wrong_members_are_refused(metrics: object, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        lm.MetricCollection(metrics)


def test_empty_batches_are_no_updates() -> None:
    collection = lm.MetricCollection(five())
    collection.update(*data())
    before = collection.compute()
    collection.update(torch.zeros(0, 4), torch.zeros(0, dtype=torch.long))
    assert all(torch.equal(before[k], v) for k, v in collection.compute().items())
    assert collection["micro"].update_count == 1


def test_a_member_leaves_a_state_that_was_shared_for_long_and_after_failures() -> None:
    collection = lm.MetricCollection(five())
    batches = [data(seed=s) for s in range(4)]
    for batch in batches:
        with torch.inference_mode(batch is batches[1]):
            collection.update(*batch)
    with pytest.raises(ValueError, match="target"):
        collection.update(batches[0][0], torch.full((12,), 9))
    assert len({id(metric.store) for metric in collection.values()}) == 1
    collection["micro"].update(*batches[0])  # the member that updates for all
    collection["none"].update(*batches[1])
    assert_same(collection["micro"].compute(), alone(lm.MulticlassAccuracy(4, average="micro"), *batches, batches[0]))
    assert_same(collection["none"].compute(), alone(lm.MulticlassAccuracy(4, average="none"), *batches, batches[1]))
    assert_same(collection["macro"].compute(), alone(lm.MulticlassAccuracy(4), *batches))
    assert [metric.update_count for metric in collection.values()] == [5, 4, 4, 4, 5]
