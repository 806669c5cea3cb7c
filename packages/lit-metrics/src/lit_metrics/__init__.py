"""Metrics that merge: exact across batches and processes, useful in plain PyTorch."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from lit_metrics.__about__ import __version__
from lit_metrics._lazy import load

if TYPE_CHECKING:
    from lit_metrics import functional as functional
    from lit_metrics import testing as testing
    from lit_metrics.aggregation import CatMetric as CatMetric
    from lit_metrics.aggregation import MaxMetric as MaxMetric
    from lit_metrics.aggregation import MeanMetric as MeanMetric
    from lit_metrics.aggregation import MinMetric as MinMetric
    from lit_metrics.aggregation import SumMetric as SumMetric
    from lit_metrics.classification.accuracy import Accuracy as Accuracy
    from lit_metrics.classification.accuracy import BinaryAccuracy as BinaryAccuracy
    from lit_metrics.classification.accuracy import MulticlassAccuracy as MulticlassAccuracy
    from lit_metrics.classification.accuracy import MultilabelAccuracy as MultilabelAccuracy
    from lit_metrics.collection import MetricCollection as MetricCollection
    from lit_metrics.compositional import CompositionalMetric as CompositionalMetric
    from lit_metrics.metric import Metric as Metric
    from lit_metrics.regression.mean_squared_error import MeanSquaredError as MeanSquaredError

_HOMES = {
    "Accuracy": "classification.accuracy",
    "BinaryAccuracy": "classification.accuracy",
    "CatMetric": "aggregation",
    "CompositionalMetric": "compositional",
    "MaxMetric": "aggregation",
    "MeanMetric": "aggregation",
    "MeanSquaredError": "regression.mean_squared_error",
    "Metric": "metric",
    "MetricCollection": "collection",
    "MinMetric": "aggregation",
    "MulticlassAccuracy": "classification.accuracy",
    "MultilabelAccuracy": "classification.accuracy",
    "SumMetric": "aggregation",
    "functional": "functional",
    "testing": "testing",
}

__all__ = [
    "Accuracy",
    "BinaryAccuracy",
    "CatMetric",
    "CompositionalMetric",
    "MaxMetric",
    "MeanMetric",
    "MeanSquaredError",
    "Metric",
    "MetricCollection",
    "MinMetric",
    "MulticlassAccuracy",
    "MultilabelAccuracy",
    "SumMetric",
    "__version__",
    "functional",
    "testing",
]


def __getattr__(name: str) -> Any:
    return load(__name__, name, _HOMES)
