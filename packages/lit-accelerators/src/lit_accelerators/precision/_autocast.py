"""What the mixed precisions share: the step inside autocast, the backward pass outside."""

import functools
from collections.abc import Callable
from typing import Any, cast

import torch
from torch import Tensor

from lit_accelerators.precision.base import Fn


def in_autocast(step: Fn, device: torch.device, dtype: torch.dtype) -> Fn:
    """``step`` inside autocast of the kind of ``device``."""
    device_type = device.type

    @functools.wraps(step)
    def step_in_autocast(*args: Any, **kwargs: Any) -> Any:
        with torch.autocast(device_type, dtype=dtype):
            return step(*args, **kwargs)

    return cast("Fn", step_in_autocast)


def backward_outside_autocast(loss: Tensor, *args: Any, **kwargs: Any) -> None:
    """``loss.backward``, also when called from inside the step (manual optimization)."""
    if torch.is_autocast_enabled(loss.device.type):
        with torch.autocast(loss.device.type, enabled=False):
            loss.backward(*args, **kwargs)
    else:
        loss.backward(*args, **kwargs)


def step_and_forget_casts(optimizer: torch.optim.Optimizer, closure: Callable[[], Any] | None = None) -> Any:
    """``optimizer.step``; inside the step, autocast would go on with the low-precision copies of the old weights."""
    result = optimizer.step() if closure is None else optimizer.step(closure)
    torch.clear_autocast_cache()
    return result
