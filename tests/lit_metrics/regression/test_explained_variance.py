"""R2, explained variance, relative and normalised errors: exactness, edges, shared state."""

from __future__ import annotations

import math
from fractions import Fraction
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch

import lit_metrics as lm
import lit_metrics.functional as F
from lit_metrics.functional.regression._moments import MERGE_MOMENTS, batch_moments

if TYPE_CHECKING:
    from collections.abc import Callable


def draw(n: int = 60, offset: float = 0.0, seed: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    g = torch.Generator().manual_seed(seed)
    t = torch.randn(n, generator=g).double()
    return t + torch.randn(n, generator=g).double() + 0.3 + offset, t + offset


def exact_sums(p: torch.Tensor, t: torch.Tensor) -> tuple[Fraction, Fraction, Fraction]:
    """Returns sums of squared errors, centred errors and centred targets, in rational numbers."""
    x, y = [Fraction(float(v)) for v in p], [Fraction(float(v)) for v in t]
    e = [a - b for a, b in zip(x, y, strict=True)]
    mean_e, mean_y = sum(e) / len(e), sum(y) / len(y)
    return (
        Fraction(sum(v * v for v in e)),
        Fraction(sum((v - mean_e) ** 2 for v in e)),
        Fraction(sum((v - mean_y) ** 2 for v in y)),
    )


METRICS: dict[str, tuple[Callable[[], lm.Metric], Callable[..., float]]] = {
    "r2": (lm.R2Score, lambda rss, ess, tss, n: 1 - rss / tss),
    "explained variance": (lm.ExplainedVariance, lambda rss, ess, tss, n: 1 - ess / tss),
    "relative error": (lm.RelativeSquaredError, lambda rss, ess, tss, n: rss / tss),
    "error by std": (lambda: lm.NormalizedRootMeanSquaredError("std"), lambda rss, ess, tss, n: math.sqrt(rss / tss)),
}


@pytest.mark.parametrize("offset", [0.0, 1e3, 1e6, 1e9])
@pytest.mark.parametrize("name", METRICS)
def test_offsets_cost_no_digits_however_the_data_are_split_and_merged(name: str, offset: float) -> None:
    make, formula = METRICS[name]
    p, t = draw(offset=offset)
    expected = float(formula(*exact_sums(p, t), 60))
    whole, singles, left, right = (make() for _ in range(4))
    whole.update(p, t)
    for i in range(60):
        singles.update(p[i : i + 1], t[i : i + 1])
    left.update(p[:13], t[:13])
    right.update(p[13:], t[13:])
    right.merge_state(left)
    for metric in (whole, singles, right):
        assert float(metric.compute()) == pytest.approx(expected, rel=1e-12)


def test_merging_moments_is_associative_and_has_an_identity() -> None:
    p, t = draw(30, offset=1e6)
    a, b, c = (batch_moments(p[i : i + 10], t[i : i + 10]) for i in (0, 10, 20))
    left, right = MERGE_MOMENTS.merge(MERGE_MOMENTS.merge(a, b), c), MERGE_MOMENTS.merge(a, MERGE_MOMENTS.merge(b, c))
    torch.testing.assert_close(left, right, rtol=1e-13, atol=1e-13)
    nothing = torch.zeros(0, dtype=torch.float64)
    assert torch.equal(MERGE_MOMENTS.merge(nothing, a), a)
    assert torch.equal(MERGE_MOMENTS.merge(a, nothing), a)
    assert torch.equal(MERGE_MOMENTS.merge(a, torch.zeros_like(a)), a)
    torch.testing.assert_close(MERGE_MOMENTS(torch.stack([a, b, c])), left, rtol=0, atol=0)


def test_batches_of_weight_zero_change_nothing() -> None:
    p, t = draw(10)
    for metric in (lm.R2Score(), lm.PearsonCorrCoef()):
        metric.update(p[:3], t[:3] + 100, torch.zeros(3))
        metric.update(p, t)
        metric.update(p[:3], t[:3] - 100, torch.zeros(3))
        fresh = metric.clone()
        fresh.reset()
        fresh.update(p, t)
        torch.testing.assert_close(metric.compute(), fresh.compute(), rtol=1e-12, atol=1e-12)


def test_integer_weights_repeat_samples() -> None:
    p, t = draw(20)
    w = torch.randint(4, (20,), generator=torch.Generator().manual_seed(2))
    many = (p.repeat_interleave(w), t.repeat_interleave(w))
    for fn in (
        F.r2_score,
        F.explained_variance,
        F.relative_squared_error,
        F.normalized_root_mean_squared_error,
        F.pearson_corrcoef,
        F.concordance_corrcoef,
        lambda p, t, **k: F.r2_score(p, t, adjusted=3, **k),
        lambda p, t, **k: F.normalized_root_mean_squared_error(p, t, "l2", **k),
        lambda p, t, **k: F.normalized_root_mean_squared_error(p, t, "std", **k),
    ):
        assert float(fn(p, t, sample_weight=w)) == pytest.approx(float(fn(*many)), rel=1e-12)


def test_the_scale_of_weights_does_not_matter_to_a_ratio() -> None:
    p, t = draw(4)
    assert float(F.r2_score(p, t, sample_weight=[0.1] * 4)) == pytest.approx(float(F.r2_score(p, t)), rel=1e-12)


@pytest.mark.parametrize("offset", [0.1, 1e6 + 0.1])
def test_constant_targets_follow_scikit_learn_and_one_sample_is_nan(offset: float) -> None:
    t = torch.full((7,), offset, dtype=torch.float64)
    assert F.r2_score(t, t) == 1
    assert F.r2_score(t + torch.arange(7), t) == 0
    assert F.explained_variance(t + 1, t) == 1
    assert F.explained_variance(t + torch.arange(7), t) == 0
    metric = lm.R2Score()
    for i in range(7):
        metric.update(t[i : i + 1] + i, t[i : i + 1])
    assert metric.compute() == 0
    assert F.relative_squared_error(t + 1, t) == math.inf
    for fn in (F.r2_score, F.explained_variance):
        assert fn(t[:1], t[:1]).isnan()
        assert fn(t * math.nan, t).isnan()
    assert F.relative_squared_error(t, t).isnan()


@pytest.mark.parametrize(
    "make",
    [lm.R2Score, lm.ExplainedVariance, lm.RelativeSquaredError, lm.NormalizedRootMeanSquaredError, lm.PearsonCorrCoef],
)
def test_nothing_seen_is_nan_with_one_warning(make: Callable[[], lm.Metric]) -> None:
    metric = make()
    with pytest.warns(UserWarning, match="no data was seen"):
        assert metric.compute().isnan()
    metric.update(torch.zeros(0), torch.zeros(0))
    assert metric.compute().isnan()
    metric.update([1.0, 2.0, 4.0], [1.0, 3.0, 3.0])
    assert metric.compute().isfinite()


def test_adjusting_needs_a_degree_of_freedom() -> None:
    p, t = draw(5)
    r2 = float(F.r2_score(p, t))
    assert float(F.r2_score(p, t, adjusted=3)) == pytest.approx(1 - (1 - r2) * 4 / 1)
    assert F.r2_score(p, t, adjusted=4).isnan()


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.int8])
def test_small_types_are_summed_in_float64(dtype: torch.dtype) -> None:
    p, t = (100 * torch.rand(5000, generator=torch.Generator().manual_seed(s)) for s in (0, 1))
    p, t = p.to(dtype), t.to(dtype)
    for fn in (F.r2_score, F.explained_variance, F.pearson_corrcoef):
        assert float(fn(p, t)) == pytest.approx(float(fn(p.double(), t.double())), rel=1e-13)


def test_normalised_errors_of_outputs_and_of_any_shape() -> None:
    g = torch.Generator().manual_seed(0)
    p, t = torch.rand(8, 3, generator=g).double(), torch.rand(8, 3, generator=g).double()
    error = np.sqrt(np.mean((p - t).numpy() ** 2, 0))
    sizes = {"mean": t.mean(0), "range": t.amax(0) - t.amin(0), "std": t.std(0, correction=0), "l2": t.norm(dim=0)}
    for name, size in sizes.items():
        metric = lm.NormalizedRootMeanSquaredError(name, num_outputs=3)  # type: ignore[arg-type]
        metric.update(p[:3], t[:3])
        metric.update(p[3:], t[3:])
        np.testing.assert_allclose(metric.compute().numpy(), error / size.numpy(), rtol=1e-12)
    flat = F.normalized_root_mean_squared_error(p, t, sample_weight=torch.ones(8))
    assert float(flat) == pytest.approx(float(F.normalized_root_mean_squared_error(p.view(-1), t.view(-1))), rel=1e-13)
    ragged = lm.NormalizedRootMeanSquaredError()
    ragged.update(p, t)
    ragged.update(p[0], t[0])
    assert ragged.compute().shape == ()


def test_metrics_of_one_number_of_outputs_share_their_state() -> None:
    p, t = draw()
    alone = {
        "pearson": lm.PearsonCorrCoef(),
        "concordance": lm.ConcordanceCorrCoef(),
        "relative": lm.RelativeSquaredError(),
        "r2": lm.R2Score(num_outputs=1),
        "explained": lm.ExplainedVariance(num_outputs=1),
    }
    together = lm.MetricCollection({name: metric.clone() for name, metric in alone.items()})
    forward = together(p[:20], t[:20])
    together.update(p[20:], t[20:])
    assert len({id(metric.store) for metric in together.values()}) == 1
    for name, metric in alone.items():
        assert forward[name] == metric(p[:20], t[:20])
        metric.update(p[20:], t[20:])
        assert together.compute()[name] == metric.compute()


def test_wrong_arguments_are_refused() -> None:
    p, t = draw(6)
    for make, message in (
        (lambda: lm.R2Score(adjusted=-1), "adjusted must be"),
        (lambda: lm.R2Score(adjusted=1.5), "adjusted must be"),  # type: ignore[arg-type]
        (lambda: lm.R2Score(multioutput="mean"), "multioutput must be"),  # type: ignore[arg-type]
        (lambda: F.explained_variance(p, t, multioutput="mean"), "multioutput must be"),  # type: ignore[arg-type]
        (lambda: lm.NormalizedRootMeanSquaredError("max"), "normalization must be"),  # type: ignore[arg-type]
        (lambda: F.normalized_root_mean_squared_error(p, t, "max"), "normalization must be"),  # type: ignore[arg-type]
        (lambda: lm.RelativeSquaredError(num_outputs=0), "num_outputs must be"),
        (lambda: F.r2_score(p, t[:5]), r"\(6,\) and \(5,\)"),
    ):
        with pytest.raises(ValueError, match=message):
            make()


def test_a_wrong_batch_leaves_the_state() -> None:
    p, t = draw(12)
    metric: Any = lm.PearsonCorrCoef()
    metric.update(p, t)
    before = metric.compute()
    with pytest.raises(ValueError, match=r"\(N, 1\), got \(6, 2\)"):
        metric.update(p.view(6, 2), t.view(6, 2))
    with pytest.raises(TypeError, match="must be real"):
        metric.update(p.cfloat(), t.cfloat())
    open_metric = lm.R2Score()
    open_metric.update(p, t)
    with pytest.raises(RuntimeError, match="cannot merge states of shape"):
        open_metric.update(p.view(6, 2), t.view(6, 2))
    assert metric.compute() == before
    assert open_metric.compute() == F.r2_score(p, t)


def test_gradient_of_the_relative_error_equals_the_closed_form() -> None:
    p, t = draw(9)
    p.requires_grad_()
    F.relative_squared_error(p, t).backward()
    expected = 2 * (p.detach() - t) / (t - t.mean()).square().sum()
    assert p.grad is not None
    torch.testing.assert_close(p.grad, expected, rtol=1e-10, atol=1e-12)
