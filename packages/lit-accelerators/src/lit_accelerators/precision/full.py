"""Full precision: float32 as torch computes it."""

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch
from torch import Tensor, nn

from lit_accelerators.precision.base import Fn, Precision


class FullPrecision(Precision):
    """``"32-true"``: parameters, activations and gradients stay in the number format they were made in.

    Example:
        >>> import torch
        >>> precision = FullPrecision()
        >>> step = torch.nn.Linear(2, 1).forward
        >>> precision.wrap_step(step, torch.device("cpu")) is step
        True
    """

    name = "32-true"
    plain = True

    def building(self) -> AbstractContextManager[None]:
        """Do nothing: modules are built as they are written."""
        return nullcontext()

    def convert_module(self, module: nn.Module) -> nn.Module:
        """Return ``module`` as it is."""
        return module

    def convert_batch(self, batch: Any) -> Any:
        """Return ``batch`` as it is."""
        return batch

    def wrap_step(self, step: Fn, device: torch.device) -> Fn:
        """Return ``step`` itself."""
        return step

    def backward(self, loss: Tensor, *args: Any, **kwargs: Any) -> None:
        """Call ``loss.backward``."""
        loss.backward(*args, **kwargs)

    def unscale(self, optimizer: torch.optim.Optimizer) -> None:
        """Do nothing: gradients have their true size."""

    def optimizer_step(self, optimizer: torch.optim.Optimizer, closure: Callable[[], Any] | None = None) -> Any:
        """Call ``optimizer.step``."""
        return optimizer.step() if closure is None else optimizer.step(closure)

    def state_dict(self) -> dict[str, Any]:
        """Nothing to save."""
        return {}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Nothing to restore."""
