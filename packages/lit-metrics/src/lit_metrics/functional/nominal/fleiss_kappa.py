"""Agreement of several raters on nominal categories."""

from __future__ import annotations

from typing import Any, Literal, TypeAlias

import torch
from torch import Tensor

from lit_metrics._inputs import as_tensor, checks_are_free

Mode: TypeAlias = Literal["counts", "probs"]
MODES = ("counts", "probs")


def require_mode(mode: Any) -> None:
    """Raises a `ValueError` unless it is one of `MODES`."""
    if mode not in MODES:
        raise ValueError(f"mode must be one of {MODES}, got {mode!r}")


def fleiss_kappa_state(ratings: Any, mode: Mode) -> dict[str, Tensor | int]:
    """Returns ratings per category, the sum of squared counts, and the number, fewest and most raters of samples."""
    ratings = as_tensor(ratings, "ratings")
    if mode == "probs":
        if ratings.ndim != 3 or not ratings.is_floating_point():
            raise ValueError(
                "ratings must be floating-point (samples, categories, raters) for mode='probs',"
                f" got {ratings.dtype} of {tuple(ratings.shape)}"
            )
        counts = torch.zeros(ratings.shape[:2], dtype=torch.long, device=ratings.device)
        choice = ratings.argmax(1)
        counts.scatter_add_(1, choice, torch.ones_like(choice))
    else:
        if ratings.ndim != 2 or ratings.is_floating_point() or ratings.is_complex():
            raise ValueError(
                "ratings must be integer (samples, categories) for mode='counts',"
                f" got {ratings.dtype} of {tuple(ratings.shape)}"
            )
        counts = ratings.long()
        if checks_are_free(counts) and (counts.numpy() < 0).any():
            raise ValueError(f"ratings must not be negative, got {int(counts.numpy().min())}")
    raters = counts.sum(1)
    if checks_are_free(raters) and len(raters) and (fewest := raters.numpy().min()) != (most := raters.numpy().max()):
        raise ValueError(_uneven(fewest, most))
    return {
        "categories": counts.sum(0),
        "squares": counts.square().sum(),
        "samples": counts.shape[0],
        # Negative ratings, where nobody could refuse them, say so by a number of raters that cannot be.
        "fewest": torch.where((counts < 0).any(), -1, raters.amin()),
        "most": raters.amax(),
    }


def raise_if_uneven(fewest: Tensor, most: Tensor, samples: Tensor | int) -> None:
    """Raises a `ValueError` if samples had different numbers of raters."""
    if not most.is_meta and int(samples) and int(fewest) < 0:
        raise ValueError("ratings must not be negative; some were")
    if not most.is_meta and int(samples) and int(fewest) != int(most):
        raise ValueError(_uneven(fewest, most))


def _uneven(fewest: Any, most: Any) -> str:
    return f"every sample must have the same number of raters, got from {int(fewest)} to {int(most)}"


def fleiss_kappa_value(categories: Tensor, squares: Tensor, samples: Tensor | int, most: Tensor) -> Tensor:
    """Returns kappa from counts; nan for no samples, fewer than two raters, or one category only."""
    raters = most.double()
    ratings = samples * raters
    observed = (squares.double() - ratings) / (ratings * (raters - 1))
    expected = (categories / ratings).square().sum()
    return (observed - expected) / (1 - expected)


def fleiss_kappa(ratings: Any, mode: Mode = "counts") -> Tensor:
    """Fleiss' kappa, `(P - P_e) / (1 - P_e)`: agreement of raters beyond chance.

    `P` is the mean share of agreeing pairs of raters over samples, `P_e` the sum of squared shares of the categories.

    Args:
        ratings: Integer `(samples, categories)` numbers of raters for `"counts"`; floating-point
            `(samples, categories, raters)` scores, of which the largest counts, for `"probs"`.
        mode: What `ratings` holds.

    Returns:
        Value of at most 1, float64; 0 is chance; nan if there is no sample, one rater, or all ratings are one category.

    Raises:
        ValueError: If the ratings do not fit the mode, or samples have different numbers of raters.

    Example:
        >>> from lit_metrics.functional import fleiss_kappa
        >>> fleiss_kappa([[3, 0], [1, 2], [0, 3]])
        tensor(0.5500, dtype=torch.float64)

    Source:
        Fleiss (1971), "Measuring nominal scale agreement among many raters".
    """
    require_mode(mode)
    ratings = as_tensor(ratings, "ratings")
    if not ratings.numel():
        return torch.tensor(torch.nan, dtype=torch.float64, device=ratings.device)
    state = fleiss_kappa_state(ratings, mode)
    categories, squares, fewest, most = (state[name] for name in ("categories", "squares", "fewest", "most"))
    assert isinstance(categories, Tensor)
    assert isinstance(squares, Tensor)
    assert isinstance(fewest, Tensor)
    assert isinstance(most, Tensor)
    raise_if_uneven(fewest, most, state["samples"])
    return fleiss_kappa_value(categories, squares, state["samples"], most)
