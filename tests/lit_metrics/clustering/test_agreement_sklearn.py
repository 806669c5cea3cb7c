"""Agreement of clusterings against scikit-learn."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

import lit_metrics.functional as F

sk = pytest.importorskip("sklearn.metrics")
optimize = pytest.importorskip("scipy.optimize")

NAMES = {
    "adjusted_rand_score": "adjusted_rand_score",
    "completeness_score": "completeness_score",
    "fowlkes_mallows_index": "fowlkes_mallows_score",
    "homogeneity_score": "homogeneity_score",
    "mutual_info_score": "mutual_info_score",
    "rand_score": "rand_score",
}
CASES = {
    "random": lambda g: (torch.randint(7, (500,), generator=g), torch.randint(4, (500,), generator=g)),
    "related": lambda g: (torch.arange(300) // 40, torch.arange(300) // 50),
    "negative and far labels": lambda g: (torch.randint(-3, 2, (60,), generator=g) * 10**9, torch.arange(60) % 5),
    "one true cluster": lambda g: (torch.arange(20) % 3, torch.zeros(20, dtype=torch.long)),
    "one predicted cluster": lambda g: (torch.zeros(20, dtype=torch.long), torch.arange(20) % 3),
    "one cluster each": lambda g: (torch.zeros(5, dtype=torch.long), torch.ones(5, dtype=torch.long)),
    "every sample alone": lambda g: (torch.arange(9), torch.arange(9) + 4),
    "alone and together": lambda g: (torch.arange(9), torch.zeros(9, dtype=torch.long)),
    "one sample": lambda g: (torch.tensor([3]), torch.tensor([5])),
    "independent": lambda g: (torch.arange(12) % 2, torch.arange(12) // 2 % 3),
}


def draw(case: str) -> tuple[torch.Tensor, torch.Tensor]:
    return CASES[case](torch.Generator().manual_seed(0))


def close(got: Any, expected: float) -> None:
    np.testing.assert_allclose(float(got), expected, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("name", NAMES)
def test_scores_equal_sklearn(name: str, case: str) -> None:
    p, t = draw(case)
    close(getattr(F, name)(p, t), getattr(sk, NAMES[name])(t.numpy(), p.numpy()))


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("average_method", ["min", "geometric", "arithmetic", "max"])
@pytest.mark.parametrize("name", ["normalized_mutual_info_score", "adjusted_mutual_info_score"])
def test_averaged_information_equals_sklearn(name: str, average_method: Any, case: str) -> None:
    p, t = draw(case)
    expected = getattr(sk, name)(t.numpy(), p.numpy(), average_method=average_method)
    close(getattr(F, name)(p, t, average_method), expected)


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("beta", [0.5, 1.0, 3.0])
def test_v_measure_equals_sklearn(beta: float, case: str) -> None:
    p, t = draw(case)
    close(F.v_measure_score(p, t, beta), sk.v_measure_score(t.numpy(), p.numpy(), beta=beta))


@pytest.mark.parametrize("seed", range(20))
def test_cluster_accuracy_equals_the_assignment_of_scipy(seed: int) -> None:
    g = torch.Generator().manual_seed(seed)
    k = 1 + seed
    p, t = torch.randint(k, (80,), generator=g), torch.randint(k, (80,), generator=g)
    confmat = np.zeros((k, k))
    np.add.at(confmat, (t.numpy(), p.numpy()), 1)
    rows, columns = optimize.linear_sum_assignment(confmat, maximize=True)
    close(F.cluster_accuracy(p, t, k), confmat[rows, columns].sum() / 80)


@pytest.mark.parametrize("offset", [0.0, 1e6])
@pytest.mark.parametrize("name", ["calinski_harabasz_score", "davies_bouldin_score"])
def test_dispersion_equals_sklearn(name: str, offset: float) -> None:
    g = torch.Generator().manual_seed(0)
    x, c = torch.randn(60, 3, generator=g).double() + offset, torch.randint(4, (60,), generator=g)
    x += c[:, None]
    expected = getattr(sk, name)((x - offset).numpy(), c.numpy())
    np.testing.assert_allclose(float(getattr(F, name)(x, c * 7 - 3)), expected, rtol=1e-12 if offset == 0 else 1e-8)
