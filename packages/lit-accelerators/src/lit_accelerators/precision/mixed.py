"""Mixed precision: float32 parameters, low-precision arithmetic where it is safe."""

import functools
from collections.abc import Callable
from typing import Any, cast

import torch
from torch import Tensor, nn

from lit_accelerators.precision.base import Fn, Precision


class MixedPrecision(Precision):
    """``"bf16-mixed"``: the step runs inside ``torch.autocast`` with bfloat16; parameters and optimizer stay float32.

    bfloat16 has the range of float32, so no loss scale is needed. See "Automatic Mixed Precision package" in the
    documentation of torch and Micikevicius et al., "Mixed Precision Training" (ICLR 2018).

    Example:
        >>> import torch
        >>> model = torch.nn.Linear(2, 1)
        >>> step = MixedPrecision().wrap_step(model.forward, torch.device("cpu"))
        >>> step(torch.ones(1, 2)).dtype, model.weight.dtype
        (torch.bfloat16, torch.float32)
    """

    name = "bf16-mixed"

    def convert_module(self, module: nn.Module) -> nn.Module:
        """Return ``module`` as it is: autocast converts inside the step."""
        return module

    def convert_batch(self, batch: Any) -> Any:
        """Return ``batch`` as it is: autocast converts inside the step."""
        return batch

    def wrap_step(self, step: Fn, device: torch.device) -> Fn:
        """Return ``step`` inside autocast of the kind of ``device``."""
        device_type = device.type

        @functools.wraps(step)
        def step_in_autocast(*args: Any, **kwargs: Any) -> Any:
            with torch.autocast(device_type, dtype=torch.bfloat16):
                return step(*args, **kwargs)

        return cast("Fn", step_in_autocast)

    def backward(self, loss: Tensor, *args: Any, **kwargs: Any) -> None:
        """Call ``loss.backward`` outside autocast, also when called from inside the step."""
        if torch.is_autocast_enabled(loss.device.type):
            with torch.autocast(loss.device.type, enabled=False):
                loss.backward(*args, **kwargs)
        else:
            loss.backward(*args, **kwargs)

    def unscale(self, optimizer: torch.optim.Optimizer) -> None:
        """Do nothing: bfloat16 needs no loss scale."""

    def optimizer_step(self, optimizer: torch.optim.Optimizer, closure: Callable[[], Any] | None = None) -> Any:
        """Call ``optimizer.step``."""
        result = optimizer.step() if closure is None else optimizer.step(closure)
        # Inside the step (manual optimization) autocast would go on with the bfloat16 copies of the old weights.
        torch.clear_autocast_cache()
        return result

    def state_dict(self) -> dict[str, Any]:
        """Nothing to save."""
        return {}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Nothing to restore."""
