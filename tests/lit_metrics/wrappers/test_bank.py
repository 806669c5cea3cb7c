"""Several states of one metric: for windows, groups and replicas, with states of every reduction."""

from __future__ import annotations

import pickle
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

import lit_metrics as lm


def largest_pair(stacked: Tensor) -> Tensor:
    return stacked.amax(0)


class Everything(lm.Metric):
    """One state of every reduction that merges."""

    def __init__(self) -> None:
        super().__init__()
        self.add_state("total", torch.tensor(0.0, dtype=torch.float64), "sum")
        self.add_state("waits", torch.zeros(0, dtype=torch.float64), "sum")
        self.add_state("level", torch.tensor(0.0, dtype=torch.float64), "mean")
        self.add_state("top", torch.tensor(-torch.inf), "max")
        self.add_state("low", torch.tensor(torch.inf), "min")
        self.add_state("custom", torch.tensor(-torch.inf), largest_pair)
        self.add_state("all", [], "cat")
        self.add_state("apart", [], None)
        self.add_state("joined", torch.zeros(0), "cat")

    def update(self, value: Any) -> None:
        value = torch.as_tensor(value).float()
        parts = {"total": value.double().sum(), "waits": torch.stack([value.double().sum(), value.double().max()])}
        parts |= {"level": value.double().mean(), "top": value.max(), "low": value.min(), "custom": value.max()}
        self.accumulate(parts)
        self.all.append(value)
        self.apart.append(value.sum())
        self.joined = torch.cat([self.joined, value])

    def compute(self) -> dict[str, Any]:
        values = {name: getattr(self, name) for name in ("total", "level", "top", "low", "custom", "joined")}
        values["all"] = torch.cat(self.all) if self.all else torch.zeros(0)
        values["apart"] = torch.stack(self.apart).sum() if self.apart else torch.tensor(0.0)
        values["waits"] = self.waits.sum()
        return values


BATCHES = [torch.tensor(values) for values in ([1.0, 5.0], [2.0], [9.0, -3.0, 0.0], [4.0, 4.0], [7.0])]


def plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: plain(entry) for name, entry in value.items()}
    if isinstance(value, list):
        return [plain(entry) for entry in value]
    return sorted(value.tolist()) if value.ndim else pytest.approx(float(value), rel=1e-12)


def separately(batches: Any) -> Any:
    metric = Everything()
    for batch in batches:
        metric.update(batch)
    return plain(metric.compute())


@pytest.mark.parametrize("window", [1, 2, 3, 10])
def test_a_window_is_the_last_updates_whatever_the_reductions(window: int) -> None:
    metric = lm.Running(Everything(), window)
    for i, batch in enumerate(BATCHES):
        assert plain(metric(batch)) == separately([batch])
        assert plain(metric.compute()) == separately(BATCHES[max(0, i + 1 - window) : i + 1])
    assert metric.update_count == len(BATCHES)
    metric.reset()
    metric.update(BATCHES[0])
    assert plain(metric.compute()) == separately(BATCHES[:1])


def test_a_window_goes_on_after_pickling_and_loading() -> None:
    metric = lm.Running(Everything(), 2)
    for batch in BATCHES[:3]:
        metric.update(batch)
    metric.persistent(True)
    loaded = lm.Running(Everything(), 2)
    loaded.persistent(True)
    loaded.load_state_dict(metric.state_dict())
    for twin in (pickle.loads(pickle.dumps(metric)), loaded, metric.clone()):
        twin.update(BATCHES[3])
        assert plain(twin.compute()) == separately(BATCHES[2:4])


def test_sums_of_a_window_do_not_remember_large_values_that_left_it() -> None:
    metric = lm.RunningSum(window=2)
    for value in (1e20, 1.0, 2.0):
        metric.update(value)
    assert metric.compute() == 3


def test_running_mean_weighs_values_and_leaves_nan_out() -> None:
    metric = lm.RunningMean(window=2, nan_strategy="ignore")
    metric.update([100.0])
    metric.update([1.0, float("nan")], weight=[3.0, 1.0])
    metric.update(5.0)
    assert metric.compute() == 2


def test_groups_are_one_metric_each_whatever_the_reductions() -> None:
    values = torch.arange(12.0) ** 1.5
    ids = torch.tensor([0, 2, 2, 0, 3, 2, 0, 3, 3, 3, 2, 2])
    metric = lm.ByGroup(Everything(), 5)
    for part in (slice(0, 5), slice(5, 6), slice(6, 12)):
        metric.update(values[part], group=ids[part])
    result = metric.compute()
    for k in (0, 2, 3):
        expected = Everything()
        for part in (slice(0, 5), slice(5, 6), slice(6, 12)):
            if bool((ids[part] == k).any()):
                expected.update(values[part][ids[part] == k])
        assert plain({name: entry[k] for name, entry in result.items()}) == plain(expected.compute())
    assert result["total"][[1, 4]].tolist() == [0, 0]


def test_states_of_groups_add_up_to_the_state_of_all() -> None:
    preds, target, ids = torch.randn(50), torch.randn(50), torch.randint(4, (50,))
    grouped, plain_metric = lm.ByGroup(lm.MeanSquaredError(), 4), lm.MeanSquaredError()
    grouped.update(preds, target, group=ids)
    plain_metric.update(preds, target)
    total = grouped.total()
    torch.testing.assert_close(total.values, plain_metric.metric_state, rtol=1e-12, atol=0)


def test_weights_and_lists_are_split_by_group() -> None:
    metric = lm.ByGroup(lm.MeanSquaredError(), 2)
    metric.update([1.0, 2.0, 3.0], [0.0, 0.0, 0.0], group=[1, 0, 1], sample_weight=[1.0, 1.0, 3.0])
    assert metric.compute().tolist() == [4, 7]


def test_a_device_that_must_not_be_waited_for_weighs_the_batch_and_reports_stray_groups_in_compute(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("lit_metrics.wrappers.by_group.checks_are_free", lambda tensor: False)
    preds, target, ids = torch.randn(20), torch.randn(20), torch.randint(3, (20,))
    metric = lm.ByGroup(lm.MeanSquaredError(), 3)
    metric.update(preds, target, group=ids)
    expected = torch.stack([(preds - target)[ids == k].double().square().mean() for k in range(3)])
    torch.testing.assert_close(metric.compute(), expected, rtol=1e-6, atol=0)
    metric.update(preds, target + 9, torch.zeros(20), group=ids)
    torch.testing.assert_close(metric.compute(), expected, rtol=1e-6, atol=0)
    metric.update(preds, target, group=ids + 1)
    with pytest.raises(ValueError, match="outside of 0 to 2"):
        metric.compute()


@pytest.mark.parametrize("group", [[0, 3, 1], [-1, 0, 0], [0, 1], [0.0, 1.0, 1.0], [True, False, True], [[0, 1, 1]]])
def test_groups_that_do_not_fit_are_refused_and_change_nothing(group: Any) -> None:
    metric = lm.ByGroup(lm.MeanSquaredError(), 3)
    with pytest.raises(ValueError, match="group must"):
        metric.update([1.0, 2.0, 3.0], [1.0, 2.0, 3.0], group=group)
    assert metric.update_count == 0
    assert int(metric.total().count) == 0


def test_metrics_by_group_of_one_kernel_share_their_update_in_a_collection() -> None:
    collection = lm.MetricCollection(
        {"mse": lm.ByGroup(lm.MeanSquaredError(), 2), "rmse": lm.ByGroup(lm.MeanSquaredError(squared=False), 2)}
    )
    assert collection.groups == [["mse", "rmse"]]
    collection.update([1.0, 2.0, 3.0], [1.0, 2.0, 5.0], group=[0, 1, 1])
    assert {k: v.tolist() for k, v in collection.compute().items()} == {"mse": [0, 2], "rmse": [0, 2**0.5]}


@pytest.mark.parametrize("half_life", [0.5, 1.0, 7.5])
def test_decayed_sums_are_the_weighted_sums_of_the_definition(half_life: float) -> None:
    values = torch.randn(30, dtype=torch.float64)
    metric = lm.Decayed(lm.MeanMetric(), half_life)
    for value in values:
        assert metric(value) == value
    weights = 0.5 ** (torch.arange(29, -1, -1, dtype=torch.float64) / half_life)
    torch.testing.assert_close(metric.compute(), (weights * values).sum() / weights.sum(), rtol=1e-12, atol=0)
    metric.reset()
    metric.update(3.0)
    assert metric.compute() == 3


def test_counts_decay_too_and_a_state_may_wait_for_its_shape() -> None:
    metric = lm.Decayed(lm.MeanSquaredError(num_outputs=2), half_life=1)
    metric.update([[0.0, 0.0]], [[3.0, 0.0]])
    metric.update([[0.0, 0.0]], [[0.0, 3.0]])
    assert metric.compute().tolist() == [3, 6]


def test_an_empty_batch_neither_moves_a_window_nor_decays() -> None:
    for metric in (lm.Running(lm.MeanMetric(), 1), lm.Decayed(lm.MeanMetric(), 1)):
        metric.update(2.0)
        metric.update([])
        assert metric.compute() == 2


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: lm.Running(lm.SumMetric() + 1), "no state of its own"),
        (lambda: lm.ByGroup(lm.Running(lm.SumMetric()), 2), "reads earlier state"),
        (lambda: lm.BootStrapper(lm.MinMaxMetric(lm.SumMetric())), "no state of its own"),
        (lambda: lm.Running(3), "must be a Metric"),
        (lambda: lm.Running(lm.SumMetric(dist_sync_on_step=True)), "dist_sync_on_step"),
        (lambda: lm.Decayed(lm.MaxMetric(), 1), "only sums can decay: state 'max_value'"),
        (lambda: lm.Decayed(lm.CatMetric(), 1), "only sums can decay: state 'value'"),
    ],
)
def test_metrics_whose_states_cannot_be_used_are_refused_with_the_reason(make: Any, message: str) -> None:
    with pytest.raises(TypeError, match=message):
        make()


@pytest.mark.parametrize(
    ("make", "name"),
    [
        (lambda: lm.Running(lm.SumMetric(), 0), "window"),
        (lambda: lm.ByGroup(lm.SumMetric(), True), "num_groups"),
        (lambda: lm.Decayed(lm.SumMetric(), 0), "half_life"),
        (lambda: lm.Decayed(lm.SumMetric(), float("nan")), "half_life"),
        (lambda: lm.BootStrapper(lm.SumMetric(), 2.5), "num_bootstraps"),
        (lambda: lm.BootStrapper(lm.SumMetric(), quantile=[0.5, 2]), "quantile"),
        (lambda: lm.BootStrapper(lm.SumMetric(), sampling_strategy="jackknife"), "sampling_strategy"),
    ],
)
def test_arguments_out_of_range_are_refused(make: Any, name: str) -> None:
    with pytest.raises(ValueError, match=name):
        make()


def test_what_updates_only_noted_is_reported_through_the_bank() -> None:
    metric = lm.Running(lm.SumMetric(nan_strategy="error"), 3)
    metric.update(1.0)
    metric.merge_state({**metric.metric_state, "slot_nans": torch.tensor([2, 0, 0])})
    with pytest.raises(ValueError, match="2 values were NaN"):
        metric.compute()


@pytest.mark.parametrize("num_outputs", [1, 2])
def test_correlations_by_group_and_in_a_window_are_those_of_their_samples(num_outputs: int) -> None:
    rng = np.random.default_rng(0)
    shape = (60,) if num_outputs == 1 else (60, num_outputs)
    preds = rng.normal(size=shape) + 1e4
    target, ids = preds + rng.normal(size=shape), rng.integers(0, 4, 60)
    grouped = lm.ByGroup(lm.PearsonCorrCoef(num_outputs), 5)
    window = lm.Running(lm.PearsonCorrCoef(num_outputs), 2)
    for part in (slice(0, 30), slice(30, 33), slice(33, 60)):  # groups are absent from the small part
        grouped.update(preds[part], target[part], group=ids[part])
        window.update(preds[part], target[part])

    def correlation(chosen: Any) -> Any:
        columns = zip(preds[chosen].reshape(-1, num_outputs).T, target[chosen].reshape(-1, num_outputs).T, strict=True)
        return np.squeeze([np.corrcoef(a, b)[0, 1] for a, b in columns])

    expected = torch.as_tensor(np.stack([correlation(ids == k) for k in range(4)]))
    values = grouped.compute()
    torch.testing.assert_close(values[:4], expected, rtol=1e-9, atol=0)
    assert values[4].isnan().all()
    torch.testing.assert_close(window.compute(), torch.as_tensor(correlation(slice(30, 60))), rtol=1e-9, atol=0)
