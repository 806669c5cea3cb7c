"""The best assignment against all assignments in plain loops."""

from __future__ import annotations

from itertools import permutations

import pytest
import torch

import lit_metrics as lm
import lit_metrics.functional as F


def draw(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def squared_error(p: torch.Tensor, t: torch.Tensor) -> torch.Tensor:
    return (p - t).square().mean(-1)


@pytest.mark.parametrize("speakers", [1, 2, 3, 5])
@pytest.mark.parametrize("eval_func", ["max", "min"])
def test_both_modes_find_the_best_of_all_assignments(speakers: int, eval_func: str) -> None:
    preds, target = draw(4, speakers, 9), draw(4, speakers, 9, seed=1)
    values = torch.stack(
        [squared_error(preds[:, list(order)], target).mean(1) for order in permutations(range(speakers))]
    )
    expected = values.amax(0) if eval_func == "max" else values.amin(0)
    for mode in ("speaker-wise", "permutation-wise"):
        value, chosen = F.permutation_invariant_training(preds, target, squared_error, mode, eval_func)  # type: ignore[arg-type]
        torch.testing.assert_close(value, expected)
        torch.testing.assert_close(squared_error(F.pit_permutate(preds, chosen), target).mean(1), expected)


@pytest.mark.parametrize("speakers", [3, 8])
def test_shuffled_speakers_are_put_back(speakers: int) -> None:
    target = draw(5, speakers, 20)
    order = torch.stack([torch.randperm(speakers, generator=torch.Generator().manual_seed(i)) for i in range(5)])
    preds = F.pit_permutate(target, order) + 0.1 * draw(5, speakers, 20, seed=1)
    function = F.scale_invariant_signal_distortion_ratio
    value, chosen = F.permutation_invariant_training(preds, target, function)
    assert torch.equal(chosen, order.argsort(-1))
    torch.testing.assert_close(value, function(F.pit_permutate(preds, chosen), target).mean(1))


def test_value_is_a_loss() -> None:
    preds = draw(2, 3, 7).requires_grad_()
    function = F.scale_invariant_signal_distortion_ratio
    assert torch.autograd.gradcheck(
        lambda x: F.permutation_invariant_training(x, draw(2, 3, 7, seed=1), function)[0], preds
    )


def test_class_passes_unknown_arguments_to_the_function() -> None:
    preds, target = draw(6, 2, 9), draw(6, 2, 9, seed=1)
    metric = lm.PermutationInvariantTraining(F.signal_noise_ratio, zero_mean=True, compute_on_step=False)
    assert metric(preds, target) is None
    value, _ = F.permutation_invariant_training(preds, target, F.signal_noise_ratio, zero_mean=True)
    assert float(metric.compute()) == pytest.approx(float(value.mean()))


def test_wrong_inputs_are_refused() -> None:
    preds, target = draw(2, 3, 7), draw(2, 3, 7)
    with pytest.raises(ValueError, match="equal N and speakers"):
        F.permutation_invariant_training(preds, target[:, :2], squared_error)
    with pytest.raises(ValueError, match="one value for each of 2 samples"):
        F.permutation_invariant_training(preds, target, lambda p, t: (p - t).mean())
    with pytest.raises(ValueError, match="mode must be"):
        lm.PermutationInvariantTraining(squared_error, mode="speaker")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="eval_func must be"):
        lm.PermutationInvariantTraining(squared_error, eval_func="best")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="perm must have shape"):
        F.pit_permutate(preds, torch.zeros(2, 2, dtype=torch.long))
    many = draw(1, 7, 4)
    with pytest.raises(ValueError, match="finite values"):
        F.permutation_invariant_training(many, many, lambda p, t: (p - t).sum(-1) * torch.nan)
