"""Rows of the regression metrics."""

from __future__ import annotations

import numpy as np
import torch

import lit_metrics as lm
from tests.contracts.metric_rows.row import Row, outputs, values

ROWS: dict[str, Row] = {
    "MeanSquaredError": Row(lm.MeanSquaredError, values, lambda p, t: np.mean((p.numpy() - t.numpy()) ** 2)),
    "MeanSquaredError(outputs)": Row(
        lambda: lm.MeanSquaredError(squared=False, num_outputs=3),
        outputs,
        lambda p, t: np.sqrt(np.mean((p.numpy() - t.numpy()) ** 2, axis=0)),
    ),
    "MeanSquaredError(sample_weight)": Row(
        lm.MeanSquaredError,
        lambda g, n: (*values(g, n), torch.rand(n, generator=g)),
        lambda p, t, w: np.average((p.numpy() - t.numpy()) ** 2, weights=w.numpy()),
    ),
}
