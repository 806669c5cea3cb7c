"""The contract of a numeric precision."""

from abc import ABC, abstractmethod
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any, TypeVar

import torch
from torch import Tensor, nn

Fn = TypeVar("Fn", bound=Callable[..., Any])


class Precision(ABC):
    """In which number formats a module computes, and what that asks of backward and step.

    Every decision is taken once, when a run is set up: ``wrap_step`` returns the very function it was
    given where nothing is to be done, ``convert_batch`` is not called unless ``converts_batch`` is True.

    Implementations are registered by name (entry-point group ``lit_accelerators.precisions``: a callable without
    arguments that makes one).
    """

    name: str
    """The word that chooses it: ``"32-true"``, ``"bf16-mixed"``."""

    converts_batch: bool = False
    """Whether :meth:`convert_batch` changes anything; if not it is never called."""

    plain: bool = False
    """Whether :meth:`backward` is ``loss.backward()``, :meth:`optimizer_step` is ``optimizer.step()``, and no more."""

    def check_device(self, device: torch.device) -> None:  # noqa: B027 - most have nothing to do
        """Raise ``ValueError`` where ``device`` cannot compute in this precision; called before anything starts."""

    def check_optimizer(self, optimizer: torch.optim.Optimizer) -> None:  # noqa: B027 - most have nothing to do
        """Raise ``ValueError`` where ``optimizer`` cannot step under this precision; called before the first step."""

    def attach(self, optimizer: torch.optim.Optimizer) -> None:  # noqa: B027 - most have nothing to do
        """Make ``optimizer.step()`` do what :meth:`optimizer_step` does, for loops that call it; once for each."""

    @abstractmethod
    def building(self) -> AbstractContextManager[None]:
        """Inside, modules are built in the number format they will have; :meth:`convert_module` does so afterwards."""

    @abstractmethod
    def convert_module(self, module: nn.Module) -> nn.Module:
        """Give the parameters and buffers their number format, in place; returns the module."""

    @abstractmethod
    def convert_batch(self, batch: Any) -> Any:
        """Give the floating-point tensors of a batch (any pytree) the number format the module expects."""

    @abstractmethod
    def wrap_step(self, step: Fn, device: torch.device) -> Fn:
        """Return ``step`` as it must run under this precision (inside autocast, say); ``step`` itself if as it is."""

    @abstractmethod
    def backward(self, loss: Tensor, *args: Any, **kwargs: Any) -> None:
        """Run the backward pass from ``loss``; arguments are those of ``Tensor.backward``."""

    @abstractmethod
    def unscale(self, optimizer: torch.optim.Optimizer) -> None:
        """Bring the gradients of ``optimizer`` to their true size before clipping or reading them.

        Called when the gradients are complete; a second call before the step does nothing.
        """

    @abstractmethod
    def optimizer_step(self, optimizer: torch.optim.Optimizer, closure: Callable[[], Any] | None = None) -> Any:
        """Step ``optimizer``; ``closure`` (forward, backward) as in ``Optimizer.step``; returns what it returned."""

    @abstractmethod
    def state_dict(self) -> dict[str, Any]:
        """What a checkpoint must hold (a loss scale); plain values; empty if nothing."""

    @abstractmethod
    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restore what :meth:`state_dict` gave; the state of another precision is not an error."""
