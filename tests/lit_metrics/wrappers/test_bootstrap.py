"""The bootstrap against the standard error of the mean, which is known."""

from __future__ import annotations

import pickle
from typing import Any

import pytest
import torch

import lit_metrics as lm


def spread(metric: lm.Metric, values: torch.Tensor, batch_size: int) -> float:
    for batch in values.split(batch_size):
        if isinstance(metric.metric, lm.MeanSquaredError):
            metric.update(batch.sqrt(), torch.zeros_like(batch))
        else:
            metric.update(batch)
    return float(metric.compute()["std"])


@pytest.mark.parametrize("base", [lm.MeanSquaredError, lm.MeanMetric])
@pytest.mark.parametrize("batch_size", [1, 4, 100])
def test_spread_is_the_standard_error_of_the_mean_whatever_the_batch_size(base: Any, batch_size: int) -> None:
    values = torch.rand(100, generator=torch.Generator().manual_seed(3), dtype=torch.float64)
    standard_error = float(values.std() / 100**0.5)
    # 80 replicas: the spread of an estimated spread is 8 %.
    found = spread(lm.BootStrapper(base(), 80, seed=batch_size), values, batch_size)
    assert found == pytest.approx(standard_error, rel=0.25)


def test_multinomial_draws_within_batches_and_batches_of_one_have_no_spread() -> None:
    values = torch.rand(200, generator=torch.Generator().manual_seed(3), dtype=torch.float64)
    whole = lm.BootStrapper(lm.MeanMetric(), 100, sampling_strategy="multinomial", seed=0)
    assert spread(whole, values, 200) == pytest.approx(float(values.std() / 200**0.5), rel=0.3)
    ones = lm.BootStrapper(lm.MeanMetric(), 5, sampling_strategy="multinomial", seed=0)
    assert spread(ones, values[:9], 1) < 1e-15


def test_statistics_are_those_of_the_replicas() -> None:
    metric = lm.BootStrapper(lm.MeanSquaredError(), 20, quantile=[0.25, 0.5], raw=True, seed=0)
    metric.update(torch.randn(40), torch.randn(40))
    result = metric.compute()
    raw = result["raw"]
    assert list(result) == ["mean", "std", "quantile", "raw"]
    assert raw.shape == (20,)
    torch.testing.assert_close(result["mean"], raw.mean())
    torch.testing.assert_close(result["std"], raw.std())
    torch.testing.assert_close(result["quantile"], raw.quantile(torch.tensor([0.25, 0.5], dtype=raw.dtype)))
    only = lm.BootStrapper(lm.MeanSquaredError(), 3, mean=False, std=False, quantile=0.5)
    only.update([1.0], [2.0])
    assert list(only.compute()) == ["quantile"]


def test_a_seed_repeats_the_draws_and_batches_are_drawn_apart() -> None:
    values = torch.rand(50, dtype=torch.float64)

    def replicas(seed: int | None) -> list[float]:
        metric = lm.BootStrapper(lm.MeanMetric(), 4, raw=True, seed=seed)
        metric(values)
        metric(values)
        return metric.compute()["raw"].tolist()

    assert replicas(1) == replicas(1) != replicas(2)
    torch.manual_seed(5)
    first = replicas(None)
    torch.manual_seed(5)
    assert replicas(None) == first
    metric = lm.BootStrapper(lm.MeanMetric(), 4, raw=True, seed=1)
    one, two = metric(values)["raw"], metric(values)["raw"]
    assert not torch.equal(one, two)


def test_a_pickled_metric_draws_what_the_first_one_would_have_drawn() -> None:
    metric = lm.BootStrapper(lm.MeanMetric(), 4, raw=True, seed=1)
    metric.update(torch.arange(9.0))
    twin = pickle.loads(pickle.dumps(metric))
    for one in (metric, twin):
        one.update(torch.arange(5.0))
    assert torch.equal(metric.compute()["raw"], twin.compute()["raw"])


def test_weights_of_the_user_count_in_every_replica() -> None:
    preds, weight = torch.cat([torch.zeros(100), torch.ones(100)]), [3.0] * 100 + [1.0] * 100
    named, placed = (lm.BootStrapper(lm.MeanSquaredError(), 50, seed=0) for _ in range(2))
    named.update(preds, torch.zeros(200), sample_weight=weight)
    placed.update(preds, torch.zeros(200), weight)
    assert float(named.compute()["mean"]) == pytest.approx(0.25, abs=0.02)
    assert named.compute() == placed.compute()


def test_replicas_without_a_value_are_left_out() -> None:
    metric = lm.BootStrapper(lm.MeanMetric(), 60, raw=True, seed=0)
    metric.update([2.0])
    result = metric.compute()
    assert result["raw"].isnan().any()
    assert result["mean"] == 2
    assert result["std"] == 0


def test_lists_of_text_are_resampled() -> None:
    class Length(lm.MeanMetric):
        def update(self, texts: list[str], weight: Any = 1.0) -> None:
            super().update([float(len(text)) for text in texts])

    metric = lm.BootStrapper(Length(), 30, raw=True, seed=0)
    metric.update(["a", "bcd"] * 20)
    raw = metric.compute()["raw"]
    assert float(raw.mean()) == pytest.approx(2, abs=0.2)
    assert raw.std() > 0


def test_a_metric_whose_value_is_no_tensor_is_refused() -> None:
    class Named(lm.SumMetric):
        def compute(self) -> Any:
            return {"a": self.sum_value}

    metric = lm.BootStrapper(Named(), 3)
    metric.update([1.0])
    with pytest.raises(TypeError, match="no single tensor"):
        metric.compute()
