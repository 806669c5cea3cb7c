"""Areas in bounded memory: never further off than they say, whatever the scores."""

from __future__ import annotations

import pickle

import pytest
import torch

import lit_metrics as lm
import lit_metrics.functional as F
from lit_metrics.functional.classification._sketch import compress, extreme_points, sketch_rows

N = 15_000
EPS = 0.1


def generator(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def normal(t: torch.Tensor, g: torch.Generator) -> torch.Tensor:
    return torch.randn(N, generator=g) + t


def heavy_tailed(t: torch.Tensor, g: torch.Generator) -> torch.Tensor:
    return torch.randn(N, generator=g) / torch.rand(N, generator=g) + t


def constant(t: torch.Tensor, g: torch.Generator) -> torch.Tensor:
    return torch.full((N,), 0.3)


def clustered(t: torch.Tensor, g: torch.Generator) -> torch.Tensor:
    return 0.5 + 1e-4 * torch.rand(N, generator=g) + 1e-5 * t


def half_tied(t: torch.Tensor, g: torch.Generator) -> torch.Tensor:
    return torch.where(torch.rand(N, generator=g) < 0.5, 0.5, torch.rand(N, generator=g) + 0.1 * t)


def many_scales(t: torch.Tensor, g: torch.Generator) -> torch.Tensor:
    return torch.exp(20 * torch.randn(N, generator=g) + 5 * t) * (2 * torch.randint(2, (N,), generator=g) - 1)


def separated(t: torch.Tensor, g: torch.Generator) -> torch.Tensor:
    return t + 1e-3 * torch.rand(N, generator=g)


def separated_by_a_hair(t: torch.Tensor, g: torch.Generator) -> torch.Tensor:
    return torch.where(t == 1, 1 + torch.rand(N, generator=g), 1 - torch.rand(N, generator=g) * 0.5 - 1e-7)


SCORES = [normal, heavy_tailed, constant, clustered, half_tied, many_scales, separated, separated_by_a_hair]
Scores = "Callable[[torch.Tensor, torch.Generator], torch.Tensor]"


@pytest.mark.parametrize("scores", SCORES)
@pytest.mark.parametrize("share", [0.5, 0.01])
def test_error_is_within_the_bound_and_the_bound_within_eps(scores: Scores, share: float) -> None:
    target = (torch.rand(N, generator=generator(0)) < share).long()
    preds = scores(target, generator(1))
    areas, precisions = lm.StreamingAUROC(EPS), lm.StreamingAveragePrecision(EPS)
    for i in range(0, N, 1500):
        areas.update(preds[i : i + 1500], target[i : i + 1500])
    precisions.merge_state(areas.metric_state)
    for metric, exact in ((areas, F.binary_auroc), (precisions, F.binary_average_precision)):
        assert sum(map(len, metric.nodes)) <= 12 * 320
        assert abs(metric.compute() - exact(preds, target)) <= metric.bound + 1e-12
    assert areas.bound <= EPS


def test_value_is_exact_and_says_so_until_the_budget_of_distinct_scores_is_spent() -> None:
    target = torch.randint(2, (N,), generator=generator(0))
    preds = torch.randint(1900, (N,), generator=generator(1)) / 7 - 100  # 1900 of 6 * 320 distinct scores
    metric = lm.StreamingAUROC(EPS)
    for i in range(0, N, 1000):
        metric.update(preds[i : i + 1000], target[i : i + 1000])
    assert metric.bound == 0
    assert metric.compute().item() == pytest.approx(F.binary_auroc(preds, target).item(), abs=1e-14)
    metric.update(torch.randn(N, generator=generator(2)), target)
    assert 0 < metric.bound <= EPS


@pytest.mark.parametrize("scores", [normal, many_scales, separated])
def test_bound_holds_after_merging_many_summaries(scores: Scores) -> None:
    target = (torch.rand(N, generator=generator(0)) < 0.3).long()
    preds = scores(target, generator(1))
    order = preds.argsort()  # every part sees other scores
    total = lm.StreamingAUROC(EPS)
    for part in order.split(N // 6):
        one = lm.StreamingAUROC(EPS)
        for piece in part[torch.randperm(len(part), generator=generator(2))].split(700):
            one(preds[piece], target[piece])
        total.merge_state(pickle.loads(pickle.dumps(one)))
    total.update(preds[:1], target[:1])
    exact = F.binary_auroc(torch.cat([preds, preds[:1]]), torch.cat([target, target[:1]]))
    assert abs(total.compute() - exact) <= total.bound + 1e-12
    assert total.bound <= EPS


def test_weights_count_as_repetitions_in_a_summary() -> None:
    target = torch.randint(2, (6000,), generator=generator(0))
    preds, weights = torch.randn(6000, generator=generator(1)), torch.randint(4, (6000,), generator=generator(2))
    metric = lm.StreamingAUROC(EPS)
    for part in torch.arange(6000).split(500):
        metric.update(preds[part], target[part], weights[part])
    assert abs(metric.compute() - F.binary_auroc(preds, target, sample_weight=weights)) <= metric.bound <= EPS
    rows = sketch_rows(preds, target, weights)
    assert torch.equal(compress(rows, 50)[:, 2:].sum(0), rows[:, 2:].sum(0))


def test_limits_are_the_best_and_the_worst_of_all_orders_inside_the_nodes() -> None:
    # one interval of four scores with a positive and a negative, inside it a leaf with a negative, above it a positive
    start = 2**31 + 8
    rows = torch.tensor([[start, 2, 1, 1], [start + 1, 0, 1, 0], [start + 4, 0, 0, 1]]).double()
    found = set()
    for neg in range(4):
        for pos in range(4):
            scores = torch.tensor([neg, 1, pos, 4]).double()
            found.add(F.binary_auroc(scores, [0, 0, 1, 1]).item())
    worst, best = extreme_points(rows)
    area = [F.auc(points.fpr[:, 0], points.tpr[:, 0]).item() for points in (worst, best)]
    assert area == [min(found), max(found)]


@pytest.mark.parametrize("eps", [0, -0.1, 0.6, True, "small"])
def test_eps_out_of_range_is_refused(eps: float) -> None:
    with pytest.raises(ValueError, match="eps"):
        lm.StreamingAUROC(eps)
