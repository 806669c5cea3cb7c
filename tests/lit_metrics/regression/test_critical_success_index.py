"""Critical success index against counts in numpy."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

import lit_metrics as lm
import lit_metrics.functional as F

G = torch.Generator().manual_seed(0)
P, T = torch.rand(6, 3, 4, generator=G), torch.rand(6, 3, 4, generator=G)


def index(p: Any, t: Any, axis: Any = None) -> Any:
    return np.sum((p >= 0.5) & (t >= 0.5), axis) / np.sum((p >= 0.5) | (t >= 0.5), axis)


def test_index_of_everything_equals_the_counts() -> None:
    metric = lm.CriticalSuccessIndex(0.5)
    metric.update(P[:2], T[:2])
    metric.update(P[2:], T[2:])
    assert float(metric.compute()) == index(P.numpy(), T.numpy())
    assert metric.counts.dtype == torch.int64  # type: ignore[union-attr]


@pytest.mark.parametrize("dim", [0, 1, 2])
def test_each_index_of_the_kept_dimension_has_its_value(dim: int) -> None:
    axes = tuple(i for i in range(3) if i != dim)
    expected = index(P.numpy(), T.numpy(), axes)
    np.testing.assert_array_equal(F.critical_success_index(P, T, 0.5, keep_sequence_dim=dim).numpy(), expected)
    metric = lm.CriticalSuccessIndex(0.5, keep_sequence_dim=dim)
    metric.update(P, T)
    metric.update(P, T)
    np.testing.assert_array_equal(metric.compute().numpy(), np.concatenate([expected, expected]))


def test_the_threshold_itself_is_an_event() -> None:
    assert F.critical_success_index([0.5, 0.5, 0.6], [0.6, 0.4, 0.5], 0.5) == 2 / 3


def test_no_event_is_nan_with_a_warning() -> None:
    metric = lm.CriticalSuccessIndex(0.5)
    metric.update([0.1], [0.2])
    with pytest.warns(UserWarning, match="is nan"):
        assert metric.compute().isnan()
    assert lm.CriticalSuccessIndex(0.5, keep_sequence_dim=0).compute().shape == (0,)


def test_weights_repeat_samples() -> None:
    rows = torch.tensor([0, 0, 3])
    value = F.critical_success_index(P[:4], T[:4], 0.5, sample_weight=[2, 0, 0, 1])
    assert float(value) == pytest.approx(index(P[rows].numpy(), T[rows].numpy()))


@pytest.mark.parametrize("arguments", [{"threshold": "a"}, {"threshold": 0.5, "keep_sequence_dim": -1}])
def test_wrong_arguments_are_refused(arguments: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="must be"):
        lm.CriticalSuccessIndex(**arguments)
    with pytest.raises(ValueError, match="must be"):
        F.critical_success_index(P, T, **arguments)
    with pytest.raises(ValueError, match="keep_sequence_dim must be one of the 3 dimensions"):
        F.critical_success_index(P, T, 0.5, keep_sequence_dim=3)
