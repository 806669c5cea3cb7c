"""Mixed precision with bfloat16: float32 parameters, low-precision arithmetic where it is safe."""

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch
from torch import Tensor, nn

from lit_accelerators.precision._autocast import backward_outside_autocast, in_autocast, step_and_forget_casts
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

    def building(self) -> AbstractContextManager[None]:
        """Do nothing: parameters are float32."""
        return nullcontext()

    def convert_module(self, module: nn.Module) -> nn.Module:
        """Return ``module`` as it is: autocast converts inside the step."""
        return module

    def convert_batch(self, batch: Any) -> Any:
        """Return ``batch`` as it is: autocast converts inside the step."""
        return batch

    def wrap_step(self, step: Fn, device: torch.device) -> Fn:
        """Return ``step`` inside autocast of the kind of ``device``."""
        return in_autocast(step, device, torch.bfloat16)

    def backward(self, loss: Tensor, *args: Any, **kwargs: Any) -> None:
        """Call ``loss.backward`` outside autocast, also when called from inside the step."""
        backward_outside_autocast(loss, *args, **kwargs)

    def unscale(self, optimizer: torch.optim.Optimizer) -> None:
        """Do nothing: bfloat16 needs no loss scale."""

    def optimizer_step(self, optimizer: torch.optim.Optimizer, closure: Callable[[], Any] | None = None) -> Any:
        """Call ``optimizer.step``."""
        return step_and_forget_casts(optimizer, closure)

    def state_dict(self) -> dict[str, Any]:
        """Nothing to save."""
        return {}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Nothing to restore."""
