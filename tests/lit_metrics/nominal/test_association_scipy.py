"""Coefficients of association against scipy."""

from __future__ import annotations

import numpy as np
import pytest
import torch

import lit_metrics as lm
import lit_metrics.functional as F

contingency = pytest.importorskip("scipy.stats.contingency")

METHODS = {"cramers_v": "cramer", "tschuprows_t": "tschuprow", "pearsons_contingency_coefficient": "pearson"}
METRICS = {
    "cramers_v": lm.CramersV,
    "tschuprows_t": lm.TschuprowsT,
    "pearsons_contingency_coefficient": lm.PearsonsContingencyCoefficient,
}


@pytest.mark.parametrize("sizes", [(2, 2), (3, 5), (6, 2)])
@pytest.mark.parametrize("name", METHODS)
def test_coefficients_equal_scipy(name: str, sizes: tuple[int, int]) -> None:
    g = torch.Generator().manual_seed(0)
    p, t = (torch.randint(size, (80,), generator=g) for size in sizes)
    table = contingency.crosstab(p.numpy(), t.numpy())[1]
    expected = contingency.association(table, method=METHODS[name])
    options = {} if name.startswith("pearson") else {"bias_correction": False}
    np.testing.assert_allclose(float(getattr(F, name)(p * 10 - 5, t + 3, **options)), expected, rtol=1e-12)
    metric = METRICS[name](9, **options)
    metric.update(p[:30], t[:30])
    metric.update(p[30:], t[30:])
    np.testing.assert_allclose(float(metric.compute()), expected, rtol=1e-12)
    columns = torch.stack([t, p], 1)
    matrix = getattr(F, f"{name}_matrix")(columns, **options)
    np.testing.assert_allclose(matrix.numpy(), [[1, expected], [expected, 1]], rtol=1e-12)
