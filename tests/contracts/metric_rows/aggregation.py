"""Rows of the aggregation metrics."""

from __future__ import annotations

import numpy as np

import lit_metrics as lm
from tests.contracts.metric_rows.row import ORDERED, Row, one_value, weighted

ROWS: dict[str, Row] = {
    "CatMetric": Row(lm.CatMetric, one_value, lambda v: v, ORDERED),
    "MaxMetric": Row(lm.MaxMetric, one_value, lambda v: v.max()),
    "MeanMetric": Row(lm.MeanMetric, one_value, np.average),
    "MeanMetric(weights)": Row(lm.MeanMetric, weighted, lambda v, w: np.average(v, weights=w)),
    "MinMetric": Row(lm.MinMetric, one_value, lambda v: v.min()),
    "SumMetric": Row(lm.SumMetric, one_value, lambda v: v.double().sum()),
}
