"""Rows of the metrics around metrics. Where the value is a dict, an expression over its entries is the metric."""

from __future__ import annotations

import operator
from typing import Any

import numpy as np
import torch

import lit_metrics as lm
from tests.contracts.metric_rows.row import Row, one_value, outputs, values

WIDE = 20  # more updates than a law makes: the window holds everything


def squares(p: Any, t: Any) -> Any:
    return (p.numpy() - t.numpy()) ** 2


def by_task(value: Any) -> dict[str, Any]:
    return {"first": value, "second": value}


def negative(value: Any) -> Any:
    return -torch.as_tensor(value)


class GroupLast(lm.ByGroup):
    """Takes the groups as last positional argument, as the laws feed them."""

    def update(self, *args: Any) -> None:
        super().update(*args[:-1], group=args[-1])


def grouped(g: torch.Generator, n: int) -> tuple[Any, ...]:
    return (*values(g, n), torch.randint(3, (n,), generator=g))


def per_group(reduce: Any) -> Any:
    return lambda p, t, k: np.array([reduce(squares(p, t)[k == i]) for i in range(3)])


def same_everywhere(g: torch.Generator, n: int) -> tuple[Any, ...]:
    return torch.full((n,), 1.5), torch.ones(n)


def tracker() -> lm.MetricTracker:
    metric = lm.MetricTracker(lm.MeanSquaredError())
    metric.increment()
    return metric


def multitask() -> lm.Metric:
    tasks = lm.MultitaskWrapper({"first": lm.MeanSquaredError(), "second": lm.MeanSquaredError(squared=False)})
    fed = lm.LambdaInputTransformer(tasks, by_task, by_task)
    return fed["first"] + fed["second"]


def classwise() -> lm.Metric:
    metric = lm.ClasswiseWrapper(lm.MeanSquaredError(num_outputs=3), ["a", "b", "c"], prefix="")
    return metric["a"] + metric["c"]


def bootstrap(base: Any) -> lm.Metric:
    metric = lm.BootStrapper(base(), num_bootstraps=30, quantile=0.5, raw=True, seed=1)
    return lm.CompositionalMetric(operator.sub, metric["mean"] + metric["quantile"], metric["std"])


ROWS: dict[str, Row] = {
    "BinaryTargetTransformer": Row(
        lambda: lm.BinaryTargetTransformer(lm.MeanSquaredError(), threshold=0.25),
        values,
        lambda p, t: np.mean((p.numpy() - (t.numpy() > 0.25)) ** 2),
    ),
    "BootStrapper": Row(lambda: bootstrap(lm.MeanSquaredError), same_everywhere, lambda p, t: 0.5),
    "BootStrapper(no sample_weight)": Row(
        lambda: bootstrap(lm.MeanMetric), lambda g, n: (torch.full((n,), 2.5),), lambda v: 5.0
    ),
    "ByGroup": Row(lambda: GroupLast(lm.MeanSquaredError(), 3), grouped, per_group(np.mean)),
    "ByGroup(root)": Row(
        lambda: GroupLast(lm.MeanSquaredError(squared=False), 3), grouped, per_group(lambda x: np.sqrt(np.mean(x)))
    ),
    "ClasswiseWrapper": Row(classwise, outputs, lambda p, t: squares(p, t).mean(0)[[0, 2]].sum()),
    "Decayed": Row(lambda: lm.Decayed(lm.MeanSquaredError(), float("inf")), values, lambda p, t: squares(p, t).mean()),
    "LambdaInputTransformer": Row(
        lambda: lm.LambdaInputTransformer(lm.MeanSquaredError(), negative, negative),
        values,
        lambda p, t: squares(p, t).mean(),
    ),
    "MetricInputTransformer": Row(
        lambda: lm.MetricInputTransformer(lm.MeanSquaredError()), values, lambda p, t: squares(p, t).mean()
    ),
    "MetricTracker": Row(tracker, values, lambda p, t: squares(p, t).mean()),
    # The extremes tell how often compute was called: the laws are about the value.
    "MinMaxMetric": Row(
        lambda: lm.MinMaxMetric(lm.MeanSquaredError())["raw"], values, lambda p, t: squares(p, t).mean()
    ),
    "MultioutputWrapper": Row(
        lambda: lm.MultioutputWrapper(lm.MeanSquaredError(), 3, remove_nans=False),
        outputs,
        lambda p, t: squares(p, t).mean(0),
    ),
    "MultitaskWrapper": Row(multitask, values, lambda p, t: squares(p, t).mean() + np.sqrt(squares(p, t).mean())),
    "Running": Row(lambda: lm.Running(lm.MeanSquaredError(), WIDE), values, lambda p, t: squares(p, t).mean()),
    "RunningMean": Row(lambda: lm.RunningMean(WIDE), one_value, lambda v: v.double().mean()),
    "RunningSum": Row(lambda: lm.RunningSum(WIDE), one_value, lambda v: v.double().sum()),
}
