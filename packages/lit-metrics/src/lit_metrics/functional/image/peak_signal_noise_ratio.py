"""Peak signal-to-noise ratio, plain and with the blocking effect."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from lit_metrics._inputs import as_tensor, as_weights, require_same_shape
from lit_metrics.functional.image._images import (
    DataRange,
    Reduction,
    as_image_pair,
    clamp_to_range,
    reduce_scores,
    require_range,
    require_window,
)


def psnr_state(
    preds: Any,
    target: Any,
    data_range: DataRange | None,
    dim: int | Sequence[int] | None = None,
    sample_weight: Any = None,
) -> dict[str, Tensor | int]:
    """Returns the sum of squared errors, the number (or weight) of elements, and the range of targets if asked for."""
    preds, target = as_tensor(preds, "preds"), as_tensor(target, "target")
    require_same_shape(preds, target)
    require_range(data_range)
    if preds.is_complex() or target.is_complex():
        raise TypeError(f"preds and target must be real, got {preds.dtype} and {target.dtype}")
    preds, target = preds.double(), target.double()
    if data_range is not None:
        preds, target, _ = clamp_to_range(preds, target, data_range)
    squares = (preds - target).square()
    if dim is not None:
        sums = squares.sum(dim)
        return {"sum_squared_error": sums, "total": squares.numel() // max(sums.numel(), 1)}
    state: dict[str, Tensor | int] = {"sum_squared_error": squares.sum(), "total": squares.numel()}
    lowest = highest = target
    if sample_weight is not None:
        weights = as_weights(sample_weight, squares.shape, squares.device)
        seen = weights > 0
        state = {"sum_squared_error": torch.where(seen, weights * squares, 0.0).sum(), "total": weights.sum()}
        lowest, highest = torch.where(seen, target, torch.inf), torch.where(seen, target, -torch.inf)
    if data_range is None and target.numel():
        state |= {"min_target": lowest.amin(), "max_target": highest.amax()}
    return state


def psnr_value(
    sum_squared_error: Tensor, total: Tensor | int, data_range: DataRange | Tensor, base: float = 10.0
) -> Tensor:
    """Returns `10 log_base(range^2 / mean squared error)`."""
    width = data_range[1] - data_range[0] if isinstance(data_range, tuple) else data_range
    # Numerator and denominator apart: a range of 0 and an error of 0 are then nan, an error of 0 alone is inf.
    ratio = torch.as_tensor(width, dtype=torch.float64, device=sum_squared_error.device) ** 2
    return 10 / math.log(base) * (ratio.log() - (sum_squared_error / total).log())


def peak_signal_noise_ratio(
    preds: Any,
    target: Any,
    data_range: DataRange | None = None,
    base: float = 10.0,
    reduction: Reduction = "elementwise_mean",
    dim: int | tuple[int, ...] | None = None,
) -> Tensor:
    """Peak signal-to-noise ratio, `10 log10(range^2 / mean((preds - target)^2))`, in decibels.

    Args:
        preds: Images of any shape.
        target: True images of the same shape.
        data_range: Width of the range of values, e.g. 1.0 or 255; a pair `(low, high)` also clamps both images to it;
            `None` takes the range of `target`.
        base: Base of the logarithm; 10 gives decibels.
        reduction: `"elementwise_mean"`, `"sum"` or `"none"`: what becomes of several ratios when `dim` is given.
        dim: Dimensions that one mean squared error is taken over; `None` takes all, for one ratio.

    Returns:
        Float64; higher is better; inf for equal images.

    Raises:
        ValueError: If the shapes differ, the range is no range, or it is missing though `dim` is given.

    Example:
        >>> from lit_metrics.functional import peak_signal_noise_ratio
        >>> peak_signal_noise_ratio([[0.0, 1.0], [2.0, 3.0]], [[3.0, 2.0], [1.0, 0.0]], data_range=3.0)
        tensor(2.5527, dtype=torch.float64)
    """
    if dim is not None and data_range is None:
        raise ValueError("data_range must be given when dim is, got None")
    state = psnr_state(preds, target, data_range, dim)
    width: Any = data_range
    if data_range is None:
        # Without elements there is no range either.
        width = torch.as_tensor(state.get("max_target", torch.nan)) - state.get("min_target", torch.nan)
    return reduce_scores(
        psnr_value(torch.as_tensor(state["sum_squared_error"]), state["total"], width, base), reduction
    )


def psnr(
    pred: Any,
    target: Any,
    data_range: float | None = None,
    base: float = 10.0,
    reduction: Reduction = "elementwise_mean",
) -> Tensor:
    """`peak_signal_noise_ratio` in the 1.0 spelling.

    Args:
        pred: Images of any shape.
        target: True images of the same shape.
        data_range: Width of the range of values; `None` takes the range of `target`.
        base: Base of the logarithm.
        reduction: Changes nothing, as there is one ratio.

    Example:
        >>> from lit_metrics.functional import psnr
        >>> psnr([[0.0, 1.0], [2.0, 3.0]], [[3.0, 2.0], [1.0, 0.0]])
        tensor(2.5527, dtype=torch.float64)
    """
    return peak_signal_noise_ratio(pred, target, data_range, base, reduction)


def psnrb_state(preds: Any, target: Any, data_range: DataRange, block_size: int = 8) -> dict[str, Tensor | int]:
    """Returns the sum of squared errors, the sum of blocking effects, and how many of each."""
    preds, target = as_image_pair(preds, target)
    require_range(data_range, optional=False)
    require_window(block_size, "block_size")
    if preds.shape[1] != 1:
        raise ValueError(f"preds and target must have one channel, got {preds.shape[1]}")
    preds, target, _ = clamp_to_range(preds, target, data_range)
    return {
        "sum_squared_error": (preds - target).square().sum(),
        "total": preds.numel(),
        "bef": _blocking_effect(preds, block_size).sum(),
        "num_images": preds.shape[0],
    }


def _blocking_effect(images: Tensor, block_size: int) -> Tensor:
    """Returns by how much steps across block edges exceed the other steps, for every image."""
    sums: dict[bool, Tensor] = {}
    counts = {True: 0, False: 0}
    for dim in (-1, -2):
        steps = images.diff(dim=dim).square()
        at_edge = (torch.arange(1, steps.shape[dim] + 1, device=images.device) % block_size == 0).double()
        at_edge = at_edge if dim == -1 else at_edge[:, None]
        num_edges = steps.shape[dim] // block_size
        lines = images.shape[-1 if dim == -2 else -2]
        for edge, weight, number in ((True, at_edge, num_edges), (False, 1 - at_edge, steps.shape[dim] - num_edges)):
            sums[edge] = sums.get(edge, 0) + (steps * weight).sum((1, 2, 3))
            counts[edge] += number * lines
    if not counts[True] or not counts[False]:
        return torch.zeros(len(images), dtype=torch.float64, device=images.device)
    excess = (sums[True] / counts[True] - sums[False] / counts[False]).clamp(min=0)
    return excess * (math.log2(block_size) / math.log2(min(images.shape[-2:])))


def psnrb_value(
    sum_squared_error: Tensor, total: Tensor | int, bef: Tensor, num_images: Tensor | int, data_range: DataRange
) -> Tensor:
    """Returns the ratio with the mean blocking effect added to the mean squared error."""
    return psnr_value(sum_squared_error / total + bef / num_images, 1, data_range)


def peak_signal_noise_ratio_with_blocked_effect(
    preds: Any, target: Any, data_range: DataRange, block_size: int = 8
) -> Tensor:
    """PSNR-B: peak signal-to-noise ratio with the blocking effect of `preds` added to the error.

    `10 log10(range^2 / (MSE + BEF))`; BEF is by how much the mean squared step across block edges exceeds that of all
    other steps, times `log2(block_size) / log2(min(H, W))`. Several images give the mean MSE and the mean BEF.

    Args:
        preds: `(N, 1, H, W)` grey images, perhaps decoded in blocks.
        target: The same shape.
        data_range: Width of the range of values; a pair `(low, high)` also clamps both images to it.
        block_size: Side of the coder's blocks in pixels.

    Returns:
        Float64, in decibels; at most the plain ratio.

    Raises:
        ValueError: If the shapes differ, or there is more than one channel.

    Example:
        >>> import torch
        >>> from lit_metrics.functional import peak_signal_noise_ratio_with_blocked_effect
        >>> blocks = torch.zeros(1, 1, 16, 16)
        >>> blocks[..., 8:] = 1.0
        >>> peak_signal_noise_ratio_with_blocked_effect(blocks, 0.9 * blocks, data_range=1.0)
        tensor(4.2022, dtype=torch.float64)

    Source: Yim and Bovik, Quality assessment of deblocked images, 2011. torchmetrics divides by slightly wrong numbers
    of pixel pairs, and adds up the effects of several images.
    """
    state = psnrb_state(preds, target, data_range, block_size)
    return psnrb_value(**state, data_range=data_range)  # type: ignore[arg-type]
