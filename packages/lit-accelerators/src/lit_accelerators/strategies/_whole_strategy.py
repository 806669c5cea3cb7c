"""What strategies have in common whose processes hold whole modules: the states."""

from collections.abc import Mapping
from typing import Any

from torch import Tensor, nn
from torch.optim import Optimizer

from lit_accelerators.strategies._state import (
    gradients_of,
    load_module_without_wrappers,
    module_state_without_wrappers,
    set_gradients,
)
from lit_accelerators.strategies.base import Strategy


class WholeStrategy(Strategy):
    """A strategy whose processes keep the modules that it was given as they are."""

    def module_state(self, module: nn.Module) -> dict[str, Any]:
        """The state dict of ``module``, without the prefixes of wrappers."""
        return module_state_without_wrappers(module)

    def load_module_state(self, module: nn.Module, state: Mapping[str, Any], *, strict: bool = True) -> None:
        """Load a whole state dict."""
        load_module_without_wrappers(module, state, strict=strict)

    def optimizer_state(self, module: nn.Module, optimizer: Optimizer) -> dict[str, Any]:
        """The state dict of ``optimizer``: the same in every process."""
        return optimizer.state_dict()

    def load_optimizer_state(self, module: nn.Module, optimizer: Optimizer, state: Mapping[str, Any]) -> None:
        """Load a whole state dict."""
        optimizer.load_state_dict(dict(state))

    def gradient_state(self, module: nn.Module) -> dict[str, Tensor]:
        """A copy of the gradients in this process."""
        return gradients_of(module)

    def load_gradient_state(self, module: nn.Module, state: Mapping[str, Tensor]) -> None:
        """Put back the gradients of this process."""
        set_gradients(module, state)
