"""Names of the entries of a vector."""

from __future__ import annotations

from typing import Any

import pytest

import lit_metrics as lm

BATCH = ([[1.0, 2.0]], [[1.0, 4.0]])


@pytest.mark.parametrize(
    ("options", "keys"),
    [
        ({}, ["meansquarederror_0", "meansquarederror_1"]),
        ({"labels": ["a", "b"]}, ["meansquarederror_a", "meansquarederror_b"]),
        ({"labels": ["a", "b"], "prefix": "p_"}, ["p_a", "p_b"]),
        ({"labels": ["a", "b"], "postfix": "_p"}, ["a_p", "b_p"]),
        ({"prefix": "p_", "postfix": "_q"}, ["p_0_q", "p_1_q"]),
    ],
)
def test_keys_are_those_of_torchmetrics_1_9(options: Any, keys: list[str]) -> None:
    metric = lm.ClasswiseWrapper(lm.MeanSquaredError(num_outputs=2), **options)
    assert {k: float(v) for k, v in metric(*BATCH).items()} == dict(zip(keys, [0.0, 4.0], strict=True))


def test_entries_stand_beside_other_results_of_a_collection() -> None:
    collection = lm.MetricCollection(
        {"each": lm.ClasswiseWrapper(lm.MeanSquaredError(num_outputs=2), prefix="mse_"), "all": lm.MeanSquaredError()},
        prefix="val/",
    )
    collection.update(*BATCH)
    assert {k: float(v) for k, v in collection.compute().items()} == {"val/mse_0": 0, "val/mse_1": 4, "val/all": 2}


def test_labels_that_do_not_fit_are_refused() -> None:
    with pytest.raises(TypeError, match="list of strings"):
        lm.ClasswiseWrapper(lm.MeanSquaredError(), labels="ab")
    metric = lm.ClasswiseWrapper(lm.MeanSquaredError(num_outputs=2), labels=["a"])
    metric.update(*BATCH)
    with pytest.raises(ValueError, match="1 labels for 2 values"):
        metric.compute()
    single = lm.ClasswiseWrapper(lm.MeanSquaredError())
    single.update(*BATCH)
    with pytest.raises(ValueError, match="single value"):
        single.compute()
