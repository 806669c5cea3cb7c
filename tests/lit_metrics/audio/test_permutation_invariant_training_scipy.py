"""Our Hungarian method against scipy's."""

from __future__ import annotations

import numpy as np
import pytest

from lit_metrics.functional.audio.permutation_invariant_training import cheapest_assignment

optimize = pytest.importorskip("scipy.optimize")


@pytest.mark.parametrize("n", [1, 2, 7, 12, 25])
@pytest.mark.parametrize("ties", [False, True])
def test_cost_is_that_of_linear_sum_assignment(n: int, ties: bool) -> None:
    rng = np.random.default_rng(n)
    for _ in range(10):
        costs = rng.integers(-3, 4, (n, n)).astype(float) if ties else rng.normal(size=(n, n))
        columns = cheapest_assignment(costs)
        assert sorted(columns) == list(range(n))
        rows, best = optimize.linear_sum_assignment(costs)
        assert costs[np.arange(n), columns].sum() == pytest.approx(costs[rows, best].sum(), abs=1e-9)
